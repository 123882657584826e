"""Images in tar archives, such as the shards of WebDataset: read where they are, without unpacking.

A member has the path of its archive with its own name behind it, as if the archive were a folder:
``images/shard-000.tar/red_disc.jpg``. Only plain archives can be read like that, since a compressed one has no places
to go to; nothing is ever extracted.
"""

import functools
import hashlib
import os
import pathlib
import tarfile
from collections.abc import Mapping

from .errors import ImageError
from .io import file_digest

__all__ = ["ARCHIVE_SUFFIX", "find_member", "image_digest", "image_size", "members", "read_member"]

#: the suffix by which a file in an image folder counts as an archive
ARCHIVE_SUFFIX = ".tar"


def members(archive: str | pathlib.Path) -> Mapping[str, tuple[int, int]]:
    """List the regular files of a tar archive; the list is kept while the archive does not change.

    :param archive: the archive
    :returns: name -> where its content begins in the archive, and how many bytes it has; of a name that comes twice,
        the last one counts, as in tar
    :raises ImageError: if it cannot be read, is compressed, cut off or no archive, or a name leads out of it
    """
    try:
        status = os.stat(archive)
        return _members(os.path.abspath(archive), status.st_mtime_ns, status.st_size)
    except (OSError, tarfile.TarError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"The archive {archive} cannot be read: {reason}. It must be a whole tar archive, not a compressed one."
        ) from None


@functools.lru_cache(maxsize=4096)
def _members(archive: str, modified: int, size: int) -> Mapping[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    with tarfile.open(archive, "r:") as content:
        for member in content:
            if not member.isreg() or member.issparse():
                continue
            name = pathlib.PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts:
                raise tarfile.ReadError(f"the name {member.name!r} leads out of it")
            if member.offset_data + member.size > size:
                raise tarfile.ReadError(f"it ends within {member.name!r}")
            found[name.as_posix()] = (member.offset_data, member.size)
    return found


def find_member(path: str | pathlib.Path) -> tuple[pathlib.Path, str] | None:
    """Find the archive that a path leads into.

    :param path: the path of a member
    :returns: the archive, and the name of the member in it; None where the path is not that of a member
    :raises ImageError: if the archive cannot be read
    """
    path = pathlib.Path(path)
    for archive in path.parents:
        if archive.suffix.lower() == ARCHIVE_SUFFIX and archive.is_file():
            name = path.relative_to(archive).as_posix()
            return (archive, name) if name in members(archive) else None
    return None


def read_member(archive: pathlib.Path, name: str, limit: int = -1) -> bytes:
    """Read a member of an archive.

    :param archive: the archive
    :param name: the name of the member
    :param limit: the most bytes that are read
    :returns: its bytes
    :raises ImageError: if the archive has no such member, or cannot be read
    """
    place = members(archive).get(name)
    if place is None:
        raise ImageError(f"The archive {archive} has no file {name!r}.")
    start, size = place
    try:
        with open(archive, "rb") as file:
            file.seek(start)
            return file.read(size if limit < 0 else min(size, limit))
    except OSError as error:
        raise ImageError(f"The archive {archive} cannot be read: {error.strerror or error}.") from error


def image_size(path: pathlib.Path) -> int | None:
    """Return the number of bytes of a file or a member of an archive; None where there is none."""
    if path.is_file():
        return path.stat().st_size
    found = find_member(path)
    return None if found is None else members(found[0])[found[1]][1]


def image_digest(path: pathlib.Path) -> str:
    """Return the SHA-256 of a file or a member of an archive.

    :param path: the file or member
    :returns: 64 hexadecimal digits
    :raises OSError: if the file cannot be read
    """
    found = find_member(path)
    return file_digest(path) if found is None else hashlib.sha256(read_member(*found)).hexdigest()
