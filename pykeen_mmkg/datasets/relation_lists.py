"""The side files of datasets with unseen relations: candidate entities per relation, lists of relations."""

import json
import pathlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from pykeen.typing import MappedTriples

from ..errors import DataError
from .files import read_lines

__all__ = [
    "nell_type",
    "read_candidates",
    "read_relations",
    "type_candidates",
]


def read_candidates(
    path: str | pathlib.Path, entities: Iterable[str] | None = None, relations: Iterable[str] | None = None
) -> dict[str, list[str]]:
    """Read lists of candidate entities per relation from a JSON file.

    :param path: a JSON object, relation label -> list of entity labels
    :param entities: the labels of all entities, to check against
    :param relations: the labels of all relations, to check against
    :returns: the labels of the candidates per relation label
    :raises DataError: if the file is no such object, a list is empty or repeats an entity, or a label is unknown
    """
    try:
        candidates = json.loads("\n".join(read_lines(pathlib.Path(path))))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: no valid JSON ({error.msg})") from None
    if not isinstance(candidates, dict):
        raise DataError(f"{path}: expected an object relation -> list of entities, found {type(candidates).__name__}")
    entities = None if entities is None else set(entities)
    relations = None if relations is None else set(relations)
    for relation, labels in candidates.items():
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise DataError(f"{path}: the candidates of relation {relation!r} are no list of entity labels")
        if not labels:
            raise DataError(f"{path}: the candidate list of relation {relation!r} is empty")
        if len(set(labels)) != len(labels):
            twice = next(label for label, count in Counter(labels).items() if count > 1)
            raise DataError(f"{path}: the candidate list of relation {relation!r} has {twice!r} twice")
        if relations is not None and relation not in relations:
            raise DataError(f"{path}: {relation!r} is no relation of the dataset")
        if entities is not None and (unknown := next((label for label in labels if label not in entities), None)):
            raise DataError(f"{path}: the candidate {unknown!r} of relation {relation!r} is no entity of the dataset")
    return candidates


def read_relations(path: str | pathlib.Path) -> tuple[str, ...]:
    """Read a list of relations, one a line.

    :param path: the file
    :returns: the labels in the order of the file
    :raises DataError: if the file is missing, empty or not UTF-8, or repeats a relation
    """
    relations = [line.strip() for line in read_lines(pathlib.Path(path)) if line.strip()]
    for relation, count in Counter(relations).items():
        if count > 1:
            raise DataError(f"{path}: the relation {relation!r} comes twice")
    return tuple(relations)


def nell_type(entity: str) -> str:
    """Return the type of an entity of NELL: the second field of ``concept:TYPE:name``.

    :param entity: the label
    :returns: its type
    :raises DataError: if the label does not have three fields
    """
    fields = entity.split(":", maxsplit=2)
    if len(fields) != 3:
        raise DataError(f"the entity {entity!r} is not of the form concept:TYPE:name and so has no type")
    return fields[1]


def type_candidates(
    triples: MappedTriples,
    entities: Sequence[str],
    relations: Sequence[str],
    type_of: Callable[[str], str] = nell_type,
) -> dict[str, list[str]]:
    """List the candidate tails per relation by type: all entities of a type that a tail of the relation has.

    This is the protocol of NELL-ZS (Qin et al., AAAI 2020, arXiv:2001.02332).

    :param triples: the triples whose tails say which types fit a relation, shape: (m, 3)
    :param entities: the labels in the order of the ids, shape: (n,)
    :param relations: the labels in the order of the ids, shape: (k,)
    :param type_of: gives the type of an entity
    :returns: the candidates per relation that has a triple
    """
    types = [type_of(label) for label in entities]
    members: dict[str, list[str]] = defaultdict(list)
    for label, kind in zip(entities, types, strict=True):
        members[kind].append(label)
    tail_types: dict[int, set[str]] = defaultdict(set)
    for relation, tail in triples[:, 1:].unique(dim=0).tolist():
        tail_types[relation].add(types[tail])
    return {
        relations[relation]: [label for kind in sorted(kinds) for label in members[kind]]
        for relation, kinds in sorted(tail_types.items())
    }
