"""Writing a dataset to a folder."""

import pathlib

from pykeen.datasets.base import Dataset

from ..io import folder_written_whole, link_or_copy, write_text
from .delimited import format_rows
from .files import read_triples
from .metadata import GraphMetadata

__all__ = ["write_dataset"]


def write_dataset(dataset: Dataset, folder: str | pathlib.Path) -> None:
    """Write a dataset as a folder that :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset` loads with equal ids.

    Triples, texts and the paths of images are written; images and stores of features get a second name in the folder.
    Candidates, dev relations and further true triples go with them.

    :param dataset: the dataset, with labels; its tables are those that the training factory's metadata point to
    :param folder: the folder, new or empty
    :raises DataError: if the folder holds files, the dataset has no labels, or a label has a tab or line break
    """
    with folder_written_whole(folder) as made:
        _write(dataset, made)


def _write(dataset: Dataset, folder: pathlib.Path) -> None:
    training = dataset.training
    record = GraphMetadata.of(training)
    entities, relations = record.table(training, "entity"), record.table(training, "relation")
    factories = {"train": training, "test": dataset.testing}
    if dataset.validation is not None:
        factories["valid"] = dataset.validation
    factories.update({f"test-{name}": factory for name, factory in (getattr(dataset, "extra", None) or {}).items()})
    known_true = {} if record.known_true is None else dict.fromkeys(read_triples(pathlib.Path(record.known_true)))
    removed = getattr(dataset, "removed", None)
    if removed is not None and removed.num_triples:
        factories["known_true"] = removed
    entities.save(folder / "entities.tsv")
    relations.save(folder / "relations.tsv")
    for name, factory in factories.items():
        rows = [
            (entities.labels[h], relations.labels[r], entities.labels[t]) for h, r, t in factory.mapped_triples.tolist()
        ]
        if name == "known_true":
            rows = list(known_true | dict.fromkeys(rows))
        write_text(folder / f"{name}.tsv", format_rows(rows))
    if known_true and "known_true" not in factories:
        write_text(folder / "known_true.tsv", format_rows(known_true))
    for name, path in {"candidates.json": record.candidates, "dev_relations.txt": record.dev_relations}.items():
        if path is not None:
            write_text(folder / name, pathlib.Path(path).read_text(encoding="utf-8-sig"))
    for key, path in record.features.items():
        link_or_copy(pathlib.Path(path), folder / "features" / f"{key}.safetensors")
