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

__all__ = [
    "Coverage",
    "CoverageRow",
    "measure_coverage",
]


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
    has_text = _flags(entities.texts().values())
    has_image = _flags(entities.images)
    relation_text = _flags(relations.texts().values())
    relation_image = _flags(relations.images)

    triples = {split: factory.mapped_triples for split, factory in factories.items()}
    entity_seen = occurring(triples["training"][:, [0, 2]], len(entities))
    relation_seen = occurring(triples["training"][:, 1], len(relations))

    everything = torch.ones(len(entities), dtype=torch.bool), torch.ones(len(relations), dtype=torch.bool)
    rows = []
    unseen_entities: dict[str, tuple[str, ...]] = {}
    unseen_relations: dict[str, tuple[str, ...]] = {}
    for split, rows_of_split in {"all": torch.cat(list(triples.values())), **triples}.items():
        head, relation, tail = rows_of_split.unbind(dim=-1)
        if split == "all":
            entity_used, relation_used = everything
        else:
            entity_used = occurring(rows_of_split[:, [0, 2]], len(entities))
            relation_used = occurring(relation, len(relations))
        if split not in ("all", "training"):
            unseen_entities[split] = _labels(entities, entity_used & ~entity_seen)
            unseen_relations[split] = _labels(relations, relation_used & ~relation_seen)
        rows += [
            _row(split, "entities", has_text[entity_used], has_image[entity_used], ~entity_seen[entity_used]),
            _row(
                split,
                "relations",
                relation_text[relation_used],
                relation_image[relation_used],
                ~relation_seen[relation_used],
            ),
            _row(
                split,
                "triples",
                has_text[head] & has_text[tail],
                has_image[head] & has_image[tail],
                ~(entity_seen[head] & relation_seen[relation] & entity_seen[tail]),
            ),
        ]
    return Coverage(
        rows=tuple(rows),
        num_images=sum(map(len, entities.images)) + sum(map(len, relations.images)),
        unseen_entities=unseen_entities,
        unseen_relations=unseen_relations,
    )


def _flags(values: Any) -> BoolTensor:
    return torch.as_tensor([bool(value) for value in values], dtype=torch.bool)


def _labels(table: ModalityTable, flags: BoolTensor) -> tuple[str, ...]:
    return tuple(table.labels[i] for i in flags.nonzero().flatten().tolist())


def _row(split: str, items: str, text: BoolTensor, image: BoolTensor, unseen: BoolTensor) -> CoverageRow:
    flags = (text, image, text & image, ~(text | image), unseen)
    return CoverageRow(split, items, len(text), *(int(flag.sum()) for flag in flags))
