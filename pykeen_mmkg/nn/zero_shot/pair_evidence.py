"""What the training graph says about a pair of entities, read in the light of a relation's description.

A relation without a training triple cannot be looked up. But the graph is full of relations that can: which of them
link the pair, which lead from one to the other over a third entity, which have such heads and such tails?
How much each of them tells about the new relation is judged from the texts. The parameters are shared by all
relations, so they are trained on the seen ones, each treated as if it had no triple, and hold for unseen ones.
"""

from collections.abc import Sequence
from typing import Any

import torch
from pykeen.typing import FloatTensor, LongTensor
from torch import nn
from torch.nn import functional

from ...errors import MultimodalError
from ...indexing import bounded_slices
from .graph import EvidenceGraph
from .head_grid import HeadGrid, Heads, HeadWeights
from .kinds import (
    Evidence,
    Grid,
    LinkEvidence,
    Listed,
    PathEvidence,
    ProfileEvidence,
    Tails,
    TextEvidence,
    Weights,
    WordEvidence,
)
from .running_norm import RunningNorm
from .walks import Walks

__all__ = ["EVIDENCE", "PairEvidence", "score_grid", "score_heads"]

#: how many heads and directed relations are weighed at a time, so that their hidden layer stays in the cache
HEADS, RELATIONS = 512, 8

#: how many single weights of relations for heads are computed at a time
ENTRIES = 1 << 15

#: the kinds of evidence, see :class:`PairEvidence`
EVIDENCE = ("profile", "links", "paths", "text", "words")


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

    - profile: the relations that t takes part in (:class:`.ProfileEvidence`)
    - links: the relations that link h and t (:class:`.LinkEvidence`)
    - paths: those of the two links on the way from h to t over a third entity (:class:`.PathEvidence`)
    - text: similarities of the texts of r, h and t (:class:`.TextEvidence`)
    - words: the share of the words of one's name that the other's description mentions (:class:`.WordEvidence`)

    and the score is a small MLP plus a linear map of these. The family of ideas: paths weighted by the query relation
    (`NBFNet <https://arxiv.org/abs/2106.06935>`_), relations told by the relations that share entities with them
    (`ULTRA <https://arxiv.org/abs/2310.04562>`_), neighbours in common (`Adamic and Adar
    <https://doi.org/10.1016/S0378-8733(03)00009-1>`_).
    """

    graph: EvidenceGraph
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
            :class:`~pykeen_mmkg.nn.evidence.words.WordOverlap`
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
        self.hops = 2 if "paths" in evidence else int("links" in evidence)
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
        kinds: dict[str, Evidence] = {
            "profile": ProfileEvidence(graph, near, k),
            "links": LinkEvidence(k),
            "paths": PathEvidence(k),
            "text": TextEvidence(dim, rank),
            "words": WordEvidence(words),
        }
        for name in self.evidence:
            self.add_module(name, kinds[name])
        self.dropout = nn.Dropout(dropout)
        features = sum(kinds[name].dim for name in self.evidence)
        self.norm = RunningNorm(features)
        self.mlp = nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 1))
        self.linear = nn.Linear(features, 1)
        self.reset_parameters()

    @property
    def kinds(self) -> list[Evidence]:
        """The kinds of evidence that are used, in the order of their features."""
        return [getattr(self, name) for name in self.evidence]

    def reset_parameters(self) -> None:
        """Set the weights of links of similar texts, which do not belong to a submodule."""
        nn.init.constant_(self.similar, -1.0)

    def _hidden(self, texts: FloatTensor, keys: FloatTensor) -> FloatTensor:
        """Return the part of the hidden layer that knows no head.

        :param texts: shape: ``(q, d)``; the text vectors of the relations that are asked for
        :param keys: shape: ``(2 R, rank)``; what is learned of the texts of directed relations
        :returns: shape: ``(q, 2 R, hidden)``
        """
        plain, near, far = (
            (texts @ x.T - mean) / std
            for x, (mean, std) in zip((self.relations.repeat(2, 1), self.near, self.far), self.band, strict=True)
        )
        static = self.static.expand(len(texts), -1, -1)
        same_direction = plain * (1 - static[..., 0])
        alike = ((texts @ self.relations.T) > 0.8).float().repeat(1, 2)
        match = self.dropout(self.query(texts)[:, None] * keys)
        scalars = torch.stack([plain, same_direction, near, far, alike], dim=-1)
        return self.hidden(torch.cat([scalars, static, match], dim=-1))

    def relation_weights(self, heads: LongTensor, relations: LongTensor, texts: FloatTensor) -> Weights:
        """Return the weights of directed relations for queries.

        :param heads: shape: ``(q,)``; the heads of the queries
        :param relations: shape: ``(q,)``; the ids of the relations, -1 for one that is not in the graph
        :param texts: shape: ``(q, d)``; the text vectors of the relations
        :returns: the weights
        """
        graph = self.graph
        num = graph.num_relations
        ids = torch.arange(2 * num, device=heads.device) % num
        allowed = graph.present & (ids != relations[:, None])
        keys = self.key(self.keys)
        x = self._hidden(texts, keys)
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
        weight = torch.cat([weight, similar.expand(len(heads), -1, -1)], dim=1)
        profile, link, first, second = weight.split(self.k, dim=-1)
        return Weights(profile, link, first, second, share)

    def head_weights(self, grid: HeadGrid) -> HeadWeights:
        """Return what the weights of :meth:`relation_weights` come to for many heads; not for training.

        :param grid: the heads and tails
        :returns: the sums and weights that the grid needs
        """
        keys = self.key(self.keys)
        base, k = self._hidden(grid.heads.text[None], keys)[0], self.k
        own = None if self.head_query is None else self.head_query(grid.heads.texts)
        tables = []
        for relation, head in zip(*(part.split(ENTRIES) for part in grid.entries), strict=True):
            real = int((relation < len(keys)).sum())  # those of similar texts come last
            similar, relation, head = relation[real:] - len(keys), relation[:real], head[:real]
            x = base[relation]
            if own is not None and self.head_hidden is not None:
                scalars = torch.stack(list(grid.heads.scalars(relation, head)), dim=-1)
                x = x + self.head_hidden(torch.cat([scalars, own[head] * keys[relation]], dim=-1))
            weight = functional.linear(functional.relu(x), self.weights.weight[k : 4 * k], self.weights.bias[k : 4 * k])
            tables += [functional.softplus(weight - 1), functional.softplus(self.similar)[similar]]
        link, first, second = (torch.cat(tables) if tables else base.new_zeros(0, 3 * k))[None].split(k, dim=-1)
        profile = self._profile_sums(grid, base, keys, own) if "profile" in self.evidence else None
        return HeadWeights(profile, link, first, second)

    def _profile_sums(
        self, grid: HeadGrid, base: FloatTensor, keys: FloatTensor, own: FloatTensor | None
    ) -> FloatTensor:
        """Return the sums of profiles, which go over all relations: a block of relations and of heads at a time.

        :param grid: the heads and tails
        :param base: shape: ``(2 R, hidden)``; the part of the hidden layer that knows no head
        :param keys: shape: ``(2 R, rank)``
        :param own: shape: ``(c, rank)``; what is learned of the texts of heads, None if they do not count
        :returns: shape: ``(c, q, 3 K)``
        """
        (c, q), ids, k, used = grid.shape, grid.relations, self.k, len(grid.counts)
        result = base.new_zeros(c, q, 3 * k)
        if not len(ids):
            return result
        # the hidden layer is a product for each relation: of the numbers of a pair, the text of the head, and one
        layer, num_scalars = base[ids, :, None], 0
        if own is not None and self.head_hidden is not None:
            weight, num_scalars = self.head_hidden.weight, self.head_hidden.in_features - keys.shape[1]
            plain = weight[:, :num_scalars].expand(len(ids), -1, -1)
            layer = torch.cat([plain, weight[:, num_scalars:] * keys[ids, None], layer], dim=-1)
        # a sum of shares is one of exponentials over the sum of all
        values = base.new_zeros(len(ids), 1 + 2 * q)
        values[:, 0], values[:used, 1 : 1 + q] = 1.0, (grid.counts > 0).to(base)
        values[:, 1 + q :] = self.near[ids] @ grid.tail_texts.T
        # the bias of the shares is the same for all relations, and cancels out
        profile, bias, share = self.weights.weight[:k], self.weights.bias[:k, None], self.weights.weight[4 * k :]
        for start in range(0, c, HEADS):
            part = slice(start, min(start + HEADS, c))
            size = part.stop - part.start
            inputs = base.new_ones(RELATIONS, layer.shape[-1], size)
            if own is not None:
                inputs[:, num_scalars:-1] = own[part].T
                scalars = torch.stack(list(grid.heads.scalars(ids, part)), dim=1)
            logits, amount = base.new_empty(len(ids), k, size), base.new_zeros(q, k * size)
            for first in range(0, len(ids), RELATIONS):
                block = slice(0, len(ids[first : first + RELATIONS]))
                if own is not None:
                    inputs[block, :num_scalars] = scalars[first : first + RELATIONS]
                x = (layer[first : first + RELATIONS] @ inputs[block]).relu_()
                torch.bmm(share.expand(len(x), -1, -1), x, out=logits[first : first + RELATIONS])
                if first < used:
                    x = x[: used - first]
                    weight = functional.softplus(profile.expand(len(x), -1, -1) @ x + (bias - 1)).flatten(start_dim=1)
                    amount += grid.counts[first : first + RELATIONS].T @ weight
            logits -= logits.amax(dim=0)
            total, sums = (values.T @ logits.exp_().flatten(start_dim=1)).split([1, 2 * q])
            whole = torch.cat([amount, sums / total]).view(3, q, k, size)
            result[part] = whole.permute(3, 1, 0, 2).flatten(start_dim=2)
        return result

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
        return self._listed(heads, relations, texts, query, tails)[0]

    def _listed(
        self, heads: LongTensor, relations: LongTensor, texts: FloatTensor, query: LongTensor, tails: LongTensor
    ) -> tuple[FloatTensor, Walks]:
        """Return the features, shape: ``(m, f)``, and the walks that they are of."""
        walks = Walks.listed(self.graph, self.hops, heads, relations, query, tails)
        pairs = Listed(heads, self.entities[heads], texts, query, tails, self.entities[tails], walks)
        weights = self.relation_weights(heads, relations, texts)
        return torch.cat([kind.listed(pairs, weights) for kind in self.kinds], dim=-1), walks

    def _score(self, features: FloatTensor) -> FloatTensor:
        """Return the scores of features; shape: ``(m,)``."""
        x = self.norm(features)
        return (self.mlp(x) + self.linear(x)).squeeze(-1)

    def forward(
        self, heads: LongTensor, relations: LongTensor, texts: FloatTensor, query: LongTensor, tails: LongTensor
    ) -> FloatTensor:
        """Score triples; the arguments are those of :meth:`features`; shape of the result: ``(m,)``."""
        features, walks = self._listed(heads, relations, texts, query, tails)
        scores = self._score(features)
        # an expert of its own: were it there in training, the rest would learn to correct it on seen relations
        return scores if self.training or not self.prior else scores + self.prior * walks.prior(self.graph)

    def grid(self, grid: Grid, relations: LongTensor, prepared: Sequence[Any]) -> FloatTensor:
        """Score all pairs of a grid by what was learned; the same as :meth:`forward`, but for rounding and the prior.

        :param grid: the pairs
        :param relations: shape: ``(q,)``; the ids of the relations
        :param prepared: what each kind has prepared for the tails
        :returns: shape: ``(c, q)``
        """
        weights = self.relation_weights(grid.heads, relations, grid.texts)
        parts = [kind.grid(grid, weights, own) for kind, own in zip(self.kinds, prepared, strict=True)]
        return self._score(torch.cat(parts, dim=-1).flatten(end_dim=1)).view(grid.shape)

    def of_heads(self, grid: HeadGrid) -> FloatTensor:
        """Score all pairs of heads and tails of a relation by what was learned; shape: ``(c, q)``."""
        weights = self.head_weights(grid)
        parts = [kind.of_heads(grid, weights) for kind in self.kinds]
        return self._score(torch.cat(parts, dim=-1).flatten(end_dim=1)).view(grid.shape)


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
    unique, inverse = tails.unique(return_inverse=True)
    shared = Tails.of(one.graph, one.entities, unique)
    prepared = [[kind.prepare(shared) for kind in member.kinds] for member in members]
    words = next((kind.words for kind in one.kinds if isinstance(kind, WordEvidence)), None)
    overlap = None if words is None else words.grid(heads, unique).to(texts)
    result = texts.new_empty(len(unique), len(heads))
    for rows in bounded_slices(32 * len(unique) + one.graph.two_hops[heads], limit):
        walks = Walks.grid(one.graph, one.hops, heads[rows], relations[rows], shared.place, len(unique))
        own = None if overlap is None else overlap[:, rows]
        grid = Grid(heads[rows], one.entities[heads[rows]], texts[rows], shared, walks, own)
        scores = [member.grid(grid, relations[rows], made) for member, made in zip(members, prepared, strict=True)]
        result[:, rows] = torch.stack(scores).mean(0)
        if one.prior and not one.training:
            result[:, rows] += one.prior * walks.prior(one.graph).view(grid.shape)
    return result[inverse].T


def score_heads(
    members: Sequence[PairEvidence], heads: LongTensor, relation: int, text: FloatTensor, tails: LongTensor, limit: int
) -> FloatTensor:
    """Score all pairs of heads and tails of a relation with the mean of some members; not for training.

    The scores are those of :meth:`PairEvidence.forward`, but for rounding.

    :param members: the members
    :param heads: shape: ``(c,)``; the heads
    :param relation: the id of the relation, -1 for one that is not in the graph
    :param text: shape: ``(d,)``; the text vector of the relation
    :param tails: shape: ``(q,)``; the tails
    :param limit: about how many links and numbers are held at a time
    :returns: shape: ``(q, c)``
    """
    one = members[0]
    graph, words = one.graph, next((kind.words for kind in one.kinds if isinstance(kind, WordEvidence)), None)
    unique, inverse = heads.unique(return_inverse=True)
    result = text.new_empty(len(tails), len(unique))
    # the tables of heads and relations take a few bytes for each
    parts = unique.split(max(HEADS, 8 * limit // (2 * graph.num_relations)))
    for start, part in zip(range(0, len(unique), len(parts[0]) if parts else 1), parts, strict=True):
        some = Heads.of(graph, one.entities, one.near, part, relation, text)
        for rows in bounded_slices(4 * len(part) + graph.two_hops[tails], limit):
            overlap = None if words is None else words.grid(tails[rows], part).to(text).flip(-1)
            grid = HeadGrid.of(some, one.entities, tails[rows], one.hops, overlap)
            scores = torch.stack([member.of_heads(grid) for member in members]).mean(0)
            if one.prior and not one.training:
                scores += one.prior * grid.walks.prior(graph).view(grid.shape)
            result[rows, start : start + len(part)] = scores.T
    return result[:, inverse]
