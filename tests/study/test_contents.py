"""What a run depends on: a change of any byte of it gives another name, and nothing else does."""

import json
import pathlib
import shutil

import pytest

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.study.contents import contents_of, data_contents


@pytest.fixture
def graph(folder: pathlib.Path, stores: dict[str, str], tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the small dataset with all that a dataset can have."""
    path = tmp_path / "graph"
    shutil.copytree(folder, path)
    (path / "features").mkdir()
    shutil.copy(stores["visual"], path / "features")
    (path / "candidates.json").write_text(json.dumps({"r0": ["e1", "e2"]}))
    (path / "dev_relations.txt").write_text("r0\n")
    (path / "known_true.tsv").write_text("e0\tr0\te5\n")
    return path


def _edit(name: str, old: str, new: str):
    def edit(graph: pathlib.Path) -> None:
        path = graph / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


def _swap_images(graph: pathlib.Path) -> None:
    """Two images of equal size change places."""
    first, second = (graph / "images" / f"e{i}_0.png" for i in (2, 4))
    contents = first.read_bytes(), second.read_bytes()
    assert len(contents[0]) == len(contents[1]) and contents[0] != contents[1]
    first.rename(graph / "x")
    second.rename(first)
    (graph / "x").rename(second)


def _flip(graph: pathlib.Path) -> None:
    path = graph / "features" / "visual.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


CHANGES = {
    "dataset": _edit("test.tsv", "r0", "r1"),
    "candidates": _edit("candidates.json", '"e1", ', ""),
    "dev_relations": _edit("dev_relations.txt", "r0", "r1"),
    "known_true": _edit("known_true.tsv", "e5", "e6"),
    "images": _swap_images,
    "visual": _flip,
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_part_of_a_dataset_counts(what: str, graph: pathlib.Path) -> None:
    before = data_contents(MultimodalDataset(graph))
    assert set(before) == set(CHANGES)
    CHANGES[what](graph)
    after = data_contents(MultimodalDataset(graph))
    assert {name for name in before if before[name] != after[name]} == {what}


def test_a_table_counts_as_the_dataset(graph: pathlib.Path) -> None:
    before = data_contents(MultimodalDataset(graph))
    _edit("entities.tsv", "number 9", "number 8")(graph)
    after = data_contents(MultimodalDataset(graph))
    assert {name for name in before if before[name] != after[name]} == {"dataset"}


def test_places_and_dates_do_not_count(graph: pathlib.Path) -> None:
    before = data_contents(MultimodalDataset(graph))
    for path in graph.rglob("*.*"):
        path.touch()
    graph.rename(graph.with_name("moved"))
    assert data_contents(MultimodalDataset(graph.with_name("moved"))) == before


def test_files_and_folders_that_arguments_name(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.json").write_text("1")
    (tmp_path / "folder" / "in").mkdir(parents=True)
    (tmp_path / "folder" / "in" / "b").write_text("1")
    arguments = [{"x": [{"y": str(tmp_path / "a.json")}], "z": "a word"}, {"w": str(tmp_path / "folder")}, "x" * 9999]
    before = contents_of(arguments)
    assert {str(tmp_path / "a.json"), str(tmp_path / "folder")} <= set(before)
    assert "a word" not in before and {"pykeen", "torch", "pykeen-mmkg"} <= set(before)
    assert contents_of(arguments) == before
    (tmp_path / "folder" / "in" / "b").write_text("2")
    changed = contents_of(arguments)
    assert {name for name in before if before[name] != changed[name]} == {str(tmp_path / "folder")}
    (tmp_path / "folder" / "in" / "b").rename(tmp_path / "folder" / "c")
    assert contents_of(arguments) != changed


def test_versions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents_of({})
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    assert {name for name in before if before[name] != contents_of({})[name]} == set(before)


def test_an_encoder_counts_by_its_weights(dual_encoder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(dual_encoder, tmp_path / "encoder")
    arguments = {"scorers": {"content": {"model_kwargs": {"encoder": str(tmp_path / "encoder")}}}}
    before = contents_of(arguments)
    path = next((tmp_path / "encoder").rglob("model*.safetensors"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert contents_of(arguments) != before
