"""Encoders of texts and images into one space."""

import pytest
import torch
import transformers

from pykeen_mmkg.encoders import (
    make_encoder,
)
from pykeen_mmkg.errors import EncoderError


def test_blip_gives_the_similarity_of_its_retrieval_head(tiny, pictures, texts):
    """The cosines are the scores that the model's own forward pass gives for retrieval."""
    folder = tiny("blip")
    encoder = make_encoder(folder, {"normalize": True})
    cosines = encoder.encode_images(pictures) @ encoder.encode_texts(texts).T
    model = transformers.BlipForImageTextRetrieval.from_pretrained(folder).eval()
    pixels = encoder.prepare_images(pictures)
    with torch.no_grad():
        scores = model(**encoder.prepare_texts(texts), **pixels, use_itm_head=False).itm_score
    torch.testing.assert_close(cosines, scores, rtol=1e-4, atol=1e-5)


def test_clip_gives_the_similarity_of_its_forward_pass(tiny, pictures, texts):
    """The cosines are the logits of the model's own forward pass, up to its scale."""
    folder = tiny("clip")
    encoder = make_encoder(folder, {"normalize": True})
    cosines = encoder.encode_images(pictures) @ encoder.encode_texts(texts).T
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        output = model(**encoder.prepare_texts(texts), **encoder.prepare_images(pictures))
    torch.testing.assert_close(cosines * model.logit_scale.exp(), output.logits_per_image, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2", "blip", "dual"])
def test_each_tower_alone(kind, tiny, pictures, texts):
    """Texts do not need images, nor images texts."""
    assert make_encoder(tiny(kind)).encode_texts(texts[:1]).shape[0] == 1
    assert make_encoder(tiny(kind)).encode_images(pictures[:1]).shape[0] == 1


def test_captioning_blip_is_refused(tmp_path, tiny, save_tiny):
    """BLIP for captions has no retrieval heads."""
    folder = save_tiny("blip", tmp_path / "blip")
    model = transformers.BlipForConditionalGeneration(transformers.BlipConfig.from_pretrained(folder))
    model.save_pretrained(folder)
    with pytest.raises(EncoderError, match="blip-itm-base-coco"):
        make_encoder(folder).encode_texts(["cat"])
