"""Files that are either whole or not there, however a write ends, and what tells one from another."""

import contextlib
import hashlib
import json
import math
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy

from .errors import DataError

__all__ = ["file_digest", "folder_written_whole", "link_or_copy", "write_json", "write_text", "written_whole"]


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


@contextlib.contextmanager
def folder_written_whole(folder: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Give a temporary folder beside a folder, of the same depth, and put it in its place once it is written.

    :param folder: the folder to write, new or empty
    :yields: the folder to write to; if the block raises, nothing of it stays
    :raises DataError: if the folder holds files
    """
    folder = pathlib.Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty; write to a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.absolute().with_name(f".{folder.absolute().name}.{uuid.uuid4().hex[:8]}")
    made.mkdir()
    try:
        yield made
        made.replace(folder)
    except BaseException:
        shutil.rmtree(made)
        raise


def link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Give a file a second name, or, on another file system, copy it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        with written_whole(target) as temporary:
            shutil.copyfile(source, temporary)


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
