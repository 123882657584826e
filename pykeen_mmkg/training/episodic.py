"""Training in short epochs in which rare relations count nearly as much as frequent ones."""

from collections.abc import Iterable
from typing import Any

import torch
from class_resolver import HintOrType, OptionalKwargs
from docdata import parse_docdata
from pykeen.sampling import NegativeSampler, negative_sampler_resolver
from pykeen.training.slcwa import SLCWATrainingLoop
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.triples.instances import BaseBatchedSLCWAInstances, SLCWABatch
from pykeen.typing import FloatTensor
from torch.utils.data import DataLoader, get_worker_info

from ..datasets import entity_types, type_pools
from ..errors import MultimodalError
from ..indexing import Ragged, pick
from ..options import strict
from ..sampling.filterer import KnownTriplesFilterer
from ..sampling.negatives import PoolNegativeSampler, SharedTailNegativeSampler
from .checked import CheckedTrainingMixin

__all__ = ["EpisodicTrainingLoop", "RelationBalancedInstances"]


class RelationBalancedInstances(BaseBatchedSLCWAInstances):
    """A fixed number of batches, drawn with replacement: first relations, then triples of each."""

    @strict(num_batches=1, relations_per_batch=1, exponent=0, cap=1)
    def __init__(
        self,
        *,
        num_batches: int = 50,
        relations_per_batch: int = 16,
        exponent: float = 0.5,
        cap: int = 1000,
        **kwargs: Any,
    ) -> None:
        """Initialize the instances.

        :param num_batches: the number of batches in an epoch
        :param relations_per_batch: how many relations are drawn for a batch
        :param exponent: relations are drawn with the probability ``min(number of triples, cap) ** exponent``
        :param cap: see `exponent`
        :param kwargs: keyword arguments of :class:`pykeen.triples.instances.BaseBatchedSLCWAInstances`
        """
        super().__init__(**kwargs)
        self.num_batches, self.relations_per_batch = num_batches, relations_per_batch
        relation = self.mapped_triples[:, 1]
        self.by_relation = Ragged.group(relation, int(relation.max()) + 1)
        count = self.by_relation.offsets.diff()
        self.weight = count.clamp(max=cap).double() ** exponent * (count > 0)

    def iter_triple_ids(self) -> Iterable[list[int]]:  # noqa: D102
        own = max(1, -(-self.batch_size // self.relations_per_batch))
        worker = get_worker_info()
        # each worker has a copy of these instances: together they give the batches of one epoch
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for _ in range(first, self.num_batches, step):
            relation = torch.multinomial(self.weight, self.relations_per_batch, replacement=True)
            relation = relation.repeat_interleave(own)[: self.batch_size]
            share = torch.rand(len(relation), dtype=torch.double)
            yield self.by_relation.values[pick(self.by_relation.offsets, relation, share)].tolist()

    def __len__(self) -> int:
        return self.num_batches


@parse_docdata
class EpisodicTrainingLoop(CheckedTrainingMixin, SLCWATrainingLoop):  # type: ignore[misc]
    """The sLCWA loop in short epochs over batches of a few relations each, with corrupted tails.

    What is learned from seen relations is to hold for unseen ones: a relation with 15,000 triples says little more
    about relations than one with 500, so relations are drawn first, see :class:`RelationBalancedInstances`.

    ---
    name: Episodic
    """

    @strict(num_batches=1, relations_per_batch=1, exponent=0, cap=1)
    def __init__(
        self,
        *,
        negative_sampler: HintOrType[NegativeSampler] = None,
        negative_sampler_kwargs: OptionalKwargs = None,
        num_batches: int = 50,
        relations_per_batch: int = 16,
        exponent: float = 0.5,
        cap: int = 1000,
        negatives: str = "all",
        **kwargs: Any,
    ) -> None:
        """Initialize the training loop.

        :param negative_sampler: the negative sampler, by default
            :class:`~pykeen_mmkg.sampling.negatives.SharedTailNegativeSampler`: all triples of a batch have the same
            negatives, and the model scores them by one call of its ``score_t``
        :param negative_sampler_kwargs: its keyword arguments; without a sampler 1,000 tails are drawn for a batch (with
            the negatives ``types``, 64 for each triple), and known answers are left out
        :param num_batches: the number of batches in an epoch
        :param relations_per_batch: see :class:`RelationBalancedInstances`
        :param exponent: see :class:`RelationBalancedInstances`
        :param cap: see :class:`RelationBalancedInstances`
        :param negatives: the tails that negatives are drawn from, unless there is a sampler: ``all`` entities, or
            those of the ``types`` of the relation's tails, with labels such as NELL's ``concept:TYPE:name``
        :param kwargs: keyword arguments of :class:`pykeen.training.SLCWATrainingLoop`
        :raises MultimodalError: if a number is not positive, or the negatives are unknown
        """
        if min(num_batches, relations_per_batch, cap) < 1:
            raise MultimodalError("num_batches, relations_per_batch and cap must be at least 1.")
        if negatives not in ("all", "types") or (negatives == "types" and negative_sampler is not None):
            raise MultimodalError(
                f"negatives must be 'all' or, without a negative_sampler, 'types'; got {negatives!r}."
            )
        if negative_sampler is None:
            types = negatives == "types"
            negative_sampler = PoolNegativeSampler if types else SharedTailNegativeSampler
            negative_sampler_kwargs = {
                "num_negs_per_pos": 64 if types else 1000,
                "filtered": True,
                "filterer": KnownTriplesFilterer,
                **(negative_sampler_kwargs or {}),
            }
        elif isinstance(negative_sampler, str):
            negative_sampler = negative_sampler_resolver.lookup(negative_sampler)
        super().__init__(negative_sampler=negative_sampler, negative_sampler_kwargs=negative_sampler_kwargs, **kwargs)
        self.negatives = negatives
        self.episodes = dict(
            num_batches=num_batches, relations_per_batch=relations_per_batch, exponent=exponent, cap=cap
        )

    def _create_training_data_loader(
        self,
        triples_factory: CoreTriplesFactory,
        *,
        sampler: str | None,
        batch_size: int,
        drop_last: bool,
        **kwargs: Any,
    ) -> DataLoader[SLCWABatch]:
        if sampler is not None:
            raise MultimodalError("The episodic loop draws its batches itself; leave `sampler` out.")
        kwargs.pop("shuffle", None)
        sampler_kwargs = self.negative_sampler_kwargs
        if self.negatives == "types":
            if not isinstance(triples_factory, TriplesFactory):
                raise MultimodalError("Types are read off the labels of entities, but the triples factory has none.")
            pools = type_pools(triples_factory.mapped_triples, entity_types(triples_factory.entity_to_id))
            sampler_kwargs = {**(sampler_kwargs or {}), "pools": pools}
        instances = RelationBalancedInstances.from_triples_factory(
            triples_factory,
            batch_size=batch_size,
            drop_last=drop_last,
            negative_sampler=self.negative_sampler,
            negative_sampler_kwargs=sampler_kwargs,
            loss_weighter=self.loss_weighter,
            loss_weighter_kwargs=self.loss_weighter_kwargs,
            **self.episodes,
        )
        return DataLoader(dataset=instances, batch_size=None, batch_sampler=None, **kwargs)

    def _process_batch(
        self,
        batch: SLCWABatch,
        start: int,
        stop: int,
        label_smoothing: float = 0.0,
        slice_size: int | None = None,
    ) -> FloatTensor:
        if self.negative_sampler is not SharedTailNegativeSampler:
            return super()._process_batch(batch, start, stop, label_smoothing, slice_size)
        positives = batch["positives"][start:stop].to(self.model.device)
        # sorted, and the answers are among them
        tails = batch["negatives"][0, :, 2].contiguous().to(self.model.device)
        scores = self.model.score_t(positives[:, :2], tails=tails, mode=self.mode)
        answer = torch.searchsorted(tails, positives[:, 2].contiguous())
        masks = batch["masks"][start:stop].to(self.model.device)
        pos_weights, neg_weights = (
            None if weights is None else weights[start:stop].to(self.model.device)
            for weights in (batch.get("pos_weights"), batch.get("neg_weights"))
        )
        loss = self.loss.process_slcwa_scores(
            positive_scores=scores.gather(1, answer[:, None]),
            negative_scores=scores[masks],
            label_smoothing=label_smoothing,
            batch_filter=masks,
            num_entities=self.model._get_entity_len(mode=self.mode),
            pos_weights=pos_weights,
            neg_weights=None if neg_weights is None else neg_weights[masks],
        )
        return loss + self.model.collect_regularization_term()
