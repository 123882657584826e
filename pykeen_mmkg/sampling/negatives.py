"""Negatives that look like the competitors of the evaluation."""

from collections.abc import Mapping
from typing import Any

import torch
from pykeen.sampling.negative_sampler import NegativeSampler
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.typing import BoolTensor, LongTensor

from ..errors import DataError

__all__ = ["PoolNegativeSampler", "SharedTailNegativeSampler", "type_pools"]


def type_pools(triples_factory: CoreTriplesFactory, separator: str = ":", field: int = 1) -> dict[int, LongTensor]:
    """Return for each relation of the training triples the entities of a type that one of its tails has.

    :param triples_factory: the training triples, with labels such as NELL's ``concept:TYPE:name``
    :param separator: what separates the fields of a label
    :param field: which field is the type, from 0
    :returns: relation -> entities, shape: ``(n,)`` each
    :raises DataError: if there are no labels, or one has no type
    """
    if not isinstance(triples_factory, TriplesFactory):
        raise DataError("Types are read off the labels of entities, but the triples factory has none.")
    names: dict[str, int] = {}
    types = torch.zeros(triples_factory.num_entities, dtype=torch.long)
    for label, index in triples_factory.entity_to_id.items():
        parts = label.split(separator)
        if len(parts) <= field:
            raise DataError(
                f"The entity {label!r} has no type: its label has no field {field}, separated by {separator!r}. Leave "
                '`competitors` out, or use competitors="all".'
            )
        types[index] = names.setdefault(parts[field], len(names))
    triples = triples_factory.mapped_triples
    return {
        r: torch.isin(types, types[triples[triples[:, 1] == r, 2].unique()].unique()).nonzero().view(-1)
        for r in triples[:, 1].unique().tolist()
    }


class PoolNegativeSampler(NegativeSampler):
    """Replace tails by entities out of a pool of the relation."""

    def __init__(self, *, pools: Mapping[int, LongTensor], **kwargs: Any) -> None:
        """Initialize the sampler.

        :param pools: relation -> the entities to draw from, shape: ``(n,)`` each; not empty
        :param kwargs: keyword arguments of :class:`pykeen.sampling.NegativeSampler`
        :raises DataError: if a relation has no pool
        """
        super().__init__(**kwargs)
        for relation in kwargs["mapped_triples"][:, 1].unique().tolist():
            if relation not in pools or not len(pools[relation]):
                raise DataError(f"There is no entity to draw negatives from for the relation with the id {relation}.")
        size = torch.zeros(self.num_relations, dtype=torch.long)
        for relation, pool in pools.items():
            size[relation] = len(pool)
        self.size, self.start = size, size.cumsum(0) - size
        self.flat = torch.cat([pools[relation] for relation in sorted(pools)])

    # docstr-coverage: inherited
    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:  # noqa: D102
        negative = positive_batch.unsqueeze(-2).repeat(
            *(1 for _ in positive_batch.shape[:-1]), self.num_negs_per_pos, 1
        )
        relation = negative[..., 1]
        place = (torch.rand(relation.shape, dtype=torch.double) * self.size[relation]).long()
        negative[..., 2] = self.flat[self.start[relation] + place]
        return negative


class SharedTailNegativeSampler(NegativeSampler):
    """Replace tails by the same entities for all triples of a batch, so that a model can score them at once.

    They are drawn anew for each batch, without replacement, and the tails of the batch's own triples are among them: a
    triple's own tail is masked, and other known answers are where there is a filterer. ``num_negs_per_pos`` is the
    number of tails that are drawn for a batch.
    """

    # docstr-coverage: inherited
    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:  # noqa: D102
        drawn = torch.randperm(self.num_entities)[: self.num_negs_per_pos]
        tails = torch.cat([drawn, positive_batch[..., 2].reshape(-1)]).unique()
        negative = positive_batch.unsqueeze(-2).repeat(*(1 for _ in positive_batch.shape[:-1]), len(tails), 1)
        negative[..., 2] = tails
        return negative

    # docstr-coverage: inherited
    def sample(self, positive_batch: LongTensor) -> tuple[LongTensor, BoolTensor | None]:  # noqa: D102
        negative, kept = super().sample(positive_batch)
        mask = negative[..., 2] != positive_batch[..., 2, None]
        return negative, mask if kept is None else mask & kept
