"""Rows of cells from the files that people keep tables in: TSV, CSV, either of them gzipped, and Parquet.

A tab-separated file (``.tsv``, ``.txt``) has no quoting as a rule: quotes belong to labels and texts. It is taken as
quoted, as pandas or R write it, if that leaves no doubt: a quoted cell has doubled quotes inside or goes on over
several lines, or every cell of the file is quoted. A file of comma-separated values (``.csv``; also with semicolons or
tabs, whichever its first line has most of) is always read with quoting.
"""

import codecs
import csv
import gzip
import io
import pathlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from ..errors import DataError

__all__ = ["SUFFIXES", "Row", "format_rows", "read_lines", "read_rows"]

#: the number of the line at which a row begins, and its cells
Row = tuple[int, list[str]]

#: the suffixes of files that are read as rows
SUFFIXES = tuple(suffix + packed for suffix in (".tsv", ".txt", ".csv") for packed in ("", ".gz")) + (".parquet",)

#: what a gzipped file may hold, in bytes: a small one can unpack to more than fits into memory
MAX_UNPACKED = 1 << 31


def read_bytes(path: pathlib.Path) -> bytes:
    """Read a file, gzipped if it is called ``.gz``.

    :param path: the file
    :returns: its bytes
    :raises DataError: if the file is missing, no regular file, or damaged
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a file")
    if not path.is_file():
        raise DataError(f"{path} is no regular file" if path.exists() else f"{path} does not exist")
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as file:
            data = file.read(MAX_UNPACKED + 1)
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_UNPACKED:
        raise DataError(f"{path} unpacks to more than {MAX_UNPACKED:,} bytes; unpack it yourself")
    return data


def without_mark(data: bytes) -> bytes:
    """Return the bytes of a UTF-8 text without the mark of byte order that some editors put before it."""
    return data.removeprefix(codecs.BOM_UTF8)


def read_text(path: pathlib.Path) -> str:
    r"""Read a UTF-8 text file, gzipped if it is called ``.gz``; ``\r\n`` becomes ``\n``.

    :param path: the file
    :returns: the text
    :raises DataError: if the file is missing, no regular file, not UTF-8, damaged, or binary
    """
    data = without_mark(read_bytes(path))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 ({error.reason}); convert the file to UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, line {line}: a NUL byte; the file is binary, damaged or UTF-16: convert it to UTF-8")
    return text.replace("\r\n", "\n")


def read_lines(path: pathlib.Path) -> list[str]:
    r"""Read the lines of a UTF-8 text file, without line ends; blank lines at the end are left out.

    Only ``\n`` and ``\r\n`` end a line: labels may hold the other characters that :meth:`str.splitlines` splits at.

    :param path: the file
    :returns: the lines, at least one
    :raises DataError: if the file is missing, empty, binary or not UTF-8
    """
    lines = read_text(path).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{path} is empty: it has no line to read")
    return lines


def read_rows(path: pathlib.Path) -> list[Row]:
    """Read the rows of a TSV, CSV or Parquet file; blank rows at the end are left out.

    :param path: the file; without one of the suffixes :data:`SUFFIXES`, it is read as tab-separated
    :returns: the rows, at least one, possibly of different lengths; of Parquet, the first one has the names of the
        columns, and what is missing is empty
    :raises DataError: if the file is missing, empty, damaged, binary or not UTF-8, or its quoting is broken
    """
    if path.suffix == ".parquet":
        return _parquet(path)
    lines = read_lines(path)
    if ".csv" in path.suffixes[-2:]:
        separator = max(",;\t", key=lambda char: lines[0].count(char))
        try:
            return _unquoted(lines, separator)
        except csv.Error as error:
            raise DataError(f"{path}: no valid CSV: {error}; is a quote not closed or not doubled?") from None
    rows = [(number, line.split("\t")) for number, line in enumerate(lines, start=1)]
    quoted = _quoted(rows, lines)
    return rows if quoted is None else quoted


def _unquoted(lines: Sequence[str], separator: str) -> list[Row]:
    """Parse lines of quoted cells."""
    reader = csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    start = 1
    for cells in reader:
        rows.append((start, cells or [""]))
        start = reader.line_num + 1
    return rows


def _closed(cell: str) -> bool:
    """Return whether a cell is in quotes, with none or only doubled ones inside."""
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")


def _quoted(rows: Sequence[Row], lines: Sequence[str]) -> list[Row] | None:
    """Parse a tab-separated file that is quoted beyond doubt, see the module's text; None for any other."""
    cells = [cell for _, row in rows for cell in row if cell[:1] == '"']
    opened = any(row[-1][:1] == '"' and row[-1].count('"') % 2 for _, row in rows)
    doubled = any('""' in cell[1:-1] and _closed(cell) for cell in cells)
    if not (opened or doubled or (cells and all(_closed(cell) for _, row in rows for cell in row))):
        return None
    try:
        parsed = _unquoted(lines, "\t")
    except csv.Error:
        return None
    spans = [cell for _, row in parsed for cell in row if "\n" in cell]
    # what looks like a cell over several lines, but holds tabs, is two texts that begin and end with a quote
    if any("\t" in cell for cell in spans) or not (spans or doubled or not opened):
        return None
    return parsed


def _parquet(path: pathlib.Path) -> list[Row]:
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(f"{path} cannot be read without Arrow: pip install pyarrow") from error
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    header = [str(name) for name in frame.columns]
    body = zip(*(frame[name] for name in frame.columns), strict=True)
    return [(1, header), *((n, [_cell(c, path, n) for c in row]) for n, row in enumerate(body, start=2))]


def _cell(value: Any, path: pathlib.Path, row: int) -> str:
    if isinstance(value, bytes | dict):
        raise DataError(f"{path}, row {row}: a cell holds {type(value).__name__}; `import_graph` takes such tables")
    if hasattr(value, "__len__") and not isinstance(value, str):
        return "|".join(_cell(part, path, row) for part in value)
    return "" if value is None or pd.isna(value) else str(value)


def format_rows(rows: Iterable[Sequence[str]]) -> str:
    """Write rows as tab-separated text that :func:`read_rows` gives back as they are.

    Cells are quoted only where they would be read otherwise.

    :param rows: the rows, of cells without line breaks; a tab in a cell is the caller's mistake
    :returns: the text
    """
    cells = [list(row) for row in rows]
    lines = ["\t".join(row) for row in cells]
    if _quoted(list(enumerate(cells, start=1)), lines) is not None:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(cells)
        return buffer.getvalue()
    return "".join(f"{line}\n" for line in lines)


def broken_row(rows: Sequence[Row], width: int) -> int | None:
    """Return the line of a quote that opens in a row's last cell and is not closed before a row with too few cells."""
    pairs: Iterator[tuple[Row, Row]] = zip(rows, rows[1:], strict=False)
    for (number, row), (_, after) in pairs:
        if len(after) < width and row[-1][:1] == '"' and row[-1].count('"') % 2:
            return number
    return None
