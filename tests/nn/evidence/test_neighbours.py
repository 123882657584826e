"""Tests for the entities with the nearest texts."""

import pytest
import torch

from pykeen_mmkg.nn.evidence.neighbours import nearest


@pytest.mark.parametrize("chunk", [1, 3, 512])
def test_nearest(texts: tuple[torch.Tensor, torch.Tensor], chunk: int) -> None:
    """The neighbours are the others of greatest cosine, nearest first; an entity without a text is none."""
    x, mask = texts
    ids, neighbours, cosines = nearest(x, mask, 3, chunk=chunk)
    assert ids.tolist() == mask.nonzero().view(-1).tolist()
    for i, near, cosine in zip(ids.tolist(), neighbours.tolist(), cosines.tolist(), strict=True):
        others = [j for j in ids.tolist() if j != i]
        best = sorted(others, key=lambda j: -float(x[i] @ x[j]))[:3]
        assert near == best
        assert cosine == pytest.approx([float(x[i] @ x[j]) for j in best], abs=1e-6)


@pytest.mark.parametrize(("known", "wide"), [(0, 0), (1, 0), (2, 1)])
def test_few(known: int, wide: int) -> None:
    """Where there are not so many others, there are fewer neighbours."""
    ids, neighbours, cosines = nearest(torch.eye(4), torch.arange(4) < known, 3)
    assert neighbours.shape == cosines.shape == (len(ids), wide)
