"""Trains the feature extractor of pairs, and then a generator of relation vectors among its features."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, MappedTriples
from torch.nn import functional

from ...options import strict
from .generator import GenerativeLearner, Real
from .pair_sampler import PairSampler
from .pairs import PairExtractor
from .self_trained import SelfTrained

__all__ = ["PairLearner"]

#: how many pairs are looked at at a time where all of a relation are
CHUNK_SIZE = 8192


class PairLearner(SelfTrained):
    r"""Relations as points among the vectors of pairs.

    First the extractor learns that pairs of one relation are alike. In episodes of one relation each, the score of a
    pair is its dot product with the mean of support pairs S, and each query (h, t) is set against a corrupted tail:

    .. math::

        L_E = \frac{1}{|Q|} \sum_{(h, t, t') \in Q} \max\Big(0, \gamma - (E(h, t) - E(h, t')) \cdot
            \frac{1}{|S|} \sum_{(h', t'') \in S} E(h', t'')\Big)

    Then the centroid :math:`\mathbf{c}_r` of the pairs of each seen relation is computed, and the generator learns to
    hit it from the description. A triple is scored by
    :math:`\frac1K \sum_k \cos(E(h, t), G(\mathbf{x}_r, \mathbf{z}_k))`.

    Real pairs and centroids are computed without dropout; the authors' code of MRE leaves it on in its first round.
    """

    centroids: FloatTensor
    steps: LongTensor

    @strict(
        dim=1,
        extractor_steps=0,
        extractor_lr=0,
        generator_steps=1,
        refresh=1,
        relations_per_step=1,
        pairs_per_relation=1,
        centroid_pairs=1,
    )
    def __init__(
        self,
        triples: MappedTriples,
        entity_shape: tuple[int, int],
        seen: BoolTensor,
        text_dim: int,
        dim: int = 200,
        extractor_steps: int = 10_000,
        extractor_lr: float = 1e-4,
        generator_steps: int | None = None,
        refresh: int | None = None,
        margin: float = 5.0,
        relations_per_step: int = 2,
        pairs_per_relation: int = 256,
        centroid_pairs: int | None = 1024,
        extractor_kwargs: Mapping[str, Any] | None = None,
        learner_kwargs: Mapping[str, Any] | None = None,
        **sampler_kwargs: Any,
    ) -> None:
        """Initialize the learner.

        :param triples: shape: ``(n, 3)``; the training triples
        :param entity_shape: the number of entities, and the dimension of their vectors
        :param seen: shape: ``(num_relations,)``; which relations have training triples
        :param text_dim: the dimension of texts
        :param dim: the dimension of pair and relation vectors
        :param extractor_steps: the number of steps of the extractor, before those of the generator
        :param extractor_lr: the learning rate of the extractor
        :param generator_steps: the number of steps of the generator, after which another round begins, with the
            entities' vectors as they are then and the extractor; None: all later steps are the generator's
        :param refresh: after how many steps the entities' vectors are frozen anew, where they are trained at the same
            time; None: never after the first time
        :param margin: the margin of the extractor's hinge
        :param relations_per_step: the number of relations in a step of the generator
        :param pairs_per_relation: the number of pairs of each of them
        :param centroid_pairs: over how many pairs of a relation the centroid is taken at most; None: over all
        :param extractor_kwargs: further keyword arguments of :class:`~pykeen_mmkg.nn.zero_shot.pairs.PairExtractor`
        :param learner_kwargs: keyword arguments of :class:`~pykeen_mmkg.nn.zero_shot.generator.GenerativeLearner`
        :param sampler_kwargs: further keyword arguments of :class:`~pykeen_mmkg.nn.zero_shot.pair_sampler.PairSampler`,
            such as ``num_support`` and ``num_queries``
        """
        super().__init__()
        self.extractor = PairExtractor(triples, *entity_shape, dim=dim, **(extractor_kwargs or {}))
        self.learner = GenerativeLearner(text_dim, dim, **(learner_kwargs or {}))
        self.learner.joint = False
        self.sampler = PairSampler(triples, entity_shape[0], seen, **sampler_kwargs)
        self.register_buffer("centroids", torch.zeros(len(seen), dim))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.extractor_steps, self.extractor_lr, self.margin = extractor_steps, extractor_lr, margin
        self.generator_steps, self.refresh = generator_steps, refresh
        self.relations_per_step, self.pairs_per_relation = relations_per_step, pairs_per_relation
        self.centroid_pairs = centroid_pairs
        #: where the vectors of entities and the texts of relations come from; the model sets it
        self.sources: Callable[[], tuple[FloatTensor, FloatTensor]] | None = None

    def reset_parameters(self) -> None:
        """Start over; the layers reset themselves."""
        self.steps.zero_()
        self.centroids.zero_()
        self.forget()

    def _extractor_step(self) -> float:
        extractor = self.extractor
        support, queries, negatives = self.sampler.episodes()
        count = [len(support), len(queries), len(negatives)]
        tails = extractor.halves(torch.cat([support, queries, negatives])[:, 2], "tail")
        if extractor.input_dropout.p:  # what is dropped differs
            heads = extractor.halves(torch.cat([support, queries, negatives])[:, 0], "head")
        else:
            heads = extractor.halves(torch.cat([support, queries])[:, 0], "head")
            # a negative has the head of a query
            heads = torch.cat([heads, heads[len(support) :]])
        shown, positive, negative = extractor.join(heads, tails).split(count)
        loss = functional.relu(self.margin - (positive - negative) @ shown.mean(0)).mean()
        self.descend(self.optimizer("extractor", extractor.parameters(), self.extractor_lr, (0.9, 0.999)), loss)
        return float(loss.detach())

    @torch.no_grad()
    def _center(self) -> None:
        """Compute the centroids of the seen relations."""
        training = self.extractor.training
        self.extractor.eval()
        triples = self.sampler.triples
        for relation in self.sampler.ids.tolist():
            start, stop = self.sampler.offsets[relation : relation + 2].tolist()
            count = stop - start
            n = count if self.centroid_pairs is None else min(count, self.centroid_pairs)
            rows = triples[start + torch.arange(n, device=triples.device) * count // n]
            # the mean of means, each weighted by its share
            parts = [
                self.extractor(part[:, 0], part[:, 2]).mean(0) * (len(part) / n) for part in rows.split(CHUNK_SIZE)
            ]
            self.centroids[relation] = torch.stack(parts).sum(0)
        self.extractor.train(training)

    @torch.no_grad()
    def _draw(self, samples: bool = True) -> Real:
        chosen = self.sampler.relations(self.relations_per_step + 1)
        other, chosen = chosen.roll(1)[1:], chosen[1:]
        real = negatives = None
        if samples or self.learner.needs_negatives:
            drawn = self.sampler.pairs(chosen, self.pairs_per_relation)
            if samples:
                real = self.extractor(drawn[..., 0], drawn[..., 2])
            if self.learner.needs_negatives:
                false = self.sampler.corrupted(drawn.view(-1, 3)).view(drawn.shape)
                negatives = self.extractor(false[..., 0], false[..., 2])
        return Real(real, self.centroids[chosen], self._texts[chosen], self.centroids[other], negatives)

    def own_step(self) -> float:  # noqa: D102
        assert self.sources is not None
        total = int(self.steps)
        step = total if self.generator_steps is None else total % (self.extractor_steps + self.generator_steps)
        if step == 0 or (self.refresh and total % self.refresh == 0):
            with torch.no_grad():
                vectors, texts = self.sources()
            self.extractor.freeze(vectors)
            self._texts = texts
            if step > self.extractor_steps:
                self._center()
        elif not hasattr(self, "_texts"):  # resumed
            self._texts = self.sources()[1].detach()
        self.steps += 1
        if step < self.extractor_steps:
            return self._extractor_step()
        if step == self.extractor_steps:
            self._center()
            if total > step:
                self.learner.forget_optimizer("generator")
        self.extractor.eval()
        loss = self.learner.learn(self._draw, self.pairs_per_relation)
        self.extractor.train(self.training)
        return loss

    def prototypes(self, texts: FloatTensor) -> FloatTensor:
        """Return the means of the generated vectors of unit length.

        :param texts: shape: ``(b, text_dim)``; the text vectors of the relations
        :returns: shape: ``(b, dim)``; the dot product with a pair of unit length is its score
        """
        return functional.normalize(self.learner.sample(texts), dim=-1).mean(1)

    def scores(self, heads: LongTensor, prototypes: FloatTensor, tails: LongTensor) -> FloatTensor:
        """Score triples.

        :param heads: shape: ``(b,)``
        :param prototypes: shape: ``(b, dim)``; see :meth:`prototypes`
        :param tails: shape: ``(b,)``
        :returns: shape: ``(b,)``; between -1 and 1
        """
        return (functional.normalize(self.extractor(heads, tails), dim=-1) * prototypes).sum(-1)

    def __getstate__(self) -> dict[str, Any]:
        # a bound method of the model, which holds this module
        return {**self.__dict__, "sources": None}
