"""Files that are either whole or not there, however a write ends, and what tells one from another."""

import contextlib
import hashlib
import json
import math
import os
import pathlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy

__all__ = ["file_digest", "write_json", "write_text", "written_whole"]


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Give a temporary path beside the path, and put what has been written there in its place.

    If the block raises, what was at the path stays as it was. Processes that write the same file do not disturb each
    other; the last one wins.

    :param path: the file to write; missing parent folders are made
    :yields: the path to write to; the file exists, with the permissions of a new one, which the result will have
    :raises OSError: if the folder cannot be written
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.touch()
        # some writers (safetensors) make files that only their owner may read, which would break shared caches
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file whole or not at all, in UTF-8 and with plain line feeds.

    :param path: the file to write
    :param text: its content
    """
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write a JSON file whole or not at all.

    :param path: the file to write
    :param content: what JSON has, NumPy's numbers, and paths; numbers that JSON lacks (NaN, infinities) become null
    :raises TypeError: if there is anything else
    """
    write_text(path, json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, numpy.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, read in blocks.

    :param path: the file
    :returns: 64 hexadecimal digits
    :raises OSError: if it cannot be read
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
