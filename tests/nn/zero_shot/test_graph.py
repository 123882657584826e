"""The training graph against loops over its triples."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from pykeen_mmkg.nn.zero_shot.graph import EvidenceGraph, nearest_texts

N, R, D = 6, 3, 5
triple = st.tuples(st.integers(0, N - 1), st.integers(0, R - 1), st.integers(0, N - 1))
pair = st.tuples(st.integers(0, N - 1), st.integers(0, N - 1))


def _texts(n: int, seed: int) -> torch.Tensor:
    return functional.normalize(torch.randn(n, D, generator=torch.Generator().manual_seed(seed)), dim=-1)


def _directed(rows: list, alike: list) -> list[tuple[int, int, int]]:
    """Return (entity, directed relation as it sees it, neighbour) by hand."""
    rows = sorted(set(rows))
    return (
        [(h, r, t) for h, r, t in rows]
        + [(t, R + r, h) for h, r, t in rows]
        + [(a, 2 * R, b) for a, b in alike]
        + [(b, 2 * R + 1, a) for a, b in alike]
    )


@settings(deadline=None)
@given(st.lists(triple, min_size=1, max_size=15), st.lists(pair, max_size=4), st.integers(-1, R - 1))
def test_links(rows: list, alike: list, asked: int) -> None:
    """Links come by entity and neighbour, named as the neighbour sees them, without those of the asked relation."""
    graph = EvidenceGraph(torch.tensor(rows), N, R, torch.tensor(alike, dtype=torch.long).view(-1, 2))
    entities = torch.tensor([2, 0, 2, 5])
    position, other, back = graph.links(entities, torch.full((4,), asked))
    opposite = {r: r + R for r in range(R)} | {r + R: r for r in range(R)} | {2 * R: 2 * R + 1, 2 * R + 1: 2 * R}
    every = _directed(rows, alike)
    expected = [
        (i, y, opposite[s])
        for i, e in enumerate(entities.tolist())
        for x, s, y in every
        if x == e and (s >= 2 * R or s % R != asked)
    ]
    found = list(zip(position.tolist(), other.tolist(), back.tolist(), strict=True))
    assert sorted(found) == sorted(expected) and [x[:2] for x in found] == sorted(x[:2] for x in expected)
    around = {e: [y for x, _, y in every if x == e] for e in range(N)}
    assert graph.two_hops.tolist() == [sum(len(around[y]) for y in around[e]) for e in range(N)]


@settings(deadline=None)
@given(st.lists(triple, min_size=1, max_size=15))
def test_profiles_sizes_and_centroids(rows: list) -> None:
    """How often an entity takes each side of each relation; repeated triples count once, similar texts never."""
    graph = EvidenceGraph(torch.tensor(rows), N, R, torch.tensor([[0, 1]]))
    every = _directed(rows, [])
    position, relation, count = graph.profiles(torch.tensor([3, 0]))
    expected = {
        (i, s): math.log1p(n)
        for i, e in enumerate([3, 0])
        for s in range(2 * R)
        if (n := sum(x == e and k == s for x, k, _ in every))
    }
    assert list(zip(position.tolist(), relation.tolist(), strict=True)) == sorted(expected)
    torch.testing.assert_close(count, torch.tensor([expected[key] for key in sorted(expected)]))
    degree = [sum(x == e for x, _, _ in every) for e in range(N)]
    torch.testing.assert_close(graph.log_degree, torch.tensor(degree).float().log1p())
    x = _texts(N, 0)
    for s in range(2 * R):
        near = [e for e, k, _ in every if k == s]
        assert bool(graph.present[s]) == bool(near)
        sizes = torch.tensor([len(near), len(set(near))]).float().log1p()
        torch.testing.assert_close(graph.size[s], sizes)
        mean = functional.normalize(sum((x[e] for e in near), torch.zeros(D)), dim=-1)
        torch.testing.assert_close(graph.centroids(x)[s], mean, atol=1e-5, rtol=1e-4)


def test_nearest_texts() -> None:
    """The neighbours are those of the greatest dot product; entities without a text have none."""
    x = _texts(6, 0)
    mask = torch.tensor([True, True, True, False, True, True])
    pairs = nearest_texts(x, mask, k=2, chunk=2)
    for e in range(6):
        own = set(pairs[pairs[:, 0] == e, 1].tolist())
        others = [o for o in range(6) if o != e and mask[o]]
        best = sorted(others, key=lambda o: -float(x[e] @ x[o]))[:2]
        assert own == (set(best) if mask[e] else set())
