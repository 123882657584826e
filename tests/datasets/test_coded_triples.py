"""Triples read by their bytes against triples read row by row: the same labels, notes and errors."""

import pathlib
from collections import Counter

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.datasets.coded_triples import CodedTriples, read_splits
from pykeen_mmkg.datasets.files import read_triples
from pykeen_mmkg.datasets.tables import ModalityTable
from pykeen_mmkg.errors import DataError, MultimodalError

CELL = st.sampled_from(["a", "b", "é", "head", "relation", "tail", "name", "a longer label"])
ODD = st.sampled_from(["", " ", " a", "b\u00a0", '"', '"a"', '""', "x\x01", "x\x7f", "\r", "\0", "|", "../x.png"])
TRIPLE = st.tuples(*[st.sampled_from("abc")] * 3)


@st.composite
def files(draw: st.DrawFn) -> str:
    """Draw a file: mostly plain rows, now and then an odd cell or an odd length."""
    width = draw(st.sampled_from([3, 3, 3, 2, 4]))
    rows = draw(st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=0, max_size=5))
    if draw(st.booleans()):
        rows.insert(0, draw(st.permutations(["head", "relation", "tail", "more"][:width])))
    for _ in range(draw(st.integers(0, 2)) if rows else 0):
        row = draw(st.sampled_from(rows))
        if draw(st.booleans()) and row:
            row[draw(st.integers(0, len(row) - 1))] = draw(ODD)
        elif draw(st.booleans()):
            row.append(draw(CELL | ODD))
        else:
            row.pop()
    return "\n".join("\t".join(row) for row in rows) + draw(st.sampled_from(["", "\n", "\n\n", "\n \t\n"]))


def read_coded(path, relations=(), notes=None):
    return read_splits({"": path}, relations, notes)[""]


def outcome(read, path, *args):
    notes: list[str] = []
    try:
        return list(read(path, *args, notes)), notes
    except MultimodalError as error:
        return type(error), str(error)


@given(files(), st.sampled_from([(), ("relation",)]))
@settings(deadline=None, max_examples=200)
def test_triples_notes_and_errors_are_those_of_the_rows(tmp_path_factory: pytest.TempPathFactory, text, relations):
    path = tmp_path_factory.mktemp("triples") / "train.tsv"
    path.write_text(text, encoding="utf-8", newline="")
    assert outcome(read_coded, path, relations) == outcome(read_triples, path, relations)


@given(st.lists(files(), min_size=1, max_size=4), st.sampled_from([(), ("relation",)]))
@settings(deadline=None, max_examples=200)
def test_splits_that_are_read_together_are_those_of_each_file(
    tmp_path_factory: pytest.TempPathFactory, texts, relations
):
    folder = tmp_path_factory.mktemp("splits")
    paths = {f"split {i}": folder / f"{i}.tsv" for i in range(len(texts))}
    for path, text in zip(paths.values(), texts, strict=True):
        path.write_text(text, encoding="utf-8", newline="")

    def each(_, known, notes):
        return [(split, list(read_triples(path, known, notes))) for split, path in paths.items()]

    def together(_, known, notes):
        return [(split, list(own)) for split, own in read_splits(paths, known, notes).items()]

    assert outcome(together, folder, relations) == outcome(each, folder, relations)


def test_plain_splits_share_their_labels(tmp_path: pathlib.Path):
    paths = {name: tmp_path / f"{name}.tsv" for name in ("one", "two", "odd")}
    for path, text in zip(paths.values(), ["a\tr\tb\n", "b\tr\tc\n", "a\tr\t b\n"], strict=True):
        path.write_text(text, encoding="utf-8")
    read = read_splits({name: paths[name] for name in ("one", "two")})
    assert read["one"].entities is read["two"].entities and read["one"].entities == ["a", "b", "c"]
    assert read["one"].relations is read["two"].relations
    # spaces around a label are found in one of them, and the others stay as they are
    assert {name: list(own) for name, own in read_splits(paths, (), []).items()} == {
        "one": [("a", "r", "b")],
        "two": [("b", "r", "c")],
        "odd": [("a", "r", "b")],
    }


@given(
    files(), st.sampled_from(["entity\tname", "entity\tname\tdescription", "id\timages\tname", "entity\tname\tmore"])
)
@settings(deadline=None, max_examples=200)
def test_tables_notes_and_errors_are_those_of_the_rows(tmp_path_factory: pytest.TempPathFactory, text, header):
    path = tmp_path_factory.mktemp("tables") / "entities.tsv"
    path.write_text(f"{header}\n{text}", encoding="utf-8", newline="")

    def load(path, notes):
        table = ModalityTable.load(path, notes=notes)
        return table.labels, table.names, table.descriptions, table.images

    expected = outcome(load, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModalityTable, "_clean", lambda *args: None)
        assert expected == outcome(load, path)


def test_a_plain_file_is_not_read_by_rows(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "train.tsv"
    path.write_text("subject\tpredicate\tobject\tweight\na\tlikes\té\t1\n", encoding="utf-8")
    monkeypatch.setattr("pykeen_mmkg.datasets.coded_triples.read_triples", None)
    notes: list[str] = []
    assert list(read_coded(path, (), notes)) == [("a", "likes", "é")]
    assert notes == [f"{path}: the columns 'weight' are ignored"]


def test_a_plain_table_is_not_read_by_rows(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "entities.tsv"
    path.write_text("name\tid\nAnn\ta\n\té\n", encoding="utf-8")
    monkeypatch.setattr(ModalityTable, "_by_rows", None)
    table = ModalityTable.load(path)
    assert (table.labels, table.names, table.descriptions) == (("a", "é"), ("Ann", ""), ("", ""))


@given(st.lists(TRIPLE, max_size=12))
def test_a_sequence_of_triples(triples):
    coded = CodedTriples.of(triples)
    assert list(coded) == triples and len(coded) == len(triples) and CodedTriples.of(coded) is coded
    assert coded[1:] == triples[1:] and all(coded[i] == triple for i, triple in enumerate(triples))
    repeated = [triple in triples[:i] for i, triple in enumerate(triples)]
    assert coded.repeated().tolist() == repeated
    assert list(coded.select(~coded.repeated())) == list(dict.fromkeys(triples))
    if any(repeated):
        counts = Counter(triples)
        assert coded.first_repeated() == next(triple for triple in triples if counts[triple] > 1)
    entities, relations = {"a": 5, "b": 3, "c": 0}, {"a": 1, "b": 0, "c": 7}
    ids = [[entities[h], relations[r], entities[t]] for h, r, t in triples]
    numbers = ((coded.entities, entities), (coded.relations, relations))
    own = (numpy.array([to_id[label] for label in labels], dtype=int) for labels, to_id in numbers)
    assert coded.mapped(*own).tolist() == ids


def test_a_missing_file(tmp_path: pathlib.Path):
    with pytest.raises(DataError, match="gone.tsv does not exist"):
        read_coded(tmp_path / "gone.tsv")
