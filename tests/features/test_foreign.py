"""Others' feature files: each kind gives the vectors that were written, and an id map is read in each of its forms."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from pykeen_mmkg.errors import FeatureError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.features.foreign import read_ids, read_vectors

LABELS = ["a", "b", "007"]
TABLE = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
ROWS = dict(zip(LABELS, TABLE, strict=True))


def _csv(path: pathlib.Path, **kwargs: Any) -> None:
    pd.DataFrame(TABLE.astype("float64"), index=LABELS).to_csv(path, **kwargs)


#: file -> how it is written, and whether it names labels
FILES: dict[str, tuple[Callable[[pathlib.Path], Any], bool]] = {
    "x.npy": (lambda path: np.save(path, TABLE), False),
    "big_endian.npy": (lambda path: np.save(path, TABLE.astype(">f8")), False),
    "fortran.npy": (lambda path: np.save(path, np.asfortranarray(TABLE)), False),
    "table.npz": (lambda path: np.savez(path, TABLE), False),
    "packed.npz": (lambda path: np.savez_compressed(path, vectors=TABLE, labels=LABELS), True),
    "rows.npz": (lambda path: np.savez(path, **ROWS), True),
    "x.pt": (lambda path: torch.save(torch.from_numpy(TABLE), path), False),
    "x.pth": (lambda path: torch.save({"embeddings": torch.from_numpy(TABLE), "ids": LABELS}, path), True),
    "rows.pt": (lambda path: torch.save({k: torch.from_numpy(v) for k, v in ROWS.items()}, path), True),
    "state.bin": (lambda path: torch.save({"weight": torch.from_numpy(TABLE)}, path), False),
    "x.safetensors": (lambda path: save_file({"vectors": torch.from_numpy(TABLE)}, path), False),
    "ours.safetensors": (lambda path: FeatureStore.from_tensors(LABELS, torch.from_numpy(TABLE)).save(path), True),
    "x.csv": (_csv, True),
    "semicolon.csv": (lambda path: _csv(path, sep=";"), True),
    "bare.csv": (lambda path: _csv(path, header=False), True),
    "named.csv": (lambda path: _csv(path, index_label="entity"), True),
    "x.tsv": (lambda path: _csv(path, sep="\t", header=["p", "q", "r", "s"], index_label="label"), True),
}


@pytest.mark.parametrize("name", FILES)
def test_what_was_written(name: str, tmp_path: pathlib.Path) -> None:
    write, labelled = FILES[name]
    write(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    labels, vectors, mask = read_vectors(tmp_path / name)
    assert labels == (LABELS if labelled else None)
    torch.testing.assert_close(vectors, torch.from_numpy(TABLE), rtol=0, atol=1e-7)
    assert mask.all() and vectors.dtype == torch.float32
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("labelled", [True, False])
def test_hdf5(labelled: bool, tmp_path: pathlib.Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["vectors"] = TABLE
        if labelled:
            file["labels"] = LABELS
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    labels, vectors, _ = read_vectors(tmp_path / "x.h5")
    assert labels == (LABELS if labelled else None)
    torch.testing.assert_close(vectors, torch.from_numpy(TABLE))


def test_a_label_alone_has_no_vector(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.csv").write_text("a,1,2\nb\nc,,\n")
    labels, vectors, mask = read_vectors(tmp_path / "x.csv")
    assert labels == ["a", "b", "c"] and mask.tolist() == [True, False, False]
    assert vectors.tolist() == [[1, 2], [0, 0], [0, 0]]


MAP = {"b": 0, "007": 2, "a": 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.txt", "b\na\n007\n"),
        ("x.txt", "3\nb\t0\n007\t2\na\t1\n"),
        ("x.tsv", "0\tb\n2\tx7\n1\ta\n"),
        ("x.tsv", "\ufeffb\t0\r\n007\t2\r\na\t1\r\n"),
        ("x.json", json.dumps(["b", "a", "007"])),
        ("x.json", json.dumps(MAP)),
        ("x.json", json.dumps({"0": "b", "1": "a", "2": "x7"})),
    ],
)
def test_id_maps(name: str, text: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = read_ids(tmp_path / name)
    assert {label.replace("x7", "007"): row for label, row in found.items()} == MAP


@pytest.mark.parametrize(
    "text", ["a\t0\nb\t0\n", "a\t0\na\t1\n", "a\tb\n", "a\t0\t1\n", "a\t-1\n", "a\t1.5\n", "a\nb\na\n", "a\t\u00b2\n"]
)
def test_bad_id_maps(text: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "ids.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(FeatureError, match="ids.tsv"):
        read_ids(tmp_path / "ids.tsv")
