"""Triples grouped by a key: compressed rows, answers by query, and what training has seen.

PyKEEN 1.11 finds the known answers of a batch by comparing it with all triples: a Boolean matrix of batch size x number
of triples. Sorted keys answer the same question in memory of the size of the answer.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, BoolTensor, FloatTensor, LongTensor, MappedTriples, Target

__all__ = [
    "Ragged",
    "TargetIndex",
    "alike",
    "bounded_slices",
    "degrees",
    "distinct_triples",
    "find_sorted",
    "gather_rows",
    "irreflexive_relations",
    "join",
    "occurring",
    "offsets_of",
    "pick",
    "query_columns",
    "row_offsets",
    "seen_entities",
    "seen_relations",
    "shared_pairs",
]


X = TypeVar("X")


def alike(items: Iterable[X], key: Callable[[X], Hashable]) -> list[list[X]]:
    """Return the groups of several items with the same key, in the order of the items."""
    groups: dict[Hashable, list[X]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return [group for group in groups.values() if len(group) > 1]


# ---- compressed rows ------------------------------------------------------------------------------------------------


def offsets_of(lengths: LongTensor) -> LongTensor:
    """Return where each of consecutive lists begins, and where the last one ends.

    :param lengths: shape: ``(n,)``
    :returns: shape: ``(n + 1,)``; list i is at ``offsets[i]:offsets[i + 1]``
    """
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


def row_offsets(rows: LongTensor, num_rows: int) -> LongTensor:
    """Return the row pointers of entries that are sorted by row (the ``crow_indices`` of a CSR matrix).

    :param rows: shape: ``(m,)``; the row of each entry. Only their counts matter
    :param num_rows: the number of rows, of which some may be empty
    :returns: shape: ``(num_rows + 1,)``
    """
    return offsets_of(torch.bincount(rows, minlength=num_rows))


def _ranges(starts: LongTensor, lengths: LongTensor) -> tuple[LongTensor, LongTensor]:
    """Return i and position for all positions ``starts[i], ..., starts[i] + lengths[i] - 1``, in the order of i."""
    index = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    before = lengths.cumsum(0) - lengths
    return index, torch.arange(len(index), device=lengths.device) + (starts - before)[index]


def gather_rows(offsets: LongTensor, ids: LongTensor) -> tuple[LongTensor, LongTensor]:
    """Look up many rows.

    :param offsets: shape: ``(n + 1,)``
    :param ids: shape: ``(b,)``; row numbers, ``-1`` for an empty one
    :returns: two tensors of the same length: the place of the row in `ids`, and the position of the entry
    """
    if len(offsets) == 1:
        return ids[:0], offsets[:0]
    rows = ids.clamp(min=0)
    starts = offsets[rows]
    return _ranges(starts, torch.where(ids < 0, 0, offsets[rows + 1] - starts))


def pick(offsets: LongTensor, ids: LongTensor, share: FloatTensor) -> LongTensor:
    """Return the position of the entry that lies a share of the way through a row.

    :param offsets: shape: ``(n + 1,)``
    :param ids: the numbers of rows that are not empty
    :param share: numbers in [0, 1) of a shape that `ids` broadcast to; uniform ones draw entries uniformly
    :returns: the positions, in the shape of `share`
    """
    starts = offsets[ids]
    return starts + (share * (offsets[ids + 1] - starts)).long()


def bounded_slices(costs: LongTensor, limit: int) -> Iterator[slice]:
    """Cut a sequence into consecutive parts whose costs add up to about `limit`; shape of the costs: ``(n,)``."""
    start = 0
    for length in (costs.cumsum(0) // limit).unique_consecutive(return_counts=True)[1].tolist():
        yield slice(start, start + length)
        start += length


def find_sorted(keys: LongTensor, wanted: LongTensor) -> LongTensor:
    """Find values among sorted keys.

    :param keys: shape: ``(n,)``; sorted, without repetition
    :param wanted: any shape
    :returns: the position of each value among the keys, ``-1`` where it is not there; the shape of `wanted`
    """
    if not len(keys):
        return torch.full_like(wanted, -1)
    position = torch.searchsorted(keys, wanted.contiguous()).clamp(max=len(keys) - 1)
    return torch.where(keys[position] == wanted, position, -1)


def join(left: LongTensor, right: LongTensor) -> tuple[LongTensor, LongTensor]:
    """Return all pairs of positions at which two sequences have the same key (an inner join).

    :param left: shape: ``(n,)``; in any order, repetitions allowed
    :param right: shape: ``(m,)``
    :returns: two tensors of the same length: position in `left`, ascending, and position in `right`
    """
    keys, order = right.sort(stable=True)
    starts = torch.searchsorted(keys, left)
    index, position = _ranges(starts, torch.searchsorted(keys, left, right=True) - starts)
    return index, order[position]


def query_columns(target: Target) -> tuple[int, int]:
    """Return the columns of the known entity and of the predicted entity in ``(head, relation, tail)``."""
    if target == LABEL_TAIL:
        return 0, 2
    if target == LABEL_HEAD:
        return 2, 0
    raise ValueError(f"Only heads and tails can be ranked, but the target is {target!r}.")


@dataclass(frozen=True)
class Ragged:
    """A sequence of lists of integers in one tensor: compressed rows.

    :param values: shape: ``(sum of lengths,)``; each list sorted, without repetition
    :param offsets: shape: ``(number of lists + 1,)``; list ``i`` is ``values[offsets[i]:offsets[i + 1]]``
    """

    values: LongTensor
    offsets: LongTensor

    @classmethod
    def from_lists(cls, lists: Iterable[LongTensor]) -> "Ragged":
        """Join lists, sorting each and dropping its repetitions."""
        parts = [part.unique() for part in lists]
        lengths = torch.tensor([part.numel() for part in parts], dtype=torch.long)
        return cls(torch.cat(parts) if parts else torch.empty(0, dtype=torch.long), offsets_of(lengths))

    @classmethod
    def group(cls, keys: LongTensor, num_keys: int) -> "Ragged":
        """Return the positions at which each key stands.

        :param keys: shape: ``(n,)``; in any order, from 0
        :param num_keys: the number of keys, of which some may be absent
        :returns: list k is the ascending positions of k in `keys`
        """
        return cls(keys.argsort(stable=True), row_offsets(keys, num_keys))

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
        row, position = gather_rows(self.offsets, ids)
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
            return cls(empty, Ragged(empty, offsets_of(empty)), 1)
        known, answer = query_columns(target)
        num_relations = int(triples[:, 1].max()) + 1
        num_entities = int(triples[:, answer].max()) + 1
        code = (triples[:, known] * num_relations + triples[:, 1]) * num_entities + triples[:, answer]
        code = code.unique()
        keys, counts = torch.unique_consecutive(
            torch.div(code, num_entities, rounding_mode="floor"), return_counts=True
        )
        return cls(keys, Ragged(code % num_entities, offsets_of(counts)), num_relations)

    def find(self, entities: LongTensor, relations: LongTensor) -> LongTensor:
        """Return the number of each query, ``-1`` where it has no answer; shape: ``(b,)``."""
        position = find_sorted(self.keys, entities * self.num_relations + relations)
        return torch.where(relations < self.num_relations, position, -1)

    def rows(self, entities: LongTensor, relations: LongTensor) -> tuple[LongTensor, LongTensor]:
        """Return the answers of a batch of queries as two tensors of the same length: row in the batch, entity."""
        return self.answers.rows(self.find(entities, relations))


def distinct_triples(triples: MappedTriples) -> MappedTriples:
    """Return each triple once, sorted; as ``triples.unique(dim=0)``, which takes twenty times as long.

    :param triples: shape: ``(n, 3)``; in any order, repetitions allowed
    """
    if not len(triples):
        return triples
    heads, relations, tails = triples.unbind(dim=-1)
    num_relations, num_tails = int(relations.max()) + 1, int(tails.max()) + 1
    code = ((heads * num_relations + relations) * num_tails + tails).unique()
    query = torch.div(code, num_tails, rounding_mode="floor")
    return torch.stack(
        [torch.div(query, num_relations, rounding_mode="floor"), query % num_relations, code % num_tails], dim=-1
    )


# ---- what training has seen -----------------------------------------------------------------------------------------


def occurring(ids: LongTensor, num: int) -> BoolTensor:
    """Return which of the ids 0, ..., num - 1 occur; shape: ``(num,)``."""
    return torch.zeros(num, dtype=torch.bool, device=ids.device).index_fill_(0, ids.flatten(), True)


def seen_entities(triples_factory: CoreTriplesFactory) -> BoolTensor:
    """Return which entities are seen in training: those that are head or tail of a triple of the factory.

    :param triples_factory: the training triples
    :returns: shape: ``(num_entities,)``
    """
    return occurring(triples_factory.mapped_triples[:, [0, 2]], triples_factory.num_entities)


def seen_relations(triples_factory: CoreTriplesFactory) -> BoolTensor:
    """Return which relations are seen in training: those of a triple of the factory, and their inverses.

    With ``create_inverse_triples`` PyKEEN's artificial inverse relation ``2 r + 1`` is seen exactly if the relation
    itself is, which then has the id ``2 r``, since the triples of the one are those of the other.

    :param triples_factory: the training triples
    :returns: shape: ``(num_relations,)``, a row for each representation that a model of the factory has
    """
    seen = occurring(triples_factory.mapped_triples[:, 1], triples_factory.real_num_relations)
    return seen.repeat_interleave(2) if triples_factory.create_inverse_triples else seen


def irreflexive_relations(triples: MappedTriples, num_relations: int) -> BoolTensor:
    """Return the relations in which no entity is related to itself; shape: ``(num_relations,)``.

    A relation without a triple is one of them if no triple at all relates an entity to itself.

    :param triples: shape: ``(n, 3)``; training triples
    :param num_relations: the number of relations
    """
    reflexive = occurring(triples[triples[:, 0] == triples[:, 2], 1], num_relations)
    unused = ~occurring(triples[:, 1], num_relations)
    return ~reflexive & ~(unused & reflexive.any())


def degrees(triples: MappedTriples, num_entities: int) -> LongTensor:
    """Return how often each entity is head or tail of a triple; shape: ``(num_entities,)``."""
    return torch.bincount(triples[:, [0, 2]].reshape(-1), minlength=num_entities)


def shared_pairs(
    left: MappedTriples, right: MappedTriples, inverse: bool = False
) -> tuple[LongTensor, LongTensor, LongTensor]:
    """Count the pairs of entities that relations have in common.

    :param left: shape: ``(n, 3)``; distinct triples
    :param right: shape: ``(m, 3)``; distinct triples, maybe the same
    :param inverse: whether (h, t) of the left relation is to be (t, h) of the right one
    :returns: relation of `left`, relation of `right`, and number of pairs, which is not zero; shape: ``(k,)`` each,
        sorted by the two relations
    """
    if not (len(left) and len(right)):
        return left[:0, 0], left[:0, 0], left[:0, 0]
    num = int(max(left.max(), right.max())) + 1
    head, tail = (2, 0) if inverse else (0, 2)
    one, other = join(left[:, 0] * num + left[:, 2], right[:, head] * num + right[:, tail])
    both, count = (left[one, 1] * num + right[other, 1]).unique(return_counts=True)
    return both // num, both % num, count
