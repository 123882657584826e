"""Folders of encoders with absurd or broken configurations: one error that names the folder, and no model is built."""

import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pykeen_mmkg.encoders import make_encoder

from .harness import Case, Refused, cases, settle

#: a small BERT
GOOD: Mapping[str, Any] = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "vocab_size": 10,
    "max_position_embeddings": 8,
}
VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\ne\n"


def _folder(config: Any, **files: str | bytes | None) -> Callable[[pathlib.Path], Callable[[], Any]]:
    def make(folder: pathlib.Path) -> Callable[[], Any]:
        model = folder / "model"
        model.mkdir()
        text = config if isinstance(config, str) else json.dumps(config)
        (model / "config.json").write_text(text, encoding="utf-8")
        (model / "vocab.txt").write_text(VOCABULARY)
        save_file({"embeddings.word_embeddings.weight": torch.zeros(10, 8)}, model / "model.safetensors")
        for name, content in files.items():
            path = model / name.replace("__", ".")
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return lambda: make_encoder(model).encode_texts(["a b"])

    return make


def _configurations() -> Iterator[Case]:
    changes: Mapping[str, Any] = {
        "hidden_size": (0, -8, "8", 8.5, 1 << 40, None, [8]),
        "num_hidden_layers": (-1, "1", 1 << 40),
        "num_attention_heads": (0, 3, "two"),
        "vocab_size": (0, -1, 1 << 50),
        "max_position_embeddings": (0, -1, 1 << 50),
        "intermediate_size": (0, 1 << 50),
        "model_type": ("no_such_model", 3, None, "../../x"),
        "hidden_act": ("no_such_function",),
    }
    for key, values in changes.items():
        for value in values:
            yield Case(f"{key}={value!r}", _folder({**GOOD, key: value}), Refused("model"))
    for name, text in {
        "empty": "",
        "no JSON": "{",
        "a list": "[]",
        "a number": "3",
        "null": "null",
        "deep": "[" * 100_000,
        "NaN": '{"model_type": NaN}',
        "nothing in it": "{}",
        "a surrogate": '{"model_type": "\\ud800"}',
    }.items():
        yield Case(f"config.json: {name}", _folder(text), Refused("model"))


def _files() -> Iterator[Case]:
    for name, content in {
        "no weights": dict(model__safetensors=None),
        "empty weights": dict(model__safetensors=b""),
        "weights of noise": dict(model__safetensors=bytes(range(256))),
        "a header of 2^64 bytes": dict(model__safetensors=b"\xff" * 8),
        "no vocabulary": dict(vocab__txt=None),
        "no configuration": dict(config__json=None),
        "a broken tokenizer": dict(tokenizer__json="{"),
        "a broken tokenizer configuration": dict(tokenizer_config__json="{"),
        "an index of no shards": {
            "model__safetensors": None,
            "model.safetensors.index.json": json.dumps({"weight_map": {"x": "gone.safetensors"}}),
        },
        "an index that leaves the folder": {
            "model__safetensors": None,
            "model.safetensors.index.json": json.dumps({"weight_map": {"x": "../../x.safetensors"}}),
        },
        "pickled weights": {"model__safetensors": None, "pytorch_model.bin": b"\x80\x04N."},
    }.items():
        yield Case(name, _folder(GOOD, **content), Refused("model"))
    remote = {**GOOD, "model_type": "own", "auto_map": {"AutoModel": "modeling.Own", "AutoConfig": "modeling.Config"}}
    program = "import pathlib\npathlib.Path('it_was_run').touch()\nclass Own: pass\nclass Config: pass\n"
    yield Case("a program of its own", _folder(remote, **{"modeling.py": program}), Refused("model"))


@cases([*_configurations(), *_files()])
def test_folder(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settle(case, lambda encode: encode(), tmp_path, caplog)
    assert not (tmp_path / "it_was_run").exists()


@pytest.mark.parametrize("encoder", [3, 1.5, [], {}, b"clip", "", " ", "no such name", "../gone", "a\0b", "x" * 5000])
def test_no_encoder(encoder: Any, tmp_path: pathlib.Path, caplog, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    end = Refused() if str(encoder).strip() in ("", "a\0b") or len(str(encoder)) > 99 else Refused(str(encoder)[:9])
    settle(Case("x", lambda folder: None, end), lambda folder: make_encoder(encoder).fingerprint, tmp_path, caplog)
