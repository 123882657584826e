"""Grouped triples against dictionaries and loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.datasets import Nations

from pykeen_mmkg.indexing import (
    Ragged,
    TargetIndex,
    bounded_slices,
    degrees,
    distinct_triples,
    find_sorted,
    irreflexive_relations,
    join,
    occurring,
    pick,
    query_columns,
    row_offsets,
    seen_entities,
    seen_relations,
    shared_pairs,
)

TRIPLES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5)), max_size=30)
INTEGERS = st.lists(st.integers(0, 6), max_size=12)


def _long(values):
    return torch.tensor(values, dtype=torch.long)


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=6), st.data())
@settings(deadline=None)
def test_rows_of_lists(lists, data):
    ragged = Ragged.from_lists([torch.tensor(part, dtype=torch.long) for part in lists])
    ids = data.draw(st.lists(st.integers(-1, len(lists) - 1), max_size=8))
    row, value = ragged.rows(torch.tensor(ids, dtype=torch.long))
    expected = [(i, v) for i, number in enumerate(ids) if number >= 0 for v in sorted(set(lists[number]))]
    assert list(zip(row.tolist(), value.tolist(), strict=True)) == expected
    assert [ragged[i].tolist() for i in range(len(ragged))] == [sorted(set(part)) for part in lists]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5)), max_size=30),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8),
)
@settings(deadline=None)
def test_answers_of_queries(triples, queries):
    # the queries go beyond the ids of the triples
    tensor = torch.tensor(triples, dtype=torch.long).view(-1, 3)
    entities, relations = torch.tensor(queries).unbind(dim=1)
    for target in ("head", "tail"):
        row, answer = TargetIndex.from_triples(tensor, target).rows(entities, relations)
        known, column = query_columns(target)
        expected = [
            (i, x)
            for i, (e, r) in enumerate(queries)
            for x in sorted({t[column] for t in triples if t[known] == e and t[1] == r})
        ]
        assert list(zip(row.tolist(), answer.tolist(), strict=True)) == expected


@given(TRIPLES)
@settings(deadline=None)
def test_distinct_triples(triples):
    assert distinct_triples(_long(triples).view(-1, 3)).tolist() == [list(triple) for triple in sorted(set(triples))]


def test_relations_cannot_be_ranked():
    with pytest.raises(ValueError, match="'relation'"):
        query_columns("relation")


@given(INTEGERS, st.data())
@settings(deadline=None)
def test_positions_of_keys(keys, data):
    grouped = Ragged.group(_long(keys), 8)
    expected = [[i for i, key in enumerate(keys) if key == k] for k in range(8)]
    assert [grouped[k].tolist() for k in range(8)] == expected
    assert row_offsets(_long(keys), 8).tolist() == [sum(key < k for key in keys) for k in range(9)]
    if not keys:
        return
    ids = data.draw(st.lists(st.sampled_from(keys), max_size=4))
    share = data.draw(st.floats(0, 1, exclude_max=True, width=32))
    picked = grouped.values[pick(grouped.offsets, _long(ids)[:, None], torch.full((len(ids), 2), share))]
    assert picked.tolist() == [2 * [expected[k][int(share * len(expected[k]))]] for k in ids]


def test_entries_are_picked_uniformly():
    grouped = Ragged.group(_long([1, 0, 1, 1, 2]), 4)
    torch.manual_seed(0)
    drawn = grouped.values[pick(grouped.offsets, _long([1]), torch.rand(3000))]
    counts = drawn.bincount(minlength=5)
    assert counts[[1, 4]].tolist() == [0, 0] and (counts[[0, 2, 3]] - 1000).abs().max() < 100


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 30))
def test_slices_of_bounded_cost(costs, limit):
    slices = list(bounded_slices(_long(costs), limit))
    assert [i for part in slices for i in range(len(costs))[part]] == list(range(len(costs)))
    cuts = {part.stop for part in slices[:-1]}
    # a part ends where the sum of all costs reaches the next multiple of the limit
    assert cuts == {i for i in range(1, len(costs)) if sum(costs[: i + 1]) // limit > sum(costs[:i]) // limit}


@given(st.sets(st.integers(0, 9)), INTEGERS)
def test_find_in_sorted_keys(keys, wanted):
    ordered = sorted(keys)
    found = find_sorted(_long(ordered), _long(wanted))
    assert found.tolist() == [ordered.index(x) if x in keys else -1 for x in wanted]


@given(INTEGERS, INTEGERS)
def test_join(left, right):
    expected = [(i, j) for i, x in enumerate(left) for j, y in enumerate(right) if x == y]
    assert list(zip(*(x.tolist() for x in join(_long(left), _long(right))), strict=True)) == expected


@given(TRIPLES, TRIPLES, st.booleans())
@settings(deadline=None)
def test_pairs_that_relations_share(left, right, inverse):
    pairs = [
        {r: {(h, t) for h, x, t in rows if x == r} for r in range(4)}
        for rows in (left, [(t, r, h) for h, r, t in right] if inverse else right)
    ]
    expected = [(r, s, len(pairs[0][r] & pairs[1][s])) for r in range(4) for s in range(4) if pairs[0][r] & pairs[1][s]]
    tensors = (_long(rows).view(-1, 3).unique(dim=0) for rows in (left, right))
    assert list(zip(*(x.tolist() for x in shared_pairs(*tensors, inverse=inverse)), strict=True)) == expected


@given(TRIPLES)
def test_what_occurs_and_how_often(rows):
    triples = _long(rows).view(-1, 3)
    assert occurring(triples[:, 1], 5).tolist() == [any(r == x for _, r, _ in rows) for x in range(5)]
    assert degrees(triples, 7).tolist() == [sum((h == e) + (t == e) for h, _, t in rows) for e in range(7)]


@pytest.mark.parametrize("inverse", [False, True])
def test_seen_in_training(inverse):
    """An artificial inverse relation is seen with its relation; triples hold the ids without them."""
    factory = Nations(create_inverse_triples=inverse).training
    assert seen_entities(factory).all() and seen_relations(factory).all()
    few = factory.clone_and_exchange_triples(factory.mapped_triples[[0, 700]])
    head_tail, relations = few.mapped_triples[:, [0, 2]].flatten().tolist(), few.mapped_triples[:, 1].tolist()
    assert seen_entities(few).tolist() == [e in head_tail for e in range(14)]
    expected = [r in relations for r in range(55)]
    if inverse:
        expected = [x for x in expected for _ in range(2)]
    assert seen_relations(few).tolist() == expected and len(expected) == factory.num_relations


def test_irreflexive_relations() -> None:
    """A relation without a loop is irreflexive; one without a triple is if there is no loop at all."""
    triples = torch.tensor([[0, 0, 1], [1, 1, 1], [1, 1, 2], [3, 0, 2]])
    assert irreflexive_relations(triples, 3).tolist() == [True, False, False]
    assert irreflexive_relations(triples[[0, 2, 3]], 3).tolist() == [True, True, True]
    assert irreflexive_relations(triples[:0], 2).tolist() == [True, True]
