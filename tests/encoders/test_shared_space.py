"""Encoders of texts and images into one space."""

import json

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


@pytest.mark.parametrize("kind", ["chinese_clip", "metaclip_2", "altclip", "align"])
def test_relatives_give_the_similarity_of_their_forward_pass(kind, tiny, pictures, texts) -> None:
    """The cosines are the logits of the model's own forward pass, up to its scale."""
    encoder = make_encoder(tiny(kind), {"normalize": True})
    cosines = encoder.encode_images(pictures) @ encoder.encode_texts(texts).T
    model = transformers.AutoModel.from_pretrained(tiny(kind)).eval()
    with torch.no_grad():
        output = model(**encoder.prepare_texts(texts), **encoder.prepare_images(pictures))
    scale = 1 / model.temperature if kind == "align" else model.logit_scale.exp()
    torch.testing.assert_close(cosines * scale, output.logits_per_image, rtol=1e-3, atol=1e-4)


def test_flava_gives_the_similarity_of_its_contrastive_loss(tiny, pictures, texts) -> None:
    """Of the first tokens, projected."""
    encoder = make_encoder(tiny("flava"))
    model = transformers.FlavaModel.from_pretrained(tiny("flava")).eval()
    with torch.no_grad():
        hidden = model(**encoder.prepare_texts(texts), **encoder.prepare_images(pictures[:1] * len(texts)))
        expected = model.text_projection(hidden.text_embeddings[:, 0])
        image = model.image_projection(hidden.image_embeddings[0, 0])
    torch.testing.assert_close(encoder.encode_texts(texts), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder.encode_images(pictures[:1])[0], image, rtol=1e-4, atol=1e-5)


def test_blip2_averages_the_queries_of_its_retrieval_head(tiny, pictures, texts) -> None:
    """A text is the vector of the head; an image the mean of those that the head takes the best of."""
    encoder = make_encoder(tiny("blip2"))
    model = transformers.Blip2ForImageTextRetrieval.from_pretrained(tiny("blip2")).eval()
    with torch.no_grad():
        output = model(**encoder.prepare_texts(texts), **encoder.prepare_images(pictures))
    own = torch.nn.functional.normalize(encoder.encode_texts(texts), dim=-1)
    torch.testing.assert_close(own, output.text_embeds, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder.encode_images(pictures), output.image_embeds.mean(dim=1), rtol=1e-4, atol=1e-5)


def test_siglip_2_of_a_fixed_size_reads_lower_case(save_tiny, tiny, tmp_path) -> None:
    """Its model is SigLIP's, its tokenizer Gemma's, which leaves capitals as they are."""
    folder = save_tiny("siglip", tmp_path / "siglip2-base")
    path = folder / "tokenizer_config.json"
    plain = make_encoder(tiny("siglip"))
    assert not torch.allclose(*plain.encode_texts(["a cat", "A CAT"]))
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer_class": "GemmaTokenizerFast"}))
    encoder = make_encoder(folder)
    # the tiny tokenizer is of whole words, which Gemma's class would not read
    encoder.tokenizer = plain.tokenizer
    torch.testing.assert_close(*encoder.encode_texts(["a cat", "A CAT"]))
    assert encoder.fingerprint != plain.fingerprint


def test_a_missing_library_is_named_before_anything_is_encoded(save_tiny, tmp_path, pictures, monkeypatch) -> None:
    """SigLIP's tokenizer needs sentencepiece; without it the encoder is refused, not its texts after all images."""
    folder = save_tiny("siglip", tmp_path / "siglip")
    (folder / "tokenizer.json").rename(folder / "spiece.model")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EncoderError, match="pip install sentencepiece"):
        make_encoder(folder)
