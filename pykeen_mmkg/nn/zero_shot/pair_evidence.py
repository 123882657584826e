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

__all__ = ["EVIDENCE", "PairEvidence", "score_grid"]

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
        weight = torch.cat([weight, similar.expand(len(heads), -1, -1)], dim=1)
        profile, link, first, second = weight.split(self.k, dim=-1)
        return Weights(profile, link, first, second, share)

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
