"""What a run of foreign origin may not do: hold other than JSON, have a pickle read, have files fetched."""

import contextlib
import contextvars
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from ..errors import RunError

__all__ = ["isolated", "read_json"]

#: events of Python's auditing, and what they mean
REFUSED = {
    "pickle.find_class": "read a pickle, which can run any code",
    "urllib.Request": "fetch files from elsewhere",
    "socket.connect": "fetch files from elsewhere",
}

#: the folder of the run that is being loaded
_loading: contextvars.ContextVar[pathlib.Path | None] = contextvars.ContextVar("loading", default=None)
_watching = False


def read_json(path: pathlib.Path) -> Any:
    """Read a JSON file of a run.

    :param path: the file
    :returns: its content
    :raises RunError: if it is missing or no JSON
    """
    if not path.is_file():
        raise RunError(f"{path.parent} is not a saved run, or is incomplete: {path.name} is missing.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}): take a whole copy of the run.") from error


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in REFUSED and (folder := _loading.get()) is not None:
        raise RunError(f"Loading {folder} would {REFUSED[event]}; no saved run needs that, so it is not loaded.")


@contextlib.contextmanager
def isolated(folder: pathlib.Path) -> Iterator[None]:
    """Refuse what a pickle would import, and connections: a model by name can have arguments that name a pickle.

    One is PyKEEN's NodePiece with a precomputed tokenizer. Python tells an audit hook before a pickle gets at any class
    or function, and without these it can run nothing.

    :param folder: the folder of the run, for the message
    :yields: nothing
    """
    global _watching
    if not _watching:
        # an audit hook can never be taken away again, so there is one only, which is idle outside of this block
        _watching = True
        sys.addaudithook(_watch)
    token = _loading.set(folder)
    try:
        yield
    finally:
        _loading.reset(token)
