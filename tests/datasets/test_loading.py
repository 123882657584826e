"""Datasets by name, by path, or as they are."""

import pathlib

import pytest
from pykeen.datasets import Nations

from pykeen_mmkg.datasets import MultimodalDataset, dataset_digest, load_dataset
from pykeen_mmkg.errors import DatasetNotFoundError


def test_what_is_loaded_already_is_kept() -> None:
    dataset = Nations()
    assert load_dataset(dataset) is dataset
    assert load_dataset(dataset.training) is dataset.training


def test_names_and_folders(folder: pathlib.Path) -> None:
    assert load_dataset("nations").num_entities == 14
    by_path = load_dataset(folder, {"missing_rows": "allow"})
    assert isinstance(by_path, MultimodalDataset) and by_path.record.missing_rows == "allow"
    by_name = load_dataset("multimodal", {"path": str(folder)})
    assert by_name.training.num_triples == by_path.training.num_triples


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(DatasetNotFoundError, match="'no such dataset' is neither a folder nor"):
        load_dataset("no such dataset")


def test_digest_follows_the_content(tmp_path):
    first = dataset_digest(Nations())
    assert first == dataset_digest(Nations())
    changed = Nations()
    changed.testing.mapped_triples = changed.testing.mapped_triples.flip(0)
    assert dataset_digest(changed) != first
    (tmp_path / "train.tsv").write_text("a\tr\tb\n")
    (tmp_path / "test.tsv").write_text("b\tr\ta\n")
    dataset = MultimodalDataset(path=tmp_path)
    assert dataset_digest(dataset) == dataset.digest
