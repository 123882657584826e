"""Datasets by name, by path or as they are, and the digest of their content."""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from ..errors import DatasetNotFoundError
from .folder import MultimodalDataset

__all__ = ["dataset_digest", "load_dataset"]


def load_dataset(dataset: Any, dataset_kwargs: Mapping[str, Any] | None = None) -> Any:
    """Load a dataset unless it is one, or a triples factory, already.

    :param dataset: anything that PyKEEN's ``pipeline(dataset=...)`` takes; a triples factory; or the path of a folder
        for :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset`
    :param dataset_kwargs: keyword arguments of the dataset
    :returns: the dataset or the factory
    :raises DatasetNotFoundError: if it is neither a folder nor the name of a dataset
    """
    if hasattr(dataset, "entity_to_id"):
        return dataset
    if isinstance(dataset, str | pathlib.Path) and pathlib.Path(dataset).is_dir():
        return MultimodalDataset(path=dataset, **(dataset_kwargs or {}))
    # late: PyKEEN imports the datasets of plugins while it makes this module
    from pykeen.datasets import dataset_resolver, get_dataset

    if isinstance(dataset, str | pathlib.Path):
        name = str(dataset)
        if dataset_resolver.options.isdisjoint([name, dataset_resolver.normalize(name)]):
            raise DatasetNotFoundError(
                f"{name!r} is neither a folder nor the name of a dataset (see `pykeen ls datasets`)."
            )
    return get_dataset(dataset=dataset, dataset_kwargs=dataset_kwargs)


def dataset_digest(dataset: Any) -> str:
    """Return what identifies the data in a result.

    :param dataset: a multimodal dataset, whose own ``digest`` covers its tables and images too; or any dataset of
        PyKEEN, whose labels and triples of all splits are digested
    :returns: a SHA-256, 64 hexadecimal digits
    """
    own = getattr(dataset, "digest", None)
    if isinstance(own, str):
        return own
    sha = hashlib.sha256()
    training = dataset.training
    for name in ("entity_to_id", "relation_to_id"):
        mapping = getattr(training, name, None) or {}
        sha.update(json.dumps(sorted(mapping.items(), key=lambda item: item[1])).encode())
    for name in ("training", "validation", "testing"):
        factory = getattr(dataset, name, None)
        if factory is not None:
            sha.update(name.encode() + factory.mapped_triples.cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
