"""Triples of a dataset under the ids of a run: they are matched by label, never by count or by position."""

from collections.abc import Mapping

import torch
from pykeen.datasets.base import Dataset, EagerDataset
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.typing import LongTensor

from ..datasets import labels_in_order
from ..errors import RunError

__all__ = ["AlignedDataset", "aligned_factory"]


def _rows(own: Mapping[str, int], other: Mapping[str, int]) -> LongTensor:
    """Return the run's id of each label of another factory, -1 where it has none; shape: ``(len(other),)``."""
    return torch.tensor([own.get(label, -1) for label in labels_in_order(other)], dtype=torch.long)


def aligned_factory(factory: CoreTriplesFactory, training: TriplesFactory, name: str = "the dataset") -> TriplesFactory:
    """Give triples the ids that a run knows their labels by.

    :param factory: the factory of a split, with labels
    :param training: the training triples of the run
    :param name: what to call the factory in a message
    :returns: the same triples with the run's ids, in the same order; the factory itself if its labels have these ids
        already
    :raises RunError: if the factory has no labels, or a triple has a label that the run does not know
    """
    if not isinstance(factory, TriplesFactory):
        raise RunError(f"{name} has no labels, so its triples cannot be matched with those of the run.")
    if factory.entity_to_id == training.entity_to_id and factory.relation_to_id == training.relation_to_id:
        return factory
    triples = factory.mapped_triples
    columns = []
    for kind, column, own, other in (
        ("entity", 0, training.entity_to_id, factory.entity_to_id),
        ("relation", 1, training.relation_to_id, factory.relation_to_id),
        ("entity", 2, training.entity_to_id, factory.entity_to_id),
    ):
        ids = _rows(own, other)[triples[:, column]]
        unknown = triples[ids < 0, column].unique()
        if len(unknown):
            labels = labels_in_order(other)
            raise RunError(
                f"{len(unknown)} {kind} label(s) in the triples of {name} are unknown to the run, e.g. "
                f"{[labels[i] for i in unknown[:3].tolist()]}: it was trained on another graph. Take its own dataset, "
                "or train again."
            )
        columns.append(ids)
    return TriplesFactory(
        mapped_triples=torch.stack(columns, dim=-1),
        entity_to_id=training.entity_to_id,
        relation_to_id=training.relation_to_id,
        create_inverse_triples=factory.create_inverse_triples,
        metadata=factory.metadata,
    )


class AlignedDataset(EagerDataset):
    """A dataset under the ids of a run, with its further test splits."""

    def __init__(self, dataset: Dataset, training: TriplesFactory) -> None:
        """Initialize the dataset.

        :param dataset: the dataset, with labels
        :param training: the training triples of the run
        :raises RunError: if a triple of a split has a label that the run does not know
        """
        validation = dataset.validation
        super().__init__(
            training=aligned_factory(dataset.training, training, "the training split"),
            testing=aligned_factory(dataset.testing, training, "the testing split"),
            validation=None if validation is None else aligned_factory(validation, training, "the validation split"),
            metadata=dataset.metadata,
        )
        self.extra = {
            name: aligned_factory(factory, training, f"the split {name!r}")
            for name, factory in (getattr(dataset, "extra", None) or {}).items()
        }
