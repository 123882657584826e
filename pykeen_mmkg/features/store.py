"""The feature store: one frozen vector per label, with a mask, the number of averaged inputs, and where it came from.

A store is a single safetensors file that holds

============= =================== =====================================================================
tensor        shape, type         meaning
============= =================== =====================================================================
vectors       ``(n, d)`` float    row i belongs to label i; zero where the mask is False
mask          ``(n,)`` bool       whether the item has this modality at all
counts        ``(n,)`` int64      how many inputs (e.g., images) were averaged; zero where the mask is False
labels        ``(b,)`` uint8      the labels in UTF-8, one after the other
label_offsets ``(n + 1,)`` int64  where each label begins, and the last one ends
============= =================== =====================================================================

and one JSON document in its metadata with the modality and the provenance. Neither holds a date, so that equal input
gives equal bytes. Files of format 1, which have the labels in the document, are read as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import FeatureError
from ..io import written_whole
from .label_tensors import json_parts, labels_from_tensors, labels_to_tensors

__all__ = ["FEATURE_PATH", "TEXTUAL", "VISUAL", "FeatureStore", "find_moved", "first_infinite", "save_atomically"]

#: The modalities of entities and relations that encoders make features of
TEXTUAL = "textual"
VISUAL = "visual"

#: The key of the safetensors metadata under which the JSON document lies. One key, since their order is not defined.
METADATA_KEY = "pykeen_mmkg"

#: An environment variable: folders (as in PATH) in which a moved feature file is looked for when a model is loaded.
FEATURE_PATH = "PYKEEN_MMKG_FEATURES"

#: The entry of the provenance that lists, as JSON, the labels that were added to a model after training
ADDED = "added"

#: The version of the file layout, and those that are read
FORMAT = 2
FORMATS = (1, 2)

#: Bytes of vectors that are looked at together where all are
CHUNK_BYTES = 1 << 24


def first_infinite(vectors: torch.Tensor) -> int | None:
    """Return the first row that holds NaN or infinity.

    :param vectors: shape: ``(n, d)``
    :returns: its number, None if every number is finite
    """
    finite = torch.isfinite(vectors).all(dim=-1)
    return None if bool(finite.all()) else int((~finite).nonzero()[0])


def save_atomically(tensors: Mapping[str, torch.Tensor], path: pathlib.Path, document: Mapping[str, object]) -> None:
    """Write tensors and one JSON document as a safetensors file that is either whole or not there.

    :param tensors: the tensors by name
    :param path: where to write; missing parent folders are made
    :param document: what to put into the metadata; it is written with sorted keys
    :raises FeatureError: if the folder cannot be written
    """
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    try:
        with written_whole(path) as temporary:
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, {METADATA_KEY: text})
    except (OSError, SafetensorError) as error:
        raise FeatureError(f"Cannot write {path}: {error}. Is the folder writable, and is there space?") from error


def open_document(path: pathlib.Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Map a file of :func:`save_atomically` into memory.

    :param path: the file
    :returns: the tensors by name, read from the disk when they are used, and the JSON document
    :raises FeatureError: if the file is missing, cut short or not of this package
    """
    if not path.is_file():
        raise FeatureError(f"There is no feature file at {path}.")
    try:
        with safe_open(str(path), framework="pt") as file:
            document = json.loads((file.metadata() or {})[METADATA_KEY])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise FeatureError(
            f"{path} is damaged or no safetensors file ({error}). What `encode` wrote can be encoded again; a file of "
            "another kind is imported by `pykeen-mmkg import`."
        ) from error
    except KeyError:
        raise FeatureError(
            f"{path} is a safetensors file, but no feature file of pykeen-mmkg. Import it by `pykeen-mmkg "
            "import`, or build one from own tensors with FeatureStore.from_tensors(labels, vectors).save(path)."
        ) from None
    return tensors, document


@dataclass(frozen=True, eq=False, repr=False)
class FeatureStore:
    """Frozen vectors by label.

    Build one with :meth:`from_tensors`, :meth:`load`, :func:`pykeen_mmkg.encoders.encode_texts` or
    :func:`pykeen_mmkg.encoders.encode_images`; the plain constructor checks nothing.
    """

    #: The labels, length: n
    labels: tuple[str, ...]

    #: The vectors, shape: ``(n, d)``; zero where the mask is False. Of the type of the file, as float16
    vectors: torch.Tensor

    #: Whether an item has the modality, shape: ``(n,)``
    mask: torch.Tensor

    #: How many inputs were averaged, shape: ``(n,)``
    counts: torch.Tensor

    #: The name of the modality, e.g., ``"visual"`` or ``"textual"``
    modality: str

    #: Where the vectors came from: names, digests and settings as plain strings
    provenance: Mapping[str, str] = field(default_factory=dict)

    #: The file that :meth:`load` read it from: a saved model refers to the file instead of copying the vectors
    path: pathlib.Path | None = None

    @classmethod
    def from_tensors(
        cls,
        labels: Iterable[str],
        vectors: torch.Tensor,
        mask: torch.Tensor | Sequence[bool] | None = None,
        counts: torch.Tensor | Sequence[int] | None = None,
        modality: str = "features",
        provenance: Mapping[str, str] | None = None,
    ) -> FeatureStore:
        """Make a store of own features.

        :param labels: the labels, without repetition, length: n
        :param vectors: the vectors, shape: ``(n, d)``; converted to float32
        :param mask: whether an item has the modality, shape: ``(n,)``; all have it by default. A masked row is set to
            zero.
        :param counts: how many inputs were averaged, shape: ``(n,)``; one each by default
        :param modality: the name of the modality
        :param provenance: where the vectors came from, as plain strings
        :returns: the store
        :raises FeatureError: if the shapes do not fit, a label is repeated, or a vector holds NaN or infinity
        """
        labels = tuple(labels)
        n = len(labels)
        for label in labels:
            if not isinstance(label, str):
                raise FeatureError(f"Labels are strings, but {label!r} is of type {type(label).__name__}.")
        for label, count in Counter(labels).items():
            if count > 1:
                raise FeatureError(f"The label {label!r} occurs more than once: keep one vector for each label.")
        vectors = torch.as_tensor(vectors)
        if vectors.ndim != 2 or vectors.shape[0] != n or vectors.shape[1] == 0:
            raise FeatureError(
                f"{n} labels need vectors of the shape ({n}, d) with d > 0, but these have {tuple(vectors.shape)}."
            )
        mask = torch.ones(n, dtype=torch.bool) if mask is None else torch.as_tensor(mask).detach().to("cpu", torch.bool)
        counts = mask.long() if counts is None else torch.as_tensor(counts).detach().to("cpu", torch.long)
        for name, tensor in (("mask", mask), ("counts", counts)):
            if tensor.shape != (n,):
                raise FeatureError(f"The {name} has the shape {tuple(tensor.shape)}, but there are {n} labels.")
        vectors = vectors.detach().to("cpu", torch.float32).masked_fill(~mask.unsqueeze(-1), 0.0).contiguous()
        counts = counts.masked_fill(~mask, 0)
        if bool((counts[mask] < 1).any()):
            label = labels[int((mask & (counts < 1)).nonzero()[0])]
            raise FeatureError(f"The item {label!r} has a vector, but its count of inputs is below one.")
        provenance = {str(key): str(value) for key, value in (provenance or {}).items()}
        store = cls(labels, vectors, mask, counts, modality, provenance)
        store.check()
        return store

    @classmethod
    def load(cls, path: str | pathlib.Path) -> FeatureStore:
        """Load a store, memory-mapped: a row is read from the disk when it is first used.

        :param path: a file that :meth:`save` wrote
        :returns: the store
        :raises FeatureError: if the file is missing, damaged or of another kind
        """
        path = pathlib.Path(path).expanduser()
        tensors, document = open_document(path)
        if document.get("kind") != "features" or document.get("format") not in FORMATS:
            raise FeatureError(
                f"{path} holds {document.get('kind')!r} in format {document.get('format')}, but this version of "
                f"pykeen-mmkg reads 'features' in format {FORMAT} or older. Encode again, or upgrade pykeen-mmkg."
            )
        try:
            if document["format"] == 1:
                labels = tuple(document["labels"])
            else:
                labels = labels_from_tensors(tensors["labels"], tensors["label_offsets"])
            n = len(labels)
            vectors, mask, counts = tensors["vectors"], tensors["mask"], tensors["counts"]
        except KeyError as error:
            raise FeatureError(f"{path} is damaged: it lacks the tensor {error}; encode or import it again.") from None
        except FeatureError as error:
            raise FeatureError(f"{path} is damaged: {error}; encode or import it again.") from None
        if vectors.ndim != 2 or any(tensor.shape[0] != n for tensor in (vectors, mask, counts)):
            raise FeatureError(f"{path} is damaged: {n} labels, but vectors of shape {tuple(vectors.shape)}.")
        # vectors of smaller floats stay as they are, and mapped: rows become float32 when they are used
        return cls(labels, vectors, mask, counts, document["modality"], dict(document["provenance"]), path)

    def save(self, path: str | pathlib.Path, dtype: torch.dtype | None = None) -> pathlib.Path:
        """Write the store as one safetensors file; nothing half-written ever stays.

        :param path: the file, usually ``*.safetensors``
        :param dtype: the type of the vectors in the file, for instance :data:`torch.float16` for half the size; by
            default that of the store. Rows are float32 again when they are used (:meth:`lookup`, representations), but
            without what the rounding took, so the digest differs.
        :returns: the path
        :raises FeatureError: if the folder cannot be written
        """
        path = pathlib.Path(path).expanduser()
        document = {
            "kind": "features",
            "format": FORMAT,
            "modality": self.modality,
            "provenance": dict(self.provenance),
        }
        vectors = self.vectors if dtype is None else self.vectors.to(dtype)
        if dtype is not None and not all(bool(torch.isfinite(part).all()) for part in self._chunks(vectors)):
            raise FeatureError(f"The {self.modality} vectors hold numbers that are too large for {dtype}.")
        tensors = {"vectors": vectors, "mask": self.mask, "counts": self.counts, **labels_to_tensors(self.labels)}
        save_atomically(tensors, path, document)
        return path

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, label: object) -> bool:
        return label in self._index

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(modality={self.modality!r}, num_labels={len(self)}, dim={self.dim}, "
            f"present={int(self.mask.sum())}, encoder={self.provenance.get('encoder')!r})"
        )

    @property
    def dim(self) -> int:
        """The dimension of a vector."""
        return self.vectors.shape[1]

    @cached_property
    def _index(self) -> dict[str, int]:
        return {label: i for i, label in enumerate(self.labels)}

    def lookup(self, labels: Iterable[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Get the vectors of some labels.

        :param labels: the labels, in any order and with repetitions, length: m
        :returns: the vectors, shape: ``(m, d)``, float32, and the mask, shape: ``(m,)``. A label that the store does
            not know, or that lacks the modality, has a zero row and the mask False. Both are new tensors.
        """
        index = self._index
        rows = torch.as_tensor([index.get(label, -1) for label in labels], dtype=torch.long)
        known = rows >= 0
        if not len(self) or not bool(known.any()):
            return torch.zeros(len(rows), self.dim), torch.zeros(len(rows), dtype=torch.bool)
        rows = rows.clamp(min=0)
        mask = self.mask[rows] & known
        return self.vectors[rows].float().masked_fill_(~mask.unsqueeze(-1), 0.0), mask

    def restricted(self, labels: Iterable[str]) -> FeatureStore:
        """Get a store of some labels only.

        :param labels: the labels, without repetition, length: m
        :returns: a store of those that this one knows, in their order, in memory
        """
        labels = [label for label in labels if label in self]
        rows = torch.as_tensor([self._index[label] for label in labels], dtype=torch.long)
        vectors, mask, counts = self.vectors[rows], self.mask[rows], self.counts[rows]
        return FeatureStore(tuple(labels), vectors, mask, counts, self.modality, self.provenance)

    def check(self) -> None:
        """Check that every number is finite.

        :raises FeatureError: at NaN or infinity; the message names the first label concerned
        """
        bad, count, start = None, 0, 0
        for part in self._chunks(self.vectors):
            if (row := first_infinite(part)) is not None:
                bad = start + row if bad is None else bad
                count += int((~torch.isfinite(part).all(dim=-1)).sum())
            start += len(part)
        if bad is not None:
            raise FeatureError(
                f"The {self.modality} vector of {self.labels[bad]!r} holds NaN or infinity ({count} of {len(self)} "
                "rows do). Repair the features, or set mask=False for items without this modality."
            )

    def require_encoder(self, fingerprint: str, name: str | None = None) -> None:
        """Check that an encoder made this store.

        :param fingerprint: the fingerprint of the encoder, cf.
            :attr:`pykeen_mmkg.encoders.VisionLanguageEncoder.fingerprint`
        :param name: the encoder's name, for the message
        :raises FeatureError: if another encoder made it, or if it is not known which; the message names both
        """
        made = self.provenance.get("encoder_fingerprint")
        if made == fingerprint:
            return
        wanted = f"{name or 'the encoder'} ({fingerprint[:12]})"
        if made is None:
            raise FeatureError(
                f"This store of {self.modality} features does not say which encoder made it, but {wanted} is asked for."
            )
        raise FeatureError(
            f"This store of {self.modality} features was made by {self.provenance.get('encoder', 'an encoder')} "
            f"({made[:12]}), but {wanted} is asked for: their vectors live in different spaces. Encode again, or name "
            "the encoder that made the store."
        )

    @cached_property
    def digest(self) -> str:
        """A SHA-256 of the content: labels, modality, vectors, mask and counts, but not the provenance."""
        digest = hashlib.sha256(f'{{"dim": {self.dim}, "labels": '.encode())
        for text in json_parts(self.labels):
            digest.update(text.encode())
        digest.update(f', "modality": {json.dumps(self.modality)}}}'.encode())
        for tensor in (self.vectors, self.mask, self.counts):
            for part in self._chunks(tensor):
                part = part.float() if part.is_floating_point() else part
                digest.update(part.contiguous().numpy().data)
        return digest.hexdigest()

    @staticmethod
    def _chunks(tensor: torch.Tensor) -> Sequence[torch.Tensor]:
        """Cut a tensor into rows of no more than some bytes together."""
        row = max(1, tensor[:1].numel() * tensor.element_size())
        return tensor.split(max(1, CHUNK_BYTES // row))


def find_moved(path: str | pathlib.Path) -> pathlib.Path:
    """Find a feature file that may have been moved.

    :param path: where it was
    :returns: where it is: there, or in one of the folders that :data:`FEATURE_PATH` names
    :raises FeatureError: if it is nowhere
    """
    path = pathlib.Path(path)
    folders = [folder for folder in os.environ.get(FEATURE_PATH, "").split(os.pathsep) if folder]
    for candidate in [path, *(pathlib.Path(folder, path.name) for folder in folders)]:
        if candidate.is_file():
            return candidate
    raise FeatureError(
        f"The model was saved with the feature file {path}, which is not there. Put it back, or put its folder into "
        f"the environment variable {FEATURE_PATH}."
    )
