"""A batch of queries and the training triples that answer them, each triple read from both ends."""

import dataclasses
from functools import cached_property

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, MappedTriples

from ...indexing import TargetIndex

__all__ = ["DirectedTriples", "Queries"]


@dataclasses.dataclass(frozen=True)
class Queries:
    """Queries (h, r, ?), whose relations are directed: ``r`` asks for the tails of h, ``R + r`` for its heads.

    :param heads: shape: ``(b,)``; the known entities
    :param relations: shape: ``(b,)``; the directed relations, below ``2 R``
    :param num_entities: the number of entities, ``N``
    :param num_relations: the number of relations, ``R``
    :param own: shape: ``(b,)``; for queries made from training triples their answers: what the triple says itself is
        left out of the evidence. None for others
    :param ids: shape: ``(n,)``; the candidates, by default all entities
    """

    heads: LongTensor
    relations: LongTensor
    num_entities: int
    num_relations: int
    own: LongTensor | None = None
    ids: LongTensor | None = None

    def __len__(self) -> int:
        return len(self.heads)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """The number of queries and the number of candidates."""
        return len(self.heads), self.num_entities if self.ids is None else len(self.ids)

    @cached_property
    def _column(self) -> LongTensor | None:
        if self.ids is None:
            return None
        column = torch.full((self.num_entities,), -1, dtype=torch.long, device=self.ids.device)
        return column.index_copy_(0, self.ids, torch.arange(len(self.ids), device=self.ids.device))

    @cached_property
    def inverse(self) -> LongTensor:
        """The relations as the other end sees them, shape: ``(b,)``."""
        return (self.relations + self.num_relations) % (2 * self.num_relations)

    def is_own(self, row: LongTensor, source: LongTensor, relation: LongTensor, target: LongTensor) -> BoolTensor:
        """Return which directed triples, met on behalf of the queries `row`, are the query's own one.

        :param row: shape: ``(m,)``; the numbers of the queries
        :param source: shape: ``(m,)``
        :param relation: shape: ``(m,)``
        :param target: shape: ``(m,)``
        :returns: shape: ``(m,)``
        """
        if self.own is None:
            return torch.zeros_like(row, dtype=torch.bool)
        head, own = self.heads[row], self.own[row]
        ahead = (source == head) & (relation == self.relations[row]) & (target == own)
        return ahead | (source == own) & (relation == self.inverse[row]) & (target == head)

    def table(self, row: LongTensor, entity: LongTensor, value: FloatTensor) -> FloatTensor:
        """Sum values into a table of queries and candidates.

        :param row: shape: ``(m,)``; the numbers of the queries
        :param entity: shape: ``(m,)``; entities, those that are no candidates are dropped
        :param value: shape: ``(m,)``
        :returns: shape: ``(b, n)``
        """
        wide = self.shape[1]
        if self._column is not None:
            entity = self._column[entity]
            keep = entity >= 0
            row, entity, value = row[keep], entity[keep], value[keep]
        flat = value.new_zeros(len(self) * wide).index_add_(0, row * wide + entity, value)
        return flat.view(len(self), wide)


class DirectedTriples:
    """The training triples and their inverses: the answers of a query, and the links of an entity.

    :param triples: shape: ``(n, 3)``; training triples, and no others; a repeated one counts once
    :param num_entities: the number of entities, ``N``
    :param num_relations: the number of relations, ``R``
    """

    def __init__(self, triples: MappedTriples, num_entities: int, num_relations: int) -> None:
        """Initialize the index."""
        self.num_entities, self.num_relations = num_entities, num_relations
        head, relation, tail = triples.cpu().unbind(-1)
        both = [torch.stack(x, dim=-1) for x in ((head, relation, tail), (tail, relation + num_relations, head))]
        #: shape: (m, 3); distinct, sorted by head, relation and tail
        self.triples: LongTensor = torch.cat(both).unique(dim=0)
        self.answers = TargetIndex.from_triples(self.triples, "tail")
        count = torch.bincount(self.triples[:, 0], minlength=num_entities)
        self._pointer = torch.cat([count.new_zeros(1), count.cumsum(0)])

    def links(self, entities: LongTensor) -> tuple[LongTensor, LongTensor, LongTensor]:
        """Return the links of entities: position in `entities`, directed relation, neighbour; shape: ``(m,)`` each."""
        first = self._pointer[entities]
        length = self._pointer[entities + 1] - first
        row = torch.repeat_interleave(torch.arange(len(entities)), length)
        place = torch.arange(len(row)) - (length.cumsum(0) - length - first)[row]
        return row, self.triples[place, 1], self.triples[place, 2]
