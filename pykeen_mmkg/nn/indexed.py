"""Scores of sampled triples for training, from the unique entities and relations of a batch.

PyKEEN looks up three vectors for each triple, positive or negative. Negatives share the head and the relation, or the
relation and the tail, with their positive, so a batch has few different *queries*, cf.
:class:`~pykeen_mmkg.nn.interaction.QueryInteraction`. With these as one matrix and the entities as another, the scores
are the listed entries of their product, and the gradients two products with a sparse matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from pykeen.nn.modules import Interaction
from pykeen.typing import FloatTensor, LongTensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding

from .interaction import QueryInteraction, as_real, fast_interaction
from .kernels import pair_distance, pair_dot, pair_euclidean

__all__ = ["Queries", "group_by_query", "score_indexed", "supports_indexed"]

#: Below this number of triples, looking up the vectors of each is as fast.
MIN_TRIPLES = 1024


class Queries(NamedTuple):
    """Triples as pairs of a query and an entity, sorted by query; first those for tails, then those for heads."""

    #: shape: (q,), the entity in each query
    entity: LongTensor
    #: shape: (q,), the relation in each query
    relation: LongTensor
    #: how many of the queries ask for tails
    num_tail: int
    #: shape: (m,), sorted, for each pair the query
    rows: LongTensor
    #: shape: (m,), for each pair the entity that is asked for
    cols: LongTensor
    #: shape: (m,), for each pair the position of its triple
    order: LongTensor


def _occurrences(keys: LongTensor, num_keys: int) -> LongTensor:
    """Count for each key how often it occurs among all."""
    if num_keys <= max(1 << 20, 8 * keys.shape[0]):
        return torch.bincount(keys, minlength=num_keys)[keys]
    _, inverse, counts = keys.unique(return_inverse=True, return_counts=True)
    return counts[inverse]


def group_by_query(hrt: LongTensor, num_entities: int, num_relations: int) -> Queries:
    """Write triples as pairs of a query and an entity with as few queries as either side of a triple allows.

    :param hrt: shape: (m, 3); the triples
    :param num_entities: the number of entities
    :param num_relations: the number of relations
    :returns: the queries and the pairs. A triple is asked from the side whose query occurs more often in the batch.
    """
    h, r, t = hrt.unbind(dim=-1)
    size = num_entities * num_relations
    tail_key, head_key = h * num_relations + r, t * num_relations + r
    ask_tail = _occurrences(tail_key, size) >= _occurrences(head_key, size)
    keys, order = torch.where(ask_tail, tail_key, head_key + size).sort()
    unique, rows = keys.unique_consecutive(return_inverse=True)
    num_tail = int((unique < size).sum())
    unique = unique % size
    return Queries(
        entity=unique // num_relations,
        relation=unique % num_relations,
        num_tail=num_tail,
        rows=rows,
        cols=torch.where(ask_tail, t, h)[order],
        order=order,
    )


class _Lookup(torch.autograd.Function):
    """Select rows, and pass the matrix on: its gradient and that of the rows add up in place, in one matrix."""

    @staticmethod
    def forward(ctx: Any, x: FloatTensor, index: LongTensor) -> tuple[FloatTensor, FloatTensor]:
        ctx.save_for_backward(index)
        return x.index_select(0, index), x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_rows: FloatTensor, grad: FloatTensor) -> tuple[FloatTensor, None]:
        (index,) = ctx.saved_tensors
        return grad.index_add_(0, index, grad_rows), None


def supports_indexed(interaction: Interaction) -> bool:
    """Return whether there are fast training scores for the interaction with its parameters."""
    fast = fast_interaction(interaction)
    return isinstance(fast, QueryInteraction) and fast.comparison is not None


def _from_real(x: FloatTensor, like: torch.Tensor) -> FloatTensor:
    return torch.view_as_complex(x.unflatten(-1, (-1, 2))) if like.is_complex() else x


def score_indexed(
    interaction: Interaction,
    entities: FloatTensor,
    relations: FloatTensor,
    hrt: LongTensor,
    min_triples: int = MIN_TRIPLES,
) -> FloatTensor:
    """Score triples given by row numbers, with memory for (triples + (entities + queries) * dimension) numbers.

    The scores and gradients are those of ``interaction.score_hrt`` up to rounding. Without a fast way (another
    interaction, half precision, few triples), it is that method which is called.

    :param interaction: the interaction, of PyKEEN or of this package
    :param entities: shape: (u, d); entity representations, best those of the batch without repetition
    :param relations: shape: (v, d); relation representations
    :param hrt: shape: (m, 3); triples of rows of ``entities``, ``relations`` and ``entities``
    :param min_triples: fewer triples are scored one by one
    :returns: shape: (m,); the scores. In the fast way, they can be differentiated once.
    """
    fast = fast_interaction(interaction)
    scores = None
    if hrt.shape[0] >= min_triples and isinstance(fast, QueryInteraction):
        scores = _score_queries(fast, entities, relations, hrt)
    if scores is not None:
        return scores
    h, r, t = hrt.unbind(dim=-1)
    return interaction.score_hrt(h=entities[h], r=relations[r], t=entities[t]).squeeze(dim=-1)


def _modulus_correction(
    queries: Queries, entities: FloatTensor, relations: FloatTensor, heads: FloatTensor
) -> FloatTensor | None:
    r"""Return what the squared distance of a rotated head differs from that of a tail that is rotated back.

    PyKEEN scores triples by $\|h - t \odot \bar{r}\|$. A tail query has $\|h \odot r - t\|$, and

    .. math::

        \|h - t \odot \bar{r}\|^2 - \|h \odot r - t\|^2 = \sum_i (|r_i|^2 - 1) (|t_i|^2 - |h_i|^2)

    which is zero for relations of modulus one. Its gradient for the modulus is not, and optimizers look at it.

    :param queries: the queries and pairs
    :param entities: shape: (u, d), complex; the entities
    :param relations: shape: (v, d), complex; the relations
    :param heads: shape: (n, d), complex; the heads of the tail queries
    :returns: shape: (k,); the correction of the first k pairs, which are those of the tail queries; None if there is
        none to make.
    """
    excess = _squared_modulus(relations) - 1
    learns = torch.is_grad_enabled() and excess.requires_grad
    if not heads.shape[0] or not (learns or bool((excess.abs() > torch.finfo(excess.dtype).eps * 8).any())):
        return None
    tail_pairs = int(torch.searchsorted(queries.rows, heads.shape[0]))
    rows, cols = queries.rows[:tail_pairs], queries.cols[:tail_pairs]
    relation, order = queries.relation[rows].sort()
    of_tails = pair_dot(excess, _squared_modulus(entities), relation, cols[order])
    of_tails = torch.empty_like(of_tails).index_copy(0, order, of_tails)
    of_heads = (embedding(queries.relation[: heads.shape[0]], excess) * _squared_modulus(heads)).sum(dim=-1)
    return of_tails - of_heads.index_select(0, rows)


def _squared_modulus(x: FloatTensor) -> FloatTensor:
    return x.real.square() + x.imag.square()


def _score_queries(
    interaction: QueryInteraction, entities: FloatTensor, relations: FloatTensor, hrt: LongTensor
) -> FloatTensor | None:
    """Score triples through their queries; None where that does not work."""
    correct = interaction.needs_unit_modulus(relations)
    entities, relations = interaction.prepare_entity(entities), interaction.prepare_relation(relations)
    comparison = interaction.comparison
    if comparison is None or not interaction.supports(entities, relations):
        return None
    keys = as_real(entities)
    if keys.dtype not in {torch.float32, torch.float64}:
        return None
    queries = group_by_query(hrt, num_entities=entities.shape[0], num_relations=relations.shape[0])
    e, keys = _Lookup.apply(keys, queries.entity)
    e = _from_real(e, like=entities)
    r = _from_real(embedding(queries.relation, as_real(relations)), like=relations)
    n = queries.num_tail
    x = as_real(torch.cat([interaction.tail_query(e[:n], r[:n]), interaction.head_query(r[n:], e[n:])]))
    if comparison.p is None:
        values = pair_dot(x, keys, queries.rows, queries.cols)
    elif comparison.p == 1:
        values = -pair_distance(x, keys, queries.rows, queries.cols, p=1)
    elif correct and (delta := _modulus_correction(queries, entities, relations, heads=e[:n])) is not None:
        squared = pair_euclidean(x, keys, queries.rows, queries.cols, power_norm=True)
        squared = squared + torch.cat([delta, delta.new_zeros(squared.shape[0] - delta.shape[0])])
        zero = squared <= 0
        values = -squared.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)
    else:
        values = -pair_euclidean(x, keys, queries.rows, queries.cols, power_norm=comparison.power_norm)
    scores = torch.empty_like(values).index_copy(0, queries.order, values)
    return scores + interaction.margin if interaction.margin else scores
