"""Rows: which are trained, and that no random number, flag or mode is left behind; whole updates are in tests/runs."""

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult, RotatE, TransH, model_resolver

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.training.rows import train_rows

KNOWN = Nations().training


@pytest.mark.parametrize("cls", [DistMult, RotatE, TransH])
def test_rows(cls) -> None:
    """Also where a constraint or a normalizer is applied to the whole table after each step."""
    model = cls(triples_factory=KNOWN, embedding_dim=8, random_seed=0).train()
    triples = torch.tensor([[0, 1, 2], [2, 3, 4]])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in model.parameters()]
    state, known = torch.get_rng_state(), torch.cat([KNOWN.mapped_triples, triples])
    assert train_rows(model, triples, known, num_steps=3) == 1
    assert torch.get_rng_state().equal(state) and model.training
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    for name, value in model.state_dict().items():
        if name.startswith("entity"):
            changed = (value != before[name]).any(dim=1).nonzero()[:, 0].tolist()
            assert changed == [0, 2, 4]
        else:
            assert value.equal(before[name]), name
    again = cls(triples_factory=KNOWN, embedding_dim=8, random_seed=0)
    again.load_state_dict(before)
    train_rows(again, triples, known, num_steps=3)
    assert all(value.equal(model.state_dict()[name]) for name, value in again.state_dict().items())


def test_not_finite() -> None:
    model = DistMult(triples_factory=KNOWN, embedding_dim=4)
    with torch.no_grad():
        model.entity_representations[0]._embeddings.weight[0] = torch.nan
    with pytest.raises(MultimodalError, match="loss of the new triples became nan"):
        train_rows(model, KNOWN.mapped_triples[:2], KNOWN.mapped_triples)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_nothing_to_train() -> None:
    model = model_resolver.make("degreerule", triples_factory=KNOWN)
    assert train_rows(model, KNOWN.mapped_triples[:2], KNOWN.mapped_triples) == 0
    distmult = DistMult(triples_factory=KNOWN, embedding_dim=4)
    assert train_rows(distmult, KNOWN.mapped_triples[:0], KNOWN.mapped_triples) == 0
