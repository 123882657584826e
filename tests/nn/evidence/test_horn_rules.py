"""Tests for rules of one and two links, against plain loops."""

import math

import pytest
import torch

from pykeen_mmkg.nn.evidence.horn_rules import LinkRules, PathRules, noisy_or

from .graph import Graph, N, R

SIMILAR = [(0, 4), (0, 7), (3, 5), (5, 3), (8, 0)]
#: the relation "~"
NEAR = 2 * R


def test_noisy_or() -> None:
    """Two independent rules of a half and a third hold with the probability 2/3."""
    total = torch.tensor([0.0, -math.log(1 / 2) - math.log(2 / 3)])
    assert noisy_or(total).tolist() == pytest.approx([0.0, math.log(1 + 1000 * (2 / 3))])


def value(confidences: list[float]) -> float:
    """Join the confidences of all rules and paths by hand."""
    miss = math.prod(1 - min(c, 0.999) for c in confidences)
    return math.log(1 + (1 - miss) / 0.001)


@pytest.mark.parametrize("leave_out", [False, True])
def test_links(graph: Graph, leave_out: bool) -> None:
    """Each other relation that links head and candidate tells as much as its confidence says."""
    pairs = {r: {(h, t) for h, s, t in graph.facts if s == r} for r in range(2 * R)}
    queries, rows = graph.all_queries(leave_out)
    scores = LinkRules(graph.index, min_confidence=0.1)(queries)
    assert scores.shape == (1, len(rows), N) and scores.any()
    for i, (h, r, own) in enumerate(rows):
        facts = graph.without(h, r, own)
        for t in range(N):
            seen = [s for s in range(2 * R) if s != r and (h, s, t) in facts]
            confidences = [len(pairs[s] & pairs[r]) / (len(pairs[s]) + 5) for s in seen]
            expected = value([c for c in confidences if c > 0.1])
            assert scores[0, i, t].item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def mine(graph: Graph, steps: set[tuple[int, int, int]]) -> dict[tuple[int, int, int], float]:
    """Mine rules by looking at all pairs of relations and all entities."""
    found = {}
    for r1 in range(NEAR + 1):
        for r2 in range(NEAR + 1):
            if r1 == r2 == NEAR:
                continue
            ends = {(h, t) for h, a, x in steps if a == r1 for y, b, t in steps if b == r2 and x == y and h != t}
            for r in range(2 * R):
                support = sum((h, r, t) in graph.facts for h, t in ends)
                if support >= 3 and support / (len(ends) + 5) > 0.1:
                    found[r, r1, r2] = support / (len(ends) + 5)
    return found


@pytest.mark.parametrize("chunk_size", [1, 10, 4_000_000])
@pytest.mark.parametrize("leave_out", [False, True])
def test_paths(graph: Graph, leave_out: bool, chunk_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules have the confidence of all pairs, and each path of each rule counts."""
    monkeypatch.setattr(PathRules, "chunk_size", chunk_size)
    rules = PathRules(graph.index, torch.tensor(SIMILAR), min_confidence=0.1, max_rules=1000)
    steps = {(a, NEAR, b) for a, b in SIMILAR}
    expected = mine(graph, graph.facts | steps)
    mined = dict(zip(map(tuple, rules.rules.tolist()), rules.confidence.tolist(), strict=True))
    assert len(mined) > 10 and any(NEAR in rule[1:] for rule in mined)
    assert mined == pytest.approx(expected)
    queries, rows = graph.all_queries(leave_out)
    scores = rules(queries)
    for i, (h, r, own) in enumerate(rows):
        known = graph.without(h, r, own) | steps
        paths: list[list[float]] = [[] for _ in range(N)]
        for (conclusion, r1, r2), confidence in expected.items():
            for x, t in ((x, t) for x in range(N) for t in range(N) if conclusion == r and t != h):
                if (h, r1, x) in known and (x, r2, t) in known:
                    paths[t].append(confidence)
        assert scores[0, i].tolist() == pytest.approx([value(c) for c in paths], rel=1e-4, abs=1e-4)


def test_best_rules_are_kept(graph: Graph) -> None:
    """Each relation keeps its rules of the greatest confidence."""
    every = PathRules(graph.index, max_rules=1000)
    few = PathRules(graph.index, max_rules=2)
    for r in range(2 * R):
        kept, best = (sorted(x.confidence[x.rules[:, 0] == r].tolist(), reverse=True) for x in (few, every))
        assert len(best) > 2
        assert kept == best[:2]


def test_long_bodies_are_left_out(graph: Graph) -> None:
    """Pairs of relations with more paths than allowed make no rule."""
    count = {
        (r1, r2): sum(x == y for _, a, x in graph.facts if a == r1 for y, b, _ in graph.facts if b == r2)
        for r1 in range(2 * R)
        for r2 in range(2 * R)
    }
    limit = sorted(count.values())[len(count) // 2]
    bodies = {tuple(rule[1:]) for rule in PathRules(graph.index, max_paths=limit, max_rules=1000).rules.tolist()}
    everything = {tuple(rule[1:]) for rule in PathRules(graph.index, max_rules=1000).rules.tolist()}
    assert bodies == {body for body in everything if count[body] <= limit} != everything


def test_no_rules() -> None:
    """A graph without a path has no rules, and no evidence."""
    graph = Graph(torch.tensor([[0, 0, 1]]))
    rules = PathRules(graph.index)
    assert len(rules.rules) == 0
    assert not rules(graph.all_queries(False)[0]).any()
    assert not LinkRules(graph.index)(graph.all_queries(False)[0]).any()
