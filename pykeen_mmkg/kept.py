"""What was made for a model, kept for as long as the model lives and nothing that it was made of changes."""

import operator
import os
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from torch import nn

__all__ = ["Kept", "file_stamp"]

X = TypeVar("X")


class _Made(NamedTuple):
    parts: tuple[Any, ...]
    state: tuple[Any, ...]
    result: Any


class Kept:
    """The last thing that was made for each model. It must not hold the model, which could never go then."""

    def __init__(self) -> None:
        """Initialize an empty collection."""
        self._made: WeakKeyDictionary[nn.Module, _Made] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._made)

    def get(self, model: nn.Module, parts: tuple[Any, ...], state: tuple[Any, ...], make: Callable[[], X]) -> X:
        """Return what was made for a model, or make it anew.

        :param model: the model
        :param parts: what it is made of: the same objects must come again
        :param state: what else it depends on: equal values must come again
        :param make: makes it
        """
        made = self._made.get(model)
        same = made is not None and len(made.parts) == len(parts) and all(map(operator.is_, made.parts, parts))
        if made is not None and same and made.state == state:
            return made.result
        result = make()
        self._made[model] = _Made(parts, state, result)
        return result


def file_stamp(path: str | os.PathLike[str] | None) -> tuple[int, int] | None:
    """Return what changes when a file does, None if there is no file."""
    try:
        status = os.stat(path or "")
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
