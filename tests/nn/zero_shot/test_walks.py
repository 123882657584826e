"""Walks between entities against loops over the triples."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.nn.zero_shot.graph import EvidenceGraph
from pykeen_mmkg.nn.zero_shot.walks import Walks

N, R = 6, 3

triples = st.lists(
    st.tuples(st.integers(0, N - 1), st.integers(0, R - 1), st.integers(0, N - 1)), min_size=1, max_size=20, unique=True
)
queries = st.lists(st.tuples(st.integers(0, N - 1), st.integers(-1, R - 1)), min_size=1, max_size=4)


def links(rows: list, entity: int, left_out: int) -> list[tuple[int, int]]:
    """Return the links of an entity as relation, as seen from the entity, and the other end."""
    kept = [row for row in rows if row[1] != left_out]
    return [(r, t) for h, r, t in kept if h == entity] + [(R + r, h) for h, r, t in kept if t == entity]


@settings(max_examples=50, deadline=None)
@given(triples, queries, st.integers(0, 2))
def test_walks_by_hand(rows: list, asked: list, hops: int) -> None:
    """Listed and as a grid, the walks of all pairs are those of a loop, without the relation that is asked for."""
    graph = EvidenceGraph(torch.tensor(rows), N, R)
    heads, relations = torch.tensor(asked).unbind(-1)
    q = len(asked)
    pairs = [(i, t) for i in range(q) for t in range(N)]
    direct, met = [], []
    for i, t in pairs:
        head, left_out = asked[i]
        around = links(rows, t, left_out)
        direct += [(i, t, r) for r, x in around if x == head] if hops else []
        near = {x for _, x in links(rows, head, left_out)}
        met += [(i, t, x, r) for r, x in around if x in near] if hops == 2 else []
    reach = [(i, x, r) for i, (head, out) in enumerate(asked) for r, x in links(rows, head, out)] if hops == 2 else []
    query, tails = torch.tensor(pairs).unbind(-1)
    listed = Walks.listed(graph, hops, heads, relations, query, tails)
    grid = Walks.grid(graph, hops, heads, relations, torch.arange(N), N)
    degree = [sum((h == x) + (t == x) for h, _, t in rows) for x in range(N)]
    for walks, place in ((listed, lambda p: pairs[p]), (grid, lambda p: (p % q, p // q))):
        assert walks.num_pairs == q * N
        found = [(*place(p), i, r) for p, i, r in torch.stack(walks.direct, dim=-1).tolist()]
        assert sorted(found) == sorted((i, t, i, r) for i, t, r in direct)
        steps = sorted({(i, x) for i, x, _ in reach})
        found = [(i, *steps[s], r) for i, s, r in torch.stack(walks.reach, dim=-1).tolist()]
        assert sorted(found) == sorted((i, i, x, r) for i, x, r in reach)
        found = [(*place(p), i, *steps[s], r) for p, i, s, r in torch.stack(walks.met, dim=-1).tolist()]
        assert sorted(found) == sorted((i, t, i, i, x, r) for i, t, x, r in met)
        assert walks.log_degree.tolist() == pytest.approx([math.log1p(degree[x]) for _, x in steps], abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    triples,
    st.lists(st.integers(0, N - 1), min_size=1, max_size=3),
    st.lists(st.integers(0, N - 1), min_size=1, unique=True),
    st.integers(-1, R - 1),
    st.integers(0, 2),
)
def test_walks_from_tails(rows: list, tails: list, heads: list, relation: int, hops: int) -> None:
    """From the tails, the walks of all pairs are those of the listed pairs, by neighbours in place of steps."""
    graph = EvidenceGraph(torch.tensor(rows), N, R)
    place = torch.full((N,), -1)
    place[torch.tensor(heads)] = torch.arange(len(heads))
    found = Walks.from_tails(graph, hops, torch.tensor(tails), relation, place, len(heads))
    pairs = torch.cartesian_prod(torch.arange(len(heads)), torch.tensor(tails))
    listed = Walks.listed(
        graph, hops, torch.tensor(heads), torch.full((len(heads),), relation), pairs[:, 0], pairs[:, 1]
    )
    assert found.num_pairs == listed.num_pairs == len(pairs)

    def plain(walks: Walks) -> tuple[list, list]:
        degree = walks.log_degree.tolist()
        firsts: dict[int, list[int]] = {}
        for _, step, kind in zip(*(part.tolist() for part in walks.reach), strict=True):
            firsts.setdefault(step, []).append(kind)
        met = [(p, i, degree[s], sorted(firsts[s]), r) for p, i, s, r in torch.stack(walks.met, dim=-1).tolist()]
        return sorted(map(tuple, torch.stack(walks.direct, dim=-1).tolist())), sorted(met)

    assert plain(found) == plain(listed)
    torch.testing.assert_close(found.prior(graph), listed.prior(graph))
    queries = dict(zip(found.met[2].tolist(), found.met[1].tolist(), strict=True))
    assert all(queries.get(step, head) == head for head, step, _ in torch.stack(found.reach, dim=-1).tolist())
