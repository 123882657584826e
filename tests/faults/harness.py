"""Cases of odd or bad input as data, and the three ways in which one may end.

A case makes its input in a folder of its own; what is tried with it ends in the right result, in one error that names
the culprit, or in a result and a warning that lists what was skipped. Nothing else: no bare traceback, no hang (each
test of this folder has a time limit, see ``conftest.py``), no file that is half written.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from click.testing import CliRunner

from pykeen_mmkg.cli import main
from pykeen_mmkg.errors import MultimodalError

__all__ = ["Case", "Listed", "Refused", "Right", "cases", "cli", "settle"]


@dataclasses.dataclass(frozen=True)
class Right:
    """It works: the check raises AssertionError at a wrong result; a warning is wrong, too."""

    check: Callable[[Any], None]


@dataclasses.dataclass(frozen=True, init=False)
class Refused:
    """One MultimodalError whose message has all of these words (file, row, entity, key); nothing is written."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)


@dataclasses.dataclass(frozen=True, init=False)
class Listed:
    """It works but for something skipped: one warning of the log has all of these words; the result is checked, too."""

    words: tuple[str, ...]
    check: Callable[[Any], None]

    def __init__(self, *words: str, check: Callable[[Any], None] = lambda result: None) -> None:
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "check", check)


@dataclasses.dataclass(frozen=True)
class Case:
    """One input and how it must end.

    :param name: what is odd about it; the test's id
    :param make: makes the input in an empty folder, and returns what the test tries; ``None``: the folder itself
    :param end: how it must end
    """

    name: str
    make: Callable[[pathlib.Path], Any]
    end: Right | Refused | Listed


def cases(them: Iterable[Case]) -> pytest.MarkDecorator:
    """Parametrize a test by the cases of a generator, as its argument ``case``."""
    them = list(them)
    names = [case.name for case in them]
    assert len(set(names)) == len(names), "two cases have one name"
    return pytest.mark.parametrize("case", them, ids=names)


def settle(case: Case, act: Callable[[Any], Any], folder: pathlib.Path, log: pytest.LogCaptureFixture) -> None:
    """Make the input of a case, act on it, and check how it ends.

    :param case: the case
    :param act: what is tried; it gets what the case made, and returns what the case checks
    :param folder: an empty folder, as a rule ``tmp_path``
    :param log: the fixture ``caplog``
    """
    made = case.make(folder)
    before = _files(folder)
    log.clear()
    with log.at_level(logging.WARNING):
        if isinstance(case.end, Refused):
            with pytest.raises(MultimodalError) as caught:
                act(folder if made is None else made)
            message = str(caught.value)
            assert [word for word in case.end.words if word not in message] == [], message
            # a key that is missing, or a library's own words alone, help nobody
            assert len(message.split()) > 3, message
            assert _files(folder) == before, "it was refused, and has changed the files"
            return
        result = act(folder if made is None else made)
    # these libraries warn of much that is as it should be
    records = [record for record in log.records if not record.name.startswith(("pykeen.", "torch_max_mem."))]
    warnings = [record.getMessage() for record in records if record.levelno >= logging.WARNING]
    if isinstance(case.end, Listed):
        assert any(all(word in text for word in case.end.words) for text in warnings), warnings
    else:
        assert warnings == []
    case.end.check(result)
    assert [path for path in _files(folder) if path.endswith(".tmp")] == []


def cli(*arguments: object, status: int = 0, words: Iterable[str] = ()) -> str:
    """Call ``pykeen-mmkg`` in this process.

    :param arguments: as typed
    :param status: the exit status that is right; 2: an error of the user's
    :param words: what must be said, on stdout or, of an error, on stderr
    :returns: what is printed on stdout; of an error, on stderr
    """
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    said = f"{result.output}\n{result.exception!r}"
    assert result.exception is None or isinstance(result.exception, SystemExit), said
    assert result.exit_code == status, said
    assert "Traceback" not in result.output
    text = result.stderr if status else result.stdout
    assert [word for word in words if word not in text] == [], said
    return text


def _files(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file below a folder; links are not followed."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in found}
