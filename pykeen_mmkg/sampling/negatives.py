"""Negative samplers whose negatives are those that the evaluation ranks against."""

from collections.abc import Mapping
from typing import Any

import torch
from pykeen.sampling.negative_sampler import NegativeSampler
from pykeen.typing import BoolTensor, LongTensor

from ..errors import DataError
from ..indexing import Ragged, pick

__all__ = ["PoolNegativeSampler", "SharedTailNegativeSampler"]


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
        empty = torch.empty(0, dtype=torch.long)
        self.pools = Ragged.from_lists([pools.get(relation, empty) for relation in range(self.num_relations)])

    # docstr-coverage: inherited
    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:  # noqa: D102
        negative = positive_batch.unsqueeze(-2).repeat(
            *(1 for _ in positive_batch.shape[:-1]), self.num_negs_per_pos, 1
        )
        relation = negative[..., 1]
        share = torch.rand(relation.shape, dtype=torch.double)
        negative[..., 2] = self.pools.values[pick(self.pools.offsets, relation, share)]
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
