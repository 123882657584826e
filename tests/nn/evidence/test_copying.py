"""Tests for evidence from similar entities and known answers, against plain loops."""

import dataclasses
import math

import pytest
import torch

from pykeen_mmkg.nn.evidence.copying import Copying, Profile
from pykeen_mmkg.nn.evidence.neighbours import nearest

from .graph import Graph, N

Texts = tuple[torch.Tensor, torch.Tensor]


@pytest.mark.parametrize("leave_out", [False, True])
def test_copying(graph: Graph, texts: Texts, leave_out: bool) -> None:
    """Each near entity votes for its answers with the weight of its kernel."""
    x, mask = texts
    queries, rows = graph.all_queries(leave_out)
    scores = Copying(graph.index, *nearest(x, mask, 4), temperature=0.5)(queries)
    assert scores.shape == (1, len(rows), N) and scores.any()
    for i, (h, r, own) in enumerate(rows):
        facts = graph.without(h, r, own)
        others = [j for j in range(N) if mask[j] and j != h]
        near = sorted(others, key=lambda j: -float(x[h] @ x[j]))[:4] if mask[h] else []
        for t in range(N):
            vote = sum(math.exp((float(x[h] @ x[j]) - 1) / 0.5) for j in near if (j, r, t) in facts)
            assert scores[0, i, t].item() == pytest.approx(math.log(1 + vote / 0.01), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("leave_out", [False, True])
@pytest.mark.parametrize("max_known", [1, 2, 16])
def test_profile(graph: Graph, texts: Texts, leave_out: bool, max_known: int) -> None:
    """The maximum is over the first known answers with a text, the mean over all of them."""
    x, mask = texts
    queries, rows = graph.all_queries(leave_out)
    scores = Profile(graph.index, x, mask, max_known=max_known)(queries)
    assert scores.shape == (2, len(rows), N)
    for i, (h, r, own) in enumerate(rows):
        known = sorted(t for a, b, t in graph.without(h, r, own) if (a, b) == (h, r) and mask[t])
        for t in range(N):
            cosines = [float(x[j] @ x[t]) for j in known]
            greatest = max([0.0, *cosines[:max_known]])
            mean = sum(cosines) / max(len(cosines), 1)
            assert scores[:, i, t].tolist() == pytest.approx([5 * greatest, 5 * mean], abs=1e-5)


def test_candidates(graph: Graph, texts: Texts) -> None:
    """Scores of some candidates are columns of the scores of all."""
    x, mask = texts
    queries, _ = graph.all_queries(True)
    ids = torch.tensor([4, 0, 7])
    some = dataclasses.replace(queries, ids=ids)
    for kind in (Copying(graph.index, *nearest(x, mask, 4)), Profile(graph.index, x, mask)):
        torch.testing.assert_close(kind(some), kind(queries)[..., ids])
