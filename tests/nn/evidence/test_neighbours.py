"""Tests for the entities with the nearest texts."""

import pathlib

import pytest
import torch
from torch.nn import functional

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.evidence import neighbours as module
from pykeen_mmkg.nn.evidence.neighbours import NEIGHBOURS, nearest


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


def test_large(texts: tuple[torch.Tensor, torch.Tensor], monkeypatch, tmp_path: pathlib.Path) -> None:
    """What was found for many vectors is kept by content, and found again; without the library, it is exact."""
    expected = nearest(*texts, 2)
    monkeypatch.setattr(module, "MANY", 3)
    monkeypatch.setattr(module, "has_index", lambda: False)
    monkeypatch.setattr("pykeen.constants.PYKEEN_HOME", tmp_path)
    first = nearest(*texts, 2)
    nearest(*texts, 3), nearest(-texts[0], texts[1], 2)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    monkeypatch.setattr(module, "_exact", None)
    for found in (first, nearest(*texts, 2)):
        assert all(map(torch.equal, found, expected))


def test_methods(texts: tuple[torch.Tensor, torch.Tensor], monkeypatch) -> None:
    """The index is asked above the size or where it is forced, by argument or environment."""
    asked = []

    def index(matrix, k):
        asked.append(matrix)
        raise MultimodalError("asked")

    monkeypatch.setattr(module, "neighbours_by_index", index)
    monkeypatch.setattr(module, "kept_neighbours", lambda matrix, k, way, make: make())
    monkeypatch.setattr(module, "has_index", lambda: True)
    nearest(*texts, 2), nearest(*texts, 2, method="exact")
    assert not asked
    with pytest.raises(MultimodalError, match="asked"):
        nearest(*texts, 2, method="approximate")
    monkeypatch.setenv(NEIGHBOURS, "approximate")
    with pytest.raises(MultimodalError, match="asked"):
        nearest(*texts, 2)
    monkeypatch.setattr(module, "MANY", 3)
    monkeypatch.setenv(NEIGHBOURS, "exact")
    nearest(*texts, 2)
    monkeypatch.delenv(NEIGHBOURS)
    with pytest.raises(MultimodalError, match="asked"):
        nearest(*texts, 2)
    assert all((matrix == texts[0][texts[1]].numpy()).all() for matrix in asked)
    with pytest.raises(MultimodalError, match="not by 'guess'"):
        nearest(*texts, 2, method="guess")


def test_recall_of_the_index() -> None:
    """Nearly all neighbours are found, with their cosines, nearest first; equal vectors find each other."""
    pytest.importorskip("usearch")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 16, generator=generator).repeat(50, 1) + torch.randn(2000, 16, generator=generator)
    x = functional.normalize(torch.cat([x, x[:30], x[:30]]), dim=-1)
    mask = torch.arange(len(x)) != 7
    ids, exact, _ = nearest(x, mask, 10, method="exact")
    own, found, cosines = nearest(x, mask, 10, method="approximate")
    assert torch.equal(own, ids) and not (found == ids[:, None]).any()
    torch.testing.assert_close(cosines, torch.einsum("nd,nkd->nk", x[ids], x[found]), atol=1e-5, rtol=0)
    assert (cosines.diff(dim=1) <= 0).all()
    assert (found[:, :, None] == exact[:, None]).any(dim=1).float().mean() > 0.95
