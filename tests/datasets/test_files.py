"""Reading tab-separated files: what is accepted, and which error names what."""

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.datasets.delimited import format_rows
from pykeen_mmkg.datasets.files import find_file, read_triples
from pykeen_mmkg.errors import DataError

#: anything but control characters, and no spaces around it
label = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).map(str.strip).filter(bool)


@given(triples=st.lists(st.tuples(label, label, label), min_size=1), ending=st.sampled_from(["\n", "\r\n"]))
def test_any_label_survives(tmp_path_factory: pytest.TempPathFactory, triples: list[tuple[str, str, str]], ending: str):
    """Quotes, blanks, line separators of Unicode: all part of a label; the order and repetitions stay."""
    path = tmp_path_factory.mktemp("files") / "train.tsv"
    # a first label that starts with a byte order mark cannot be told from a file that does
    triples = [(triples[0][0].strip("\ufeff \u3000\xa0") or "x", *triples[0][1:]), *triples[1:]]
    path.write_bytes(format_rows(triples).replace("\n", ending).encode())
    relations = {relation for _, relation, _ in triples}  # no header then
    assert read_triples(path, relations) == triples


def test_dbpedia_label_with_quotes(tmp_path: pathlib.Path):
    path = tmp_path / "train.tsv"
    path.write_text('<http://dbpedia.org/resource/"female_illusionist">\tr\t"b\n')
    assert read_triples(path) == [('<http://dbpedia.org/resource/"female_illusionist">', "r", '"b')]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a\tr\tb\na\tr\n", r"line 2: expected 3 .* found 2"),
        (b"a\tr\tb\tc\n", r"line 1: expected 3 .* found 4"),
        (b"a r b\n", r"line 1: expected 3 .* found 1"),
        (b"a\tr\tb\n\na\tr\tc\n", r"line 2: expected 3"),
        (b"a\tr\tb\na\t\tb\n", "line 2: a column is empty"),
        (b"a\tr\tb\na\tr\t\xff\n", "line 2: not UTF-8"),
        ("a\tr\tb\n".encode("utf-16"), "line 1: not UTF-8"),
        (b"head\trelation\ttail\n", "has a header, but no triple"),
        (b"a\tr\tb\na\tr\x01\tb\n", "line 2: the label .* control character"),
    ],
)
def test_bad_triples(tmp_path: pathlib.Path, content: bytes, message: str):
    path = tmp_path / "train.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as info:
        read_triples(path)
    assert str(path) in str(info.value)


def test_a_known_relation_is_no_header(tmp_path: pathlib.Path):
    path = tmp_path / "train.tsv"
    path.write_text("head\trelation\ttail\n")
    assert read_triples(path, relations=["relation"]) == [("head", "relation", "tail")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("head\trelation\ttail", "a\tr\tb"),
        ("#Subject\tPredicate\tObject", "a\tr\tb"),
        ("head_entity\trelation\ttail_entity", "a\tr\tb"),
        (":START_ID\t:END_ID\t:TYPE", "a\tb\tr"),
        ("year\tsubject_id\tpredicate\tobject label", "1\ta\tr\tb"),
    ],
)
def test_a_header_is_read(tmp_path: pathlib.Path, header: str, row: str):
    path = tmp_path / "train.tsv"
    path.write_text(f"{header}\n{row}\n")
    notes: list[str] = []
    assert read_triples(path, notes=notes) == [("a", "r", "b")]
    assert ["year" in note for note in notes] == [True] * header.startswith("year")


def test_find_file(tmp_path: pathlib.Path):
    assert find_file(tmp_path, "train") is None
    (tmp_path / "train.txt").touch()
    assert find_file(tmp_path, "train") == tmp_path / "train.txt"
    (tmp_path / "train.tsv").touch()
    with pytest.raises(DataError, match="train.tsv and train.txt"):
        find_file(tmp_path, "train")
