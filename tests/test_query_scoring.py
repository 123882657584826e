"""Queries for any column against the scores of their triples."""

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult

from pykeen_mmkg.baselines.rules import DegreeRule
from pykeen_mmkg.query_scoring import QueryScoringMixin


class _ByTriple(QueryScoringMixin, DistMult):
    """PyKEEN's model, one triple at a time."""


@pytest.mark.parametrize("ids", [None, [3, 0, 1], [[1, 2], [0, 2], [2, 2]]])
@pytest.mark.parametrize(("name", "columns"), [("t", (0, 1)), ("h", (1, 2)), ("r", (0, 2))])
def test_every_column(name: str, columns: tuple[int, int], ids: list | None) -> None:
    """The columns are put together in the order of head, relation and tail, for all, shared and own choices."""
    dataset = Nations()
    model = _ByTriple(triples_factory=dataset.training, embedding_dim=4, random_seed=0)
    batch = dataset.training.mapped_triples[[5, 100, 900]][:, columns]
    chosen = None if ids is None else torch.tensor(ids)
    key = {"t": "tails", "h": "heads", "r": "relations"}[name]
    scores = getattr(model, f"score_{name}")(batch, **{key: chosen})
    plain = getattr(DistMult, f"score_{name}")(model, batch)
    if chosen is not None:
        plain = plain[:, chosen] if chosen.ndim == 1 else plain.gather(1, chosen)
    torch.testing.assert_close(scores, plain)


def test_relations_of_a_baseline() -> None:
    """A baseline scores relations by their triples."""
    model = DegreeRule(Nations().training)
    scores = model.score_r(torch.tensor([[0, 3]]))
    expected = [model.score_hrt(torch.tensor([[0, r, 3]])).item() for r in range(model.num_relations)]
    assert scores[0].tolist() == expected and len(set(expected)) > 1
