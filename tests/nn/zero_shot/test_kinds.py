"""Each kind of evidence, in either form, against its formula as a loop over the triples."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from pykeen_mmkg.nn.evidence.words import WordOverlap
from pykeen_mmkg.nn.zero_shot.graph import EvidenceGraph
from pykeen_mmkg.nn.zero_shot.kinds import (
    Evidence,
    Grid,
    LinkEvidence,
    Listed,
    PathEvidence,
    ProfileEvidence,
    Tails,
    TextEvidence,
    Weights,
    WordEvidence,
)
from pykeen_mmkg.nn.zero_shot.walks import Walks

N, R, D, K = 6, 3, 4, 2
triple = st.tuples(st.integers(0, N - 1), st.integers(0, R - 1), st.integers(0, N - 1))
pair = st.tuples(st.integers(0, N - 1), st.integers(0, N - 1))


def _texts(n: int, seed: int) -> torch.Tensor:
    return functional.normalize(torch.randn(n, D, generator=torch.Generator().manual_seed(seed)), dim=-1)


ENTITIES, RELATIONS, NEAR = _texts(N, 1), _texts(R + 1, 2), _texts(2 * R, 3)


class _World:
    """A graph, queries (head, relation or -1), tails, weights, and the links by hand."""

    def __init__(self, rows: list, alike: list, asked: list, tails: list, hops: int = 2) -> None:
        self.graph = EvidenceGraph(torch.tensor(rows), N, R, torch.tensor(alike, dtype=torch.long).view(-1, 2))
        self.asked, self.tails, self.rows = asked, tails, sorted(set(rows))
        self.directed = [(h, r, t) for h, r, t in self.rows] + [(t, R + r, h) for h, r, t in self.rows]
        self.similar = [(a, 2 * R, b) for a, b in alike] + [(b, 2 * R + 1, a) for a, b in alike]
        random = torch.Generator().manual_seed(4)
        q = len(asked)
        tables = (torch.rand(q, 2 * R + 2, K, generator=random) for _ in range(4))
        self.weights = Weights(*tables, torch.rand(q, 2 * R, K, generator=random))
        heads, relations = torch.tensor(asked).unbind(-1)
        self.texts = RELATIONS[relations]
        query = torch.arange(q).repeat_interleave(len(tails))
        flat = torch.tensor(tails * q)
        walks = Walks.listed(self.graph, hops, heads, relations, query, flat)
        self.listed = Listed(heads, ENTITIES[heads], self.texts, query, flat, ENTITIES[flat], walks)
        shared = Tails.of(self.graph, ENTITIES, torch.tensor(tails))
        walks = Walks.grid(self.graph, hops, heads, relations, shared.place, len(tails))
        self.words = WordOverlap(
            [f"a{i % 3} b{i % 2}" for i in range(N)], [f"of a{i % 2} and b{i % 3}" for i in range(N)]
        )
        self.grid = Grid(heads, ENTITIES[heads], self.texts, shared, walks, self.words.grid(heads, torch.tensor(tails)))

    def links(self, entity: int, relation: int) -> list[tuple[int, int]]:
        """Return an entity's links, as (directed relation that it sees, neighbour), without those of the relation."""
        known = [x for x in self.directed if x[1] % R != relation] + self.similar
        return [(s, y) for x, s, y in known if x == entity]

    def degree(self, entity: int) -> int:
        return sum(x == entity for x, _, _ in self.directed)

    def check(self, kind: Evidence, expected) -> None:
        """Hold both forms against a function of the number of the query, head, relation and tail."""
        c, q = len(self.tails), len(self.asked)
        truth = torch.stack([expected(i, h, r, t) for i, (h, r) in enumerate(self.asked) for t in self.tails])
        with torch.no_grad():
            listed = kind.listed(self.listed, self.weights)
            grid = kind.grid(self.grid, self.weights, kind.prepare(self.grid.tails))
        assert listed.shape == (q * c, kind.dim) and grid.shape == (c, q, kind.dim)
        torch.testing.assert_close(listed, truth, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(grid.transpose(0, 1).reshape(q * c, -1), truth, atol=2e-5, rtol=1e-4)


worlds = st.builds(
    _World,
    st.lists(triple, min_size=1, max_size=15),
    st.lists(pair.filter(lambda x: x[0] != x[1]), max_size=4, unique=True),
    st.lists(st.tuples(st.integers(0, N - 1), st.integers(-1, R - 1)), min_size=1, max_size=3, unique=True),
    st.lists(st.integers(0, N - 1), min_size=1, max_size=5, unique=True).map(sorted),
)
quick = settings(max_examples=30, deadline=None)


@quick
@given(worlds)
def test_profile(world: _World) -> None:
    def by_hand(i: int, h: int, r: int, t: int) -> torch.Tensor:
        # the relation that is asked for is left out by its weight, not by the profile
        amount, part = torch.zeros(K), torch.zeros(K)
        for s in range(2 * R):
            count = sum(x == t and k == s for x, k, _ in world.directed)
            if count:
                amount += world.weights.profile[i, s] * math.log1p(count)
                part += world.weights.share[i, s]
        mean = sum(world.weights.share[i, s][:, None] * NEAR[s] for s in range(2 * R))
        return torch.cat([(1 + amount).log(), part, mean @ ENTITIES[t]])

    world.check(ProfileEvidence(world.graph, NEAR, K), by_hand)


@quick
@given(worlds)
def test_links(world: _World) -> None:
    def by_hand(i: int, h: int, r: int, t: int) -> torch.Tensor:
        amount = sum((world.weights.link[i, s] for s, y in world.links(t, r) if y == h), torch.zeros(K))
        return torch.cat([(1 + amount).log(), (amount[:1] > 0).float()])

    world.check(LinkEvidence(K), by_hand)


@quick
@given(worlds)
def test_paths(world: _World) -> None:
    kind = PathEvidence(K)
    alpha = [math.log1p(math.exp(d)) for d in (-2.0, 1.0)]

    def by_hand(i: int, h: int, r: int, t: int) -> torch.Tensor:
        amount = torch.zeros(K)
        for s1, x in world.links(h, r):
            for s2, y in world.links(t, r):
                if x == y:
                    damped = torch.tensor([(1 + world.degree(x)) ** -a for a in alpha])
                    amount += damped * world.weights.first[i, s1] * world.weights.second[i, s2]
        return torch.cat([(1 + 20 * amount).log(), (amount[:1] > 0).float()])

    world.check(kind, by_hand)


@quick
@given(worlds)
def test_prior(world: _World) -> None:
    """Adamic-Adar: each common neighbour counts once, and links of similar texts do not."""
    expected = []
    for h, r in world.asked:
        for t in world.tails:
            one, other = ({y for s, y in world.links(e, r) if s < 2 * R} for e in (h, t))
            near = math.log1p(sum(1 / math.log(2 + world.degree(x)) for x in one & other))
            expected.append(near + 3 * (h in other))
    torch.testing.assert_close(world.listed.walks.prior(world.graph), torch.tensor(expected), atol=1e-4, rtol=1e-4)
    grid = world.grid.walks.prior(world.graph).view(world.grid.shape)
    torch.testing.assert_close(grid.T.flatten(), torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_texts() -> None:
    world = _World([(0, 0, 1)], [], [(2, -1), (3, 1), (0, 0)], [0, 2, 5])
    torch.manual_seed(0)
    kind = TextEvidence(D, 3)
    maps = [kind.joint_relation, kind.joint_head, kind.joint_tail, kind.relation, kind.tail]
    a, b, c, d, e = (layer.weight.detach() for layer in maps)

    def by_hand(i: int, h: int, r: int, t: int) -> torch.Tensor:
        head, relation, tail = ENTITIES[h], RELATIONS[r], ENTITIES[t]
        both = (head + relation) / (head + relation).norm()
        joint = ((a @ relation) * (b @ head)) @ (c @ tail)
        alone = (d @ relation) @ (e @ tail)
        return torch.stack([relation @ tail, head @ tail, both @ tail, head @ relation, 8 * joint, 8 * alone])

    world.check(kind, by_hand)


def test_words() -> None:
    world = _World([(0, 0, 1)], [], [(2, -1), (3, 1), (0, 0)], [0, 2, 5])

    def by_hand(i: int, h: int, r: int, t: int) -> torch.Tensor:
        return world.words(torch.tensor([h]), torch.tensor([t]))[0]

    world.check(WordEvidence(world.words), by_hand)


@pytest.mark.parametrize("hops", [0, 1])
def test_shorter_walks(hops: int) -> None:
    """Without paths only links between head and tail are gathered, and without links nothing is."""
    world = _World([(0, 0, 1), (1, 1, 2), (0, 2, 3)], [], [(0, -1)], [1, 2], hops=hops)
    for walks in (world.listed.walks, world.grid.walks):
        assert [len(x) for x in walks.direct] == [hops] * 3
        assert [len(x) for x in walks.reach] == [0] * 3 and [len(x) for x in walks.met] == [0] * 4
        assert walks.prior(world.graph).tolist() == [3.0 * hops, 0.0]
