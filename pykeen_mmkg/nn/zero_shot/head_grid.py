"""All heads for some tails and a relation: what evidence is read from when heads are asked for.

The weights of relations depend on the head of a triple. For the tails of a query they are computed once; for all heads
of a tail there would be as many of them as heads, most of which no walk ever meets. Here only those are listed that one
does; what is a sum over all relations is left to :meth:`.PairEvidence.head_weights`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from pykeen.typing import FloatTensor, LongTensor
from torch.nn import functional

from .graph import EvidenceGraph
from .walks import Walks

__all__ = ["HeadGrid", "HeadWeights", "Heads"]


class HeadWeights(NamedTuple):
    """What the weights of directed relations come to for a grid of ``c`` heads and ``q`` tails."""

    #: shape: ``(c, q, 3 K)``; the three sums of :class:`.ProfileEvidence`, the first one before its logarithm
    profile: FloatTensor | None
    #: shape: ``(1, e, K)`` each; the weights of the entries of :attr:`HeadGrid.entries`
    link: FloatTensor
    first: FloatTensor
    second: FloatTensor


@dataclass(frozen=True)
class Heads:
    """Some heads and the relation that is asked for; no weight is in it, so that members can share it."""

    graph: EvidenceGraph
    #: shape: ``(c,)``, and ``(c, d)``; the heads and their texts
    ids: LongTensor
    texts: FloatTensor
    #: the relation, -1 for one that is not in the graph, and its text, shape: ``(d,)``
    relation: int
    text: FloatTensor
    #: shape: ``(2 R, c)``; similarities, times 4, of the heads' texts to those on the near side of relations
    near: FloatTensor
    #: shape: ``(2 R, c)``; ``log(1 + count)`` of a directed relation in the profile of a head
    own: FloatTensor

    @classmethod
    def of(
        cls,
        graph: EvidenceGraph,
        entities: FloatTensor,
        near: FloatTensor,
        heads: LongTensor,
        relation: int,
        text: FloatTensor,
    ) -> "Heads":
        """Gather what depends on the heads only; they are distinct."""
        texts = entities[heads]
        position, kind, count = graph.profiles(heads)
        own = near.new_zeros(len(near), len(heads))
        own[kind, position] = count
        return cls(graph, heads, texts, relation, text, 4 * near @ texts.T, own)

    @cached_property
    def place(self) -> LongTensor:
        """The position of each entity among the heads, -1 for none; shape: ``(num_entities,)``."""
        place = self.ids.new_full((self.graph.num_entities,), -1)
        place[self.ids] = torch.arange(len(self.ids), device=self.ids.device)
        return place

    def scalars(self, relations: LongTensor, heads: LongTensor | slice) -> Sequence[FloatTensor]:
        """Return the five numbers that weights know of pairs of directed relations and heads.

        :param relations: directed relations
        :param heads: as many places of heads; or a slice of the heads, each of which forms a pair with each relation
        """
        num = self.graph.num_relations
        back = (relations + num) % (2 * num)
        own, other = self.own[relations, heads], self.own[back, heads]
        return (own > 0).to(own), own, (other > 0).to(own), self.near[relations, heads], self.near[back, heads]


@dataclass(frozen=True)
class HeadGrid:
    """All pairs of ``c`` heads and ``q`` tails of one relation; no weight is in it, so that members can share it."""

    heads: Heads
    #: shape: ``(q, d)``; the texts of the tails
    tail_texts: FloatTensor
    #: shape: ``(p,)``; the directed relations that speak for the one asked for, those in a profile of a tail first
    relations: LongTensor
    #: shape: ``(u, q)``; ``log(1 + count)`` of the first ``u`` of them in the profiles of the tails
    counts: FloatTensor
    #: as gathered, for the score that knows no relation
    walks: Walks
    #: shape: ``(e,)`` each; directed relation, ascending, and place of the head, of all weights that the walks need
    entries: tuple[LongTensor, LongTensor]
    #: the same walks by entries: their queries are 0, and the number of the entry stands in place of the relation
    by_entry: Walks
    #: shape: ``(c, q, 2)``; the shares of words
    words: FloatTensor | None

    @classmethod
    def of(
        cls, heads: Heads, entities: FloatTensor, tails: LongTensor, hops: int, words: FloatTensor | None
    ) -> "HeadGrid":
        """Gather the walks and profiles of tails.

        :param heads: the heads
        :param entities: shape: ``(num_entities, d)``; the texts
        :param tails: shape: ``(q,)``
        :param hops: how many links are walked at most, 0 to 2
        :param words: the shares of words
        """
        graph, c = heads.graph, len(heads.ids)
        every = torch.arange(2 * graph.num_relations, device=tails.device)
        allowed = graph.present & ~graph.is_own(every, torch.full_like(every, heads.relation))
        position, kind, amount = graph.profiles(tails)
        counts = amount.new_zeros(len(every), len(tails))
        counts[kind, position] = amount
        used = allowed & (counts > 0).any(dim=1)
        relations = torch.cat([used.nonzero().view(-1), (allowed & ~used).nonzero().view(-1)])

        walks = Walks.from_tails(graph, hops, tails, heads.relation, heads.place, c)
        parts = ((walks.direct[1], walks.direct[2]), (walks.reach[0], walks.reach[2]), (walks.met[1], walks.met[3]))
        code = torch.cat([relation * c + head for head, relation in parts])
        wanted = torch.zeros((2 * graph.num_relations + 2) * c, dtype=torch.bool, device=tails.device)
        wanted[code] = True
        entries = wanted.nonzero().view(-1)
        number = (wanted.cumsum(0) - 1)[code].split([len(head) for head, _ in parts])
        zero = [torch.zeros_like(own) for own in number]
        by_entry = walks._replace(
            direct=(walks.direct[0], zero[0], number[0]),
            reach=(zero[1], walks.reach[1], number[1]),
            met=(walks.met[0], zero[2], walks.met[2], number[2]),
        )
        return cls(heads, entities[tails], relations, counts[used], walks, (entries // c, entries % c), by_entry, words)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of heads and that of tails."""
        return len(self.heads.ids), len(self.tail_texts)

    @cached_property
    def similarities(self) -> FloatTensor:
        """The plain similarities of texts, shape ``(c, q, 4)``, see :class:`.TextEvidence`."""
        texts, text, tails = self.heads.texts, self.heads.text, self.tail_texts
        both = functional.normalize(texts + text, dim=-1)
        parts = ((tails @ text)[None], texts @ tails.T, both @ tails.T, (texts @ text)[:, None])
        return torch.stack([part.expand(self.shape) for part in parts], dim=-1)
