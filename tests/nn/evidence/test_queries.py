"""Tests for batches of queries and directed triples."""

import torch

from pykeen_mmkg.nn.evidence.queries import Queries

from .graph import Graph, N, R


def test_links_and_answers(graph: Graph) -> None:
    """The links of an entity are all directed triples from it, and answers those of one relation."""
    index, facts = graph.index, graph.facts
    entities, relations = [3, 0, 3, 8], [0, 1, 4, 5]
    row, relation, tail = index.links(torch.tensor(entities))
    found = sorted(zip(row.tolist(), relation.tolist(), tail.tolist(), strict=True))
    assert found == sorted((i, r, t) for i, e in enumerate(entities) for h, r, t in facts if h == e)
    row, answer = index.answers.rows(torch.tensor(entities), torch.tensor(relations))
    asked = enumerate(zip(entities, relations, strict=True))
    wanted = [(i, t) for i, query in asked for h, r, t in facts if (h, r) == query]
    assert sorted(zip(row.tolist(), answer.tolist(), strict=True)) == sorted(wanted)


def test_table_sums_and_selects() -> None:
    """Values of a cell are summed; entities that are no candidates are dropped."""
    row, entity, value = torch.tensor([0, 1, 1, 1]), torch.tensor([2, 2, 2, 5]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    heads = relations = torch.zeros(2, dtype=torch.long)
    table = Queries(heads, relations, N, R).table(row, entity, value)
    assert table.shape == (2, N)
    assert table.nonzero().tolist() == [[0, 2], [1, 2], [1, 5]]
    assert table[[0, 1, 1], [2, 2, 5]].tolist() == [1.0, 5.0, 4.0]
    some = Queries(heads, relations, N, R, ids=torch.tensor([5, 2])).table(row, entity, value)
    assert some.tolist() == [[0.0, 1.0], [4.0, 5.0]]


def test_is_own() -> None:
    """A query's own triple is met from both ends, and no other one is."""
    queries = Queries(torch.tensor([0, 4]), torch.tensor([1, 5]), N, R, own=torch.tensor([3, 2]))
    cases = {(0, 0, 1, 3): 1, (0, 3, 4, 0): 1, (1, 4, 5, 2): 1, (1, 2, 2, 4): 1}
    cases |= {(0, 0, 1, 2): 0, (0, 0, 4, 3): 0, (0, 3, 1, 0): 0, (1, 0, 1, 3): 0, (1, 4, 2, 2): 0}
    row, source, relation, target = torch.tensor(list(cases)).T
    assert queries.is_own(row, source, relation, target).long().tolist() == list(cases.values())
    none = Queries(queries.heads, queries.relations, N, R)
    assert not none.is_own(row, source, relation, target).any()
