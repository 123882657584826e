"""The vectors of a model by modality, and their export."""

import json
import pathlib

import numpy
import pandas
import pytest
import torch
from pykeen.models import ComplEx, Model, model_resolver
from pykeen.triples import TriplesFactory

from pykeen_mmkg.errors import DataError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.vectors import export_vectors, modalities_of, vectors_of

TRIPLES = numpy.array([["a", "knows", "b"], ["b", "knows", "c"], ["c", "likes", "a"], ["d", "likes", "a"]])
FEATURES = FeatureStore.from_tensors(["a", "b", "d"], torch.eye(3, 5), modality="textual")


@pytest.fixture(scope="module")
def factory() -> TriplesFactory:
    """Four entities, of which c has no text."""
    return TriplesFactory.from_labeled_triples(TRIPLES, create_inverse_triples=True)


@pytest.fixture(scope="module")
def model(factory: TriplesFactory) -> Model:
    """VL-KGE on texts."""
    sources = {"features": {"textual": FEATURES}}
    kwargs = dict(triples_factory=factory, embedding_dim=6, sources=sources, random_seed=0)
    return model_resolver.make("vlkge", interaction="distmult", modalities=["structural", "textual"], **kwargs).eval()


def test_vectors_of(model: Model, factory: TriplesFactory) -> None:
    """Each name gives what the model has under it: its representation, a part of it, or what was read."""
    assert modalities_of(model) == ["fused", "structural", "textual"]
    assert modalities_of(model, "relation") == ["fused"]
    fused = vectors_of(model, factory)
    assert fused.modality == "fused" and list(fused.labels) == ["a", "b", "c", "d"]
    assert fused.vectors.equal(model.entity_representations[0](None).detach())
    structural = vectors_of(model, factory, "structural")
    assert structural.vectors.equal(model.entity_representations[0].parts["structural"](None).detach())
    textual = vectors_of(model, factory, "textual")
    assert textual.mask.tolist() == [True, True, False, True]
    assert textual.vectors[[0, 1, 3]].equal(torch.eye(3, 5))
    relations = vectors_of(model, factory, kind="relation")
    assert list(relations.labels) == ["knows", "likes"]
    assert relations.vectors.equal(model.relation_representations[0](torch.tensor([0, 2])).detach())
    with pytest.raises(DataError, match="no visual vectors"):
        vectors_of(model, factory, "visual")


def test_complex_vectors(factory: TriplesFactory) -> None:
    """Complex numbers become two columns each, and it is said."""
    model = ComplEx(triples_factory=factory, embedding_dim=3, random_seed=0)
    store = vectors_of(model, factory)
    expected = model.entity_representations[0](None).detach()
    assert store.provenance["dtype"] == "complex"
    assert torch.complex(store.vectors[:, ::2], store.vectors[:, 1::2]).equal(expected)


def test_models_without_vectors(factory: TriplesFactory) -> None:
    """A baseline has none, and says so."""
    model = model_resolver.make("degreerule", triples_factory=factory)
    assert modalities_of(model) == []
    with pytest.raises(DataError, match=r"it has \[\]"):
        vectors_of(model, factory)


def test_export(model: Model, factory: TriplesFactory, tmp_path: pathlib.Path) -> None:
    """Every kind of file gives labels and vectors back; who has none is left out."""
    store = vectors_of(model, factory, "textual")
    for suffix in (".safetensors", ".npy", ".tsv", ".parquet"):
        path = tmp_path / f"vectors{suffix}"
        if suffix == ".parquet":
            pytest.importorskip("pyarrow")
        export_vectors(store, path)
        if suffix == ".safetensors":
            loaded = FeatureStore.load(path)
            assert loaded.mask.equal(store.mask) and loaded.vectors.equal(store.vectors)
            continue
        if suffix == ".npy":
            labels = json.loads((tmp_path / "vectors.labels.json").read_text(encoding="utf-8"))
            matrix = numpy.load(path, allow_pickle=False)
        elif suffix == ".tsv":
            frame = pandas.read_csv(path, sep="\t", header=None, index_col=0)
            labels, matrix = frame.index.tolist(), frame.to_numpy(dtype="float32")
        else:
            frame = pandas.read_parquet(path)
            labels, matrix = frame["label"].tolist(), numpy.stack(frame["vector"])
        assert labels == ["a", "b", "d"]
        assert numpy.array_equal(matrix, numpy.eye(3, 5))
    with pytest.raises(DataError, match="choose one of these suffixes"):
        export_vectors(store, tmp_path / "vectors.pt")
    assert not list(tmp_path.glob("*.pt"))
