"""Strata of ranked triples by what training says of their relation, their entities and their half-links."""

import numpy
import torch
from pykeen.typing import MappedTriples

from ..indexing import occurring

__all__ = ["entities_seen", "half_links", "relation_kinds"]

#: from so many heads per tail (tails per head) on, a side of a relation counts as "n"
MANY = 1.5


def relation_kinds(triples: MappedTriples, num_relations: int) -> numpy.ndarray:
    """Return the kind of each relation: ``1-1``, ``1-n``, ``n-1`` or ``n-n``, and ``unseen`` if it has no triple.

    The left side is ``n`` if a tail has :data:`MANY` heads or more on average, the right side if a head has as many
    tails (Bordes et al., 2013, https://papers.nips.cc/paper/5071).

    :param triples: shape: ``(n, 3)``; the training triples
    :param num_relations: the number of relations
    :returns: shape: ``(num_relations,)``
    """
    triples = triples.unique(dim=0)
    count = torch.bincount(triples[:, 1], minlength=num_relations)
    sides = []
    for column in (2, 0):  # heads per tail, then tails per head
        pairs = triples[:, [1, column]].unique(dim=0)
        sides.append(count / torch.bincount(pairs[:, 0], minlength=num_relations).clamp(min=1))
    left, right = (numpy.where(side.numpy() >= MANY, "n", "1").astype(object) for side in sides)
    return numpy.where(count.numpy() > 0, left + "-" + right, "unseen")


def entities_seen(training: MappedTriples, triples: numpy.ndarray, num_entities: int) -> numpy.ndarray:
    """Return how many of the two entities of each triple training has: ``both``, ``one`` or ``neither``.

    :param training: shape: ``(n, 3)``
    :param triples: shape: ``(m, 3)``
    :param num_entities: the number of entities
    :returns: shape: ``(m,)``
    """
    seen = occurring(training[:, [0, 2]], num_entities).numpy()
    return numpy.array(["neither", "one", "both"], dtype=object)[seen[triples[:, [0, 2]]].sum(axis=1)]


def half_links(training: MappedTriples, triples: numpy.ndarray, side: numpy.ndarray) -> numpy.ndarray:
    """Return which half-links of each ranked triple training has: that of the query, that of the answer, both, none.

    A half-link is an entity with a relation and the side it is on, (h, r) or (r, t). Whether the answer was ever seen
    on this side of the relation, and whether the query has answers already, decides much of a ranking.

    :param training: shape: ``(n, 3)``
    :param triples: shape: ``(m, 3)``
    :param side: shape: ``(m,)``; the predicted side, ``head`` or ``tail``
    :returns: shape: ``(m,)``; ``query + answer``, ``query``, ``answer`` or ``none``
    """
    seen, number = [], 1 + max(int(training[:, 1].max()), int(triples[:, 1].max(initial=0)))
    for column in (0, 2):
        known = training[:, column].numpy() * number + training[:, 1].numpy()
        seen.append(numpy.isin(triples[:, column] * number + triples[:, 1], known))
    query, answer = numpy.where(side == "tail", seen, seen[::-1])
    return numpy.array(["none", "answer", "query", "query + answer"], dtype=object)[2 * query + answer]
