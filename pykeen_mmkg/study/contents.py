"""What a run of a study depends on besides its configuration: files, by content and never by name, size or date."""

import functools
import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from ..datasets.loading import dataset_digest
from ..datasets.metadata import GraphMetadata
from ..encoders import make_encoder
from ..evaluation.description import versions
from ..image_archives import find_member, image_digest, image_size

__all__ = ["contents_of", "data_contents"]

#: the files beside triples and tables that a dataset names
_SIDE_FILES = ("candidates", "dev_relations", "known_true")

#: the versions that decide a result; others are recorded with it
_VERSIONS = ("pykeen-mmkg", "pykeen", "torch", "transformers", "numpy")


@functools.lru_cache(maxsize=1 << 18)
def _digest(path: pathlib.Path, *_state: int) -> str:
    return image_digest(path)


def _file(path: pathlib.Path) -> str:
    """Return the digest of a file, or of a member of an archive; what has not changed since is not read again."""
    found = find_member(path)
    state = (path if found is None else found[0]).stat()
    return _digest(path, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _content(path: pathlib.Path) -> str:
    """Return the digest of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        return _file(path)
    files = sorted(found for found in path.rglob("*") if found.is_file())
    return _joined([(found.relative_to(path).as_posix(), _file(found)) for found in files])


def _joined(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def data_contents(dataset: Any) -> dict[str, str]:
    """Return the digests of all that a dataset consists of.

    :param dataset: a dataset of PyKEEN, with its triples; a multimodal one with tables, images, features and side files
    :returns: what it is -> SHA-256
    """
    found = {"dataset": dataset_digest(dataset)}
    record = GraphMetadata.of(dataset)
    files = {name: getattr(record, name) for name in _SIDE_FILES} | dict(record.features)
    found |= {name: _file(pathlib.Path(path)) for name, path in files.items() if path is not None}
    table = getattr(dataset, "entity_table", None)
    if table is not None:
        images = [[_file(path) for path in paths if image_size(path) is not None] for paths in table.images]
        found["images"] = _joined(images)
    return found


def contents_of(arguments: Any) -> dict[str, str]:
    """Return the digests of what arguments name: files, folders, encoders, and the versions of what reads them.

    :param arguments: mappings and lists, with further ones within
    :returns: what it is -> SHA-256, fingerprint or version
    :raises EncoderError: if an encoder is not found
    """
    known = versions()
    return {**{name: known[name] for name in _VERSIONS}, **dict(_named(arguments))}


def _named(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        encoder = value.get("encoder")
        if isinstance(encoder, str):
            sources = value.get("sources")
            options = sources.get("encoder_kwargs") if isinstance(sources, Mapping) else None
            yield f"encoder {encoder} {json.dumps(options, sort_keys=True)}", make_encoder(encoder, options).fingerprint
        for key, entry in value.items():
            if key != "encoder":
                yield from _named(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _named(entry)
    elif isinstance(value, str) and value:
        path = pathlib.Path(value).expanduser()
        try:
            exists = path.exists()
        except (OSError, ValueError):  # too long for a name, or with a NUL
            return
        if exists:
            yield value, _content(path)
