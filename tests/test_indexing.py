"""Lookups in lists of varying length against dictionaries."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.indexing import Ragged, TargetIndex, query_columns


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


def test_relations_cannot_be_ranked():
    with pytest.raises(ValueError, match="'relation'"):
        query_columns("relation")
