"""Vectors do not depend on the batch: any texts, any size of batch, all families of models."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykeen_mmkg.encoders import make_encoder
from pykeen_mmkg.errors import EncoderError

from .conftest import CAUSAL, FAMILIES, RELATIVES, WORDS

SHARED_SPACE = ("clip", "siglip", "siglip2", "blip", "dual", *RELATIVES)

TEXTS = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join), min_size=1, max_size=6)


def _encoder(tiny, kind):
    """Make an encoder, with the pooling that the tests choose where the folder does not say."""
    folder = tiny(kind)
    pooling = FAMILIES.get(kind)
    return make_encoder(folder, {"pooling": pooling} if pooling in ("last", "mean") else {})


@pytest.mark.parametrize("kind", ["bert", "roberta", *FAMILIES, *SHARED_SPACE])
def test_alone_and_in_any_batch(kind, tiny) -> None:
    encoder = _encoder(tiny, kind)
    alone: dict[str, torch.Tensor] = {}

    @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(texts=TEXTS, size=st.integers(1, 7))
    def check(texts, size) -> None:
        vectors = encoder.encode_texts(texts, batch_size=size)
        assert vectors.shape == (len(texts), encoder.dim("textual"))
        for text, vector in zip(texts, vectors, strict=True):
            if text not in alone:
                alone[text] = encoder.encode_texts([text])[0]
            torch.testing.assert_close(vector, alone[text], rtol=1e-4, atol=1e-5)

    check()
    # the vectors tell texts apart; otherwise the test could not fail
    assert torch.pdist(encoder.encode_texts(["cat", "the dog sat on the mat", "red tree"])).min() > 1e-4


@pytest.mark.parametrize("kind", [*SHARED_SPACE, "vit", "dinov2", "dinov2_with_registers", "resnet"])
def test_images_alone_and_in_any_batch(kind, tiny, pictures) -> None:
    encoder = make_encoder(tiny(kind))
    vectors = encoder.encode_images(pictures, batch_size=3)
    assert vectors.shape == (len(pictures), encoder.dim("visual"))
    for picture, vector in zip(pictures, vectors, strict=True):
        torch.testing.assert_close(encoder.encode_images([picture])[0], vector, rtol=1e-4, atol=1e-5)
    assert torch.pdist(vectors).min() > 1e-7


@pytest.mark.parametrize("kind", CAUSAL.split())
def test_a_causal_model_is_not_guessed(kind, tiny) -> None:
    """Its first token knows nothing of the text, so the pooling must be chosen."""
    with pytest.raises(EncoderError, match="pooling': 'last'"):
        _ = make_encoder(tiny(kind)).fingerprint
    assert make_encoder(tiny(kind), {"pooling": "last"}).is_causal
    with pytest.raises(EncoderError, match="left to right"):
        _ = make_encoder(tiny(kind), {"pooling": "cls"}).fingerprint


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "roberta"])
def test_the_side_of_padding_says_nothing(kind, side, tiny, save_tiny, tmp_path, texts) -> None:
    """Also where a caller makes a batch of mixed lengths."""
    from .conftest import make_tokenizer

    folder = save_tiny(kind, tmp_path / kind)
    make_tokenizer(padding_side=side).save_pretrained(folder)
    options = {"pooling": "last"} if kind == "gpt2" else {}
    expected = make_encoder(tiny(kind), options).encode_texts(texts)
    encoder = make_encoder(folder, options)
    torch.testing.assert_close(encoder.encode_texts(texts), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder.embed_texts(encoder.prepare_texts(texts)), expected, rtol=1e-4, atol=1e-5)
