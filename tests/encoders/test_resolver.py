"""Tests of making encoders from plain JSON."""

import json
import pathlib
import subprocess
import sys

import pytest
import torch

from pykeen_mmkg.encoders import (
    CLIPEncoder,
    DualEncoder,
    TextEncoder,
    encoder_resolver,
    make_encoder,
)
from pykeen_mmkg.errors import EncoderError


def test_kinds():
    """The kinds that a user can name."""
    assert set(encoder_resolver.lookup_dict) == {
        "clip",
        "siglip",
        "blip",
        "blip2",
        "flava",
        "dual",
        "pair",
        "text",
        "vision",
        "openclip",
        "sentencetransformers",
    }


def test_made_already(tiny):
    """An encoder is itself, and cannot be changed."""
    encoder = make_encoder(tiny("clip"))
    assert make_encoder(encoder) is encoder
    assert make_encoder(encoder, {}) is encoder
    with pytest.raises(EncoderError, match="normalize"):
        make_encoder(encoder, {"normalize": True})


def test_by_kind(tiny):
    """A kind takes its model as an option, and is what detection finds."""
    folder = tiny("clip")
    encoder = make_encoder("CLIP", {"model": str(folder)})
    assert type(encoder) is CLIPEncoder
    assert encoder.fingerprint == make_encoder(str(folder)).fingerprint
    assert make_encoder(None, {"model": folder}).fingerprint == encoder.fingerprint


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (None, "openai/clip-vit-base-patch32"),
        ("clip", "openai/clip-vit-base-patch32"),
        ("siglip", "google/siglip-base-patch16-224"),
        ("blip", "Salesforce/blip-itm-base-coco"),
        ("pair", "google/vit-base-patch16-224-in21k + google-bert/bert-base-uncased"),
    ],
)
def test_defaults(kind, model, monkeypatch):
    """A kind has a default, which is not looked for before it is needed, but for a pair, whose kinds are detected."""
    if kind == "pair":
        monkeypatch.setattr("pykeen_mmkg.encoders.resolver.find_folder", lambda name, **_: pathlib.Path(name))
        monkeypatch.setattr(
            "pykeen_mmkg.encoders.resolver.detect",
            lambda folder: encoder_resolver.lookup("vision" if "vit" in str(folder) else "text"),
        )
    assert make_encoder(kind).name == model


def test_kind_without_a_default():
    """There is no usual dual encoder."""
    with pytest.raises(EncoderError, match="DualEncoder needs a model"):
        make_encoder("dual")


def test_unknown_option(tiny):
    """An unknown option is named, with those there are."""
    with pytest.raises(EncoderError, match="'colour'.*normalize"):
        make_encoder(tiny("clip"), {"colour": "red"})
    with pytest.raises(EncoderError, match="'colour'.*pooling"):
        make_encoder(tiny("bert"), {"colour": "red"})
    with pytest.raises(EncoderError, match="'colour'.*vision"):
        make_encoder("pair", {"vision": tiny("vit"), "text": tiny("bert"), "colour": "red"})


def test_named_twice(tiny):
    """A model is named once."""
    with pytest.raises(EncoderError, match="twice"):
        make_encoder(tiny("clip"), {"model": tiny("bert")})


@pytest.mark.parametrize("encoder", [3, ["clip"], torch.nn.Linear(1, 1)])
def test_no_encoder(encoder):
    """Something else is told what an encoder is."""
    with pytest.raises(EncoderError, match="Kinds: blip, blip2, clip"):
        make_encoder(encoder)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bart", "vocab_size": 10, "is_encoder_decoder": True},
        {"model_type": "vit_mae", "image_size": 10},
        {"model_type": "llava", "vocab_size": 10, "image_size": 10},
        {"model_type": "wav2vec2"},
        {},
    ],
)
def test_unsupported_architecture(config, tmp_path):
    """A model of another kind is named, with those that are supported."""
    tmp_path.joinpath("config.json").write_text(json.dumps(config))
    tmp_path.joinpath("model.safetensors").write_bytes(b"")
    with pytest.raises(EncoderError, match=f"{config.get('model_type')}.*clip.*siglip.*BERT.*ViT"):
        make_encoder(tmp_path)


def test_text_model(tiny):
    """One model alone is an encoder of one modality."""
    assert type(make_encoder(tiny("bert"))) is TextEncoder
    assert make_encoder(tiny("bert")).modalities == {"textual"}
    assert make_encoder(tiny("vit")).modalities == {"visual"}
    assert type(make_encoder(tiny("dual"))) is DualEncoder


@pytest.mark.parametrize("texts", [["cat", ""], ["cat", "  "], ["cat", None], "cat"])
def test_encode_texts_refuses_empty_texts(texts, tiny):
    """Directly encoded texts cannot be missing."""
    with pytest.raises(EncoderError, match="empty|list"):
        make_encoder(tiny("bert")).encode_texts(texts)


def test_no_input(tiny):
    """No text and no image give no row."""
    encoder = make_encoder(tiny("clip"))
    assert encoder.encode_texts([]).shape == (0, 10)
    assert encoder.encode_images([]).shape == (0, 10)


def test_nan_is_named(tiny, pictures):
    """Weights that make NaN are told."""
    encoder = make_encoder(tiny("clip"))
    with torch.no_grad():
        encoder.model.text_projection.weight.fill_(float("nan"))
    with pytest.raises(EncoderError, match="NaN.*text 0"):
        encoder.encode_texts(["cat"])
    assert encoder.encode_images(pictures).isfinite().all()


def test_import_is_light():
    """PyKEEN imports this package at every start, so that transformers must wait until it is needed."""
    code = "import sys, pykeen_mmkg.encoders as e; assert 'transformers' not in sys.modules, 'transformers'"
    subprocess.run([sys.executable, "-c", code], check=True)
