"""Batches of entity pairs, for the extractor of pairs and the generator among its vectors."""

from collections.abc import Mapping

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, MappedTriples
from torch import nn

from ...indexing import Ragged, find_sorted, pick
from ...options import strict

__all__ = ["PairSampler"]

#: relations with no more candidates than these have no episodes, and no relation counts as having more than so many
FEWEST, MOST = 20, 1000

#: how often a tail that is known to be true is drawn again
MAX_ROUNDS = 50


class PairSampler(nn.Module):
    """Draws pairs of seen relations, and the same pairs with corrupted tails.

    By default pairs are drawn with replacement, one episode in a step, and a corrupted tail is any entity. As published
    by ZSGAN [qin2020]_ and MRE [cai2024]_, a step takes several episodes of one relation (``num_episodes``), in each of
    which support and queries are different pairs (``replacement=False``), and a corrupted tail is known not to be an
    answer (``filtered``). They draw it from a fixed list of candidates of the relation (``pools``), which is at random
    where entities have no types.
    """

    triples: LongTensor
    offsets: LongTensor
    ids: LongTensor
    weight: FloatTensor
    known: LongTensor
    candidates: LongTensor
    candidate_offsets: LongTensor

    @strict(num_entities=1, num_support=1, num_queries=1, num_episodes=1)
    def __init__(
        self,
        triples: MappedTriples,
        num_entities: int,
        seen: BoolTensor,
        num_support: int = 8,
        num_queries: int = 64,
        num_episodes: int = 1,
        replacement: bool = True,
        filtered: bool = False,
        pools: Mapping[int, LongTensor] | None = None,
    ) -> None:
        """Initialize the sampler.

        :param triples: shape: ``(n, 3)``; the training triples
        :param num_entities: the number of entities
        :param seen: shape: ``(num_relations,)``; which relations have training triples
        :param num_support: the number of support pairs in an episode
        :param num_queries: the number of queries, and of negatives, in an episode
        :param num_episodes: the number of episodes in a step, all of the same relation
        :param replacement: whether pairs are drawn with replacement; without, support and queries of an episode have no
            pair in common, and a pair is drawn twice only where there are not enough
        :param filtered: whether the tails of negatives are no answers in training
        :param pools: the entities that tails of negatives are drawn from, by relation, shape: ``(m,)`` each; by default
            all. Relations are drawn for episodes in proportion to their number, up to 1,000, those of at most 20 never
        """
        super().__init__()
        self.num_entities, self.num_relations = num_entities, len(seen)
        self.num_support, self.num_queries, self.num_episodes = num_support, num_queries, num_episodes
        self.replacement, self.filtered = replacement, filtered
        by_relation = Ragged.group(triples[:, 1], len(seen))
        self.register_buffer("triples", triples[by_relation.values], persistent=False)
        self.register_buffer("offsets", by_relation.offsets, persistent=False)
        self.register_buffer("ids", seen.nonzero().view(-1), persistent=False)
        known = self._codes(triples).unique() if filtered else triples.new_zeros(0)
        self.register_buffer("known", known, persistent=False)
        weight = torch.ones(len(self.ids))
        self.has_pools = pools is not None
        if pools is not None:
            lists = Ragged.from_lists(
                pools.get(relation, triples.new_zeros(0)).cpu() for relation in range(self.num_relations)
            )
            self.register_buffer("candidates", lists.values, persistent=False)
            self.register_buffer("candidate_offsets", lists.offsets, persistent=False)
            count = lists.offsets.diff()[self.ids.cpu()]
            weight = count.clamp(max=MOST).float() * (count > FEWEST)
            if not bool(weight.any()):
                weight = (count > 0).float() + 1e-6
        self.register_buffer("weight", weight, persistent=False)

    def _codes(self, triples: LongTensor) -> LongTensor:
        """Return a number for each triple; shape: ``(n,)``."""
        return (triples[:, 0] * self.num_relations + triples[:, 1]) * self.num_entities + triples[:, 2]

    def relations(self, n: int) -> LongTensor:
        """Draw at most n different relations that may have episodes; shape: ``(<= n,)``."""
        ids = self.ids[self.weight > 0] if self.has_pools else self.ids
        return ids[torch.randperm(len(ids), device=ids.device)[:n]]

    def pairs(self, relation: LongTensor, n: int) -> LongTensor:
        """Draw n triples of each relation.

        :param relation: any shape ``s``
        :param n: how many
        :returns: shape: ``(*s, n, 3)``
        """
        if self.replacement:
            share = torch.rand(*relation.shape, n, device=relation.device)
            return self.triples[pick(self.offsets, relation[..., None], share)]
        rows = [self._distinct(self._of(r), n) for r in relation.view(-1).tolist()]
        return self.triples[torch.stack(rows)].view(*relation.shape, n, 3)

    def _of(self, relation: int) -> LongTensor:
        """Return the positions of a relation's triples."""
        start, stop = self.offsets[relation : relation + 2].tolist()
        return torch.arange(start, stop, device=self.offsets.device)

    @staticmethod
    def _distinct(positions: LongTensor, n: int) -> LongTensor:
        """Draw n positions, all different where there are enough; shape: ``(n,)``."""
        if len(positions) < n:
            return positions[torch.randint(len(positions), (n,), device=positions.device)]
        return positions[torch.randperm(len(positions), device=positions.device)[:n]]

    def episodes(self) -> tuple[LongTensor, LongTensor, LongTensor]:
        """Draw the batch of a step of the extractor.

        :returns: triples of one relation: support, shape: ``(e * num_support, 3)`` for e episodes, queries, and
            negatives, which are the queries with other tails, shape: ``(e * num_queries, 3)`` each
        """
        if self.has_pools:
            relation = self.ids[torch.multinomial(self.weight, 1)[0]]
        else:
            relation = self.ids[torch.randint(len(self.ids), (), device=self.ids.device)]
        support, queries = [], []
        for _ in range(self.num_episodes):
            if self.replacement:
                drawn = self.pairs(relation, self.num_support + self.num_queries)
                one, other = drawn[: self.num_support], drawn[self.num_support :]
            else:
                own = self._of(int(relation))
                own = own[torch.randperm(len(own), device=own.device)]
                # a relation with a few pairs has the same as queries
                rest = own[self.num_support :] if len(own) > self.num_support else own
                one = self.triples[own[: self.num_support]]
                other = self.triples[self._distinct(rest, self.num_queries)]
            support.append(one)
            queries.append(other)
        positive = torch.cat(queries)
        return torch.cat(support), positive, self.corrupted(positive)

    def _tails(self, relations: LongTensor) -> LongTensor:
        """Draw an entity for each relation; shape: ``(n,)`` both."""
        if not self.has_pools:
            return torch.randint(self.num_entities, relations.shape, device=relations.device)
        return self.candidates[
            pick(self.candidate_offsets, relations, torch.rand(len(relations), device=relations.device))
        ]

    def corrupted(self, triples: LongTensor) -> LongTensor:
        """Return triples with other tails.

        :param triples: shape: ``(n, 3)``
        :returns: shape: ``(n, 3)``; with ``filtered`` none is a training triple, unless a head is linked to nearly all
        """
        result = triples.clone()
        result[:, 2] = self._tails(triples[:, 1])
        if self.filtered:
            for _ in range(MAX_ROUNDS):
                again = (find_sorted(self.known, self._codes(result)) >= 0).nonzero().view(-1)
                if not len(again):
                    break
                result[again, 2] = self._tails(result[again, 1])
        return result
