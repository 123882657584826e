"""Encoders of texts or of images alone: poolings."""

import json

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from pykeen_mmkg.encoders import (
    make_encoder,
)
from pykeen_mmkg.errors import EncoderError


def test_text_poolings(tiny, texts):
    """Mean, first token and pooler are what they say, padding left out."""
    folder = tiny("bert")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    for text in texts:
        with torch.no_grad():
            output = model(**tokenizer([text], truncation=True, max_length=12, return_tensors="pt"))
        for pooling, expected in (
            ("mean", output.last_hidden_state[0].mean(dim=0)),
            ("cls", output.last_hidden_state[0, 0]),
            ("pooler", output.pooler_output[0]),
        ):
            encoder = make_encoder(folder, {"pooling": pooling})
            vector = encoder.encode_texts([text, *texts])[0]
            torch.testing.assert_close(vector, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "prefix"), [("vit", 1), ("dinov2", 1), ("dinov2_with_registers", 4)])
def test_vision_mean_leaves_out_special_tokens(kind, prefix, tiny, pictures):
    """The mean is over the 16 patches of 8 x 8 pixels."""
    encoder = make_encoder(tiny(kind), {"pooling": "mean"})
    model = AutoModel.from_pretrained(tiny(kind)).eval()
    with torch.no_grad():
        hidden = model(**encoder.prepare_images(pictures)).last_hidden_state
    assert hidden.shape[1] == prefix + 16
    torch.testing.assert_close(encoder.encode_images(pictures), hidden[:, prefix:].mean(dim=1), rtol=1e-4, atol=1e-5)


def test_default_pooling(save_tiny, tmp_path):
    """The folder's own settings decide, then MiniLM means the mean, else it is the first token."""
    folder = save_tiny("bert", tmp_path / "bert")
    assert make_encoder(folder).pooling == "cls"
    folder.joinpath("modules.json").write_text("[]")
    assert make_encoder(folder).pooling == "mean"
    folder.joinpath("1_Pooling").mkdir()
    settings = folder / "1_Pooling" / "config.json"
    settings.write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    assert make_encoder(folder).pooling == "cls"
    settings.write_text(json.dumps({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}))
    assert make_encoder(folder).pooling == "mean"
    settings.write_text(json.dumps({"pooling_mode_magic_tokens": True}))
    with pytest.raises(EncoderError, match="1_Pooling.*pooling='mean'"):
        _ = make_encoder(folder).pooling
    assert make_encoder(folder, {"pooling": "cls"}).pooling == "cls"
    assert make_encoder(save_tiny("bert", tmp_path / "my-MiniLM-L6")).pooling == "mean"


def test_a_missing_pooler_matters_only_where_it_is_used(save_tiny, tmp_path, pictures):
    """ViT for classification has no pooler; its class token serves."""
    folder = save_tiny("vit", tmp_path / "vit")
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    model.save_pretrained(folder)
    assert make_encoder(folder).encode_images(pictures).shape == (5, 20)
    with pytest.raises(EncoderError, match="pooler"):
        make_encoder(folder, {"pooling": "pooler"}).encode_images(pictures)
