"""Tables of entities and files of triples: quotes, breaks, columns, and bytes that are none of ours."""

import pathlib
from collections.abc import Callable, Iterator

import pandas as pd
import pytest

from pykeen_mmkg.datasets import ModalityTable
from pykeen_mmkg.datasets.files import read_triples

from .harness import Case, Listed, Refused, Right, cases, cli, settle

BREAKS = ["one\ntwo", "one\r\ntwo", 'a "quoted"\nword', "tab\tin it", "\n\nblank lines", 'ends with"', '"all"', "a,b;c"]


def _write(name: str, content: str | bytes) -> Callable[[pathlib.Path], pathlib.Path]:
    def make(folder: pathlib.Path) -> pathlib.Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def _from_pandas() -> Iterator[Case]:
    for suffix, separator in ((".tsv", "\t"), (".csv", ","), (".csv", ";")):
        for quoting in (0, 1):
            for text in BREAKS:
                frame = pd.DataFrame({"entity": ["a", "b", "c"], "description": ["A", text, 'say "so"']})
                content = frame.to_csv(sep=separator, index=False, quoting=quoting, lineterminator="\n")

                def check(table: ModalityTable, text: str = text) -> None:
                    assert table.labels == ("a", "b", "c")
                    assert table.descriptions[1].split() == text.split()
                    assert table.descriptions[2] == 'say "so"'

                yield Case(f"{suffix} {separator!r} {quoting} {text!r}", _write(f"x{suffix}", content), Right(check))


def _tables() -> Iterator[Case]:
    def rows(*labels: str) -> Right:
        def check(table: ModalityTable) -> None:
            assert table.labels == labels

        return Right(check)

    yield Case("literal quotes", _write("x.tsv", 'id\tname\na\t"x\nb\ty"\n'), rows("a", "b"))
    yield Case("short rows", _write("x.tsv", "id\tname\tdescription\na\nb\tB\n"), rows("a", "b"))
    yield Case("CRLF", _write("x.tsv", "id\tname\r\na\tA\r\n"), rows("a"))
    yield Case(
        "digits", _write("x.tsv", "id\tname\n007\tJames\n7\tseven\n1e3\tx\nnan\ty\n"), rows("007", "7", "1e3", "nan")
    )
    yield Case("digits in CSV", _write("x.csv", "id,name\n007,James\nNA,y\nTrue,z\n"), rows("007", "NA", "True"))
    yield Case("index of pandas", _write("x.csv", ",id,name\n0,a,A\n"), Listed("x.csv", "['']", "not used"))
    yield Case("spaces", _write("x.tsv", "id\tname\n a \tA\n"), Listed("x.tsv", "' a '", check=rows("a").check))
    yield Case("typo", _write("x.tsv", "id\tname\tdescripton\na\tA\tx\n"), Listed("x.tsv", "descripton"))
    broken = {
        "quote not closed": ("x.tsv", 'id\tname\na\t"one\ntwo\nb\tB\n', ("line 2", "quote")),
        "quote not closed in CSV": ("x.csv", 'id,name\na,"one\ntwo\nb,B\n', ("x.csv", "quote")),
        "two after spaces": ("x.tsv", "id\tname\na\tA\na \tB\n", ("line 3", "'a'", "line 2")),
        "NUL": ("x.tsv", "id\tname\na\0b\tA\n", ("line 2", "NUL")),
        "NUL in a text": ("x.tsv", "id\tname\na\tA\nb\tB\0\n", ("line 3", "NUL")),
        "escape in a label": ("x.tsv", "id\tname\na\x1bb\tA\n", ("line 2", "\\x1b")),
        "break in a label": ("x.csv", 'id,name\n"a\nb",A\n', ("line 2", "\\n")),
        "latin 1": ("x.tsv", "id\tname\na\té\n".encode("latin1"), ("line 2", "UTF-8")),
        "UTF-16": ("x.tsv", "id\tname\na\tA\n".encode("utf-16"), ("x.tsv", "UTF-8")),
        "UTF-16 without mark": ("x.tsv", "id\tname\na\tA\n".encode("utf-16-le"), ("x.tsv", "NUL")),
        "empty": ("x.tsv", "", ("x.tsv", "empty")),
        "no header": ("x.tsv", "a\tA\n", ("x.tsv", "'entity'")),
        "no text": ("x.tsv", "id\na\n", ("x.tsv", "'description'")),
        "column twice": ("x.tsv", "id\tname\tname\na\tA\tB\n", ("'name' twice",)),
        "no label": ("x.tsv", "id\tname\n \tA\n", ("line 2", "no label")),
        "too many columns": ("x.tsv", "id\tname\na\tA\tB\n", ("line 2", "3 columns")),
        "image gone": ("x.tsv", "id\timages\na\tgone.png\n", ("line 2", "'a'", "gone.png")),
        "image is a folder": ("x.tsv", "id\timages\na\t.\n", ("line 2", "'a'")),
        "no gzip": ("x.tsv.gz", "id\tname\n", ("x.tsv.gz", "cannot be read")),
        "no parquet": ("x.parquet", "id\tname\n", ("x.parquet", "cannot be read")),
        "a zip": ("x.csv", b"PK\x03\x04\x00\x00", ("x.csv", "NUL")),
    }
    for name, (file, content, words) in broken.items():
        yield Case(name, _write(file, content), Refused(file, *words))
    yield Case("missing", lambda folder: folder / "gone.tsv", Refused("gone.tsv", "does not exist"))
    yield Case("a folder", lambda folder: folder, Refused("is a folder"))


@cases([*_from_pandas(), *_tables()])
def test_table(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    settle(case, ModalityTable.load, tmp_path, caplog)


def _triples() -> Iterator[Case]:
    def rows(*triples: tuple[str, str, str]) -> Callable[[object], None]:
        def check(found: object) -> None:
            assert found == list(triples)

        return check

    one = ("a", "r", "b")
    for header in ("head_entity\trelation\ttail_entity", "h\tr\tt", "#head\trel\ttail", "Source\tType\tTarget"):
        yield Case(header, _write("t.tsv", f"{header}\na\tx\tb\n"), Right(rows(("a", "x", "b"))))
    yield Case(
        "a relation named like a header",
        _write("t.tsv", "h\tr\tt\nt\tr\th\n"),
        Right(rows(("h", "r", "t"), ("t", "r", "h"))),
    )
    yield Case("quotes are labels'", _write("t.tsv", '"a\tr\t"b"\n'), Right(rows(('"a', "r", '"b"'))))
    yield Case("quoted labels", _write("t.tsv", '"a ""x"""\tr\tb\n'), Right(rows(('a "x"', "r", "b"))))
    yield Case("spaces inside", _write("t.tsv", "a  b\tr s\tc\n"), Right(rows(("a  b", "r s", "c"))))
    yield Case("spaces around", _write("t.tsv", "a\t likes \tb \n"), Listed("line 1", "2 labels", "' likes '"))
    yield Case("a no-break space", _write("t.tsv", "a\u00a0\tr\tb\n"), Listed("line 1", check=rows(one)))
    yield Case("repeated", _write("t.tsv", "a\tr\tb\n" * 2), Right(rows(one, one)))
    broken = {
        "two columns": ("a\tr\tb\na\tr\n", ("line 2", "found 2")),
        "four columns": ("a\tr\tb\tc\n", ("line 1", "found 4")),
        "spaces for tabs": ("a r b\n", ("line 1", "found 1")),
        "commas for tabs": ("a,r,b\n", ("line 1", "found 1")),
        "blank line": ("a\tr\tb\n\na\tr\tc\n", ("line 2",)),
        "empty column": ("a\t\tb\n", ("line 1", "empty")),
        "blank column": ("a\t \tb\n", ("line 1", "empty")),
        "NUL": ("a\tr\tb\0\n", ("line 1", "NUL")),
        "bell": ("a\tr\tb\x07c\n", ("line 1", "\\x07")),
        "only a header": ("head\trelation\ttail\n", ("no triple",)),
        "empty": ("\n", ("empty",)),
        "old Macintosh": ("a\tr\tb\ra\tr\tc\r", ("line 1", "found 5")),
    }
    for name, (content, words) in broken.items():
        yield Case(name, _write("t.tsv", content), Refused("t.tsv", *words))


@cases(_triples())
def test_triples(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    settle(case, read_triples, tmp_path, caplog)


@pytest.mark.parametrize("content", ["a\tr\n", "", "a\tr\tb\0\n"])
def test_the_command_names_the_file(content: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "train.tsv").write_text(content)
    (tmp_path / "test.tsv").write_text("a\tr\tb\n")
    cli("audit", tmp_path, status=2, words=["train.tsv"])
