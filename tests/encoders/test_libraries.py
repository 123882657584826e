"""Encoders through open_clip and sentence-transformers: as these libraries themselves, where they are installed."""

import importlib
import json
import pathlib

import pytest
import torch

from pykeen_mmkg.encoders import OpenCLIPEncoder, SentenceTransformersEncoder, make_encoder
from pykeen_mmkg.errors import EncoderError

TINY = {
    "model_cfg": {
        "embed_dim": 12,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the libraries seem to be there, for what is checked before they are used."""
    monkeypatch.setattr(OpenCLIPEncoder, "_library", classmethod(lambda cls: None))
    monkeypatch.setattr(SentenceTransformersEncoder, "_library", classmethod(lambda cls: None))


@pytest.mark.parametrize(("kind", "package"), [("openclip", "open_clip_torch"), ("sentencetransformers", "sentence-")])
def test_without_the_library(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message says what to install, before anything is read."""

    def refuse(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(EncoderError, match=f"pip install {package}"):
        make_encoder(kind, {"model": "somewhere"})


@pytest.mark.usefixtures("pretend")
def test_folders_that_are_refused(tmp_path: pathlib.Path) -> None:
    """No pickles, no code, and nothing that is another library's."""
    encoder = make_encoder("openclip", {"model": str(tmp_path)})
    with pytest.raises(EncoderError, match="no open_clip_config.json"):
        _ = encoder.fingerprint
    (tmp_path / "open_clip_config.json").write_text(json.dumps(TINY))
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(EncoderError, match="no open_clip_model.safetensors"):
        _ = make_encoder(tmp_path).fingerprint
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"weights")
    first = make_encoder(tmp_path)
    assert isinstance(first, OpenCLIPEncoder) and first.dim("textual") == 12
    assert make_encoder(tmp_path, {"normalize": True}).fingerprint != first.fingerprint
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"other weights")
    assert make_encoder(tmp_path).fingerprint != first.fingerprint
    evil = {"model_cfg": {**TINY["model_cfg"], "text_cfg": {"hf_trust_remote_code": True}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(evil))
    with pytest.raises(EncoderError, match="code of its own"):
        _ = make_encoder(tmp_path).fingerprint

    folder = tmp_path / "st"
    folder.mkdir()
    for modules, message in (([{"type": "os.path"}], "names 'os.path'"), ([], "no weights in safetensors")):
        (folder / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(EncoderError, match=message):
            _ = SentenceTransformersEncoder(folder).fingerprint


def test_open_clip(tmp_path: pathlib.Path, pictures: list, texts: list) -> None:
    """The vectors are those of the library, alone and in a batch."""
    try:
        import open_clip
    except Exception as error:  # torchvision has to fit to torch
        pytest.skip(f"open_clip cannot be imported: {error}")
    from safetensors.torch import save_file

    (tmp_path / "open_clip_config.json").write_text(json.dumps(TINY))
    torch.manual_seed(0)
    model = open_clip.model.CLIP(
        TINY["model_cfg"]["embed_dim"],
        open_clip.CLIPVisionCfg(**TINY["model_cfg"]["vision_cfg"]),
        open_clip.CLIPTextCfg(**TINY["model_cfg"]["text_cfg"]),
    ).eval()
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, tmp_path / "open_clip_model.safetensors")
    encoder = make_encoder(tmp_path)
    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(texts))
    torch.testing.assert_close(encoder.encode_texts(texts), expected.clone(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder.encode_texts(texts[1:2])[0], expected[1].clone(), rtol=1e-4, atol=1e-5)
    vectors = encoder.encode_images(pictures)
    assert vectors.shape == (len(pictures), 12) and not torch.allclose(vectors[0], vectors[1], atol=1e-4)
    torch.testing.assert_close(encoder.encode_images(pictures[2:3])[0], vectors[2], rtol=1e-4, atol=1e-5)


def test_sentence_transformers(tmp_path: pathlib.Path, tiny, texts: list) -> None:
    """The vectors are those of the library, of unit length if asked for."""
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    model = library.SentenceTransformer(
        modules=[modules.Transformer(str(tiny("bert"))), modules.Pooling(16, pooling_mode="mean")], device="cpu"
    )
    model.save(str(tmp_path))
    encoder = make_encoder("sentencetransformers", {"model": str(tmp_path)})
    expected = torch.from_numpy(model.encode(texts))
    torch.testing.assert_close(encoder.encode_texts(texts), expected, rtol=1e-4, atol=1e-5)
    assert encoder.dim("textual") == 16 and encoder.modalities == {"textual"}
    unit = make_encoder("sentencetransformers", {"model": str(tmp_path), "normalize": True}).encode_texts(texts)
    torch.testing.assert_close(unit, torch.nn.functional.normalize(expected, dim=-1), rtol=1e-4, atol=1e-5)
    with pytest.raises(EncoderError, match="no vision model"):
        encoder.dim("visual")


def test_backends(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend is handed on to the library, and its vectors are kept apart from those of others and of other files."""
    told = []

    class Model:
        def __init__(self, folder: str, **kwargs) -> None:
            if kwargs.get("model_kwargs") == {"file_name": "gone"}:
                raise OSError("no such file")
            told.append(kwargs)

        def eval(self) -> "Model":
            return self

        def encode(self, texts: list, **kwargs) -> torch.Tensor:
            return torch.ones(len(texts), 2)

    library = type("Library", (), {"SentenceTransformer": Model})
    monkeypatch.setattr(SentenceTransformersEncoder, "_library", classmethod(lambda cls: library))
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Transformer"}]))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"a graph")

    def make(**kwargs) -> SentenceTransformersEncoder:
        return make_encoder("sentencetransformers", {"model": str(tmp_path), "device": "cpu", **kwargs})

    quantised = {"file_name": "onnx/model_qint8.onnx"}
    options = [{}, {"backend": "onnx"}, {"backend": "openvino"}, {"backend": "onnx", "backend_kwargs": quantised}]
    prints = [make(**own).fingerprint for own in options]
    assert len(set(prints)) == 4
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"another graph")
    assert [make(**own).fingerprint != before for own, before in zip(options, prints, strict=True)] == [0, 1, 0, 1]
    for own in options[::3]:
        assert make(**own).encode_texts(["a"]).tolist() == [[1, 1]]
    assert told[0]["model_kwargs"] == {"use_safetensors": True} and "backend" not in told[0]
    assert (told[1]["backend"], told[1]["model_kwargs"], told[1]["trust_remote_code"]) == ("onnx", quantised, False)
    with pytest.raises(EncoderError, match=r"onnx cannot load .*no such file.*sentence-transformers\[onnx\]"):
        make(backend="onnx", backend_kwargs={"file_name": "gone"}).encode_texts(["a"])
    with pytest.raises(EncoderError, match="no backend 'tensorrt'"):
        make(backend="tensorrt")
    with pytest.raises(EncoderError, match="name one"):
        make(backend_kwargs=quantised)
