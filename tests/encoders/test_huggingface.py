"""Tests of the encoders over transformers, against by-hand calls of the same models."""

import json
import os
import pickle

import pytest
import torch
import transformers
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from pykeen_mmkg.encoders import (
    BLIPEncoder,
    CLIPEncoder,
    DualEncoder,
    SigLIPEncoder,
    TextEncoder,
    VisionEncoder,
    make_encoder,
)
from pykeen_mmkg.errors import EncoderError, MultimodalError

ALIGNED = {
    "clip": CLIPEncoder,
    "siglip": SigLIPEncoder,
    "siglip2": SigLIPEncoder,
    "blip": BLIPEncoder,
    "dual": DualEncoder,
}


TEXTS = {"bert": TextEncoder, "roberta": TextEncoder}


VISION = {
    "vit": VisionEncoder,
    "dinov2": VisionEncoder,
    "dinov2_with_registers": VisionEncoder,
    "resnet": VisionEncoder,
}


DIMS = {"clip": 10, "siglip": 20, "siglip2": 20, "blip": 14, "dual": 11, "bert": 16, "roberta": 16, "vit": 20}


#: room for tokens: RoBERTa's positions begin after the padding token's number
CONTEXT = {"roberta": 11}


@torch.no_grad()
def text_by_hand(kind, folder, text):
    """Compute the vector of one text alone, without any padding unless the model was trained with it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    length = CONTEXT.get(kind, 12)
    inputs = tokenizer([text], truncation=True, max_length=length, return_tensors="pt")
    if kind == "blip":
        model = transformers.BlipForImageTextRetrieval.from_pretrained(folder).eval()
        hidden = model.text_encoder(inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        return model.text_proj(hidden[:, 0])[0]
    model = AutoModel.from_pretrained(folder).eval()
    if kind in ("siglip", "siglip2"):
        inputs = tokenizer([text], truncation=True, padding="max_length", max_length=length, return_tensors="pt")
        return model.get_text_features(input_ids=inputs["input_ids"]).pooler_output[0]
    if kind in ("clip", "dual"):
        return model.get_text_features(**inputs).pooler_output[0]
    return model(**inputs).last_hidden_state[0, 0]


@torch.no_grad()
def image_by_hand(kind, folder, image):
    """Compute the vector of one image alone."""
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(images=[image], return_tensors="pt", input_data_format="channels_last")
    if kind == "blip":
        model = transformers.BlipForImageTextRetrieval.from_pretrained(folder).eval()
        return model.vision_proj(model.vision_model(inputs["pixel_values"]).last_hidden_state[:, 0])[0]
    model = AutoModel.from_pretrained(folder).eval()
    if kind in ("clip", "dual", "siglip", "siglip2"):
        return model.get_image_features(**inputs).pooler_output[0]
    output = model(**inputs)
    return output.pooler_output.flatten() if kind == "resnet" else output.last_hidden_state[0, 0]


@pytest.mark.parametrize("kind", [*ALIGNED, *TEXTS])
def test_texts_are_those_of_the_model(kind, tiny, texts):
    """A batch of mixed lengths gives what the model gives for each text alone."""
    encoder = make_encoder(tiny(kind))
    assert type(encoder) is {**ALIGNED, **TEXTS}[kind]
    vectors = encoder.encode_texts(texts, batch_size=4)
    assert vectors.shape == (len(texts), encoder.dim("textual"))
    assert encoder.dim("textual") == DIMS[kind]
    for text, vector in zip(texts, vectors, strict=True):
        torch.testing.assert_close(vector, text_by_hand(kind, tiny(kind), text), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vectors[0], vectors[3])
    # the vectors are of different texts, and tell them apart
    assert torch.pdist(vectors[[0, 1, 2, 4, 5]]).min() > 1e-3


@pytest.mark.parametrize("kind", [*ALIGNED, *VISION])
def test_images_are_those_of_the_model(kind, tiny, pictures):
    """A batch of mixed shapes gives what the model gives for each image alone."""
    encoder = make_encoder(tiny(kind))
    assert type(encoder) is {**ALIGNED, **VISION}[kind]
    vectors = encoder.encode_images(pictures, batch_size=3)
    assert vectors.shape == (len(pictures), encoder.dim("visual"))
    for picture, vector in zip(pictures, vectors, strict=True):
        torch.testing.assert_close(vector, image_by_hand(kind, tiny(kind), picture), rtol=1e-4, atol=1e-5)
    assert torch.pdist(vectors).min() > 1e-3


@pytest.mark.parametrize("kind", ["clip", "dual", "bert"])
def test_normalize(kind, tiny, texts):
    """Vectors keep their length unless asked for unit length."""
    plain = make_encoder(tiny(kind)).encode_texts(texts)
    unit = make_encoder(tiny(kind), {"normalize": True}).encode_texts(texts)
    torch.testing.assert_close(plain / plain.norm(dim=-1, keepdim=True), unit)
    assert (plain.norm(dim=-1) - 1).abs().max() > 0.1


def test_token_lengths(tiny, texts):
    """Lengths count the special tokens, end at the context, and tell what is cut."""
    lengths = make_encoder(tiny("bert")).token_lengths(texts)
    assert lengths == [(4, False), (10, False), (6, False), (4, False), (3, False), (12, True)]
    assert make_encoder(tiny("bert"), {"max_length": 5}).token_lengths(texts)[1] == (5, True)
    assert make_encoder(tiny("roberta")).max_length == 11


def test_a_text_of_ten_thousand_words(tiny):
    """A very long text is the same as its beginning."""
    encoder = make_encoder(tiny("clip"))
    long, short = encoder.encode_texts(["cat dog " * 5000, "cat dog " * 5])
    torch.testing.assert_close(long, short)


def test_max_length_beyond_the_context(tiny):
    """More tokens than positions cannot be."""
    with pytest.raises(EncoderError, match="12"):
        make_encoder(tiny("bert"), {"max_length": 13}).encode_texts(["cat"])


def test_weights_never_change(tiny, texts, pictures):
    """Encoding leaves every weight bit by bit as the file has it; nothing trains; nothing is in training mode."""
    folder = tiny("dual")
    encoder = make_encoder(folder)
    encoder.encode_texts(texts)
    encoder.encode_images(pictures)
    expected = AutoModel.from_pretrained(folder).state_dict()
    state = encoder.model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())
    assert not any(module.training for module in encoder.model.modules())


def test_encoder_is_no_module(tiny):
    """PyKEEN re-initialises submodules, so an encoder held by a module must not become one."""
    module = torch.nn.Module()
    module.encoder = make_encoder(tiny("dual"))
    _ = module.encoder.model
    assert list(module.modules()) == [module]
    assert not module.state_dict()


def test_vectors_are_ordinary_tensors(tiny, texts, pictures):
    """A tensor from inference mode would break later training."""
    encoder = make_encoder(tiny("clip"))
    for vectors in (encoder.encode_texts(texts), encoder.encode_images(pictures)):
        assert not vectors.is_inference()
        assert not vectors.requires_grad
        assert vectors.dtype == torch.float32
    assert not any(parameter.is_inference() for parameter in encoder.model.parameters())


def test_loading_draws_nothing(tiny, texts):
    """A model trained after encoding equals one trained after reading the cache: the random state stays."""
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    make_encoder(tiny("dual")).encode_texts(texts)
    assert torch.equal(torch.rand(4), expected)


def test_settings_of_transformers_stay(tiny, texts):
    """Loading is quiet, and leaves the loudness as it was."""
    from transformers.utils import logging

    before = (logging.get_verbosity(), logging.is_progress_bar_enabled())
    encoder = make_encoder(tiny("dual"))
    encoder.encode_texts(texts)
    _ = encoder.image_processor
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_out_of_memory(tiny, monkeypatch):
    """A batch that is too large says what to do."""
    encoder = make_encoder(tiny("bert"))

    def fail(**_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder, "text_features", fail)
    with pytest.raises(EncoderError, match="batch_size"):
        encoder.encode_texts(["cat"])


def test_half_precision(tiny, texts):
    """A lower precision gives nearly the same, and another fingerprint."""
    encoder = make_encoder(tiny("clip"), {"dtype": "bfloat16"})
    full = make_encoder(tiny("clip"))
    assert encoder.fingerprint != full.fingerprint
    low, high = encoder.encode_texts(texts), full.encode_texts(texts)
    assert low.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(low, high).min() > 0.98
    assert not torch.equal(low, high)


def test_fingerprint_does_not_load_weights(tiny):
    """Neither the fingerprint nor a dimension needs the model."""
    for kind in ALIGNED:
        encoder = make_encoder(tiny(kind))
        assert len(encoder.fingerprint) == 64
        assert encoder.dim("visual") > 0
        assert "model" not in vars(encoder)


def test_fingerprint_follows_what_decides_features(save_tiny, tmp_path):
    """Weights, preprocessing and options change it; a folder's place, name, provenance and other files do not."""
    first = save_tiny("clip", tmp_path / "first")
    fingerprint = make_encoder(first).fingerprint
    copy = save_tiny("clip", tmp_path / "copy")
    copy.joinpath("README.md").write_text("other")
    config = json.loads(copy.joinpath("config.json").read_text())
    config["_name_or_path"], config["transformers_version"] = "/elsewhere", "9.9"
    copy.joinpath("config.json").write_text(json.dumps(config, indent=7))
    assert make_encoder(copy).fingerprint == fingerprint
    others = [make_encoder(first, {"normalize": True}), make_encoder(first, {"max_length": 6})]
    others.append(make_encoder(save_tiny("clip", tmp_path / "weights", seed=1)))
    changed = save_tiny("clip", tmp_path / "processor")
    settings = json.loads(changed.joinpath("preprocessor_config.json").read_text())
    settings["image_mean"] = [0.0, 0.0, 0.0]
    changed.joinpath("preprocessor_config.json").write_text(json.dumps(settings))
    others.append(make_encoder(changed))
    prints = [fingerprint, *(other.fingerprint for other in others)]
    assert len(set(prints)) == len(prints)


def test_device_and_batch_size_are_no_part_of_the_fingerprint(tiny):
    """Features made on a GPU serve on a machine without one."""
    folder = tiny("clip")
    plain = make_encoder(folder).fingerprint
    assert make_encoder(folder, {"device": "cpu", "batch_size": 3}).fingerprint == plain


def test_pickle_leaves_the_weights_out(tiny, texts):
    """A pickled encoder is small, and works."""
    encoder = make_encoder(tiny("dual"))
    vectors = encoder.encode_texts(texts)
    data = pickle.dumps(encoder)
    assert len(data) < 20_000
    torch.testing.assert_close(pickle.loads(data).encode_texts(texts), vectors)


def test_random_weights_are_refused(save_tiny, tmp_path):
    """A checkpoint without the projections would get random ones."""
    from safetensors.torch import load_file, save_file

    folder = save_tiny("clip", tmp_path / "clip")
    state = load_file(folder / "model.safetensors")
    del state["text_projection.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match="text_projection.*random"):
        make_encoder(folder).encode_texts(["cat"])


def test_wrong_modality(tiny, pictures):
    """A text model says that it has no vision model, and the reverse."""
    with pytest.raises(EncoderError, match="no vision model"):
        make_encoder(tiny("bert")).encode_images(pictures)
    with pytest.raises(EncoderError, match="no text model"):
        make_encoder(tiny("vit")).encode_texts(["cat"])


def test_missing_preprocessing(save_tiny, tmp_path, pictures):
    """A folder without tokenizer or image processor says what is missing."""
    folder = save_tiny("clip", tmp_path / "clip")
    folder.joinpath("preprocessor_config.json").unlink()
    folder.joinpath("tokenizer.json").unlink()
    folder.joinpath("tokenizer_config.json").unlink()
    with pytest.raises(EncoderError, match="preprocessor_config.json"):
        make_encoder(folder).encode_images(pictures)
    with pytest.raises(EncoderError, match="tokenizer"):
        make_encoder(folder).encode_texts(["cat"])


def test_damaged_weights(save_tiny, tmp_path):
    """Cut weights give a clear error."""
    folder = save_tiny("clip", tmp_path / "clip")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EncoderError, match="damaged"):
        make_encoder(folder).encode_texts(["cat"])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dtype": "int8"}, "int8.*float32"),
        ({"batch_size": 0}, "batch_size"),
        ({"max_length": 1}, "max_length"),
    ],
)
def test_bad_options(options, match, tiny):
    """An impossible option is named."""
    with pytest.raises(MultimodalError, match=match):
        make_encoder(tiny("clip"), options)


@pytest.mark.parametrize("device", ["abacus", "cuda"])
def test_bad_device(device, tiny):
    """An unknown or absent device is named."""
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EncoderError, match=device):
        make_encoder(tiny("clip"), {"device": device}).encode_texts(["cat"])


MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


@pytest.mark.parametrize(
    ("kind", "legacy"),
    [
        (
            "clip",
            {
                "crop_size": 32,
                "do_center_crop": True,
                "do_normalize": True,
                "do_resize": True,
                "feature_extractor_type": "CLIPFeatureExtractor",
                "image_mean": MEAN,
                "image_std": STD,
                "resample": 3,
                "size": 32,
            },
        ),
        (
            "vit",
            {"do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 32},
        ),
    ],
)
def test_preprocessing_of_old_checkpoints(kind, legacy, save_tiny, tmp_path, pictures, tiny):
    """The models on the hub mostly have preprocessing settings in the style of years ago."""
    folder = save_tiny(kind, tmp_path / kind)
    folder.joinpath("preprocessor_config.json").write_text(json.dumps(legacy))
    vectors = make_encoder(folder).encode_images(pictures)
    torch.testing.assert_close(vectors, make_encoder(tiny(kind)).encode_images(pictures))


@pytest.mark.parametrize("when", ["before", "after", "same size and date"])
def test_weights_exchanged_within_the_process(when, save_tiny, tmp_path) -> None:
    """Vectors are never filed under the fingerprint of weights that have been replaced."""
    folder, other = save_tiny("clip", tmp_path / "clip"), save_tiny("clip", tmp_path / "other", seed=1)
    encoder = make_encoder(folder)
    fingerprint = encoder.fingerprint
    stat = (folder / "model.safetensors").stat()
    if when == "after":
        encoder.encode_texts(["a cat"])
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    if when == "same size and date":
        os.utime(folder / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(EncoderError, match="have changed"):
        encoder.encode_texts(["a cat"])
    assert make_encoder(folder).fingerprint == make_encoder(other).fingerprint != fingerprint
