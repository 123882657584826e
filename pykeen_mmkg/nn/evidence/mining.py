"""Counting for which pairs of entities a path of two links holds, and what else links them."""

import numpy
import torch
from pykeen.typing import LongTensor
from scipy import sparse

from .queries import DirectedTriples

__all__ = ["mine_paths"]


def _expand(start: numpy.ndarray, length: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return the positions ``start[i], ..., start[i] + length[i] - 1`` over all i, each after its i."""
    row = numpy.repeat(numpy.arange(len(length)), length)
    return row, numpy.arange(len(row)) - (length.cumsum() - length - start)[row]


def _pointer(sorted_values: numpy.ndarray, top: int) -> numpy.ndarray:
    return numpy.concatenate([[0], numpy.bincount(sorted_values, minlength=top).cumsum()])


def mine_paths(
    graph: DirectedTriples, steps: LongTensor, max_paths: int, min_support: int, chunk_size: int
) -> tuple[LongTensor, LongTensor, LongTensor]:
    """Find all rules "a path of two links implies a link".

    Whole lists of paths are sorted, one first relation and some heads at a time; a path of the same two relations over
    another middle counts its pair once, and pairs of an entity with itself do not count.

    :param graph: the training triples, whose links are implied
    :param steps: shape: ``(m, 3)``; the links that paths are made of, distinct and sorted
    :param max_paths: pairs of relations with more paths are left out
    :param min_support: rules that hold for fewer pairs are left out
    :param chunk_size: about how many paths are held at a time
    :returns: the rules, shape: ``(k, 3)``: the implied relation, the first and the second of the path; for how many
        pairs path and link hold, shape: ``(k,)``; and for how many the path does, shape: ``(k,)``
    """
    n, implied = graph.num_entities, 2 * graph.num_relations
    head, relation, tail = steps.numpy().T
    kinds = implied + 1
    begin = _pointer(head, n)
    ones = numpy.ones(len(head), dtype=numpy.int64)
    into = sparse.csr_matrix((ones, (relation, tail)), shape=(kinds, n))
    out = sparse.csr_matrix((ones, (head, relation)), shape=(n, kinds))
    amount = (into @ out).toarray()
    amount[implied, implied] = 0  # the texts alone imply nothing
    walked = (amount > 0) & (amount <= max_paths)
    known = graph.triples.numpy()
    known_begin = _pointer(known[:, 0], n)
    by_relation = relation.argsort(kind="stable")
    bounds = _pointer(relation[by_relation], kinds)
    rules, supports, sizes = [], [], []
    for first in walked.any(axis=1).nonzero()[0].tolist():
        one = by_relation[bounds[first] : bounds[first + 1]]
        # the second steps that may follow
        middles, middle = numpy.unique(tail[one], return_inverse=True)
        at, link = _expand(begin[middles], begin[middles + 1] - begin[middles])
        may = walked[first, relation[link]]
        at, link = at[may], link[may]
        second, target = relation[link], tail[link]
        follow = _pointer(at, len(middles))
        length = numpy.diff(follow)[middle]
        heads, source = numpy.unique(head[one], return_inverse=True)
        cost = numpy.bincount(source, weights=length, minlength=len(heads)).cumsum()
        part = (cost // chunk_size).astype(numpy.int64)[source]
        size = numpy.zeros(kinds, dtype=numpy.int64)
        support = numpy.zeros(kinds * implied, dtype=numpy.int64)
        edges = _pointer(part, int(part[-1]) + 1)
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            if low == high:
                continue
            row, place = _expand(follow[middle[low:high]], length[low:high])
            own = source[low:high][row]
            keep = target[place] != heads[own]
            pair = own[keep] * n + target[place[keep]]
            code = numpy.unique(pair * kinds + second[place[keep]])
            size += numpy.bincount(code % kinds, minlength=kinds)
            # which links have the same ends
            some = numpy.arange(source[low], source[high - 1] + 1)
            ends = heads[some]
            row, place = _expand(known_begin[ends], known_begin[ends + 1] - known_begin[ends])
            pair = (some[row] * n + known[place, 2]) * kinds
            start = numpy.searchsorted(code, pair)
            hit, position = _expand(start, numpy.searchsorted(code, pair + kinds) - start)
            support += numpy.bincount(code[position] % kinds * implied + known[place[hit], 1], minlength=len(support))
        found = (support >= min_support).nonzero()[0]
        follower, conclusion = numpy.divmod(found, implied)
        rules.append(numpy.stack([conclusion, numpy.full_like(found, first), follower], axis=-1))
        supports.append(support[found])
        sizes.append(size[follower])
    if not rules:
        none = torch.empty(0, dtype=torch.long)
        return none.view(0, 3), none, none
    joined = (numpy.concatenate(x) for x in (rules, supports, sizes))
    rule, support_, size_ = (torch.from_numpy(x) for x in joined)
    return rule, support_, size_
