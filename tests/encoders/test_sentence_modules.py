"""Folders of sentence-transformers: what they list is applied, in order, or refused."""

import json
import pathlib

import pytest
import torch
from safetensors.torch import save_file

from pykeen_mmkg.encoders import make_encoder
from pykeen_mmkg.errors import EncoderError

TYPE = "sentence_transformers.models."


def write(folder: pathlib.Path, *modules: tuple[str, str, dict], **settings: dict) -> pathlib.Path:
    """Add the settings of sentence-transformers to a model's folder: class, path and options of each further module."""
    listed = [("Transformer", "", {}), *modules]
    rows = [{"idx": i, "name": str(i), "path": path, "type": TYPE + kind} for i, (kind, path, _) in enumerate(listed)]
    folder.joinpath("modules.json").write_text(json.dumps(rows))
    for _, path, options in modules:
        folder.joinpath(path).mkdir(exist_ok=True)
        folder.joinpath(path, "config.json").write_text(json.dumps(options))
    for name, content in settings.items():
        folder.joinpath(f"{name}.json").write_text(json.dumps(content))
    return folder


def dense(
    folder: pathlib.Path, size: int = 7, activation: str = "Tanh"
) -> tuple[tuple[str, str, dict], torch.nn.Linear]:
    """Write a dense layer's weights."""
    linear = torch.nn.Linear(16, size)
    folder.joinpath("2_Dense").mkdir()
    save_file({f"linear.{k}": v for k, v in linear.state_dict().items()}, folder / "2_Dense" / "model.safetensors")
    options = {"in_features": 16, "out_features": size, "activation_function": f"torch.nn.modules.{activation}"}
    return ("Dense", "2_Dense", options), linear


POOLING = ("Pooling", "1_Pooling", {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})


@pytest.fixture
def folder(save_tiny, tmp_path) -> pathlib.Path:
    return save_tiny("bert", tmp_path / "model")


def test_dense_layers_and_unit_length(folder, tiny, texts) -> None:
    """They follow the pooling, decide the fingerprint, and are left out with a pooling of one's own."""
    mean = make_encoder(tiny("bert"), {"pooling": "mean"}).encode_texts(texts)
    module, linear = dense(folder)
    write(folder, POOLING, module, ("Normalize", "3_Normalize", {}))
    encoder = make_encoder(folder)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(torch.tanh(linear(mean)), dim=-1)
    assert encoder.dim("textual") == 7
    torch.testing.assert_close(encoder.encode_texts(texts), expected, rtol=1e-4, atol=1e-5)
    own = make_encoder(folder, {"pooling": "mean"})
    torch.testing.assert_close(own.encode_texts(texts), mean, rtol=1e-4, atol=1e-5)
    prints = [encoder.fingerprint, own.fingerprint]
    save_file({f"linear.{k}": v + 1 for k, v in linear.state_dict().items()}, folder / "2_Dense" / "model.safetensors")
    prints.append(make_encoder(folder).fingerprint)
    write(folder, POOLING)
    prints.append(make_encoder(folder).fingerprint)
    assert len(set(prints)) == 4


@pytest.mark.parametrize(
    ("mode", "pooling"),
    [
        ("lasttoken", "last"),
        ("max_tokens", "max"),
        ("mean_sqrt_len_tokens", "mean_sqrt_len"),
        ("weightedmean_tokens", "weighted_mean"),
        ("cls_token", "cls"),
    ],
)
def test_poolings_by_their_names(mode, pooling, folder) -> None:
    for options in ({f"pooling_mode_{mode}": True}, {"pooling_mode": mode.removesuffix("_tokens")}):
        if mode.startswith("mean_sqrt") and "pooling_mode" in options:
            options["pooling_mode"] = mode
        write(folder, ("Pooling", "1_Pooling", options))
        assert make_encoder(folder).pooling == pooling


def test_prompt_and_lower_case(folder, tiny) -> None:
    """The default prompt precedes every text; capitals that the tokenizer does not know are made small."""
    prompts = {"default_prompt_name": "q", "prompts": {"q": "a painting of "}}
    write(folder, POOLING, config_sentence_transformers=prompts, sentence_bert_config={"do_lower_case": True})
    expected = make_encoder(tiny("bert"), {"pooling": "mean"}).encode_texts(["a painting of the cat"])
    torch.testing.assert_close(make_encoder(folder).encode_texts(["THE Cat"]), expected, rtol=1e-4, atol=1e-5)


def test_the_model_in_a_folder_below(save_tiny, tiny, tmp_path, texts) -> None:
    """``0_Transformer``, as older releases wrote it, and ``0_CLIPModel``."""
    save_tiny("bert", tmp_path / "st" / "0_Transformer")
    write(tmp_path / "st", POOLING)
    rows = json.loads((tmp_path / "st" / "modules.json").read_text())
    rows[0]["path"] = "0_Transformer"
    (tmp_path / "st" / "modules.json").write_text(json.dumps(rows))
    encoder = make_encoder(tmp_path / "st")
    assert encoder.pooling == "mean"
    expected = make_encoder(tiny("bert"), {"pooling": "mean"}).encode_texts(texts)
    torch.testing.assert_close(encoder.encode_texts(texts), expected)

    save_tiny("clip", tmp_path / "clip" / "0_CLIPModel")
    rows = [{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": f"{TYPE}CLIPModel"}]
    (tmp_path / "clip" / "modules.json").write_text(json.dumps(rows))
    expected = make_encoder(tiny("clip")).encode_texts(texts)
    torch.testing.assert_close(make_encoder(tmp_path / "clip").encode_texts(texts), expected)
    rows.append({"idx": 1, "name": "1", "path": "1_Dense", "type": f"{TYPE}Dense"})
    (tmp_path / "clip" / "modules.json").write_text(json.dumps(rows))
    with pytest.raises(EncoderError, match="1_Dense.*cannot be applied"):
        make_encoder(tmp_path / "clip")


@pytest.mark.parametrize("mode", ["mean", "cls", "lasttoken", "max", "mean_sqrt_len_tokens", "weightedmean"])
def test_as_the_library_itself(mode, tiny, texts, tmp_path) -> None:
    """The vectors of sentence-transformers, where it is installed."""
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    transformer = modules.Transformer(str(tiny("bert")))
    parts = [transformer, modules.Pooling(16, pooling_mode=mode), modules.Dense(16, 7), modules.Normalize()]
    prompts = {"prompts": {"x": "a tree "}, "default_prompt_name": "x"}
    model = library.SentenceTransformer(modules=parts, device="cpu", **prompts)
    model.save(str(tmp_path / "saved"))
    ours = make_encoder(tmp_path / "saved").encode_texts(texts)
    torch.testing.assert_close(ours, torch.from_numpy(model.encode(texts)), rtol=1e-4, atol=1e-5)
