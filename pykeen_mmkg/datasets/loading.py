"""Datasets by name, by path or as they are."""

import pathlib
from collections.abc import Mapping
from typing import Any

from ..errors import DatasetNotFoundError
from .folder import MultimodalDataset

__all__ = ["load_dataset"]


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
