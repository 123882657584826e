"""Relations that give others away: against sets of pairs by hand, and on random graphs against a loop."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.datasets.overlap import RelationOverlap, leaking_triples, relation_overlaps

RELATIONS = ["held", "same", "back", "other", "half"]


def test_by_hand():
    held = torch.as_tensor([[0, 0, 1], [2, 0, 3], [4, 0, 5], [6, 0, 7]])
    others = torch.as_tensor(
        [[0, 1, 1], [2, 1, 3], [4, 1, 5], [7, 1, 6]]  # three of four, and one swapped
        + [[1, 2, 0], [3, 2, 2], [5, 2, 4], [7, 2, 6], [0, 2, 5]]  # all four, swapped
        + [[0, 3, 3], [1, 3, 4]]
        + [[0, 4, 1], [2, 4, 3]]
    )
    assert relation_overlaps(held, others, RELATIONS) == [
        RelationOverlap("held", "back", "inverse", shared=4, share=1.0, share_of_other=0.8),
        RelationOverlap("held", "same", "duplicate", shared=3, share=0.75, share_of_other=0.75),
        RelationOverlap("held", "half", "duplicate", shared=2, share=0.5, share_of_other=1.0),
    ]
    assert [o.other for o in relation_overlaps(held, others, RELATIONS, threshold=0.2)] == [
        "back",
        "same",
        "half",
        "same",
    ]


def test_leaking_triples():
    held = torch.as_tensor([[0, 0, 1], [2, 0, 3]])
    training = torch.as_tensor([[0, 1, 1], [2, 1, 3], [3, 1, 4], [1, 2, 0], [0, 3, 1]])
    ids = {label: i for i, label in enumerate(RELATIONS)}
    overlaps = [o for o in relation_overlaps(held, training, RELATIONS) if o.other != "other"]
    assert {(o.other, o.kind) for o in overlaps} == {("same", "duplicate"), ("back", "inverse")}
    pairs = leaking_triples(training, held, overlaps, ids, whole=False)
    assert pairs.tolist() == [True, True, False, True, False]
    whole = leaking_triples(training, held, overlaps, ids, whole=True)
    assert whole.tolist() == [True, True, True, True, False]
    assert not leaking_triples(training, held, [], ids, whole=True).any()


triple = st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3))


@given(
    held=st.lists(triple, min_size=1), others=st.lists(triple, min_size=1), threshold=st.sampled_from([0.01, 0.5, 1.0])
)
def test_against_a_loop(held: list[tuple[int, int, int]], others: list[tuple[int, int, int]], threshold: float):
    pairs = {r: {(h, t) for h, q, t in held if q == r} for r in range(5)}
    other_pairs = {r: {(h, t) for h, q, t in others if q == r} for r in range(5)}
    expected = {}
    for r in range(5):
        for s in range(5):
            for kind, found in (
                ("duplicate", pairs[r] & other_pairs[s]),
                ("inverse", pairs[r] & {(t, h) for h, t in other_pairs[s]}),
            ):
                if found and r != s and len(found) / len(pairs[r]) >= threshold:
                    key = (RELATIONS[r], RELATIONS[s], kind)
                    expected[key] = (len(found), len(found) / len(pairs[r]), len(found) / len(other_pairs[s]))
    overlaps = relation_overlaps(torch.as_tensor(held), torch.as_tensor(others), RELATIONS, threshold=threshold)
    found_rows = {(o.relation, o.other, o.kind): (o.shared, o.share, o.share_of_other) for o in overlaps}
    assert set(found_rows) == set(expected)
    for key, values in expected.items():
        assert found_rows[key] == pytest.approx(values)
    assert [o.share for o in overlaps] == sorted((o.share for o in overlaps), reverse=True)
