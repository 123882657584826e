"""Rows of cells: quoting that is beyond doubt, separators, compression, and the way back."""

import csv
import gzip
import io
import pathlib

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.datasets import delimited
from pykeen_mmkg.datasets.delimited import format_rows, read_lines, read_rows
from pykeen_mmkg.errors import DataError

#: cells with many quotes, without what ends a line
cell = st.text(st.sampled_from('"" ab,;\'é') | st.characters(exclude_categories=["Cc", "Cs"])).filter(
    lambda text: text != "\ufeff"
)


def _cells(path: pathlib.Path) -> list[list[str]]:
    return [cells for _, cells in read_rows(path)]


@given(rows=st.lists(st.tuples(cell, cell), min_size=1).map(lambda rows: [("k", "text"), *rows, ("end", "end")]))
def test_rows_survive(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]):
    """Quotes inside, at the ends and doubled: what is written is what is read, without quoting, too."""
    path = tmp_path_factory.mktemp("rows") / "x.tsv"
    path.write_text(format_rows(rows), encoding="utf-8", newline="\n")
    assert _cells(path) == [list(row) for row in rows]


text = st.text(st.sampled_from('"\n ab,') | st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


@given(texts=st.lists(text, min_size=1), suffix=st.sampled_from([".tsv", ".csv"]), gz=st.booleans(), full=st.booleans())
def test_what_pandas_writes(tmp_path_factory: pytest.TempPathFactory, texts, suffix: str, gz: bool, full: bool):
    """Line breaks, quotes and separators within cells; all of it quoted, or only what needs it."""
    path = tmp_path_factory.mktemp("rows") / f"x{suffix}{'.gz' * gz}"
    # without quoting, a cell of a TSV that only looks quoted cannot be told from one that is
    frame = pd.DataFrame({"k": "x", "text": texts + ['a "quoted"\nword, here']}, dtype=str)
    frame.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False, quoting=csv.QUOTE_ALL if full else 0)
    assert _cells(path) == [["k", "text"], *([["x", value] for value in frame["text"]])]


def test_quotes_of_texts_stay(tmp_path: pathlib.Path):
    path = tmp_path / "x.tsv"
    rows = [['"Weird Al" Yankovic', 'says "hi'], ['"a', 'b"'], ['""', '"all of it"'], ['""x""', '"open\t']]
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    assert _cells(path) == [*rows[:-1], ['""x""', '"open', ""]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_of_csv(tmp_path: pathlib.Path, separator: str):
    path = tmp_path / "x.csv"
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator).writerows([["a", "b", "c"], ["1,5", "x;y", "z"]])
    path.write_text(buffer.getvalue())
    assert _cells(path) == [["a", "b", "c"], ["1,5", "x;y", "z"]]


def test_lines_are_counted_through_cells(tmp_path: pathlib.Path):
    path = tmp_path / "x.csv"
    path.write_text('a,b\n1,"x\ny"\n2,z\n\n\n')
    assert [number for number, _ in read_rows(path)] == [1, 2, 4]


def test_parquet(tmp_path: pathlib.Path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    pd.DataFrame({"id": [7, 8], "name": ["x", None], "images": [["a.jpg", "b.jpg"], None]}).to_parquet(path)
    assert _cells(path) == [["id", "name", "images"], ["7", "x", "a.jpg|b.jpg"], ["8", "", ""]]
    pd.DataFrame({"id": ["7"], "image": [b"x"]}).to_parquet(path)
    with pytest.raises(DataError, match="row 2: a cell holds bytes"):
        read_rows(path)


def test_byte_order_mark(tmp_path: pathlib.Path):
    path = tmp_path / "train.tsv"
    path.write_bytes(b"\xef\xbb\xbfa\tr\tb\n")
    assert read_lines(path) == ["a\tr\tb"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.tsv", b"a\n\0", "line 2: a NUL byte"),
        ("x.tsv.gz", b"no gzip", "cannot be read"),
        ("x.tsv.gz", gzip.compress(b"a\tb\n" * 999, mtime=0)[:-9], "cannot be read"),
        ("x.csv", b'a,"b\n', "no valid CSV"),
        ("x.csv", b'a,"b"c\n', "no valid CSV"),
        ("x.parquet", b"PAR1", "cannot be read"),
        ("x.csv", b"\n\n", "is empty"),
    ],
)
def test_damaged(tmp_path: pathlib.Path, name: str, content: bytes, message: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as info:
        read_rows(path)
    assert str(path) in str(info.value)


def test_a_bomb_is_not_unpacked(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delimited, "MAX_UNPACKED", 1000)
    path = tmp_path / "x.tsv.gz"
    path.write_bytes(gzip.compress(b"0" * 1001))
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        read_rows(path)


def test_missing_file(tmp_path: pathlib.Path):
    with pytest.raises(DataError, match="train.tsv does not exist"):
        read_lines(tmp_path / "train.tsv")
    with pytest.raises(DataError, match="is a folder"):
        read_lines(tmp_path)
