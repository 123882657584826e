"""What the training graph says about a pair of entities, read in the light of a relation's description.

A relation without a training triple cannot be looked up. But the graph is full of relations that can: which of them
link the pair, which lead from one to the other over a third entity, which have such heads and such tails?
How much each of them tells about the new relation is judged from the texts. The parameters are shared by all
relations, so they are trained on the seen ones, each treated as if it had no triple, and hold for unseen ones.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, MappedTriples
from scipy import sparse
from torch import nn
from torch.nn import functional

from ...errors import MultimodalError
from ..evidence.neighbours import nearest

__all__ = ["EVIDENCE", "EvidenceGraph", "PairEvidence", "RunningNorm", "nearest_texts", "score_grid"]

#: the groups of features, see :class:`PairEvidence`
EVIDENCE = ("profile", "links", "paths", "text", "words")


def _ranges(starts: LongTensor, lengths: LongTensor) -> LongTensor:
    """Return the concatenation of ``starts[i], ..., starts[i] + lengths[i] - 1`` over all i."""
    before = lengths.cumsum(0) - lengths
    total = int(lengths.sum())
    return torch.arange(total, device=starts.device) + torch.repeat_interleave(
        starts - before, lengths, output_size=total
    )


def _rows(pointer: LongTensor, entities: LongTensor) -> tuple[LongTensor, LongTensor]:
    """Return the rows of the entities' lists, each with the position of its entity in `entities`."""
    first = pointer[entities]
    length = pointer[entities + 1] - first
    position = torch.repeat_interleave(torch.arange(len(entities), device=entities.device), length)
    return position, _ranges(first, length)


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

    pointer: LongTensor
    neighbor: LongTensor
    relation: LongTensor
    partner: LongTensor
    back: LongTensor
    two_hops: LongTensor
    log_degree: FloatTensor
    profile_pointer: LongTensor
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
        self._pointers("profile_pointer", key // double)
        self.register_buffer("profile_relation", key % double, persistent=False)
        self.register_buffer("profile_count", torch.log1p(count.float()), persistent=False)
        degree = torch.bincount(source, minlength=num_entities)
        self.register_buffer("log_degree", torch.log1p(degree.float()), persistent=False)
        triples_of = torch.bincount(kind, minlength=double).float()
        entities_of = torch.bincount(key % double, minlength=double).float()
        self.register_buffer("present", triples_of > 0, persistent=False)
        self.register_buffer("size", torch.log1p(torch.stack([triples_of, entities_of], dim=-1)), persistent=False)
        if similar is not None and len(similar):
            one, other = similar.cpu().unbind(-1)
            source = torch.cat([source, one, other])
            target = torch.cat([target, other, one])
            kind = torch.cat([kind, torch.full_like(one, double), torch.full_like(one, double + 1)])
        order = (source * (double + 2) + kind).argsort(stable=True)
        self._pointers("pointer", source[order])
        self.register_buffer("neighbor", target[order], persistent=False)
        self.register_buffer("relation", kind[order], persistent=False)
        # the same links by neighbour, each with its directed relation as the neighbour sees it
        order = (source * num_entities + target).argsort(stable=True)
        self.register_buffer("partner", target[order], persistent=False)
        self.register_buffer("back", self.reverse(kind[order]), persistent=False)
        links = self.pointer.diff()
        count = torch.zeros_like(links).index_add(0, source, links[target])
        self.register_buffer("two_hops", count, persistent=False)

    def reverse(self, relation: LongTensor) -> LongTensor:
        """Return directed relations as the other end of the link sees them."""
        double = 2 * self.num_relations
        return torch.where(relation < double, (relation + self.num_relations) % double, 2 * double + 1 - relation)

    def is_own(self, relation: LongTensor, asked: LongTensor) -> BoolTensor:
        """Return which links are of the relation that is asked for, where -1 is one that is not in the graph."""
        return (relation == asked) | (relation == asked + self.num_relations) & (asked >= 0)

    def _pointers(self, name: str, source: LongTensor) -> None:
        count = torch.bincount(source, minlength=self.num_entities)
        self.register_buffer(name, torch.cat([count.new_zeros(1), count.cumsum(0)]), persistent=False)

    def links(self, entities: LongTensor) -> tuple[LongTensor, LongTensor, LongTensor]:
        """Return the links: position in `entities`, neighbour, directed relation; shape: ``(m,)`` each."""
        position, rows = _rows(self.pointer, entities)
        return position, self.neighbor[rows], self.relation[rows]

    def partners(self, entities: LongTensor) -> tuple[LongTensor, LongTensor, LongTensor]:
        """Return the links sorted by neighbour: position in `entities`, neighbour, directed relation seen from it."""
        position, rows = _rows(self.pointer, entities)
        return position, self.partner[rows], self.back[rows]

    def profiles(self, entities: LongTensor) -> tuple[LongTensor, LongTensor, FloatTensor]:
        """Return the profiles: position in `entities`, directed relation, ``log(1 + count)``; shape: ``(m,)`` each."""
        position, rows = _rows(self.profile_pointer, entities)
        return position, self.profile_relation[rows], self.profile_count[rows]

    def centroids(self, vectors: FloatTensor) -> FloatTensor:
        """Return the mean vector of the entities on the near side of each directed relation, at unit length.

        :param vectors: shape: ``(num_entities, d)``
        :returns: shape: ``(2 R, d)``; row r: of the heads of r, row R + r: of its tails
        """
        length = self.profile_pointer.diff()
        entity = torch.repeat_interleave(torch.arange(self.num_entities, device=length.device), length)
        weight = torch.expm1(self.profile_count).cpu().numpy()
        shape = (2 * self.num_relations, self.num_entities)
        place = (self.profile_relation.cpu().numpy(), entity.cpu().numpy())
        total = sparse.csr_matrix((weight, place), shape=shape) @ vectors.cpu().numpy()
        return functional.normalize(torch.from_numpy(total).to(vectors), dim=-1)


class RunningNorm(nn.Module):
    """Scale features by running statistics, without centring a batch on itself.

    PyKEEN's loops score positive and negative triples in separate calls; a batch normalization would bring both to the
    same mean, and with it away the difference that is to be learned. Here statistics are those of earlier calls, too.
    """

    mean: FloatTensor
    square: FloatTensor
    steps: LongTensor

    def __init__(self, dim: int, momentum: float = 0.05, limit: float = 6.0) -> None:
        """Initialize the module.

        :param dim: the number of features
        :param momentum: the weight of the newest batch
        :param limit: the greatest absolute value that is let through
        """
        super().__init__()
        self.momentum, self.limit = momentum, limit
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("square", torch.ones(dim))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def reset_parameters(self) -> None:
        """Forget the statistics."""
        self.mean.zero_()
        self.square.fill_(1.0)
        self.steps.zero_()

    def forward(self, x: FloatTensor) -> FloatTensor:
        """Scale features of shape ``(n, dim)``."""
        if self.training and len(x) > 1:
            with torch.no_grad():
                weight = max(self.momentum, 1.0 / (int(self.steps) + 1))
                self.mean.lerp_(x.mean(0), weight)
                self.square.lerp_(x.square().mean(0), weight)
                self.steps += 1
        scale = (self.square - self.mean.square()).clamp(min=1e-4).rsqrt()
        return ((x - self.mean) * scale).clamp(-self.limit, self.limit)


class _Tails(NamedTuple):
    """The tails that all queries of a grid have in common, ``c`` of them."""

    #: shape: ``(num_entities,)``; the position of an entity among the tails, -1 for none
    place: LongTensor
    #: shape: ``(c, d)``; their text vectors
    texts: FloatTensor
    #: their profiles, one after the other: directed relation, ``log(1 + count)``, and where each tail's begins
    relation: LongTensor
    amount: FloatTensor
    start: LongTensor

    @classmethod
    def of(cls, graph: EvidenceGraph, entities: FloatTensor, tails: LongTensor) -> "_Tails":
        """Gather what depends on the tails only; `tails` are sorted and distinct."""
        place = torch.full((graph.num_entities,), -1, dtype=torch.long, device=tails.device)
        place[tails] = torch.arange(len(tails), device=tails.device)
        _, relation, count = graph.profiles(tails)
        length = graph.profile_pointer[tails + 1] - graph.profile_pointer[tails]
        texts = entities if len(tails) == len(entities) else entities[tails]
        return cls(place, texts, relation, count, length.cumsum(0) - length)


class _Grid(NamedTuple):
    """What there is to weigh for all pairs of ``c`` tails and ``q`` queries; no weight is in it, so members share it.

    The cell of a pair is ``tail * q + query``.
    """

    heads: LongTensor
    relations: LongTensor
    texts: FloatTensor
    tails: _Tails
    #: links between head and tail: cell, query, directed relation
    direct: tuple[LongTensor, LongTensor, LongTensor]
    #: links of the heads: query, number of the pair of query and neighbour, directed relation
    reach: tuple[LongTensor, LongTensor, LongTensor]
    #: shape: ``(s,)``; the neighbours of these pairs
    middle: LongTensor
    #: links between such neighbours and tails: cell, query, number of the pair, directed relation
    met: tuple[LongTensor, LongTensor, LongTensor, LongTensor]
    #: shape: ``(c, q)``; the prior
    near: FloatTensor
    #: shape: ``(c, q, 4)``; plain similarities of texts
    similarities: FloatTensor
    #: shape: ``(c, q, 2)``; the shares of words
    words: FloatTensor | None

    @classmethod
    def of(
        cls,
        graph: EvidenceGraph,
        evidence: Sequence[str],
        entities: FloatTensor,
        heads: LongTensor,
        relations: LongTensor,
        texts: FloatTensor,
        tails: _Tails,
        words: FloatTensor | None,
    ) -> "_Grid":
        """Gather it by walking from the heads, which meet far fewer links than there are around all the tails."""
        n, q, c, real = graph.num_entities, len(heads), len(tails.texts), 2 * graph.num_relations
        # without evidence from links nobody walks, and without that from paths the walk ends after one link
        q1, x1, back = graph.partners(heads if "links" in evidence or "paths" in evidence else heads[:0])
        keep = ~graph.is_own(back, relations[q1])
        q1, x1, back = q1[keep], x1[keep], back[keep]
        place = tails.place[x1]
        hit = (place >= 0).nonzero().view(-1)
        direct = place[hit] * q + q1[hit], q1[hit], back[hit]
        linked = direct[0][direct[2] < real]
        near = texts.new_zeros(c * q).index_fill(0, linked, 3.0)
        code, step = (q1 * n + x1).unique_consecutive(return_inverse=True)
        middle, asking = code % n, code // n
        pair, tail, r2 = graph.partners(middle if "paths" in evidence else middle[:0])
        place = tails.place[tail]
        hit = (place >= 0).nonzero().view(-1)
        pair, place, r2 = pair[hit], place[hit], r2[hit]
        hit = (~graph.is_own(r2, relations[asking][pair])).nonzero().view(-1)
        pair, place, r2 = pair[hit], place[hit], r2[hit]
        q2 = asking[pair]
        cell = place * q + q2
        # each neighbour in common counts once, and links of similar texts do not make one
        common = texts.new_zeros(len(code)).index_fill(0, step[back < real], 1.0)
        rarity = common / torch.log1p(torch.exp(graph.log_degree[middle]))
        once = (r2 < real).nonzero().view(-1)
        key = pair[once] * c + place[once]
        fresh = torch.ones_like(key, dtype=torch.bool)
        fresh[1:] = key[1:] != key[:-1]
        once = once[fresh]
        near = near + torch.log1p(texts.new_zeros(c * q).index_add(0, cell[once], rarity[pair[once]]))
        head = entities[heads]
        both = functional.normalize(head + texts, dim=-1)
        similarities = texts.new_empty(c, q, 4)
        similarities[..., :3] = (tails.texts @ torch.cat([texts, head, both]).T).view(c, 3, q).transpose(1, 2)
        similarities[..., 3] = (head * texts).sum(-1)
        return cls(
            heads=heads,
            relations=relations,
            texts=texts,
            tails=tails,
            direct=direct,
            reach=(q1, step, graph.reverse(back)),
            middle=middle,
            met=(cell, q2, pair, r2),
            near=near.view(c, q),
            similarities=similarities,
            words=words,
        )


class PairEvidence(nn.Module):
    r"""Scores of triples from the evidence of the training graph, for relations that are known by their text only.

    For a query (h, r, ?) each directed relation r' of the graph gets K non-negative weights per kind of evidence,

    .. math::

        w(r' | r, h) = \mathrm{softplus}(\mathrm{MLP}(
            \langle\mathbf{x}_r, \mathbf{x}_{r'}\rangle, \langle\mathbf{x}_r, \mathbf{c}_{r'}\rangle,
            \langle\mathbf{x}_h, \mathbf{c}_{r'}\rangle, [h \in r'], \ldots,
            Q\mathbf{x}_r \odot K\mathbf{k}_{r'}, Q'\mathbf{x}_h \odot K\mathbf{k}_{r'}))

    with text vectors :math:`\mathbf{x}` and the mean text :math:`\mathbf{c}_{r'}` of the entities on either side of r'.
    The weight of r itself is zero: its own triples never speak for it. The evidence for a tail t is

    - profile: :math:`\log(1 + \sum_{r'} w(r') \log(1 + n_{r'}(t)))` over the relations that t takes part in, a softmax
      version of it, and the similarity of t's text to the weighted mean text of the relations' entities
    - links: :math:`\log(1 + \sum_{r' : (h, r', t)} w(r'))`
    - paths: :math:`\log(1 + 20 \sum_{x} \sum_{(h, r_1, x)} \sum_{(x, r_2, t)} u(r_1) v(r_2) (1 + \deg x)^{-\alpha})`, a
      relation-conditional Adamic-Adar; similar texts count as links, too
    - text: similarities of the texts of r, h and t, plain and learned
    - words: the share of the words of one's name (by rarity) that the other's description mentions

    and the score is a small MLP plus a linear map of these. The family of ideas: paths weighted by the query relation
    (`NBFNet <https://arxiv.org/abs/2106.06935>`_), relations told by the relations that share entities with them
    (`ULTRA <https://arxiv.org/abs/2310.04562>`_), neighbours in common (`Adamic and Adar
    <https://doi.org/10.1016/S0378-8733(03)00009-1>`_).
    """

    entities: FloatTensor
    relations: FloatTensor
    near: FloatTensor
    far: FloatTensor
    keys: FloatTensor
    static: FloatTensor
    band: FloatTensor

    def __init__(
        self,
        graph: EvidenceGraph,
        entities: FloatTensor,
        relations: FloatTensor,
        words: Any = None,
        evidence: Sequence[str] = EVIDENCE,
        num_weights: int = 8,
        rank: int = 24,
        hidden_dim: int = 48,
        dropout: float = 0.3,
        use_head: bool = True,
        prior: float = 0.0,
    ) -> None:
        """Initialize the module.

        :param graph: the training graph
        :param entities: shape: ``(num_entities, d)``; text vectors of unit length, zero where there is no text
        :param relations: shape: ``(num_relations, d)``; the same for relations
        :param words: a callable from heads and tails, shape ``(m,)`` each, to features of shape ``(m, 2)``, see
            :class:`~pykeen_mmkg.nn.zero_shot.words.WordOverlap`
        :param evidence: which of :data:`EVIDENCE` to use
        :param num_weights: K, the number of weights that a relation gets for each kind of evidence
        :param rank: the dimension to which text vectors are projected
        :param hidden_dim: the width of the hidden layers
        :param dropout: the dropout of hidden layers and projected texts
        :param use_head: whether the weights depend on the head of the query, and not on the relation only
        :param prior: the weight of the relation-blind score ``log(1 + sum 1 / log(2 + deg x)) + 3 [linked]`` over
            common neighbours x, added where nothing is trained; of no effect without ``paths`` and ``links``
        :raises MultimodalError: if a kind of evidence is unknown, or all are left out
        """
        super().__init__()
        unknown = set(evidence) - set(EVIDENCE)
        if unknown or not evidence:
            raise MultimodalError(f"evidence must be some of {list(EVIDENCE)}; got {list(evidence)}.")
        self.graph = graph
        self.evidence = tuple(name for name in EVIDENCE if name in evidence and (name != "words" or words is not None))
        self.words = words
        self.k = k = num_weights
        self.prior = prior
        dim = entities.shape[-1]
        near = graph.centroids(entities)
        far = near.roll(graph.num_relations, dims=0)
        double = 2 * graph.num_relations
        self.register_buffer("entities", entities, persistent=False)
        self.register_buffer("relations", relations, persistent=False)
        self.register_buffer("near", near, persistent=False)
        self.register_buffer("far", far, persistent=False)
        self.register_buffer("keys", torch.cat([relations.repeat(2, 1), near, far], dim=-1), persistent=False)
        direction = torch.arange(double) >= graph.num_relations
        size = graph.size
        static = torch.cat([direction.float()[:, None], (size - size.mean(0)) / size.std(0).clamp(min=1e-3)], dim=-1)
        self.register_buffer("static", static, persistent=False)
        # similarities of texts lie in a narrow band: widen it, by numbers of the training graph
        has = graph.present[: graph.num_relations]
        if not bool(has.any()):
            raise MultimodalError("The training graph has no triple.")
        bands = [relations[has] @ x[graph.present].T for x in (relations.repeat(2, 1), near, far)]
        band = torch.tensor([[b.mean(), b.std().nan_to_num(1.0).clamp(min=1e-3)] for b in bands])
        self.register_buffer("band", band, persistent=False)

        self.query = nn.Linear(dim, rank, bias=False)
        self.key = nn.Linear(3 * dim, rank, bias=False)
        self.hidden = nn.Linear(8 + rank, hidden_dim)
        self.head_query = nn.Linear(dim, rank, bias=False) if use_head else None
        self.head_hidden = nn.Linear(5 + rank, hidden_dim, bias=False) if use_head else None
        self.weights = nn.Linear(hidden_dim, 5 * k)
        self.similar = nn.Parameter(torch.empty(2, 3 * k))
        self.damping = nn.Parameter(torch.empty(k))
        self.text = nn.ModuleList(nn.Linear(dim, rank, bias=False) for _ in range(5))
        self.dropout = nn.Dropout(dropout)
        width = {"profile": 3 * k, "links": k + 1, "paths": k + 1, "text": 6, "words": 2}
        features = sum(width[name] for name in self.evidence)
        self.norm = RunningNorm(features)
        self.mlp = nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 1))
        self.linear = nn.Linear(features, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters that do not belong to a submodule."""
        nn.init.constant_(self.similar, -1.0)
        with torch.no_grad():
            self.damping.copy_(torch.linspace(-2.0, 1.0, self.k))

    def _weights(self, heads: LongTensor, relations: LongTensor, texts: FloatTensor) -> tuple[FloatTensor, FloatTensor]:
        """Return the weights of directed relations: shape ``(q, 2 R + 2, 4 K)``, and ``(q, 2 R, K)`` as a softmax."""
        graph = self.graph
        num = graph.num_relations
        ids = torch.arange(2 * num, device=heads.device) % num
        allowed = graph.present & (ids != relations[:, None])
        plain, near, far = (
            (texts @ x.T - mean) / std
            for x, (mean, std) in zip((self.relations.repeat(2, 1), self.near, self.far), self.band, strict=True)
        )
        static = self.static.expand(len(heads), -1, -1)
        same_direction = plain * (1 - static[..., 0])
        alike = ((texts @ self.relations.T) > 0.8).float().repeat(1, 2)
        keys = self.key(self.keys)
        match = self.dropout(self.query(texts)[:, None] * keys)
        scalars = torch.stack([plain, same_direction, near, far, alike], dim=-1)
        x = self.hidden(torch.cat([scalars, static, match], dim=-1))
        if self.head_query is not None and self.head_hidden is not None:
            own = torch.zeros(len(heads), 2 * num, device=heads.device)
            query, relation, count = graph.profiles(heads)
            own[query, relation] = count
            own = own * allowed
            text = self.entities[heads]
            scalars = torch.stack(
                [
                    (own > 0).float(),
                    own,
                    (own.roll(num, dims=-1) > 0).float(),
                    4 * text @ self.near.T,
                    4 * text @ self.far.T,
                ],
                dim=-1,
            )
            match = self.dropout(self.head_query(text)[:, None] * keys)
            x = x + self.head_hidden(torch.cat([scalars, match], dim=-1))
        x = self.weights(self.dropout(functional.relu(x)))
        weight = functional.softplus(x[..., : 4 * self.k] - 1) * allowed[..., None]
        share = torch.softmax(x[..., 4 * self.k :].masked_fill(~allowed[..., None], -1e4), dim=1)
        share = share * allowed[..., None]  # where no other relation is left, the softmax would spread over all
        similar = functional.softplus(self.similar)
        similar = torch.cat([similar.new_zeros(2, self.k), similar], dim=-1)
        return torch.cat([weight, similar.expand(len(heads), -1, -1)], dim=1), share

    def features(
        self, heads: LongTensor, relations: LongTensor, texts: FloatTensor, query: LongTensor, tails: LongTensor
    ) -> FloatTensor:
        """Return the features of triples, before they are scaled.

        :param heads: shape: ``(q,)``; the heads of the queries
        :param relations: shape: ``(q,)``; the ids of the relations, -1 for one that is not in the graph
        :param texts: shape: ``(q, d)``; the text vectors of the relations
        :param query: shape: ``(m,)``; the number of the query of each triple
        :param tails: shape: ``(m,)``; the tails of the triples
        :returns: shape: ``(m, f)``
        """
        return self._evidence(heads, relations, texts, query, tails)[0]

    def _evidence(
        self, heads: LongTensor, relations: LongTensor, texts: FloatTensor, query: LongTensor, tails: LongTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        """Return the features, shape: ``(m, f)``, and the prior, shape: ``(m,)``."""
        graph, k, m = self.graph, self.k, len(tails)
        near = nothing = texts.new_zeros(m)
        weight, share = self._weights(heads, relations, texts)
        profile, link, first, second = weight.split(k, dim=-1)
        result: list[FloatTensor] = []

        if "profile" in self.evidence:
            i, relation, count = graph.profiles(tails)
            q = query[i]
            zeros = weight.new_zeros(m, k)
            amount = zeros.index_add(0, i, profile[q, relation] * count[:, None])
            part = zeros.index_add(0, i, share[q, relation])
            mean = torch.einsum("qrk,rd->qkd", share, self.near)
            similar = torch.einsum("md,mkd->mk", self.entities[tails], mean[query])
            result += [torch.log1p(amount), part, similar]
        if "links" in self.evidence or "paths" in self.evidence:
            q1, x1, r1 = graph.links(heads)
            keep = ~graph.is_own(r1, relations[q1])
            q1, x1, r1 = q1[keep], x1[keep], r1[keep]
            i2, x2, r2 = graph.links(tails)
            keep = ~graph.is_own(r2, relations[query[i2]])
            i2, x2, r2 = i2[keep], x2[keep], r2[keep]
            q2 = query[i2]
            real = 2 * graph.num_relations
            if self.prior:
                linked = (x2 == heads[q2]) & (r2 < real)
                bonus = nothing.index_put((i2[linked],), texts.new_ones(()))
                near = near + 3 * bonus
            if "links" in self.evidence:
                direct = (x2 == heads[q2]).nonzero().view(-1)
                amount = weight.new_zeros(m, k).index_add(0, i2[direct], link[q2[direct], r2[direct]])
                result += [torch.log1p(amount), (amount[:, :1] > 0).float()]
            if "paths" in self.evidence:
                amount = weight.new_zeros(m, k)
                if len(q1):
                    code, step = (q1 * graph.num_entities + x1).unique(return_inverse=True)
                    reach = weight.new_zeros(len(code), k).index_add(0, step, first[q1, r1])
                    damped = graph.log_degree[code % graph.num_entities][:, None]
                    reach = reach * torch.exp(-functional.softplus(self.damping) * damped)
                    wanted = q2 * graph.num_entities + x2
                    position = torch.searchsorted(code, wanted).clamp(max=len(code) - 1)
                    met = (code[position] == wanted).nonzero().view(-1)
                    amount = amount.index_add(0, i2[met], reach[position[met]] * second[q2[met], r2[met]])
                    if self.prior:
                        common = code.new_zeros(len(code)).index_put((step[r1 < real],), code.new_ones(()))
                        rarity = common / torch.log1p(torch.exp(graph.log_degree[code % graph.num_entities]))
                        once = met[r2[met] < real]
                        pairs, first_of = (i2[once] * graph.num_entities + x2[once]).unique(return_inverse=True)
                        value = texts.new_zeros(len(pairs)).index_put((first_of,), rarity[position[once]])
                        near = near + torch.log1p(nothing.index_add(0, pairs // graph.num_entities, value))
                result += [torch.log1p(20 * amount), (amount[:, :1] > 0).float()]
        if "text" in self.evidence:
            head, tail = self.entities[heads], self.entities[tails]
            both = functional.normalize(head + texts, dim=-1)
            joint = (self.text[0](texts) * self.text[1](head))[query] * self.text[2](tail)
            alone = self.text[3](texts)[query] * self.text[4](tail)
            similarities = [(x[query] * tail).sum(-1) for x in (texts, head, both)]
            similarities += [(head * texts).sum(-1)[query], 8 * joint.sum(-1), 8 * alone.sum(-1)]
            result.append(torch.stack(similarities, dim=-1))
        if "words" in self.evidence:
            result.append(self.words(heads[query], tails).to(weight))
        return torch.cat(result, dim=-1), near

    def forward(
        self, heads: LongTensor, relations: LongTensor, texts: FloatTensor, query: LongTensor, tails: LongTensor
    ) -> FloatTensor:
        """Score triples; the arguments are those of :meth:`features`; shape of the result: ``(m,)``."""
        x, near = self._evidence(heads, relations, texts, query, tails)
        x = self.norm(x)
        scores = (self.mlp(x) + self.linear(x)).squeeze(-1)
        # an expert of its own: were it there in training, the rest would learn to correct it on seen relations
        return scores if self.training else scores + self.prior * near

    def _grid(self, grid: _Grid, projected: tuple[FloatTensor, FloatTensor]) -> FloatTensor:
        """Score all pairs of a grid; the same as :meth:`forward`, but for rounding.

        :param grid: what there is to weigh
        :param projected: shape: ``(c, rank)`` each; the tails' texts
        :returns: shape: ``(c, q)``
        """
        tails, k = grid.tails, self.k
        q, c = len(grid.heads), len(tails.texts)
        weight, share = self._weights(grid.heads, grid.relations, grid.texts)
        profile, link, first, second = (x.reshape(-1, k) for x in weight.split(k, dim=-1))
        wide = weight.shape[1]
        parts: list[FloatTensor] = []

        def put(values: FloatTensor) -> None:
            parts.append(values.reshape(c, q, -1))

        def summed(cell: LongTensor, values: FloatTensor) -> FloatTensor:
            return values.new_zeros(c * q, k).index_add(0, cell, values)

        if "profile" in self.evidence:

            def over_profiles(table: FloatTensor, counts: FloatTensor | None) -> FloatTensor:
                table = table.transpose(0, 1).reshape(-1, q * k)
                return functional.embedding_bag(
                    tails.relation, table, tails.start, mode="sum", per_sample_weights=counts
                )

            put(over_profiles(weight[..., :k], tails.amount).log1p())
            put(over_profiles(share, None))
            mean = share.transpose(1, 2).reshape(q * k, -1) @ self.near
            put(tails.texts @ mean.T)
        if "links" in self.evidence:
            cell, query, relation = grid.direct
            amount = summed(cell, link[query * wide + relation])
            flag = amount[:, :1] > 0
            put(amount.log1p())
            put(flag.to(amount))
        if "paths" in self.evidence:
            query, pair, relation = grid.reach
            reach = weight.new_zeros(len(grid.middle), k).index_add(0, pair, first[query * wide + relation])
            damped = self.graph.log_degree[grid.middle][:, None]
            reach = reach * torch.exp(-functional.softplus(self.damping) * damped)
            cell, query, pair, relation = grid.met
            amount = summed(cell, reach[pair] * second[query * wide + relation])
            flag = amount[:, :1] > 0
            put((20 * amount).log1p())
            put(flag.to(amount))
        if "text" in self.evidence:
            put(grid.similarities)
            put(8 * projected[0] @ (self.text[0](grid.texts) * self.text[1](self.entities[grid.heads])).T)
            put(8 * projected[1] @ self.text[3](grid.texts).T)
        if grid.words is not None:
            put(grid.words)
        x = self.norm(torch.cat(parts, dim=-1).view(c * q, -1))
        scores = (self.mlp(x) + self.linear(x)).view(c, q)
        return scores if self.training else scores + self.prior * grid.near


def score_grid(
    members: Sequence[PairEvidence],
    heads: LongTensor,
    relations: LongTensor,
    texts: FloatTensor,
    tails: LongTensor,
    limit: int,
) -> FloatTensor:
    """Score all pairs of queries and tails with the mean of some members, which differ in their parameters only.

    The scores are those of :meth:`PairEvidence.forward`, but what depends on the tails only, or on no member, is
    computed once.

    :param members: the members
    :param heads: shape: ``(q,)``; the heads of the queries
    :param relations: shape: ``(q,)``; the ids of the relations, -1 for one that is not in the graph
    :param texts: shape: ``(q, d)``; the text vectors of the relations
    :param tails: shape: ``(c,)``; the tails
    :param limit: about how many links and numbers are held at a time
    :returns: shape: ``(q, c)``
    """
    one = members[0]
    graph, words = one.graph, one.words if "words" in one.evidence else None
    unique, inverse = tails.unique(return_inverse=True)
    shared = _Tails.of(graph, one.entities, unique)
    projected = [(member.text[2](shared.texts), member.text[4](shared.texts)) for member in members]
    overlap = None if words is None else words.grid(heads, unique).to(texts)
    result = texts.new_empty(len(unique), len(heads))
    part = (32 * len(unique) + graph.two_hops[heads]).cumsum(0) // limit
    start = 0
    for length in part.unique_consecutive(return_counts=True)[1].tolist():
        rows = slice(start, start + length)
        start += length
        grid = _Grid.of(
            graph,
            one.evidence,
            one.entities,
            heads[rows],
            relations[rows],
            texts[rows],
            shared,
            None if overlap is None else overlap[:, rows],
        )
        scores = [member._grid(grid, own) for member, own in zip(members, projected, strict=True)]
        result[:, rows] = torch.stack(scores).mean(0)
    return result[inverse].T
