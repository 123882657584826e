"""Lists of entities of varying length, looked up for a whole batch at once.

PyKEEN 1.11 finds the known answers of a batch by comparing it with all triples: a Boolean matrix of batch size x number
of triples. Sorted keys answer the same question in memory of the size of the answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, LongTensor, MappedTriples, Target

__all__ = ["Ragged", "TargetIndex", "query_columns"]


def query_columns(target: Target) -> tuple[int, int]:
    """Return the columns of the known entity and of the predicted entity in ``(head, relation, tail)``."""
    if target == LABEL_TAIL:
        return 0, 2
    if target == LABEL_HEAD:
        return 2, 0
    raise ValueError(f"Only heads and tails can be ranked, but the target is {target!r}.")


@dataclass(frozen=True)
class Ragged:
    """A sequence of lists of integers in one tensor.

    :param values: shape: ``(sum of lengths,)``; each list sorted, without repetition
    :param offsets: shape: ``(number of lists + 1,)``; list ``i`` is ``values[offsets[i]:offsets[i + 1]]``
    """

    values: LongTensor
    offsets: LongTensor

    @classmethod
    def from_lists(cls, lists: Iterable[LongTensor]) -> "Ragged":
        """Join lists, sorting each and dropping its repetitions."""
        parts = [part.unique() for part in lists]
        lengths = torch.tensor([0, *(part.numel() for part in parts)], dtype=torch.long)
        return cls(torch.cat(parts) if parts else torch.empty(0, dtype=torch.long), lengths.cumsum(0))

    def __len__(self) -> int:
        return self.offsets.numel() - 1

    def __getitem__(self, item: int) -> LongTensor:
        return self.values[self.offsets[item] : self.offsets[item + 1]]

    def to(self, device: torch.device) -> "Ragged":
        """Return a copy on the device."""
        return Ragged(self.values.to(device), self.offsets.to(device))

    def rows(self, ids: LongTensor) -> tuple[LongTensor, LongTensor]:
        """Look up many lists.

        :param ids: shape: ``(b,)``; list numbers, ``-1`` for an empty list
        :returns: two tensors of the same length: row in the batch, value
        """
        if not len(self):
            return ids[:0], self.values
        start = self.offsets[ids.clamp(min=0)]
        lengths = torch.where(ids < 0, 0, self.offsets[ids.clamp(min=0) + 1] - start)
        row = torch.repeat_interleave(torch.arange(ids.numel(), device=ids.device), lengths)
        first = lengths.cumsum(0) - lengths
        position = torch.arange(row.numel(), device=ids.device) - first[row] + start[row]
        return row, self.values[position]


@dataclass(frozen=True)
class TargetIndex:
    """All answers to each query in a set of triples.

    A query is a pair (entity, relation): the head and the relation when tails are predicted, the tail and the relation
    when heads are.

    :param keys: shape: ``(number of queries,)``; sorted codes of the queries
    :param answers: the answers of each query
    :param num_relations: the number of relations; a code is ``entity * num_relations + relation``
    """

    keys: LongTensor
    answers: Ragged
    num_relations: int

    @classmethod
    def from_triples(cls, triples: MappedTriples, target: Target) -> "TargetIndex":
        """Build the index by one sort.

        :param triples: shape: ``(n, 3)``; in any order, repetitions allowed
        :param target: the predicted side
        """
        if not triples.numel():
            empty = torch.empty(0, dtype=torch.long, device=triples.device)
            return cls(empty, Ragged(empty, torch.zeros(1, dtype=torch.long, device=triples.device)), 1)
        known, answer = query_columns(target)
        num_relations = int(triples[:, 1].max()) + 1
        num_entities = int(triples[:, answer].max()) + 1
        code = (triples[:, known] * num_relations + triples[:, 1]) * num_entities + triples[:, answer]
        code = code.unique()
        keys, counts = torch.unique_consecutive(
            torch.div(code, num_entities, rounding_mode="floor"), return_counts=True
        )
        return cls(keys, Ragged(code % num_entities, torch.cat([counts.new_zeros(1), counts.cumsum(0)])), num_relations)

    def find(self, entities: LongTensor, relations: LongTensor) -> LongTensor:
        """Return the number of each query, ``-1`` where it has no answer; shape: ``(b,)``."""
        if not self.keys.numel():
            return torch.full_like(entities, -1)
        code = entities * self.num_relations + relations
        position = torch.searchsorted(self.keys, code).clamp(max=self.keys.numel() - 1)
        return torch.where((self.keys[position] == code) & (relations < self.num_relations), position, -1)

    def rows(self, entities: LongTensor, relations: LongTensor) -> tuple[LongTensor, LongTensor]:
        """Return the answers of a batch of queries as two tensors of the same length: row in the batch, entity."""
        return self.answers.rows(self.find(entities, relations))
