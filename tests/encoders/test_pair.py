"""Pairs of an encoder of texts and one of images."""

import pytest
import torch

from pykeen_mmkg.encoders import (
    PairEncoder,
    make_encoder,
)
from pykeen_mmkg.errors import EncoderError


@pytest.mark.parametrize(
    ("vision", "text"), [("vit", "bert"), ("dinov2", "roberta"), ("clip", "bert"), ("vit", "clip")]
)
def test_pair(vision, text, tiny, pictures, texts):
    """A pair gives the images of the one and the texts of the other."""
    encoder = make_encoder("pair", {"vision": str(tiny(vision)), "text": str(tiny(text))})
    assert type(encoder) is PairEncoder
    one, other = make_encoder(tiny(vision)), make_encoder(tiny(text))
    torch.testing.assert_close(encoder.encode_images(pictures), one.encode_images(pictures))
    torch.testing.assert_close(encoder.encode_texts(texts), other.encode_texts(texts))
    assert (encoder.dim("visual"), encoder.dim("textual")) == (one.dim("visual"), other.dim("textual"))
    assert encoder.fingerprint not in (one.fingerprint, other.fingerprint)
    assert encoder.name == f"{vision} + {text}"


def test_pair_options(tiny, texts):
    """Options go to both, or to one."""
    models = {"vision": tiny("vit"), "text": tiny("bert")}
    both = make_encoder("pair", {**models, "normalize": True, "text_kwargs": {"pooling": "mean"}})
    assert both.towers["visual"].normalize and both.towers["textual"].normalize
    assert both.towers["textual"].pooling == "mean"
    assert both.towers["visual"].pooling == "cls"
    expected = make_encoder(tiny("bert"), {"normalize": True, "pooling": "mean"}).encode_texts(texts)
    torch.testing.assert_close(both.encode_texts(texts), expected)
    assert both.fingerprint != make_encoder("pair", models).fingerprint


@pytest.mark.parametrize("models", [("bert", "bert"), ("vit", "vit"), ("bert", "vit")])
def test_pair_of_wrong_towers(models, tiny):
    """A text model cannot encode images."""
    with pytest.raises(EncoderError, match="cannot be the (visual|textual) encoder"):
        make_encoder("pair", {"vision": tiny(models[0]), "text": tiny(models[1])})


def test_pair_needs_two(tiny):
    """Half a pair is no pair."""
    with pytest.raises(EncoderError, match="both"):
        make_encoder("pair", {"vision": tiny("vit"), "text": None})
