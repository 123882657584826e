"""Training by a softmax over a pool of tails that all triples of a batch share."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import torch
from class_resolver import HintOrType, OptionalKwargs
from docdata import parse_docdata
from pykeen.models.nbase import ERModel
from pykeen.regularizers import NoRegularizer, Regularizer
from pykeen.sampling.negative_sampler import NegativeSampler
from pykeen.training.slcwa import SLCWATrainingLoop
from pykeen.triples import CoreTriplesFactory
from pykeen.triples.instances import BatchedSLCWAInstances
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, Target
from torch.utils.data import DataLoader

from ..errors import MultimodalError
from ..indexing import TargetIndex, irreflexive_relations, query_columns
from ..nn.losses import SampledSoftmaxLoss
from ..options import strict
from .checked import CheckedTrainingMixin

__all__ = ["Pool", "PooledInstances", "SampledSoftmaxTrainingLoop"]


class Pool(NamedTuple):
    """The entities that the queries of a batch are asked about."""

    #: sorted ids, shape (n,); the answers of the batch are among them
    ids: LongTensor
    #: shape (b,), where each answer is
    answer: LongTensor
    #: shape (b, n), other entities that are known answers
    known: BoolTensor


class PooledBatch(NamedTuple):
    """Triples, and a pool for each side that is predicted."""

    triples: LongTensor
    pools: dict[Target, Pool]


class PooledInstances(BatchedSLCWAInstances):
    """Batches of triples whose competitors are the batch's own answers and entities drawn uniformly."""

    def __init__(
        self,
        *,
        num_sampled: int = 512,
        candidates: LongTensor | None = None,
        sides: Iterable[Target],
        mask_self: bool = False,
        **kwargs: Any,
    ) -> None:
        """Initialize the instances.

        :param num_sampled: how many entities are drawn for a batch, with replacement
        :param candidates: the entities to draw from, shape: ``(n,)``; by default those of the triples
        :param sides: the sides that are predicted
        :param mask_self: whether an entity is left out of its own competitors for irreflexive relations
        :param kwargs: keyword arguments of :class:`pykeen.triples.instances.BatchedSLCWAInstances`
        """
        super().__init__(**kwargs)
        self.num_sampled = num_sampled
        self.candidates = self.mapped_triples[:, [0, 2]].unique() if candidates is None else candidates
        self.own: BoolTensor | None = None
        if mask_self:
            self.own = irreflexive_relations(self.mapped_triples, int(self.mapped_triples[:, 1].max()) + 1)
        self.index = {side: TargetIndex.from_triples(self.mapped_triples, side) for side in sides}

    def _pool(self, side: Target, batch: LongTensor, rows: slice) -> Pool:
        given, predicted = query_columns(side)
        drawn = self.candidates[torch.randint(len(self.candidates), (self.num_sampled,))]
        ids = torch.cat([batch[:, predicted], drawn]).unique()
        triples = batch[rows]
        answers = triples[:, predicted].contiguous()
        answer = torch.searchsorted(ids, answers)
        known = torch.zeros(len(triples), len(ids), dtype=torch.bool)
        row, entity = self.index[side].rows(triples[:, given], triples[:, 1])
        place = torch.searchsorted(ids, entity).clamp(max=len(ids) - 1)
        inside = ids[place] == entity
        known[row[inside], place[inside]] = True
        if self.own is not None:
            known |= self.own[triples[:, 1], None] & (ids == triples[:, given, None])
        known[torch.arange(len(triples)), answer] = False
        return Pool(ids, answer, known)

    def part(self, item: list[int] | LongTensor, rows: slice) -> PooledBatch:
        """Return some rows of a batch, whose pools are those of the whole batch.

        :param item: the triples of the batch
        :param rows: which of them
        """
        batch = self.mapped_triples[item]
        return PooledBatch(batch[rows], {side: self._pool(side, batch, rows) for side in self.index})

    def __getitem__(self, item: list[int]) -> PooledBatch:  # type: ignore[override]
        return self.part(item, slice(None))


def _steps(
    batches: Iterable[PooledBatch], optimizer: torch.optim.Optimizer, rates: Iterable[float]
) -> Iterator[PooledBatch]:
    """Set the learning rate before each batch; afterwards, set it back, since PyKEEN makes new optimizers from it."""
    try:
        for batch, factor in zip(batches, rates, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = factor * optimizer.defaults["lr"]
            yield batch
    finally:
        for group in optimizer.param_groups:
            group["lr"] = optimizer.defaults["lr"]


@parse_docdata
class SampledSoftmaxTrainingLoop(CheckedTrainingMixin, SLCWATrainingLoop):  # type: ignore[misc]
    r"""Predict the answer among a pool of entities that all triples of a batch share.

    The pool holds the answers of the batch and entities drawn uniformly from those that occur in training; other known
    answers of a query are masked. The scores of a batch are those of one call of ``score_t``. With the loss
    ``sampledsoftmax`` this is

    .. math::

        -\log \frac{\exp f(h, r, t)}{\sum_{t' \in \mathcal{P} \setminus \mathcal{K}_{hr}} \exp f(h, r, t')}

    where $\mathcal{P}$ is the pool and $\mathcal{K}_{hr}$ are the other tails known for $(h, r)$; any other loss gets
    the scores of the answers and of the unmasked rest. A model with inverse triples predicts tails only, another one
    tails and heads, whose losses are averaged.

    Regularizers of representations act on the heads, relations and tails of the triples, and not on the pool: for
    the penalty N3 of Lacroix et al. (2018), give complex representations ``regularizer="powersum"`` with
    ``regularizer_kwargs={"p": 3}``.

    ---
    name: Sampled Softmax
    citation:
        author: Jean
        year: 2015
        link: https://aclanthology.org/P15-1001
    """

    @strict(num_sampled=1, warmup_steps=0, final_rate=0)
    def __init__(
        self,
        *,
        num_sampled: int = 512,
        pool: Literal["seen", "all"] = "seen",
        mask_self: bool = False,
        warmup_steps: int = 0,
        decay: bool = False,
        final_rate: float = 0.02,
        negative_sampler: HintOrType[NegativeSampler] = None,
        negative_sampler_kwargs: OptionalKwargs = None,
        **kwargs: Any,
    ) -> None:
        """Initialize the training loop.

        :param num_sampled: how many entities are drawn for a batch
        :param pool: what they are drawn from: the ``seen`` entities of the training triples, or ``all``
        :param mask_self: whether an entity is left out of its own competitors for relations of which no training triple
            relates an entity to itself. What is trained like this ranks an entity high as its own answer, and has to
            leave it out in prediction, too, as late fusion does
        :param warmup_steps: the number of steps over which the learning rate rises linearly
        :param decay: whether the learning rate falls linearly, step by step, until the last epoch
        :param final_rate: the share of the learning rate that is left at the end of the decay
        :param negative_sampler: must not be given; the parameter is there since PyKEEN's pipeline fills it
        :param negative_sampler_kwargs: likewise
        :param kwargs: keyword arguments of :class:`pykeen.training.SLCWATrainingLoop`
        :raises MultimodalError: if an option is unknown or out of range, or a negative sampler is given
        """
        if negative_sampler is not None or negative_sampler_kwargs:
            raise MultimodalError("The sampled softmax draws its own entities; leave the negative sampler out.")
        super().__init__(**kwargs)
        self.num_sampled, self.pool, self.mask_self = num_sampled, pool, mask_self
        self.warmup_steps, self.decay, self.final_rate = warmup_steps, decay, final_rate
        self._num_epochs = 1
        self.regularized = any(
            isinstance(module, Regularizer) and not isinstance(module, NoRegularizer) for module in self.model.modules()
        )

    def train(  # type: ignore[override]  # noqa: D102
        self, triples_factory: CoreTriplesFactory, num_epochs: int = 1, **kwargs: Any
    ) -> list[float] | None:
        self._num_epochs = num_epochs
        return super().train(triples_factory, num_epochs=num_epochs, **kwargs)

    def rate(self, step: int, num_steps: int) -> float:
        """Return the factor of the learning rate at a step, counted from 0, of a number of steps in all."""
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return warmup * (max(self.final_rate, 1 - step / num_steps) if self.decay else 1.0)

    def _create_training_data_loader(
        self, triples_factory: CoreTriplesFactory, *, sampler: str | None, batch_size: int, drop_last: bool, **kwargs
    ) -> DataLoader:
        if sampler is not None:
            raise MultimodalError("The sampled softmax draws its batches itself; leave `sampler` out.")
        kwargs.pop("shuffle", None)
        kwargs.pop("pin_memory", None)
        instances = PooledInstances.from_triples_factory(
            triples_factory,
            batch_size=batch_size,
            drop_last=drop_last,
            num_sampled=self.num_sampled,
            candidates=torch.arange(triples_factory.num_entities) if self.pool == "all" else None,
            mask_self=self.mask_self,
            sides=["tail"] if self.model.use_inverse_triples else ["tail", "head"],
        )
        return DataLoader(dataset=instances, batch_size=None, batch_sampler=None, **kwargs)

    def _train_epoch(self, batches: Any, *args: Any, **kwargs: Any) -> float:
        if not kwargs.get("only_size_probing") and (self.warmup_steps or self.decay):
            per_epoch = len(batches)
            first = (kwargs["epoch"] - 1) * per_epoch
            rates = [self.rate(first + i, self._num_epochs * per_epoch) for i in range(per_epoch)]
            batches = _Sized(_steps(batches, self.optimizer, rates), per_epoch)
        return super()._train_epoch(batches, *args, **kwargs)

    @staticmethod
    def _get_batch_size(batch: PooledBatch) -> int:  # type: ignore[override]
        return len(batch.triples)

    def _side_loss(self, side: Target, triples: LongTensor, pool: Pool, rows: slice, smoothing: float) -> FloatTensor:
        ids = pool.ids.to(triples.device)
        if side == "tail":
            scores = self.model.score_t(triples[:, :2], tails=ids, mode=self.mode)
        else:
            scores = self.model.score_h(triples[:, 1:], heads=ids, mode=self.mode)
        answer, known = pool.answer[rows].to(triples.device), pool.known[rows].to(triples.device)
        if isinstance(self.loss, SampledSoftmaxLoss) and not smoothing:
            return self.loss(scores, answer, known)
        negative = (~known).scatter(1, answer[:, None], value=False)
        return self.loss.process_slcwa_scores(
            positive_scores=scores.gather(1, answer[:, None]),
            negative_scores=scores[negative],
            label_smoothing=smoothing,
            batch_filter=negative,
            num_entities=self.model._get_entity_len(mode=self.mode),
        )

    def _process_batch(  # type: ignore[override]
        self, batch: PooledBatch, start: int, stop: int, label_smoothing: float = 0.0, slice_size: int | None = None
    ) -> FloatTensor:
        rows = slice(start, stop)
        triples = batch.triples[rows].to(self.model.device)
        losses = [
            self._side_loss(side, triples, pool, rows, smoothing=label_smoothing) for side, pool in batch.pools.items()
        ]
        loss = torch.stack(losses).mean()
        if self.regularized and isinstance(self.model, ERModel):
            # drop what the pool added, and look the triples up, for the regularizers alone
            self.model.collect_regularization_term()
            self.model._get_representations(*triples.unbind(dim=-1), mode=self.mode)
        return loss + self.model.collect_regularization_term()


class _Sized:
    """An iterator with a length, which PyKEEN asks for."""

    def __init__(self, iterator: Iterator[Any], length: int) -> None:
        self.iterator, self.length = iterator, length

    def __iter__(self) -> Iterator[Any]:
        return self.iterator

    def __len__(self) -> int:
        return self.length
