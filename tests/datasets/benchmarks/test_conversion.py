"""The formats that the benchmarks are published in, and the folder that is written."""

import json
import pathlib

import pytest

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.datasets.benchmarks import conversion
from pykeen_mmkg.datasets.benchmarks.conversion import PublishedGraph
from pykeen_mmkg.errors import DataError


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "file"


def test_ids(file: pathlib.Path):
    """Labels may hold spaces; ids may stand in any order."""
    file.write_text("3\nb c 1\n/m/0\t0\nd 2\n")
    assert conversion.read_ids(file) == ["/m/0", "b c", "d"]


@pytest.mark.parametrize("lines", ["2\na 0\nb 0\n", "2\na 0\nb 2\n", "2\na 0\nb\n", "2\na 0\nb x\n"])
def test_ids_that_are_not_consecutive(file: pathlib.Path, lines: str):
    file.write_text(lines)
    with pytest.raises(DataError, match="not 0 to 1"):
        conversion.read_ids(file)


def test_id_triples(file: pathlib.Path):
    """OpenKE's order is head, TAIL, relation."""
    file.write_text("2\n0 1 1\n1 1 0\n")
    assert conversion.read_id_triples(file, ["a", "b"], ["r", "s"]) == [("a", "s", "b"), ("b", "r", "b")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("2\n0 1 1\n", "announces '2' triples, but has 1"),
        ("1\n0 1 1\n0 0 0\n", "announces '1' triples, but has 2"),
        ("2\n0 1 1\n0 1 2\n", "line 3"),
        ("1\n0 1\n", "line 2"),
        ("1\n0 1 x\n", "line 2"),
    ],
)
def test_id_triples_that_are_wrong(file: pathlib.Path, lines: str, message: str):
    file.write_text(lines)
    with pytest.raises(DataError, match=message):
        conversion.read_id_triples(file, ["a", "b"], ["r", "s"])


def test_moded_triples(file: pathlib.Path):
    file.write_text('head,relation,tail,mode\na,r,"b, c",train\na,r,c,val\nd,r,a,test\nd,s,a,train\n')
    assert conversion.read_moded_triples(file) == {
        "train": [("a", "r", "b, c"), ("d", "s", "a")],
        "valid": [("a", "r", "c")],
        "test": [("d", "r", "a")],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head,relation,tail\na,r,b\n", "header"),
        ("", "header"),
        ("head,relation,tail,mode\na,r,b,dev\n", "line 2"),
        ("head,relation,tail,mode\na,r,b,c,train\n", "line 2"),
    ],
)
def test_moded_triples_that_are_wrong(file: pathlib.Path, text: str, message: str):
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        conversion.read_moded_triples(file)


def test_tasks(file: pathlib.Path):
    file.write_text(json.dumps({"s": [["b", "s", "a"], ["b", "s", "a"]], "r": [["a", "r", "b"]]}))
    tasks = conversion.read_tasks(file)
    assert tasks == {"s": [("b", "s", "a")] * 2, "r": [("a", "r", "b")]}
    assert conversion.tasks_as_triples(tasks) == [("a", "r", "b"), ("b", "s", "a"), ("b", "s", "a")]


@pytest.mark.parametrize("text", ["[1]", "{", '{"r": [["a", "b"]]}', '{"r": 1}'])
def test_tasks_that_are_wrong(file: pathlib.Path, text: str):
    file.write_text(text)
    with pytest.raises(DataError, match="no JSON object of relations"):
        conversion.read_tasks(file)


def test_texts(file: pathlib.Path):
    file.write_text("a\tx\ty\nb\nc\tz\nc\tlast\n")
    assert conversion.read_columns(file) == {"a": "x\ty", "c": "last"}
    assert conversion.name_and_description("stool --  a -- b ") == ("stool", "a -- b")
    assert conversion.name_and_description("stool -- ") == ("stool", "")
    assert conversion.name_and_description("stool") == ("stool", "")
    assert conversion.words_of("isLeaderOf2Groups") == "is leader of2 groups"
    assert conversion.words_of("seeAlso") == "see also"


def test_written_folder_is_loaded(tmp_path: pathlib.Path):
    graph = PublishedGraph(
        triples={"train": [("a", "r", "b")] * 2, "test": [("b", "s", "a")], "known_true": [("b", "r", "a")]},
        entities=[("a", "A", "first"), ("b", "", "")],
        relations=[("r", "R", ""), ("s", "", "S")],
        candidates={"r": ["b"]},
        dev_relations=["r"],
    )
    graph.write(tmp_path / "new")
    dataset = MultimodalDataset(tmp_path / "new")
    assert dataset.duplicates == {"training": 1, "testing": 0}
    assert dataset.entity_table.texts() == {"a": "A: first", "b": None}
    assert dataset.relation_table.texts() == {"r": "R", "s": "S"}
    assert dataset.candidates == {"r": ["b"]}
    assert dataset.dev_relations == ("r",)
    assert dataset.known_true is not None
    assert dataset.known_true.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "a\rb"])
def test_text_that_would_break_the_table(tmp_path: pathlib.Path, text: str):
    with pytest.raises(DataError, match=r"entities\.tsv"):
        PublishedGraph({"train": [("a", "r", "b")]}, entities=[("a", text, "")]).write(tmp_path)
