"""The training graph as lists of links and profiles per entity: what evidence for unseen relations is read from."""

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, MappedTriples
from scipy import sparse
from torch import nn
from torch.nn import functional

from ...indexing import degrees, gather_rows, row_offsets
from ..evidence.neighbours import nearest

__all__ = ["EvidenceGraph", "nearest_texts"]


def nearest_texts(vectors: FloatTensor, mask: BoolTensor, k: int, chunk: int = 512) -> LongTensor:
    """Return links between entities whose texts are alike.

    :param vectors: shape: ``(n, d)``; text vectors of unit length
    :param mask: shape: ``(n,)``; which entities have a text
    :param k: the number of neighbours of each entity
    :param chunk: how many rows of similarities are held at a time
    :returns: shape: ``(m, 2)``; pairs of an entity and one of its k nearest others
    """
    ids, neighbours, _ = nearest(vectors, mask, k, chunk=chunk)
    return torch.stack([ids.repeat_interleave(neighbours.shape[1]), neighbours.flatten()], dim=-1)


class EvidenceGraph(nn.Module):
    """The training triples as lists of links per entity, in both directions.

    A directed relation is ``r`` where the entity is the head, and ``R + r`` where it is the tail. Links of similar
    texts come as two further directed relations, ``2 R`` and ``2 R + 1``. Nothing here is trained or kept in a
    state dict.
    """

    offsets: LongTensor
    neighbor: LongTensor
    back: LongTensor
    two_hops: LongTensor
    log_degree: FloatTensor
    profile_offsets: LongTensor
    profile_relation: LongTensor
    profile_count: FloatTensor
    present: BoolTensor
    size: FloatTensor

    def __init__(
        self, triples: MappedTriples, num_entities: int, num_relations: int, similar: LongTensor | None = None
    ) -> None:
        """Initialize the graph.

        :param triples: shape: ``(n, 3)``; the training triples, and no others
        :param num_entities: the number of entities
        :param num_relations: the number of relations, ``R``
        :param similar: shape: ``(m, 2)``; links of entities with similar texts
        """
        super().__init__()
        self.num_entities, self.num_relations = num_entities, num_relations
        double = 2 * num_relations
        triples = triples.cpu().unique(dim=0)
        head, relation, tail = triples.unbind(-1)
        source = torch.cat([head, tail])
        target = torch.cat([tail, head])
        kind = torch.cat([relation, relation + num_relations])
        # the profile of an entity: how often it is head, and how often tail, of each relation
        key, count = (source * double + kind).unique(return_counts=True)
        self.register_buffer("profile_offsets", row_offsets(key // double, num_entities), persistent=False)
        self.register_buffer("profile_relation", key % double, persistent=False)
        self.register_buffer("profile_count", torch.log1p(count.float()), persistent=False)
        self.register_buffer("log_degree", torch.log1p(degrees(triples, num_entities).float()), persistent=False)
        triples_of = torch.bincount(kind, minlength=double).float()
        entities_of = torch.bincount(key % double, minlength=double).float()
        self.register_buffer("present", triples_of > 0, persistent=False)
        self.register_buffer("size", torch.log1p(torch.stack([triples_of, entities_of], dim=-1)), persistent=False)
        if similar is not None and len(similar):
            one, other = similar.cpu().unbind(-1)
            source = torch.cat([source, one, other])
            target = torch.cat([target, other, one])
            kind = torch.cat([kind, torch.full_like(one, double), torch.full_like(one, double + 1)])
        # sorted by entity and neighbour, each with its directed relation as the neighbour sees it
        order = (source * num_entities + target).argsort(stable=True)
        self.register_buffer("offsets", row_offsets(source, num_entities), persistent=False)
        self.register_buffer("neighbor", target[order], persistent=False)
        self.register_buffer("back", self.reverse(kind[order]), persistent=False)
        links = self.offsets.diff()
        count = torch.zeros_like(links).index_add(0, source, links[target])
        self.register_buffer("two_hops", count, persistent=False)

    def reverse(self, relation: LongTensor) -> LongTensor:
        """Return directed relations as the other end of the link sees them."""
        double = 2 * self.num_relations
        return torch.where(relation < double, (relation + self.num_relations) % double, 2 * double + 1 - relation)

    def is_own(self, relation: LongTensor, asked: LongTensor) -> BoolTensor:
        """Return which links are of the relation that is asked for, where -1 is one that is not in the graph."""
        return (relation == asked) | (relation == asked + self.num_relations) & (asked >= 0)

    def links(self, entities: LongTensor, asked: LongTensor) -> tuple[LongTensor, LongTensor, LongTensor]:
        """Return the links of entities, sorted by entity and neighbour, without those of the relation asked for.

        :param entities: shape: ``(b,)``
        :param asked: shape: ``(b,)``; the relation that is asked for, -1 for one that is not in the graph
        :returns: position in `entities`, neighbour, directed relation as the neighbour sees it; shape: ``(m,)`` each
        """
        position, rows = gather_rows(self.offsets, entities)
        back = self.back[rows]
        keep = ~self.is_own(back, asked[position])
        return position[keep], self.neighbor[rows][keep], back[keep]

    def profiles(self, entities: LongTensor) -> tuple[LongTensor, LongTensor, FloatTensor]:
        """Return the profiles: position in `entities`, directed relation, ``log(1 + count)``; shape: ``(m,)`` each."""
        position, rows = gather_rows(self.profile_offsets, entities)
        return position, self.profile_relation[rows], self.profile_count[rows]

    def centroids(self, vectors: FloatTensor) -> FloatTensor:
        """Return the mean vector of the entities on the near side of each directed relation, at unit length.

        :param vectors: shape: ``(num_entities, d)``
        :returns: shape: ``(2 R, d)``; row r: of the heads of r, row R + r: of its tails
        """
        length = self.profile_offsets.diff()
        entity = torch.repeat_interleave(torch.arange(self.num_entities, device=length.device), length)
        weight = torch.expm1(self.profile_count).cpu().numpy()
        shape = (2 * self.num_relations, self.num_entities)
        place = (self.profile_relation.cpu().numpy(), entity.cpu().numpy())
        total = sparse.csr_matrix((weight, place), shape=shape) @ vectors.cpu().numpy()
        return functional.normalize(torch.from_numpy(total).to(vectors), dim=-1)
