"""What the files of a folder are called; the layouts themselves are cases of tests/faults/test_layouts.py."""

import pathlib

import pytest

from pykeen_mmkg.datasets.layout import find_splits, ignored_files
from pykeen_mmkg.errors import DataError


def _touch(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_splits_and_further_ones(tmp_path: pathlib.Path):
    _touch(tmp_path, "training.csv", "dev.tsv.gz", "test.parquet", "test-new.txt", "test-notes.md")
    names = {split: path.name for split, path in find_splits(tmp_path).items()}
    assert names == {
        "training": "training.csv",
        "validation": "dev.tsv.gz",
        "testing": "test.parquet",
        "new": "test-new.txt",
    }
    _touch(tmp_path, "valid.tsv")
    with pytest.raises(DataError, match=r"both valid.tsv and dev.tsv.gz"):
        find_splits(tmp_path)


def test_ignored_files(tmp_path: pathlib.Path):
    _touch(tmp_path, "a.tsv", "b.csv", "README.txt", ".hidden.tsv", "notes.md", "LICENSE.txt")
    (tmp_path / "folder.tsv").mkdir()
    assert ignored_files(tmp_path, {"a.tsv"}) == ["b.csv"]
