"""Relations that share their pairs of entities: near-duplicates and inverses."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pykeen.typing import BoolTensor, MappedTriples

from ..indexing import shared_pairs

__all__ = ["RelationOverlap", "leaking_triples", "relation_overlaps"]

Kind = Literal["duplicate", "inverse"]


@dataclasses.dataclass(frozen=True)
class RelationOverlap:
    """Pairs of entities that a held-out relation shares with another: what gives its triples away."""

    #: the held-out relation
    relation: str
    #: the other relation
    other: str
    #: "duplicate": (h, t) is a pair of both; "inverse": (h, t) of the one is (t, h) of the other
    kind: Kind
    #: the number of shared pairs
    shared: int
    #: the share of the held-out relation's pairs, in (0, 1]
    share: float
    #: the share of the other relation's pairs, in (0, 1]
    share_of_other: float


def relation_overlaps(
    held_out: MappedTriples,
    others: MappedTriples,
    relations: Sequence[str],
    threshold: float = 0.5,
) -> list[RelationOverlap]:
    """Find the relations whose pairs of entities give away those of held-out relations.

    With the set of pairs ``P_r`` of a relation, the share of a duplicate ``s`` is ``|P_r & P_s| / |P_r|``, that of an
    inverse the same with the pairs of ``s`` swapped. A symmetric relation can be both.

    :param held_out: the triples of the held-out relations, shape: (m, 3)
    :param others: the triples of the relations that may give them away, shape: (n, 3)
    :param relations: the labels of the relations in the order of their ids
    :param threshold: the least share to be listed, in (0, 1]
    :returns: the overlaps, the greatest share first
    """
    held_out, others = held_out.unique(dim=0), others.unique(dim=0)
    size, other_size = (torch.bincount(triples[:, 1]).tolist() for triples in (held_out, others))
    found = []
    kinds: tuple[Kind, ...] = ("duplicate", "inverse")
    for kind in kinds:
        columns = shared_pairs(held_out, others, inverse=kind == "inverse")
        for relation, other, shared in zip(*(column.tolist() for column in columns), strict=True):
            share, share_of_other = shared / size[relation], shared / other_size[other]
            if share >= threshold and relation != other:
                names = relations[relation], relations[other]
                found.append(RelationOverlap(*names, kind, shared, share, share_of_other))
    return sorted(found, key=lambda overlap: (-overlap.share, overlap.relation, overlap.other, overlap.kind))


def leaking_triples(
    training: MappedTriples,
    held_out: MappedTriples,
    overlaps: Sequence[RelationOverlap],
    relation_to_id: Mapping[str, int],
    whole: bool,
) -> BoolTensor:
    """Mark the training triples of relations that overlap with held-out ones.

    :param training: the training triples, shape: (n, 3)
    :param held_out: the triples of the held-out relations, shape: (m, 3)
    :param overlaps: the overlaps, see :func:`relation_overlaps`
    :param relation_to_id: the ids of the relations
    :param whole: whether all triples of an overlapping relation are marked, or only those with a shared pair
    :returns: the marks, shape: (n,)
    """
    leak = torch.zeros(len(training), dtype=torch.bool)
    if not overlaps:
        return leak
    num = int(max(training.max(), held_out.max())) + 1
    codes = {"duplicate": training[:, 0] * num + training[:, 2], "inverse": training[:, 2] * num + training[:, 0]}
    for overlap in overlaps:
        of_other = training[:, 1] == relation_to_id[overlap.other]
        if not whole:
            pairs = held_out[held_out[:, 1] == relation_to_id[overlap.relation]]
            of_other &= torch.isin(codes[overlap.kind], pairs[:, 0] * num + pairs[:, 2])
        leak |= of_other
    return leak
