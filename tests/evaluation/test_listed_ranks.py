"""Ranks from counts against ranks by loops."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.triples import CoreTriplesFactory

from pykeen_mmkg.baselines.rules import InverseRule
from pykeen_mmkg.evaluation import listed_ranks
from pykeen_mmkg.evaluation.listed_ranks import ListsAnswers, rank_listed
from pykeen_mmkg.evaluation.protocols import StandardEvaluator
from pykeen_mmkg.indexing import TargetIndex

from .reference import TableModel, slow_rank

TRIPLE = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4))


class Listing(TableModel):
    """A table of zeros and ones that lists its ones.

    ---
    name: Listing
    citation:
        author: None
        year: 2026
        link: https://example.org
    """

    def listed(self, entities, relations, target):
        rows = self.table[entities, relations] if target == "tail" else self.table[:, relations, entities].T
        return rows.nonzero(as_tuple=True)


@given(
    st.lists(TRIPLE, max_size=30),
    st.lists(TRIPLE, min_size=1, max_size=12),
    st.none() | st.lists(TRIPLE, max_size=20),
    st.sampled_from(["head", "tail"]),
    st.integers(1, 4),
)
@settings(deadline=None)
def test_ranks_equal_the_loop(listed, test, known, side, chunk):
    table = torch.zeros(5, 3, 5)
    for triple in listed:
        table[triple] = 1.0
    index = None if known is None else TargetIndex.from_triples(torch.tensor(known).long().view(-1, 3), side)
    before, listed_ranks.CHUNK = listed_ranks.CHUNK, chunk
    try:
        ranks = rank_listed(Listing(table), torch.tensor(test), side, index)
    finally:
        listed_ranks.CHUNK = before
    expected = [slow_rank(table, triple, side, set(known or ())) for triple in test]
    assert list(zip(*(part.tolist() for part in ranks), strict=True)) == expected


def test_the_evaluator_asks_such_a_model_for_no_scores(monkeypatch):
    training = CoreTriplesFactory(torch.tensor([[0, 0, 1], [1, 1, 0], [2, 1, 3]]), num_entities=5, num_relations=2)
    model = InverseRule(training)
    assert isinstance(model, ListsAnswers)
    test = torch.tensor([[3, 0, 2], [0, 0, 4]])

    def ranks(**kwargs):
        evaluator = StandardEvaluator()
        result = evaluator.evaluate(
            model, test, additional_filter_triples=[training.mapped_triples], use_tqdm=False, **kwargs
        )
        return result.ranks

    scored = ranks(restrict_entities_to=range(5))
    monkeypatch.setattr(InverseRule, "_scores", None)
    counted = ranks()
    for name in ("triples", "side", "optimistic", "pessimistic", "num_candidates"):
        assert getattr(counted, name).tolist() == getattr(scored, name).tolist(), name
