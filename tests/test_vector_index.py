"""Indices of vectors, read back by the libraries they are for."""

import json
import sys

import numpy
import pytest
import torch

from pykeen_mmkg import vector_index
from pykeen_mmkg.errors import DataError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.vector_index import INDICES
from pykeen_mmkg.vectors import export_vectors

COUNT, DIM = 40, 6


@pytest.fixture(scope="module")
def store() -> FeatureStore:
    """Vectors of very different lengths; one entity has none."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(COUNT, DIM, generator=generator) * torch.logspace(-2, 2, COUNT)[:, None]
    return FeatureStore.from_tensors([f"e{i}" for i in range(COUNT)], vectors, [i != 3 for i in range(COUNT)])


def nearest(store: FeatureStore, query: int) -> list[str]:
    """Return the labels by their cosine with a vector."""
    unit = store.vectors / store.vectors.norm(dim=-1, keepdim=True)
    order = (unit @ unit[query]).argsort(descending=True).tolist()
    return [store.labels[i] for i in order if store.mask[i]]


@pytest.mark.parametrize("approximate", [False, True])
def test_faiss(store, tmp_path, monkeypatch, approximate: bool) -> None:
    faiss = pytest.importorskip("faiss")
    if approximate:
        monkeypatch.setattr(vector_index, "EXACT", 10)
    export_vectors(store, tmp_path / "v.faiss")
    labels = json.loads((tmp_path / "v.labels.json").read_text())
    index = faiss.read_index(str(tmp_path / "v.faiss"))
    assert index.ntotal == len(labels) == COUNT - 1 and isinstance(index, faiss.IndexHNSW) == approximate
    unit = (store.vectors / store.vectors.norm(dim=-1, keepdim=True)).numpy()
    cosines, rows = index.search(unit[:1], 5)
    assert [labels[row] for row in rows[0]] == nearest(store, 0)[:5]
    assert cosines[0][0] == pytest.approx(1, abs=1e-5)


def test_usearch(store, tmp_path) -> None:
    index = pytest.importorskip("usearch.index")
    export_vectors(store, tmp_path / "v.usearch")
    labels = json.loads((tmp_path / "v.labels.json").read_text())
    found = index.Index.restore(str(tmp_path / "v.usearch")).search(store.vectors[0].numpy(), 5)
    assert [labels[key] for key in found.keys] == nearest(store, 0)[:5]
    assert found.distances[0] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("suffix", "module", "package"), [(".faiss", "faiss", "faiss-cpu"),
                                                           (".usearch", "usearch.index", "usearch")])  # fmt: skip
def test_missing_library(store, tmp_path, monkeypatch, suffix: str, module: str, package: str) -> None:
    """Without the library, its package is named, and nothing is left behind."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=f"pip install {package}"):
        export_vectors(store, tmp_path / f"v{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_nothing(tmp_path) -> None:
    empty = FeatureStore.from_tensors(["a"], torch.zeros(1, 2), [False])
    for suffix in INDICES:
        with pytest.raises(DataError, match="no vector"):
            export_vectors(empty, tmp_path / f"v{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_zero_vectors() -> None:
    """A vector of zeros has no direction, and stays zero."""
    unit = vector_index._unit(numpy.array([[0.0, 0.0], [3.0, 4.0]]))
    assert unit.tolist() == [[0, 0], pytest.approx([0.6, 0.8])]
