"""Entities like an entity, a text or a picture."""

import pathlib

import numpy
import pytest
import torch
from PIL import Image
from pykeen.models import Model, model_resolver
from pykeen.triples import TriplesFactory

from pykeen_mmkg.encoders import make_encoder
from pykeen_mmkg.errors import DataError, FeatureError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.similar import Neighbours, similar

LABELS = ["a", "b", "c", "d"]
TRIPLES = numpy.array([["a", "knows", "b"], ["b", "knows", "c"], ["c", "likes", "a"], ["d", "likes", "a"]])


def _model(**features: FeatureStore) -> tuple[Model, TriplesFactory]:
    factory = TriplesFactory.from_labeled_triples(TRIPLES)
    kwargs = dict(triples_factory=factory, embedding_dim=4, sources={"features": features}, random_seed=0)
    return model_resolver.make("vlkge", interaction="distmult", **kwargs), factory


def test_like_an_entity() -> None:
    """The order is that of the cosines by hand; who has no vector is no answer, nor the entity itself."""
    vectors = torch.tensor([[1.0, 0.0], [3.0, 3.0], [0.0, 2.0], [0.0, 0.0]])
    store = FeatureStore.from_tensors(LABELS, vectors, [True, True, True, False], modality="textual")
    model, factory = _model(textual=store)
    df = similar(model, factory, entity="a", modality="textual")
    assert df["label"].tolist() == ["b", "c"]
    assert df["similarity"].tolist() == pytest.approx([0.5**0.5, 0.0])
    assert similar(model, factory, entity="a", modality="textual", k=1)["label"].tolist() == ["b"]
    assert len(similar(model, factory, entity="d")) == 3  # fused: a structural vector is there
    with pytest.raises(DataError, match="'d' has no textual vector"):
        similar(model, factory, entity="d", modality="textual")
    for query in ({}, {"entity": "a", "text": "b"}):
        with pytest.raises(DataError, match="exactly one"):
            similar(model, factory, **query)
    with pytest.raises(DataError, match="k=0"):
        similar(model, factory, entity="a", k=0)


def test_like_a_text_or_a_picture(dual_encoder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """What an entity was made of finds this entity; another encoder is refused."""
    encoder = make_encoder(str(dual_encoder))
    texts = ["a red disc", "seven green frogs", "music", "x"]
    images = [Image.new("RGB", (40, 40), colour) for colour in ("red", "green", "blue", "white")]
    stores = {
        "textual": FeatureStore.from_tensors(
            LABELS, encoder.encode_texts(texts), modality="textual", provenance=encoder.describe()
        ),
        "visual": FeatureStore.from_tensors(
            LABELS, encoder.encode_images(images), modality="visual", provenance=encoder.describe()
        ),
    }
    model, factory = _model(**stores)
    images[2].save(tmp_path / "blue.png")
    for query, expected in (({"text": texts[1]}, "b"), ({"image": tmp_path / "blue.png"}, "c")):
        df = similar(model, factory, encoder=str(dual_encoder), **query)
        assert df["label"][0] == expected
        assert df["similarity"][0] == pytest.approx(1.0, abs=1e-4)
        assert df["similarity"].is_monotonic_decreasing and len(df) == 4
    finder = Neighbours(model, factory, encoder)
    for query, expected in (({"image": images[2]}, "c"), ({"text": texts[0]}, "a"), ({"image": images[1]}, "b")):
        assert finder.find(**query)["label"][0] == expected
    with pytest.raises(DataError, match="Give the encoder"):
        similar(model, factory, text="music")
    other = {**encoder.describe(), "encoder_fingerprint": "0" * 64}
    model, factory = _model(
        textual=FeatureStore.from_tensors(LABELS, torch.eye(4), modality="textual", provenance=other)
    )
    with pytest.raises(FeatureError):
        similar(model, factory, text="music", encoder=str(dual_encoder))
