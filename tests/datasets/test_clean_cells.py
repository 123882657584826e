"""Cells found by bytes against cells found by splitting lines."""

import pathlib

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.datasets.clean_cells import CleanCells, clean_cells
from pykeen_mmkg.datasets.delimited import read_rows
from pykeen_mmkg.errors import DataError

CELL = st.text(st.sampled_from('abé嗨 "'), max_size=3) | st.sampled_from(["eight888", "nine99999", "x" * 16, "x" * 17])


def _write(folder: pathlib.Path, text: str, name: str = "rows.tsv") -> pathlib.Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@given(st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1)))
@settings(deadline=None, max_examples=60)
def test_the_cells_are_those_of_the_rows(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]):
    path = _write(tmp_path_factory.mktemp("cells"), "\n".join("\t".join(row) for row in rows) + "\n\n")
    cells = clean_cells(path)
    if any(cell.startswith('"') for row in rows for cell in row) or not "".join(rows[-1]).strip():
        assert cells is None
        return
    assert cells is not None
    assert [cells.row(i) for i in range(len(rows))] == [row for _, row in read_rows(path)] == rows
    assert cells.columns() == [[row[i] for row in rows[1:]] for i in range(len(rows[0]))]
    found = cells.factorized([1, 0])
    assert found is not None
    codes, labels = found
    assert [[labels[code] for code in row] for row in codes.tolist()] == [[row[1], row[0]] for row in rows]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a\n",
        "a\tb\nc\n",
        "a\tb\nc\td\te\n",
        "a\tb\n\nc\td\n",
        "a\tb\n \t\n",
        "a\tb\r",
        "a\x1fb\tc\n",
        "a\x7f\tc",
    ]
    + ["a\0\tb\n", "a\tb\n\t\u2003"],
)
def test_what_needs_more_care_is_left_alone(tmp_path: pathlib.Path, text: str):
    assert clean_cells(_write(tmp_path, text)) is None


def test_other_files_are_left_alone(tmp_path: pathlib.Path):
    assert clean_cells(_write(tmp_path, "a\tb\n", "rows.csv")) is None
    (tmp_path / "latin.tsv").write_bytes("é\tb\n".encode("latin-1"))
    assert clean_cells(tmp_path / "latin.tsv") is None
    with pytest.raises(DataError, match="gone.tsv does not exist"):
        clean_cells(tmp_path / "gone.tsv")


def test_marks_and_line_ends_of_other_systems(tmp_path: pathlib.Path):
    cells = clean_cells(_write(tmp_path, "\ufeffa\tb\r\nc\td\r\n"))
    assert cells is not None and [cells.row(0), cells.row(1)] == [["a", "b"], ["c", "d"]]


def test_cells_with_one_fingerprint_are_noticed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    cells = clean_cells(
        _write(tmp_path, "longer than eight\tlonger than eighty\nlonger than eight\tlonger than nine!\n")
    )
    assert cells is not None and cells.factorized([0]) is not None
    monkeypatch.setattr(
        CleanCells, "_fingerprints", lambda self, starts, lengths: numpy.zeros(len(starts), numpy.uint64)
    )
    assert cells.factorized([0]) is not None
    assert cells.factorized([1]) is None and cells.factorized([0, 1]) is None
