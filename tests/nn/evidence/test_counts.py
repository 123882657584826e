"""Tests for evidence from the number of triples, against plain loops."""

import dataclasses
import math

import pytest
import torch

from pykeen_mmkg.nn.evidence.counts import Loops, Prior

from .graph import Graph, N


@pytest.mark.parametrize("leave_out", [False, True])
def test_loops(graph: Graph, leave_out: bool) -> None:
    """Only the known entity itself is judged, by the share of loops among the relation's triples."""
    queries, rows = graph.all_queries(leave_out)
    scores = Loops(graph.index)(queries)
    assert any(own == h for h, _, own in rows) == leave_out
    for i, (h, r, own) in enumerate(rows):
        pairs = [(a, b) for a, s, b in graph.without(h, r, own) if s == r]
        share = (sum(a == b for a, b in pairs) + 1) / (len(pairs) + 1)
        expected = [math.log(share) if t == h else 0.0 for t in range(N)]
        assert scores[0, i].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("leave_out", [False, True])
def test_prior(graph: Graph, leave_out: bool) -> None:
    """An answer's prior is the logarithm of one more than how often it is one."""
    queries, rows = graph.all_queries(leave_out)
    scores = Prior(graph.index)(queries)
    for i, (h, r, own) in enumerate(rows):
        facts = graph.without(h, r, own)
        for t in range(N):
            count = sum((a, r, t) in facts for a in range(N))
            assert scores[0, i, t].item() == pytest.approx(math.log(1 + count), abs=1e-6)


def test_candidates(graph: Graph) -> None:
    """Scores of some candidates are columns of the scores of all."""
    queries, _ = graph.all_queries(True)
    ids = torch.tensor([4, 0, 7])
    some = dataclasses.replace(queries, ids=ids)
    for kind in (Loops(graph.index), Prior(graph.index)):
        torch.testing.assert_close(kind(some), kind(queries)[..., ids])
