"""Fetching published files: pinned to a commit, checked by size and checksum, and kept for the next time.

The files stay where their authors publish them, for their licences differ; the package ships the facts alone, in
``sources.tsv``: repository, commit, path, size, and a checksum, which is one of

- a SHA-256;
- ``lfs:`` and a SHA-256, for a file that the repository keeps in Git's large file storage;
- ``git:`` and the id that Git itself gives the content of a file, where nobody has said more.
"""

import csv
import dataclasses
import functools
import hashlib
import logging
import os
import pathlib
import time
import urllib.parse

from ...errors import DataError, DatasetNotFoundError
from ...io import written_whole
from ..downloading import ATTEMPTS, PAUSE, AnswerError, RefusedError, TransientError, receive

__all__ = ["SOURCES_VARIABLE", "Source", "fetch", "published_sources"]

logger = logging.getLogger(__name__)

#: the environment variable with the address of a mirror: files are looked for at <mirror>/<repository>/<commit>/<path>
SOURCES_VARIABLE = "PYKEEN_MMKG_SOURCES"
RAW_URL = "https://raw.githubusercontent.com"
LFS_URL = "https://media.githubusercontent.com/media"

#: seconds without a byte after which a connection counts as broken
TIMEOUT = 60.0
CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Source:
    """A published file."""

    #: owner and name on GitHub
    repository: str
    commit: str
    #: within the repository
    path: str
    #: in bytes, None if it is not known
    size: int | None
    checksum: str

    @property
    def url(self) -> str:
        """Where the file is fetched from."""
        default = LFS_URL if self.checksum.startswith("lfs:") else RAW_URL
        base = os.environ.get(SOURCES_VARIABLE) or default
        return f"{base.rstrip('/')}/{self.repository}/{self.commit}/{urllib.parse.quote(self.path)}"

    def location(self, root: pathlib.Path) -> pathlib.Path:
        """Return the path below a root folder at which the file is kept."""
        return root.joinpath(self.repository.replace("/", "+"), self.commit, *self.path.split("/"))

    def check(self, path: pathlib.Path) -> str | None:
        """Compare a file's size and checksum.

        :param path: the file
        :returns: what is wrong with it, None if nothing is
        """
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"has {size} bytes, not {self.size}"
        kind, _, expected = self.checksum.rpartition(":")
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if kind == "git" else hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != expected:
            return f"has the checksum {digest.hexdigest()}, not {expected}"
        return None


@functools.cache
def published_sources() -> dict[str, Source]:
    """Read the table of published files that comes with the package.

    :returns: the files by ``<repository>/<path>``
    """
    with pathlib.Path(__file__).with_name("sources.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {
        f"{row['repository']}/{row['path']}": Source(
            repository=row["repository"],
            commit=row["commit"],
            path=row["path"],
            size=None if row["bytes"] == "-" else int(row["bytes"]),
            checksum=row["checksum"],
        )
        for row in rows
    }


def fetch(source: Source, root: pathlib.Path) -> pathlib.Path:
    """Return a published file: the kept copy if it is intact, else fetched anew.

    A file is kept whole and checked, or not at all: after an interruption the next call starts afresh. Proxies are
    those of the environment (``https_proxy``, ``no_proxy``).

    :param source: the file
    :param root: the folder under which files are kept
    :returns: the path of the kept copy
    :raises DatasetNotFoundError: if there is no copy and the file cannot be had
    :raises DataError: if what the address gives is not the file that was published
    """
    path = source.location(root)
    if path.is_file():
        fault = source.check(path)
        if fault is None:
            return path
        logger.warning("%s %s; it is fetched anew", path, fault)
    for attempt in range(1, ATTEMPTS + 1):
        logger.info("fetching %s", source.url)
        try:
            with written_whole(path) as temporary:
                _download(source, temporary)
            return path
        except TransientError as error:
            if attempt == ATTEMPTS:
                raise DatasetNotFoundError(
                    f"{source.url} cannot be fetched ({error}), and there is no copy at {path}. Without access to the "
                    f"network, put the file there yourself, or name a mirror in the environment variable "
                    f"{SOURCES_VARIABLE}"
                ) from error
            logger.warning("%s: %s; attempt %d of %d", source.url, error, attempt + 1, ATTEMPTS)
            time.sleep(PAUSE * 2 ** (attempt - 1))
    raise AssertionError("not reached")


def _download(source: Source, path: pathlib.Path) -> None:
    try:
        # the scheme is https, or that of the mirror which the user names
        with path.open("wb") as file:
            receive(source.url, file, TIMEOUT, source.size)
    except AnswerError as error:
        raise DatasetNotFoundError(
            f"{source.url} cannot be fetched: {error}. If the repository is gone, get the file elsewhere and put it at "
            f"the place of its copy; its checksum is {source.checksum}"
        ) from error
    except RefusedError as error:
        raise DataError(f"{source.url} gives more than the {source.size} bytes published; nothing is kept") from error
    fault = source.check(path)
    if fault is not None:
        raise DataError(f"what {source.url} gives {fault}; nothing is kept. A proxy may have replaced the file")
