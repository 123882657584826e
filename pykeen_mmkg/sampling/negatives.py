"""Negative samplers whose negatives are those that the evaluation ranks against."""

from collections.abc import Mapping
from typing import Any

import torch
from class_resolver import HintOrType
from docdata import parse_docdata
from pykeen.sampling.filtering import Filterer
from pykeen.sampling.negative_sampler import NegativeSampler
from pykeen.typing import BoolTensor, LongTensor, MappedTriples

from ..errors import DataError
from ..indexing import Ragged, pick
from ..options import strict
from .filterer import KnownTriplesFilterer

__all__ = ["DistinctNegativeSampler", "PoolNegativeSampler", "SharedTailNegativeSampler"]


@parse_docdata
class DistinctNegativeSampler(NegativeSampler):
    """Corrupt one side of a triple, chosen by a coin, by entities that are all different and none of which is known.

    A known negative is drawn again, where PyKEEN's samplers leave it out: each triple gets ``num_negs_per_pos`` of
    them, uniformly from all sets of so many unknown answers. Where there are fewer, the rest is masked. These are the
    negatives of the code of VL-KGE.

    ---
    name: Distinct
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    #: how often what is known, or is there already, is drawn again before it is counted what there is to draw
    max_rounds: int = 50

    @strict()
    def __init__(self, *, filtered: bool = True, filterer: HintOrType[Filterer] = None, **kwargs: Any) -> None:
        """Initialize the sampler.

        :param filtered: must be true, or not given
        :param filterer: says what is known, by default :class:`~pykeen_mmkg.sampling.filterer.KnownTriplesFilterer`
        :param kwargs: keyword arguments of :class:`pykeen.sampling.NegativeSampler`
        :raises DataError: if it is not to filter
        """
        if not filtered:
            raise DataError("The sampler `distinct` is always filtered; PyKEEN's `basic` is without a filter.")
        super().__init__(filtered=True, filterer=filterer or KnownTriplesFilterer, **kwargs)

    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:  # noqa: D102
        flat, k = positive_batch.reshape(-1, 3), self.num_negs_per_pos
        tail = torch.rand(len(flat), device=flat.device) < 0.5
        drawn = flat.new_full((len(flat), k), -1)
        todo = torch.arange(len(flat), device=flat.device)
        for _ in range(self.max_rounds):
            if not len(todo):
                break
            drawn[todo] = self._fill(flat[todo], tail[todo], drawn[todo], 2 * k)
            todo = todo[drawn[todo, -1] < 0]
        if len(todo):  # few are left to choose from: look at all, in random order
            every = torch.stack([torch.randperm(self.num_entities, device=flat.device) for _ in todo])
            drawn[todo] = self._fill(flat[todo], tail[todo], drawn[todo], 0, every)
        # where there are not enough, the triple itself stands, and is masked
        drawn = torch.where(drawn < 0, torch.where(tail, flat[:, 2], flat[:, 0])[:, None], drawn)
        return self._corrupted(flat, tail, drawn).view(*positive_batch.shape[:-1], k, 3)

    @staticmethod
    def _corrupted(triples: LongTensor, tail: BoolTensor, entities: LongTensor) -> LongTensor:
        """Put entities, shape ``(n, k)``, on one side of triples; shape: ``(n, k, 3)``."""
        result = triples[:, None].repeat(1, entities.shape[1], 1)
        column = torch.where(tail, 2, 0)[:, None, None].expand(-1, entities.shape[1], 1)
        return result.scatter_(-1, column, entities[..., None])

    def _fill(
        self, triples: LongTensor, tail: BoolTensor, drawn: LongTensor, more: int, choice: LongTensor | None = None
    ) -> LongTensor:
        """Go on drawing.

        :param triples: shape: ``(n, 3)``
        :param tail: shape: ``(n,)``; whether the tail is corrupted
        :param drawn: shape: ``(n, k)``; what is drawn already, -1 for what is not
        :param more: how many to draw
        :param choice: shape: ``(n, m)``; what to take in place of draws
        :returns: shape: ``(n, k)``; with -1 at the end where there are not enough
        """
        if choice is None:
            choice = torch.randint(self.num_entities, (len(triples), more), device=triples.device)
        assert self.filterer is not None
        choice = choice.masked_fill(self.filterer.contains(self._corrupted(triples, tail, choice)), -1)
        both = torch.cat([drawn, choice], dim=-1)
        # the first of equal ones stays: a stable sort keeps their order
        values, order = both.sort(dim=-1, stable=True)
        again = torch.zeros_like(both, dtype=torch.bool)
        again[:, 1:] = values[:, 1:] == values[:, :-1]
        both = both.masked_fill(torch.zeros_like(again).scatter(-1, order, again), -1)
        first = (both < 0).long().argsort(dim=-1, stable=True)
        return both.gather(-1, first)[:, : drawn.shape[1]]

    def sample(self, positive_batch: LongTensor) -> tuple[LongTensor, BoolTensor | None]:  # noqa: D102
        negative = self.corrupt_batch(positive_batch)
        mask = (negative != positive_batch.unsqueeze(-2)).any(dim=-1)
        return negative, None if bool(mask.all()) else mask


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

    @strict()
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

    def corrupt_batch(self, positive_batch: LongTensor) -> LongTensor:  # noqa: D102
        drawn = torch.randperm(self.num_entities)[: self.num_negs_per_pos]
        tails = torch.cat([drawn, positive_batch[..., 2].reshape(-1)]).unique()
        negative = positive_batch.unsqueeze(-2).repeat(*(1 for _ in positive_batch.shape[:-1]), len(tails), 1)
        negative[..., 2] = tails
        return negative

    def sample(self, positive_batch: LongTensor) -> tuple[LongTensor, BoolTensor | None]:  # noqa: D102
        negative, kept = super().sample(positive_batch)
        mask = negative[..., 2] != positive_batch[..., 2, None]
        return negative, mask if kept is None else mask & kept
