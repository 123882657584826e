"""Coverage of modalities: the entities, relations and triples with text or image, and those unseen in training."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import BoolTensor
from tabulate import tabulate

from ..indexing import occurring
from .tables import ModalityTable

__all__ = ["Coverage", "CoverageRow", "measure_coverage"]


@dataclasses.dataclass(frozen=True)
class CoverageRow:
    """How many of some items have a text, an image, both, or none: ``text + image - both + none == total``."""

    #: the split, or "all" for the whole dataset
    split: str
    #: "entities", "relations" or "triples"
    items: str
    total: int
    text: int
    image: int
    both: int
    none: int
    #: those that do not occur in training; of triples, those with such an entity or relation
    unseen: int


@dataclasses.dataclass(frozen=True)
class Coverage:
    """The coverage of a dataset's modalities.

    The rows of "all" count every entity and relation of the dataset, those of a split the ones that occur in its
    triples. A triple counts as having a modality if both its head and its tail have it.
    """

    rows: tuple[CoverageRow, ...]
    #: the number of image files
    num_images: int
    #: labels of the entities without training triple, per split other than training
    unseen_entities: Mapping[str, tuple[str, ...]]
    #: labels of the relations without training triple, per split other than training
    unseen_relations: Mapping[str, tuple[str, ...]]

    def row(self, split: str, items: str) -> CoverageRow:
        """Return one row.

        :param split: the split, or "all"
        :param items: "entities", "relations" or "triples"
        :returns: its counts
        :raises KeyError: if there is no such row
        """
        for row in self.rows:
            if (row.split, row.items) == (split, items):
                return row
        raise KeyError((split, items))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "num_images": self.num_images,
            "unseen_entities": {split: list(labels) for split, labels in self.unseen_entities.items()},
            "unseen_relations": {split: list(labels) for split, labels in self.unseen_relations.items()},
        }

    def summary(self) -> str:
        """Return a readable table."""
        headers = ["Split", "Items", "Total", "Text", "Image", "Both", "None", "Unseen"]
        table = tabulate([dataclasses.astuple(row) for row in self.rows], headers=headers)
        lines = [f"Modalities ({self.num_images} images; unseen: not in training)", table]
        for split, labels in self.unseen_relations.items():
            if labels:
                shown = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
                lines.append(f"relations unseen in training, {split}: {len(labels)} ({shown})")
        return "\n".join(lines)


def measure_coverage(
    factories: Mapping[str, CoreTriplesFactory], entities: ModalityTable, relations: ModalityTable
) -> Coverage:
    """Count modalities per split.

    :param factories: the factories by split, among them "training"; all with the same ids
    :param entities: the entity table in the order of the ids, n rows
    :param relations: the relation table in the order of the ids, k rows
    :returns: the coverage
    """
    tables = {"entities": (entities, [0, 2]), "relations": (relations, [1])}
    triples = {split: factory.mapped_triples for split, factory in factories.items()}
    has = {items: (_flags(table.has_text()), _flags(table.images)) for items, (table, _) in tables.items()}
    seen = {items: occurring(triples["training"][:, columns], len(t)) for items, (t, columns) in tables.items()}
    unseen: dict[str, dict[str, tuple[str, ...]]] = {items: {} for items in tables}
    rows = []
    for split, ids in {"all": torch.cat(list(triples.values())), **triples}.items():
        for items, (table, columns) in tables.items():
            everything = torch.ones(len(table), dtype=torch.bool)
            used = everything if split == "all" else occurring(ids[:, columns], len(table))
            new = used & ~seen[items]
            if split not in ("all", "training"):
                unseen[items][split] = tuple(table.labels[i] for i in new.nonzero().flatten().tolist())
            rows.append(_row(split, items, *(flags[used] for flags in (*has[items], new))))
        head, relation, tail = ids.unbind(dim=-1)
        text, image, known = (flags[head] & flags[tail] for flags in (*has["entities"], seen["entities"]))
        rows.append(_row(split, "triples", text, image, ~(known & seen["relations"][relation])))
    return Coverage(
        rows=tuple(rows),
        num_images=sum(map(len, entities.images)) + sum(map(len, relations.images)),
        unseen_entities=unseen["entities"],
        unseen_relations=unseen["relations"],
    )


def _flags(values: Any) -> BoolTensor:
    return torch.as_tensor([bool(value) for value in values], dtype=torch.bool)


def _row(split: str, items: str, text: BoolTensor, image: BoolTensor, unseen: BoolTensor) -> CoverageRow:
    flags = (text, image, text & image, ~(text | image), unseen)
    return CoverageRow(split, items, len(text), *(int(flag.sum()) for flag in flags))
