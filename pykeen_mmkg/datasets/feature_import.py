"""Features that others computed become a store of a dataset: the map of ids is checked, the coverage is told."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import torch

from ..errors import FeatureError
from ..features.foreign import Several, Vectors, read_ids, read_vectors
from ..features.store import FeatureStore
from ..io import file_digest
from .labels import labels_of
from .metadata import FEATURE_KEYS, GraphMetadata

__all__ = ["Imported", "import_features"]


@dataclasses.dataclass(frozen=True)
class Imported:
    """A store that was made of another's file, and what of it fits the dataset."""

    store: FeatureStore
    #: where it was written
    path: pathlib.Path
    #: whether the dataset finds it there by itself
    found: bool
    #: the labels of the file that the dataset does not have
    surplus: Sequence[str]

    def __str__(self) -> str:
        has = int(self.store.mask.sum())
        text = f"{has} of {len(self.store)} have a vector of {self.store.dim} dimensions"
        if missing := [label for label, there in zip(self.store.labels, self.store.mask, strict=True) if not there]:
            text += f"; without one are {len(missing)}, e.g. {missing[0]!r}"
        if self.surplus:
            text += f"; {len(self.surplus)} labels of the file are not in the dataset, e.g. {self.surplus[0]!r}"
        return text


def import_features(
    path: str | pathlib.Path,
    dataset: Any,
    key: str,
    ids: str | pathlib.Path | None = None,
    output: str | pathlib.Path | None = None,
    several: Several = None,
) -> Imported:
    """Make a store of a dataset from a file that something else wrote; the file stays as it is.

    :param path: the file, see :func:`~pykeen_mmkg.features.foreign.read_vectors`
    :param dataset: the dataset
    :param key: what the vectors are: ``visual`` or ``textual`` of the entities, ``relation_visual`` or
        ``relation_textual``
    :param ids: which row is whose, where the file has no labels: a file, see
        :func:`~pykeen_mmkg.features.foreign.read_ids`, or ``"dataset"``, if the rows are in the order of its ids
    :param output: the store's file; by default in the sub-folder ``features`` of the dataset's folder, where it is
        found by itself, or for a dataset that has none, in a folder below PyKEEN's own
    :param several: what becomes of several vectors under one label of a pickle
    :returns: the store, and what of the file fits
    :raises FeatureError: if the file is broken, the ids do not fit, no label is of the dataset, or the store is there
    """
    keys = {value: pair for pair, value in FEATURE_KEYS.items()}
    if key not in keys:
        raise FeatureError(f"There are no features {key!r}; there are {sorted(keys)}.")
    kind, modality = keys[key]
    factory = dataset.training
    labels = labels_of(factory, kind)[:: 2 if kind == "relation" and factory.create_inverse_triples else 1]
    path = pathlib.Path(path).expanduser()
    folder = GraphMetadata.of(factory).path
    if folder is not None and pathlib.Path(__file__).parent in pathlib.Path(folder).parents:
        folder = None  # the demo's, which is part of the package
    target = _target(output, folder, dataset, key)
    if target.exists():
        raise FeatureError(f"{target} exists already: move it away, or name another `output`.")
    vectors = read_vectors(path, several)
    rows = _rows(vectors, labels, path, ids)
    own = [rows.get(label, -1) for label in labels]
    chosen = torch.as_tensor(own).clamp(min=0)
    mask = vectors.mask[chosen] & (torch.as_tensor(own) >= 0)
    surplus = [label for label in rows if label not in set(labels)] if len(rows) > sum(row >= 0 for row in own) else []
    if not bool(mask.any()):
        shown = f"{surplus[0]!r}, " if surplus else ""
        raise FeatureError(
            f"{path} has no vector of any {kind} of the dataset: its labels are like {shown or 'none'}those of the "
            f"dataset like {labels[0]!r}."
        )
    provenance = {"source": path.name, "source_sha256": file_digest(path)}
    store = FeatureStore.from_tensors(labels, vectors.vectors[chosen], mask, modality=modality, provenance=provenance)
    store.save(target)
    found = (
        folder is not None and target.absolute() == pathlib.Path(folder, "features", f"{key}.safetensors").absolute()
    )
    return Imported(store, target, found, surplus)


def _target(output: str | pathlib.Path | None, folder: str | None, dataset: Any, key: str) -> pathlib.Path:
    if output is not None:
        return pathlib.Path(output).expanduser()
    if folder is not None:
        return pathlib.Path(folder, "features", f"{key}.safetensors")
    from pykeen.constants import PYKEEN_HOME

    return pathlib.Path(
        PYKEEN_HOME, "mmkg", "features", "imported", type(dataset).__name__.lower(), f"{key}.safetensors"
    )


def _rows(
    vectors: Vectors, labels: Sequence[str], path: pathlib.Path, ids: str | pathlib.Path | None
) -> dict[str, int]:
    """Return label -> row."""
    count = len(vectors.vectors)
    if vectors.labels is not None:
        if ids is not None:
            raise FeatureError(f"{path} names its labels itself; leave the id map {ids} out.")
        rows: dict[str, int] = {}
        for row, label in enumerate(vectors.labels):
            if label in rows:
                raise FeatureError(f"{path} has two vectors of {label!r}, in the rows {rows[label]} and {row}.")
            rows[label] = row
        return rows
    if ids is None:
        raise FeatureError(
            f"{path} has {count} vectors without labels: name an id map (--ids), a file of label and row by line; or "
            f'"dataset", if the rows are in the order of the {len(labels)} ids of the dataset.'
        )
    if ids == "dataset":
        if count != len(labels):
            raise FeatureError(f"{path} has {count} vectors, but the dataset has {len(labels)} labels: name an id map.")
        return {label: row for row, label in enumerate(labels)}
    rows = read_ids(ids)
    if beyond := [label for label, row in rows.items() if row >= count]:
        raise FeatureError(
            f"The id map {ids} gives {beyond[0]!r} the row {rows[beyond[0]]}, but {path} has {count}, counted from 0."
        )
    return rows
