"""Drawing relations or entities to hold out, such that what remains can still be learned from."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from pykeen.typing import MappedTriples

from ..errors import DataError

__all__ = ["draw_entities", "draw_relations"]


def draw_relations(
    triples: MappedTriples,
    given: tuple[list[int] | None, list[int] | None],
    wanted: Sequence[int],
    num_relations: int,
    min_triples: int,
    min_seen: float,
    seed: int,
) -> tuple[list[int], list[int]]:
    """Draw the relations that were not given by label, unseen ones first.

    :param triples: all triples, shape: (m, 3)
    :param given: the ids of the unseen and of the dev relations, each None if they are to be drawn
    :param wanted: how many to draw of each
    :param num_relations: the number of relations
    :param min_triples: the least number of triples of a drawn relation
    :param min_seen: the least share of its triples with both entities in what remains
    :param seed: the seed
    :returns: the ids of the unseen and of the dev relations
    :raises DataError: if there are too few
    """
    array = triples.numpy()
    by_relation = {int(r): array[array[:, 1] == r][:, [0, 2]] for r in np.unique(array[:, 1])}
    degree = np.bincount(array[:, [0, 2]].ravel(), minlength=int(array[:, [0, 2]].max()) + 1)
    for ids in given:
        for relation in ids or ():
            np.subtract.at(degree, by_relation[relation].ravel(), 1)
    taken = {relation for ids in given for relation in ids or ()}

    def take(relation: int) -> bool:
        pairs = by_relation.get(relation)
        if pairs is None or relation in taken or len(pairs) < min_triples:
            return False
        np.subtract.at(degree, pairs.ravel(), 1)
        if (degree[pairs] > 0).all(axis=1).mean() < min_seen:
            np.add.at(degree, pairs.ravel(), 1)
            return False
        taken.add(relation)
        return True

    what = f"relations can be drawn with min_triples={min_triples} and min_seen={min_seen}"
    return _draw(given, wanted, num_relations, seed, take, what)


def draw_entities(
    training: MappedTriples,
    given: tuple[list[int] | None, list[int] | None],
    numbers: Sequence[int],
    num_entities: int,
    num_relations: int,
    seed: int,
) -> tuple[list[int], list[int]]:
    """Draw the entities that were not given by label, unseen ones first.

    An entity is skipped if another entity or a relation had no training triple without it.

    :param training: the training triples, distinct, shape: (m, 3)
    :param given: the ids of the unseen and of the dev entities, each None if they are to be drawn
    :param numbers: how many to draw of each
    :param num_entities: the number of entities
    :param num_relations: the number of relations
    :param seed: the seed
    :returns: the ids of the unseen and of the dev entities
    :raises DataError: if there are too few
    """
    array = training.numpy()
    degree = np.bincount(array[:, [0, 2]].ravel(), minlength=num_entities)
    # a self-loop must count once
    degree -= np.bincount(array[array[:, 0] == array[:, 2], 0], minlength=num_entities)
    support = np.bincount(array[:, 1], minlength=num_relations)
    incident: list[list[int]] = [[] for _ in range(num_entities)]
    for row, (head, _, tail) in enumerate(array.tolist()):
        incident[head].append(row)
        if tail != head:
            incident[tail].append(row)
    alive = np.ones(len(array), dtype=bool)
    taken = np.zeros(num_entities, dtype=bool)

    def remove(entity: int, check: bool) -> bool:
        rows = [row for row in incident[entity] if alive[row]]
        relations, uses = np.unique(array[rows, 1], return_counts=True)
        ends = array[rows][:, [0, 2]]
        others = np.unique(np.where(ends[:, 0] == entity, ends[:, 1], ends[:, 0]), return_counts=True)
        neighbours, losses = (values[others[0] != entity] for values in others)
        if check and ((degree[neighbours] - losses <= 0).any() or (support[relations] - uses <= 0).any()):
            return False
        degree[neighbours] -= losses
        support[relations] -= uses
        alive[rows] = False
        taken[entity] = True
        return True

    for ids in given:
        for entity in ids or ():
            remove(entity, check=False)

    def take(entity: int) -> bool:
        # an entity without training triple is unseen already, and tells nothing about the draw
        return not taken[entity] and degree[entity] > 0 and remove(entity, check=True)

    what = "entities can be held out such that every other one stays in training"
    return _draw(given, numbers, num_entities, seed, take, what)


def _draw(
    given: tuple[list[int] | None, list[int] | None],
    numbers: Sequence[int],
    total: int,
    seed: int,
    take: Callable[[int], bool],
    what: str,
) -> tuple[list[int], list[int]]:
    """Draw ids that can be taken, in random order, for each of two lists that was not given."""
    order = np.random.default_rng(seed).permutation(total).tolist()
    result: list[list[int]] = []
    for ids, number in zip(given, numbers, strict=True):
        drawn = list(itertools.islice(filter(take, order), number)) if ids is None else ids
        if ids is None and len(drawn) < number:
            raise DataError(f"only {len(drawn)} of {number} {what}")
        result.append(drawn)
    return result[0], result[1]
