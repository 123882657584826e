"""Feature files of others, broken or hostile: one error that names the file, and the only copy stays as it is."""

import io
import json
import os
import pathlib
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_safetensors

from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.features.foreign import read_vectors

from .harness import Case, Refused, cases, cli, settle

TABLE = np.arange(6, dtype="float32").reshape(3, 2)


class _Program:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it_was_run",)


def _saved(write: Callable[..., Any], *content: Any, **kwargs: Any) -> bytes:
    buffer = io.BytesIO()
    write(buffer, *content, **kwargs)
    return buffer.getvalue()


def _torch(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _lying_npy() -> bytes:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000), }".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 8


def _archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


GOOD = {
    "npy": _saved(np.save, TABLE),
    "npz": _saved(np.savez, TABLE),
    "pt": _torch(torch.from_numpy(TABLE)),
    "safetensors": to_safetensors({"x": torch.from_numpy(TABLE)}),
    "pkl": pickle.dumps({"a": [1.0, 2.0]}),
    "csv": b"a,1,2\nb,3,4\n",
}

BAD: dict[str, bytes] = {
    "empty array.npy": _saved(np.save, TABLE[:0]),
    "a cube.npy": _saved(np.save, TABLE.reshape(3, 1, 2)),
    "a vector.npy": _saved(np.save, TABLE[0]),
    "objects.npy": _saved(np.save, np.array([{"a": 1}], dtype=object), allow_pickle=True),
    "texts.npy": _saved(np.save, np.array([["a", "b"]])),
    "complex.npy": _saved(np.save, TABLE.astype(complex)),
    "dates.npy": _saved(np.save, TABLE.astype("int64").astype("datetime64[s]")),
    "lying header.npy": _lying_npy(),
    "two tables.npz": _saved(np.savez, a=TABLE, b=TABLE),
    "two lengths.npz": _saved(np.savez, a=TABLE[0], b=np.zeros(3)),
    "labels too few.npz": _saved(np.savez, vectors=TABLE, labels=["a", "b"]),
    "nothing.npz": _saved(np.savez),
    "object member.npz": _saved(np.savez, a=np.array([None, {}], dtype=object)),
    "empty member.npz": _archive(x=b""),
    "lying member.npz": _archive(x=_lying_npy()),
    "program.pt": _torch(_Program()),
    "program in a dictionary.pt": _torch({"a": torch.zeros(2), "b": _Program()}),
    "a module.pt": _torch(torch.nn.Linear(2, 2)),
    "weights of a network.pt": _torch(torch.nn.Linear(2, 2).state_dict()),
    "a number.pt": _torch(3),
    "complex.pt": _torch(torch.zeros(2, 2, dtype=torch.complex64)),
    "two tables.safetensors": to_safetensors({"x": torch.zeros(2, 2), "y": torch.zeros(3, 2)}),
    "scalars.safetensors": to_safetensors({"x": torch.zeros(()), "y": torch.zeros(())}),
    "huge header.safetensors": b"\xff" * 8 + b"{}",
    "no json.safetensors": (4).to_bytes(8, "little") + b"{{{{",
    "program.pkl": pickle.dumps(_Program()),
    "a list.pkl": pickle.dumps([1, 2]),
    "two dimensions.pkl": pickle.dumps({"a": [1.0], "b": [1.0, 2.0]}),
    "text in a row.csv": b"a,1,2\nb,x,4\n",
    "a cell too few.csv": b"a,1,2\nb,3\n",
    "labels only.csv": b"a\nb\n",
    "latin 1.csv": "\u00e9,1,2\n".encode("latin1"),
    "only a header.tsv": b"entity\tx\ty\n",
    "NUL.csv": b"a,1,\0\n",
    "unknown.mat": b"MATLAB",
    "none": b"x",
}


def _write(name: str, content: bytes) -> Callable[[pathlib.Path], pathlib.Path]:
    def make(folder: pathlib.Path) -> pathlib.Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _files() -> Iterator[Case]:
    for suffix, content in GOOD.items():
        for name, part in (
            ("empty", b""),
            ("half", content[: len(content) // 2] if suffix != "csv" else content[:9]),
            ("noise", bytes(range(256)) * 4),
            ("text", b"hello, world\nhow are you\n"),
            ("zeros", bytes(64)),
        ):
            file = f"{name}.{suffix}"
            yield Case(file, _write(file, part), Refused(file))
    for file, content in BAD.items():
        yield Case(file, _write(file, content), Refused(file))
    yield Case("missing", lambda folder: folder / "gone.npy", Refused("gone.npy"))
    yield Case("a folder", lambda folder: folder, Refused("no feature file"))

    def fifo(folder: pathlib.Path) -> pathlib.Path:
        os.mkfifo(folder / "x.npy")
        return folder / "x.npy"

    def loop(folder: pathlib.Path) -> pathlib.Path:
        (folder / "x.pt").symlink_to(folder / "x.pt")
        return folder / "x.pt"

    yield Case("a FIFO", fifo, Refused("x.npy"))
    yield Case("a link to itself", loop, Refused("x.pt"))


@cases(_files())
def test_file(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settle(case, read_vectors, tmp_path, caplog)
    assert not (tmp_path / "it_was_run").exists()


def _stores() -> Iterator[Case]:
    document = {"kind": "features", "format": 1, "labels": ["a", "b"], "modality": "visual", "provenance": {}}
    tensors = {"vectors": torch.zeros(2, 2), "mask": torch.ones(2, dtype=torch.bool), "counts": torch.ones(2).long()}
    for name, change in {
        "another kind": {"kind": "shard"},
        "a later format": {"format": 99},
        "a label too many": {"labels": ["a", "b", "c"]},
    }.items():
        content = to_safetensors(tensors, {"pykeen_mmkg": json.dumps({**document, **change})})
        yield Case(name, _write("x.safetensors", content), Refused("x.safetensors"))
    for name in tensors:
        left = {key: tensor for key, tensor in tensors.items() if key != name}
        content = to_safetensors(left, {"pykeen_mmkg": json.dumps(document)})
        yield Case(f"without {name}", _write("x.safetensors", content), Refused("x.safetensors", name))
    content = to_safetensors(tensors, {"pykeen_mmkg": "{"})
    yield Case("a broken document", _write("x.safetensors", content), Refused("x.safetensors"))
    for suffix, content in GOOD.items():
        yield Case(f"others' {suffix}", _write(f"x.{suffix}", content), Refused(f"x.{suffix}", "pykeen-mmkg import"))


@cases(_stores())
def test_store(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    settle(case, FeatureStore.load, tmp_path, caplog)


def test_no_only_copy_is_to_be_deleted(tmp_path: pathlib.Path) -> None:
    """Nobody is told to delete what may be the only copy."""
    for suffix, content in GOOD.items():
        (tmp_path / f"x.{suffix}").write_bytes(content)
        with pytest.raises(ValueError) as caught:
            FeatureStore.load(tmp_path / f"x.{suffix}")
        assert "elete" not in str(caught.value)


def test_the_command(tmp_path: pathlib.Path) -> None:
    graph = tmp_path / "graph"
    graph.mkdir()
    (graph / "train.tsv").write_text("a\tr\tb\n")
    (graph / "test.tsv").write_text("b\tr\tc\n")
    (tmp_path / "x.csv").write_text("a,1,2\nb,3,4\nz,5,6\n")
    options = ("--dataset", graph, "--modality")
    cli("import", tmp_path / "x.csv", *options, "sound", status=2, words=["'sound'", "'visual'"])
    cli("import", tmp_path / "x.csv", *options, "visual", words=["2 of 3", "'c'", "'z'", "visual.safetensors"])
    cli("import", tmp_path / "x.csv", *options, "visual", status=2, words=["exists already"])
    cli("audit", graph)
