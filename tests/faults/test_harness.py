"""The harness itself: each way in which a case may fail is noticed."""

import logging
import pathlib

import pytest

from pykeen_mmkg.errors import DataError

from .harness import Case, Listed, Refused, Right, cli, settle


def _fine(result: object) -> None:
    assert result == 1


def _write_and_refuse(folder: pathlib.Path) -> None:
    (folder / "half").touch()
    raise DataError("row 3 of x.tsv is bad")


def _refuse(folder: pathlib.Path) -> None:
    raise DataError("row 3 of x.tsv is bad")


def _warn(folder: pathlib.Path) -> int:
    logging.getLogger("x").warning("y.tsv is ignored")
    return 1


@pytest.mark.parametrize(
    ("end", "act"),
    [(Right(_fine), lambda folder: 1), (Refused("row 3", "x.tsv"), _refuse), (Listed("y.tsv", check=_fine), _warn)],
)
def test_as_it_should_end(end, act, tmp_path, caplog) -> None:
    settle(Case("good", lambda folder: None, end), act, tmp_path, caplog)


@pytest.mark.parametrize(
    ("end", "act"),
    [
        (Right(_fine), lambda folder: 2),
        (Right(_fine), _warn),
        (Right(_fine), lambda folder: (folder / ".x.tmp").touch() or 1),
        (Listed("z.tsv"), _warn),
        (Listed("y.tsv"), lambda folder: 1),
        (Refused("row 4"), _refuse),
        (Refused("row 3"), _write_and_refuse),
    ],
)
def test_another_end_is_noticed(end, act, tmp_path, caplog) -> None:
    with pytest.raises(AssertionError):
        settle(Case("bad", lambda folder: None, end), act, tmp_path, caplog)


@pytest.mark.parametrize("act", [lambda folder: {}["x"], lambda folder: 1])
def test_a_bare_traceback_or_none_at_all_is_noticed(act, tmp_path, caplog) -> None:
    with pytest.raises((KeyError, pytest.fail.Exception)):
        settle(Case("bad", lambda folder: None, Refused("x")), act, tmp_path, caplog)


def test_the_command_line_is_held_to_its_status(tmp_path) -> None:
    cli("audit", tmp_path / "nothing", status=2, words=["nothing"])
    with pytest.raises(AssertionError):
        cli("audit", tmp_path / "nothing")
