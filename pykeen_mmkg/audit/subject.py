"""The audited dataset, as the checks see it: triples by split, and labels to show them by."""

from typing import Any

import torch
from pykeen.triples import CoreTriplesFactory

__all__ = ["EXAMPLES", "Subject", "percent"]

#: how many examples a finding shows
EXAMPLES = 5


class Subject:
    """A dataset with what the checks share."""

    def __init__(self, dataset: Any, progress: bool) -> None:
        self.dataset = dataset
        self.progress = progress
        self.training: CoreTriplesFactory = dataset.training
        splits = getattr(dataset, "factories", None) or {
            name: getattr(dataset, name) for name in ("training", "validation", "testing")
        }
        self.triples = {name: factory.mapped_triples for name, factory in splits.items() if factory is not None}
        self.evaluated = [name for name in self.triples if name != "training"]
        self.multimodal = hasattr(dataset, "entity_table")
        self.entities, self.relations = (
            {index: label for label, index in (getattr(self.training, name, None) or {}).items()}
            for name in ("entity_to_id", "relation_to_id")
        )

    def show(self, triples: torch.Tensor) -> list[list[str]]:
        """Return some triples with labels."""
        return [
            [str(self.entities.get(h, h)), str(self.relations.get(r, r)), str(self.entities.get(t, t))]
            for h, r, t in triples[:EXAMPLES].tolist()
        ]


def percent(part: int, total: int) -> str:
    """Write a count as a share of a total."""
    return f"{part:,} of {total:,} ({part / max(total, 1):.1%})"
