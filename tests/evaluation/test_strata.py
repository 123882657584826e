"""Strata against triples by hand and against loops."""

import numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.evaluation.strata import entities_seen, half_links, relation_kinds

ids = st.integers(0, 5)
triples = st.lists(st.tuples(ids, st.integers(0, 2), ids), min_size=1, max_size=15)


def test_kinds_by_hand() -> None:
    """Two tails of one head are 1.5 tails per head on average if another head has one: from there on it is n."""
    training = torch.tensor(
        [
            *([0, 0, 1], [2, 0, 3], [0, 0, 1]),  # a repeated triple counts once
            *([0, 1, 1], [0, 1, 2], [3, 1, 4]),
            *([0, 2, 1], [2, 2, 1], [3, 2, 4]),
            *([0, 3, 1], [0, 3, 2], [5, 3, 1], [5, 3, 2]),
            *([0, 4, 1], [0, 4, 2], [2, 4, 3], [4, 4, 5]),  # 4/3 tails per head
        ]
    )
    assert relation_kinds(training, 6).tolist() == ["1-1", "1-n", "n-1", "n-n", "1-1", "unseen"]


@given(triples, triples, st.data())
def test_seen(training: list, ranked: list, data: st.DataObject) -> None:
    """What training has of each ranked triple, one at a time."""
    side = data.draw(st.lists(st.sampled_from(["head", "tail"]), min_size=len(ranked), max_size=len(ranked)))
    known = torch.tensor(training)
    entities = {x for h, _, t in training for x in (h, t)}
    left, right = {(h, r) for h, r, _ in training}, {(r, t) for _, r, t in training}
    expected_entities, expected = [], []
    for (h, r, t), s in zip(ranked, side, strict=True):
        expected_entities.append(["neither", "one", "both"][(h in entities) + (t in entities)])
        query, answer = (h, r) in left, (r, t) in right
        if s == "head":
            query, answer = answer, query
        expected.append(" + ".join(["query"] * query + ["answer"] * answer) or "none")
    assert entities_seen(known, numpy.array(ranked), 6).tolist() == expected_entities
    assert half_links(known, numpy.array(ranked), numpy.array(side)).tolist() == expected
