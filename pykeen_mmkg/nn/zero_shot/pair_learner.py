"""Trains the feature extractor of pairs, and then a generator of relation vectors among its features."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, MappedTriples
from torch.nn import functional

from ...indexing import Ragged, pick
from ...options import strict
from .generator import GenerativeLearner, Real
from .pairs import PairExtractor
from .self_trained import SelfTrained

__all__ = ["PairLearner"]


class PairLearner(SelfTrained):
    r"""Relations as points among the vectors of pairs.

    First the extractor learns that pairs of one relation are alike (episodes of one relation each: the score of a pair
    is its dot product with the mean of a few support pairs; hinge loss against pairs with another tail). Then the
    centroid :math:`\mathbf{c}_r` of the pairs of each seen relation is computed, and the generator learns to hit it
    from the description. A triple is scored by :math:`\frac1K \sum_k \cos(E(h, t), G(\mathbf{x}_r, \mathbf{z}_k))`.
    """

    triples: LongTensor
    offsets: LongTensor
    ids: LongTensor
    centroids: FloatTensor
    steps: LongTensor

    @strict(
        dim=1,
        extractor_steps=0,
        extractor_lr=0,
        refresh=1,
        num_support=1,
        num_queries=1,
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
        refresh: int | None = None,
        num_support: int = 8,
        num_queries: int = 64,
        margin: float = 5.0,
        relations_per_step: int = 2,
        pairs_per_relation: int = 256,
        centroid_pairs: int = 1024,
        extractor_kwargs: Mapping[str, Any] | None = None,
        learner_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Initialize the learner.

        :param triples: shape: ``(n, 3)``; the training triples
        :param entity_shape: the number of entities, and the dimension of their vectors
        :param seen: shape: ``(num_relations,)``; which relations have training triples
        :param text_dim: the dimension of texts
        :param dim: the dimension of pair and relation vectors
        :param extractor_steps: the number of steps of the extractor; all later steps are the generator's
        :param extractor_lr: the learning rate of the extractor
        :param refresh: after how many steps the entities' vectors are frozen anew, where they are trained at the same
            time; None: never after the first time
        :param num_support: the number of support pairs in an episode
        :param num_queries: the number of queries, and of negatives, in an episode
        :param margin: the margin of the extractor's hinge
        :param relations_per_step: the number of relations in a step of the generator
        :param pairs_per_relation: the number of pairs of each of them
        :param centroid_pairs: over how many pairs of a relation the centroid is taken at most
        :param extractor_kwargs: further keyword arguments of :class:`~pykeen_mmkg.nn.zero_shot.pairs.PairExtractor`
        :param learner_kwargs: keyword arguments of :class:`~pykeen_mmkg.nn.zero_shot.generator.GenerativeLearner`
        """
        super().__init__()
        self.extractor = PairExtractor(triples, *entity_shape, dim=dim, **(extractor_kwargs or {}))
        self.learner = GenerativeLearner(text_dim, dim, **(learner_kwargs or {}))
        self.learner.joint = False
        by_relation = Ragged.group(triples[:, 1], len(seen))
        self.register_buffer("triples", triples[by_relation.values], persistent=False)
        self.register_buffer("offsets", by_relation.offsets, persistent=False)
        self.register_buffer("ids", seen.nonzero().view(-1), persistent=False)
        self.register_buffer("centroids", torch.zeros(len(seen), dim))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.extractor_steps, self.extractor_lr, self.refresh = extractor_steps, extractor_lr, refresh
        self.num_support, self.num_queries, self.margin = num_support, num_queries, margin
        self.relations_per_step, self.pairs_per_relation = relations_per_step, pairs_per_relation
        self.centroid_pairs = centroid_pairs
        #: where the vectors of entities and the texts of relations come from; the model sets it
        self.sources: Callable[[], tuple[FloatTensor, FloatTensor]] | None = None

    def reset_parameters(self) -> None:
        """Start over; the layers reset themselves."""
        self.steps.zero_()
        self.centroids.zero_()
        self.forget()

    def _pairs(self, relation: LongTensor, n: int) -> LongTensor:
        """Draw n triples of each relation; shape: ``(*s, n, 3)``."""
        share = torch.rand(*relation.shape, n, device=relation.device)
        return self.triples[pick(self.offsets, relation[..., None], share)]

    def _extractor_step(self) -> float:
        relation = self.ids[torch.randint(len(self.ids), (), device=self.ids.device)]
        drawn = self._pairs(relation, self.num_support + self.num_queries)
        tails = torch.randint(len(self.extractor.entities), (self.num_queries,), device=drawn.device)
        heads = self.extractor.halves(drawn[:, 0], "head")
        # a negative has the head of a query
        heads = torch.cat([heads, heads[self.num_support :]])
        vectors = self.extractor.join(heads, self.extractor.halves(torch.cat([drawn[:, 2], tails]), "tail"))
        support, positive, negative = vectors.split([self.num_support, self.num_queries, self.num_queries])
        center = support.mean(0)
        loss = functional.relu(self.margin - (positive - negative) @ center).mean()
        self.descend(self.optimizer("extractor", self.extractor.parameters(), self.extractor_lr, (0.9, 0.999)), loss)
        return float(loss.detach())

    @torch.no_grad()
    def _center(self) -> None:
        """Compute the centroids of the seen relations."""
        training = self.extractor.training
        self.extractor.eval()
        for relation in self.ids.tolist():
            start, stop = self.offsets[relation : relation + 2].tolist()
            count = stop - start
            n = min(count, self.centroid_pairs)
            rows = self.triples[start + torch.arange(n, device=self.triples.device) * count // n]
            self.centroids[relation] = self.extractor(rows[:, 0], rows[:, 2]).mean(0)
        self.extractor.train(training)

    @torch.no_grad()
    def _draw(self, samples: bool = True) -> Real:
        chosen = self.ids[torch.randperm(len(self.ids), device=self.ids.device)[: self.relations_per_step + 1]]
        other, chosen = chosen.roll(1)[1:], chosen[1:]
        real = None
        if samples:
            drawn = self._pairs(chosen, self.pairs_per_relation)
            real = self.extractor(drawn[..., 0], drawn[..., 2])
        return Real(real, self.centroids[chosen], self._texts[chosen], self.centroids[other])

    def own_step(self) -> float:  # noqa: D102
        assert self.sources is not None
        step = int(self.steps)
        if step == 0 or (self.refresh and step % self.refresh == 0):
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
