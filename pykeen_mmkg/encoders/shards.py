"""A folder of vectors by content digest, in shards that are written whole and never changed."""

from __future__ import annotations

import hashlib
import logging
import os
import pathlib
import time
from collections.abc import Collection, Mapping, Sequence

import torch

from ..errors import FeatureError
from ..features.store import open_document, save_atomically

__all__ = ["VectorCache"]

logger = logging.getLogger(__name__)

#: Seconds after which the temporary file of another process counts as left behind
STALE_AFTER = 24 * 3600.0


class VectorCache:
    """Vectors by key, one folder for each encoder and modality.

    A shard is named after its keys, so that processes that encode the same items at once write the same file. It holds
    a digest of its content, which is compared before its first vector is used. Damaged shards count as absent.
    """

    def __init__(self, folder: str | pathlib.Path, dim: int) -> None:
        """Open the cache; the folder is made at the first write.

        :param folder: the folder
        :param dim: the dimension of a vector
        """
        self.folder = pathlib.Path(folder)
        self.dim = dim
        #: shard -> vectors, shape: (m, d); whether the input was truncated, shape: (m,)
        self._shards: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        #: shard -> the versions of the libraries that made it
        self._versions: dict[str, str] = {}
        #: shard -> the digest that its content must have, until it has been compared; older ones have none
        self._unchecked: dict[str, str] = {}
        #: key -> shard and row
        self._rows: dict[str, tuple[str, int]] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                tensors, document = open_document(path)
                keys = document["keys"]
                vectors, truncated = tensors["vectors"], tensors["truncated"]
                if path.name != _name(keys):
                    raise FeatureError("its keys are not those of its name")
                if vectors.shape != (len(keys), dim) or truncated.shape != (len(keys),):
                    raise FeatureError(f"{len(keys)} keys, but shape {tuple(vectors.shape)}")
            except (FeatureError, KeyError, TypeError) as error:
                self._ignore(path, error)
                continue
            if (digest := document.get("digest")) is not None:
                self._unchecked[path.name] = digest
            self._add(path.name, keys, vectors, truncated, document.get("versions", ""))
        self._remove_stale()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        row = self._rows.get(key)  # type: ignore[call-overload]
        if row is not None and (name := row[0]) in self._unchecked:
            if self._unchecked.pop(name) != _digest(*self._shards[name]):
                self._ignore(self.folder / name, "its vectors are not those that were written")
                self._rows = {key: place for key, place in self._rows.items() if place[0] != name}
            return key in self._rows
        return row is not None

    @staticmethod
    def _ignore(path: pathlib.Path, reason: object) -> None:
        logger.warning("Ignoring the damaged cache file %s: its items are encoded again (%s)", path, reason)

    def _add(
        self, name: str, keys: Sequence[str], vectors: torch.Tensor, truncated: torch.Tensor, versions: str
    ) -> None:
        self._shards[name] = (vectors, truncated)
        self._versions[name] = versions
        for row, key in enumerate(keys):
            self._rows.setdefault(key, (name, row))

    def _remove_stale(self) -> None:
        """Remove what killed processes left behind."""
        for path in self.folder.glob(".*.tmp"):
            try:
                if time.time() - path.stat().st_mtime > STALE_AFTER:
                    os.unlink(path)
            except OSError:  # another process was faster, or the folder is read-only
                continue

    def put(self, keys: Sequence[str], vectors: torch.Tensor, truncated: Sequence[bool], versions: str) -> None:
        """Write a shard.

        :param keys: the keys, length: m
        :param vectors: the vectors, shape: ``(m, d)``
        :param truncated: whether the input was truncated, length: m
        :param versions: the versions of the libraries that made the vectors
        """
        if not keys:
            return
        name, vectors, flags = _name(keys), vectors.float(), torch.as_tensor(truncated, dtype=torch.bool)
        digest = _digest(vectors, flags)
        document = {"kind": "vectors", "keys": list(keys), "versions": versions, "digest": digest}
        save_atomically({"vectors": vectors, "truncated": flags}, self.folder / name, document)
        # from now on the vectors are those of the file, mapped: none are kept in memory
        written, _ = open_document(self.folder / name)
        self._add(name, keys, written["vectors"], written["truncated"], versions)

    def get(self, keys: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Get the vectors of keys that are all there.

        :param keys: the keys, length: m
        :returns: the vectors, shape: ``(m, d)``, and whether the input was truncated, shape: ``(m,)``
        """
        vectors = torch.empty(len(keys), self.dim)
        truncated = torch.zeros(len(keys), dtype=torch.bool)
        by_shard: dict[str, tuple[list[int], list[int]]] = {}
        for i, key in enumerate(keys):
            name, row = self._rows[key]
            targets, rows = by_shard.setdefault(name, ([], []))
            targets.append(i)
            rows.append(row)
        for name, (targets, rows) in by_shard.items():
            vectors[targets] = self._shards[name][0][rows]
            truncated[targets] = self._shards[name][1][rows]
        return vectors, truncated

    def versions(self, keys: Collection[str]) -> list[str]:
        """List the versions of the libraries that made some vectors, sorted."""
        return sorted({self._versions[self._rows[key][0]] for key in keys})


def _name(keys: Sequence[str]) -> str:
    """Return the name of a shard with some keys."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest() + ".safetensors"


def _digest(vectors: torch.Tensor, truncated: torch.Tensor) -> str:
    """Return a SHA-256 of a shard's content."""
    return hashlib.sha256(vectors.contiguous().numpy().tobytes() + truncated.numpy().tobytes()).hexdigest()


class ShardWriter:
    """Collects the vectors of whole batches, and writes a shard when there are many or some time has passed."""

    def __init__(self, cache: VectorCache, versions: str, size: int = 4096, seconds: float = 30.0) -> None:
        """Initialise the writer.

        :param cache: where to write
        :param versions: the versions of the libraries at work
        :param size: the number of vectors after which a shard is written
        :param seconds: the time after which a shard is written; what an interruption can cost
        """
        self.cache = cache
        self.versions = versions
        self.size = size
        self.seconds = seconds
        self._clear()

    def _clear(self) -> None:
        self._keys: list[str] = []
        self._vectors: list[torch.Tensor] = []
        self._truncated: list[bool] = []
        self._since = time.monotonic()

    def add(self, rows: Mapping[str, bool], vectors: torch.Tensor) -> None:
        """Add a batch.

        :param rows: key -> whether its input was truncated, in the order of the vectors, length: m
        :param vectors: the vectors, shape: ``(m, d)``
        """
        self._keys.extend(rows)
        self._truncated.extend(rows.values())
        self._vectors.append(vectors)
        if len(self._keys) >= self.size or time.monotonic() - self._since > self.seconds:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected."""
        if self._keys:
            self.cache.put(self._keys, torch.cat(self._vectors), self._truncated, self.versions)
        self._clear()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        # also after an interruption: the batches that are done are kept
        self.flush()
