"""The kinds of evidence for a triple, each in three forms: for listed pairs of query and tail, and for grids of all.

The forms of a kind have the same values but for rounding. Grids are faster: in one of queries and tails, what depends
on tails only, or on no weight, is computed once; for one of heads and tails of a relation, see :mod:`.head_grid`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from pykeen.typing import FloatTensor, LongTensor
from torch import nn
from torch.nn import functional

from .graph import EvidenceGraph
from .head_grid import HeadGrid, HeadWeights
from .walks import Walks

__all__ = [
    "Evidence",
    "Grid",
    "LinkEvidence",
    "Listed",
    "PathEvidence",
    "ProfileEvidence",
    "Tails",
    "TextEvidence",
    "Weights",
    "WordEvidence",
]


class Weights(NamedTuple):
    """The weights of directed relations for ``q`` queries, K for each kind of evidence."""

    #: shape: ``(q, 2 R + 2, K)`` each
    profile: FloatTensor
    link: FloatTensor
    first: FloatTensor
    second: FloatTensor
    #: shape: ``(q, 2 R, K)``; a softmax over the relations
    share: FloatTensor


def _entries(table: FloatTensor, query: LongTensor, relation: LongTensor) -> FloatTensor:
    """Return the weights of queries and relations, shape ``(m,)`` each, from a table; shape: ``(m, K)``."""
    return table.reshape(-1, table.shape[-1])[query * table.shape[1] + relation]


@dataclass(frozen=True)
class Listed:
    """Listed pairs of a query and a tail, ``m`` of them."""

    #: shape: ``(q,)``, ``(q, d)`` and ``(q, d)``; the heads of the queries, their texts, and those of the relations
    heads: LongTensor
    head_texts: FloatTensor
    texts: FloatTensor
    #: shape: ``(m,)``, ``(m,)`` and ``(m, d)``; the query of each pair, its tail, and the tail's text
    query: LongTensor
    tails: LongTensor
    tail_texts: FloatTensor
    walks: Walks


class Tails(NamedTuple):
    """The tails that all queries of a grid have in common, ``c`` of them."""

    #: shape: ``(c,)``; their ids
    ids: LongTensor
    #: shape: ``(num_entities,)``; the position of an entity among the tails, -1 for none
    place: LongTensor
    #: shape: ``(c, d)``; their text vectors
    texts: FloatTensor
    #: their profiles, one after the other: directed relation, ``log(1 + count)``, and where each tail's begins
    relation: LongTensor
    amount: FloatTensor
    start: LongTensor

    @classmethod
    def of(cls, graph: EvidenceGraph, entities: FloatTensor, tails: LongTensor) -> "Tails":
        """Gather what depends on the tails only; `tails` are sorted and distinct."""
        place = torch.full((graph.num_entities,), -1, dtype=torch.long, device=tails.device)
        place[tails] = torch.arange(len(tails), device=tails.device)
        _, relation, count = graph.profiles(tails)
        length = graph.profile_offsets[tails + 1] - graph.profile_offsets[tails]
        texts = entities if len(tails) == len(entities) else entities[tails]
        return cls(tails, place, texts, relation, count, length.cumsum(0) - length)


@dataclass(frozen=True)
class Grid:
    """All pairs of ``c`` tails and ``q`` queries; no weight is in it, so that members can share it."""

    #: shape: ``(q,)``, ``(q, d)`` and ``(q, d)``; the heads of the queries, their texts, and those of the relations
    heads: LongTensor
    head_texts: FloatTensor
    texts: FloatTensor
    tails: Tails
    walks: Walks
    #: shape: ``(c, q, 2)``; the shares of words
    words: FloatTensor | None

    @property
    def shape(self) -> tuple[int, int]:
        """The number of tails and that of queries."""
        return len(self.tails.ids), len(self.heads)

    @cached_property
    def similarities(self) -> FloatTensor:
        """The plain similarities of texts, shape ``(c, q, 4)``, see :class:`TextEvidence`."""
        both = functional.normalize(self.head_texts + self.texts, dim=-1)
        (c, q), x = self.shape, torch.cat([self.texts, self.head_texts, both])
        result = self.texts.new_empty(c, q, 4)
        result[..., :3] = (self.tails.texts @ x.T).view(c, 3, q).transpose(1, 2)
        result[..., 3] = (self.head_texts * self.texts).sum(-1)
        return result


class Evidence(nn.Module, ABC):
    """A kind of evidence: some features of each pair of a query and a tail."""

    #: the number of features
    dim: int

    @abstractmethod
    def listed(self, pairs: Listed, weights: Weights) -> FloatTensor:
        """Return the features of listed pairs; shape: ``(m, dim)``."""

    @abstractmethod
    def grid(self, grid: Grid, weights: Weights, prepared: Any) -> FloatTensor:
        """Return the features of all pairs; shape: ``(c, q, dim)``.

        :param grid: the pairs
        :param weights: the weights of the queries
        :param prepared: what :meth:`prepare` returned
        """

    @abstractmethod
    def of_heads(self, grid: HeadGrid, weights: HeadWeights) -> FloatTensor:
        """Return the features of all pairs of heads and tails; shape: ``(c, q, dim)``."""

    def prepare(self, tails: Tails) -> Any:
        """Compute what all grids with the same tails share."""
        return None


class ProfileEvidence(Evidence):
    r"""Evidence from the profile of a tail: the directed relations that it takes part in, :math:`n_{r'}(t)` times.

    .. math::

        \log\Big(1 + \sum_{r'} w_k(r') \log(1 + n_{r'}(t))\Big) \qquad
        \sum_{r' : n_{r'}(t) > 0} s_k(r') \qquad
        \Big\langle \mathbf{x}_t, \sum_{r'} s_k(r')\, \mathbf{c}_{r'} \Big\rangle

    with a softmax :math:`s` over the relations, and the mean text :math:`\mathbf{c}_{r'}` of those on their near side.
    """

    near: FloatTensor

    def __init__(self, graph: EvidenceGraph, near: FloatTensor, k: int) -> None:
        """Initialize the module.

        :param graph: the training graph
        :param near: shape: ``(2 R, d)``; the mean texts of the entities on the near side of directed relations
        :param k: K
        """
        super().__init__()
        self.graph = graph
        self.dim = 3 * k
        self.register_buffer("near", near, persistent=False)

    def listed(self, pairs: Listed, weights: Weights) -> FloatTensor:  # noqa: D102
        pair, relation, count = self.graph.profiles(pairs.tails)
        query = pairs.query[pair]
        zeros = self.near.new_zeros(len(pairs.tails), weights.share.shape[-1])
        amount = zeros.index_add(0, pair, _entries(weights.profile, query, relation) * count[:, None])
        part = zeros.index_add(0, pair, _entries(weights.share, query, relation))
        mean = torch.einsum("qrk,rd->qkd", weights.share, self.near)
        similar = torch.einsum("md,mkd->mk", pairs.tail_texts, mean[pairs.query])
        return torch.cat([torch.log1p(amount), part, similar], dim=-1)

    def grid(self, grid: Grid, weights: Weights, prepared: Any) -> FloatTensor:  # noqa: D102
        tails, (c, q) = grid.tails, grid.shape

        def summed(table: FloatTensor, counts: FloatTensor | None) -> FloatTensor:
            table = table.transpose(0, 1).flatten(start_dim=1)
            return functional.embedding_bag(tails.relation, table, tails.start, mode="sum", per_sample_weights=counts)

        amount, part = summed(weights.profile, tails.amount), summed(weights.share, None)
        similar = tails.texts @ (weights.share.transpose(1, 2).flatten(end_dim=1) @ self.near).T
        return torch.cat([x.view(c, q, -1) for x in (torch.log1p(amount), part, similar)], dim=-1)

    def of_heads(self, grid: HeadGrid, weights: HeadWeights) -> FloatTensor:  # noqa: D102
        assert weights.profile is not None
        k = self.dim // 3
        return torch.cat([torch.log1p(weights.profile[..., :k]), weights.profile[..., k:]], dim=-1)


class _WalkEvidence(Evidence):
    """Evidence from walks, which are gathered once for either form; what is made of them is the same."""

    @abstractmethod
    def walked(self, walks: Walks, weights: Weights | HeadWeights) -> FloatTensor:
        """Return the features of all pairs of the walks; shape: ``(num_pairs, dim)``."""

    def listed(self, pairs: Listed, weights: Weights) -> FloatTensor:
        return self.walked(pairs.walks, weights)

    def grid(self, grid: Grid, weights: Weights, prepared: Any) -> FloatTensor:
        return self.walked(grid.walks, weights).view(*grid.shape, -1)

    def of_heads(self, grid: HeadGrid, weights: HeadWeights) -> FloatTensor:
        return self.walked(grid.by_entry, weights).view(*grid.shape, -1)


class LinkEvidence(_WalkEvidence):
    r"""Evidence from links between head and tail, as directed relations r' seen from the tail.

    .. math::

        \log\Big(1 + \sum_{r' : (t, r', h)} w_k(r')\Big) \qquad \Big[\sum_{r' : (t, r', h)} w_1(r') > 0\Big]
    """

    def __init__(self, k: int) -> None:
        """Initialize the module; `k` is K."""
        super().__init__()
        self.dim = k + 1

    def walked(self, walks: Walks, weights: Weights | HeadWeights) -> FloatTensor:  # noqa: D102
        pair, query, relation = walks.direct
        amount = weights.link.new_zeros(walks.num_pairs, self.dim - 1)
        amount = amount.index_add(0, pair, _entries(weights.link, query, relation))
        return torch.cat([torch.log1p(amount), (amount[:, :1] > 0).to(amount)], dim=-1)


class PathEvidence(_WalkEvidence):
    r"""Evidence from paths of two links, :math:`r_1` seen from the head and :math:`r_2` from the tail.

    .. math::

        p_k = \sum_x (1 + \deg x)^{-\alpha_k} \sum_{r_1 : (h, r_1, x)} u_k(r_1) \sum_{r_2 : (t, r_2, x)} v_k(r_2)
        \qquad \log(1 + 20\, p_k) \qquad [p_1 > 0]

    A relation-conditional form of `Adamic and Adar's <https://doi.org/10.1016/S0378-8733(03)00009-1>`_ neighbours in
    common; similar texts count as links, too.
    """

    def __init__(self, k: int) -> None:
        """Initialize the module; `k` is K."""
        super().__init__()
        self.dim = k + 1
        self.damping = nn.Parameter(torch.empty(k))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Spread the dampings :math:`\alpha = \mathrm{softplus}(d)` from weak to strong."""
        with torch.no_grad():
            self.damping.copy_(torch.linspace(-2.0, 1.0, len(self.damping)))

    def walked(self, walks: Walks, weights: Weights | HeadWeights) -> FloatTensor:  # noqa: D102
        query, step, relation = walks.reach
        reach = weights.first.new_zeros(len(walks.log_degree), self.dim - 1)
        reach = reach.index_add(0, step, _entries(weights.first, query, relation))
        reach = reach * torch.exp(-functional.softplus(self.damping) * walks.log_degree[:, None])
        pair, query, step, relation = walks.met
        amount = reach.new_zeros(walks.num_pairs, self.dim - 1)
        amount = amount.index_add(0, pair, reach[step] * _entries(weights.second, query, relation))
        return torch.cat([torch.log1p(20 * amount), (amount[:, :1] > 0).to(amount)], dim=-1)


class TextEvidence(Evidence):
    r"""Evidence from the texts of relation, head and tail: similarities, plain and learned.

    .. math::

        \langle\mathbf{x}_r, \mathbf{x}_t\rangle \quad \langle\mathbf{x}_h, \mathbf{x}_t\rangle \quad
        \Big\langle\frac{\mathbf{x}_h + \mathbf{x}_r}{\|\mathbf{x}_h + \mathbf{x}_r\|}, \mathbf{x}_t\Big\rangle \quad
        \langle\mathbf{x}_h, \mathbf{x}_r\rangle \quad
        8\, \langle A\mathbf{x}_r \odot B\mathbf{x}_h, C\mathbf{x}_t\rangle \quad
        8\, \langle D\mathbf{x}_r, E\mathbf{x}_t\rangle
    """

    dim = 6

    def __init__(self, dim: int, rank: int) -> None:
        """Initialize the module.

        :param dim: the dimension of texts
        :param rank: the dimension that they are projected to
        """
        super().__init__()
        # A, B and C, D and E
        self.joint_relation, self.joint_head, self.joint_tail, self.relation, self.tail = (
            nn.Linear(dim, rank, bias=False) for _ in range(5)
        )

    def listed(self, pairs: Listed, weights: Weights) -> FloatTensor:  # noqa: D102
        head, texts, query, tail = pairs.head_texts, pairs.texts, pairs.query, pairs.tail_texts
        both = functional.normalize(head + texts, dim=-1)
        joint = (self.joint_relation(texts) * self.joint_head(head))[query] * self.joint_tail(tail)
        alone = self.relation(texts)[query] * self.tail(tail)
        plain = [(x[query] * tail).sum(-1) for x in (texts, head, both)]
        return torch.stack([*plain, (head * texts).sum(-1)[query], 8 * joint.sum(-1), 8 * alone.sum(-1)], dim=-1)

    def prepare(self, tails: Tails) -> tuple[FloatTensor, FloatTensor]:  # noqa: D102
        return self.joint_tail(tails.texts), self.tail(tails.texts)

    def grid(self, grid: Grid, weights: Weights, prepared: Any) -> FloatTensor:  # noqa: D102
        joint_tail, tail = prepared
        joint = joint_tail @ (self.joint_relation(grid.texts) * self.joint_head(grid.head_texts)).T
        alone = tail @ self.relation(grid.texts).T
        return torch.cat([grid.similarities, torch.stack([8 * joint, 8 * alone], dim=-1)], dim=-1)

    def of_heads(self, grid: HeadGrid, weights: HeadWeights) -> FloatTensor:  # noqa: D102
        heads, tails = grid.heads, grid.tail_texts
        joint = (self.joint_relation(heads.text) * self.joint_head(heads.texts)) @ self.joint_tail(tails).T
        alone = (self.tail(tails) @ self.relation(heads.text)).expand(grid.shape)
        return torch.cat([grid.similarities, torch.stack([8 * joint, 8 * alone], dim=-1)], dim=-1)


class WordEvidence(Evidence):
    """Evidence from words: the shares of the words of one's name that the other's text mentions, both ways."""

    dim = 2

    def __init__(self, words: Any) -> None:
        """Initialize the module.

        :param words: the overlap of words, see :class:`~pykeen_mmkg.nn.evidence.words.WordOverlap`
        """
        super().__init__()
        self.words = words

    def listed(self, pairs: Listed, weights: Weights) -> FloatTensor:  # noqa: D102
        return self.words(pairs.heads[pairs.query], pairs.tails).to(pairs.texts)

    def grid(self, grid: Grid, weights: Weights, prepared: Any) -> FloatTensor:  # noqa: D102
        assert grid.words is not None
        return grid.words

    def of_heads(self, grid: HeadGrid, weights: HeadWeights) -> FloatTensor:  # noqa: D102
        assert grid.words is not None
        return grid.words
