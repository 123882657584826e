"""Negative samplers whose negatives are those that the evaluation ranks against."""

from collections.abc import Mapping
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.sampling.negative_sampler import NegativeSampler
from pykeen.typing import BoolTensor, LongTensor, MappedTriples

from ..errors import DataError
from ..indexing import Ragged, pick

__all__ = ["PoolNegativeSampler", "SharedTailNegativeSampler"]


@parse_docdata
class PoolNegativeSampler(NegativeSampler):
    """Replace tails by entities out of a pool of the relation, uniformly.

    ---
    name: Pool
    citation:
        author: Krompass
        year: 2015
        link: https://doi.org/10.1007/978-3-319-25007-6_37
    """

    def __init__(
        self, *, mapped_triples: MappedTriples, pools: Mapping[int, LongTensor] | None = None, **kwargs: Any
    ) -> None:
        """Initialize the sampler.

        :param mapped_triples: shape: ``(n, 3)``; the training triples
        :param pools: relation -> the entities to draw from, shape: ``(n,)`` each; not empty. By default the tails that
            the relation has in training
        :param kwargs: keyword arguments of :class:`pykeen.sampling.NegativeSampler`
        :raises DataError: if a relation has no pool
        """
        super().__init__(mapped_triples=mapped_triples, **kwargs)
        relations, tails = mapped_triples[:, 1], mapped_triples[:, 2]
        if pools is None:
            triples = Ragged.group(relations, self.num_relations)
            pools = {relation: tails[triples[relation]] for relation in range(self.num_relations)}
        for relation in relations.unique().tolist():
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


@parse_docdata
class SharedTailNegativeSampler(NegativeSampler):
    """Replace tails by the same entities for all triples of a batch, so that a model can score them at once.

    They are drawn anew for each batch, without replacement, and the tails of the batch's own triples are among them: a
    triple's own tail is masked, and other known answers are where there is a filterer. ``num_negs_per_pos`` is the
    number of tails that are drawn for a batch.

    ---
    name: Shared Tail
    citation:
        author: Ruffinelli
        year: 2020
        link: https://openreview.net/forum?id=BkxSmlBFvr
        github: uma-pi1/kge-iclr20
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
