"""Writing a dataset to a folder."""

import pathlib

from pykeen.datasets.base import Dataset

from ..errors import DataError
from ..io import write_text
from .delimited import format_rows
from .metadata import GraphMetadata

__all__ = ["write_dataset"]


def write_dataset(dataset: Dataset, folder: str | pathlib.Path) -> None:
    """Write a dataset as a folder that :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset` loads with equal ids.

    Triples, texts and the paths of images are written; images themselves get a second name in the folder.

    :param dataset: the dataset, with labels; its tables are those that the training factory's metadata point to
    :param folder: the folder, new or empty
    :raises DataError: if the folder holds files, the dataset has no labels, or a label has a tab or line break
    """
    folder = pathlib.Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty; write the dataset to a new folder")
    training = dataset.training
    record = GraphMetadata.of(training)
    entities, relations = record.table(training, "entity"), record.table(training, "relation")
    factories = {"train": training, "test": dataset.testing}
    if dataset.validation is not None:
        factories["valid"] = dataset.validation
    factories.update({f"test-{name}": factory for name, factory in (getattr(dataset, "extra", None) or {}).items()})
    removed = getattr(dataset, "removed", None)
    if removed is not None and removed.num_triples:
        factories["known_true"] = removed
    entities.save(folder / "entities.tsv")
    relations.save(folder / "relations.tsv")
    for name, factory in factories.items():
        rows = [
            (entities.labels[h], relations.labels[r], entities.labels[t]) for h, r, t in factory.mapped_triples.tolist()
        ]
        write_text(folder / f"{name}.tsv", format_rows(rows))
