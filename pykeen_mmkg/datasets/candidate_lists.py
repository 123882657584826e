"""The side files of datasets with unseen relations: candidate entities per relation, lists of relations."""

import json
import pathlib
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from ..errors import DataError
from .delimited import read_lines

__all__ = ["read_candidates", "read_relations"]


def _check(names: Any, where: str, entities: Container[Any] | None) -> None:
    """Check one list of candidates."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise DataError(f"{where} is a {type(names).__name__}; expected a list of entities")
    if not names:
        raise DataError(f"{where} is empty: nothing would compete with the answer")
    bad = next((name for name in names if not isinstance(name, str | int) or isinstance(name, bool)), None)
    if bad is not None:
        raise DataError(f"{where} holds {bad!r}, which is no entity's label or id")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{where} has {twice!r} twice; keep it once")
    unknown = next((name for name in names if entities is not None and name not in entities), None)
    if unknown is not None:
        raise DataError(f"{where} has {unknown!r}, which is no entity of the dataset")


def read_candidates(
    source: Mapping[Any, Any] | str | pathlib.Path,
    entities: Iterable[str] | None = None,
    relations: Iterable[str] | None = None,
) -> Mapping[Any, Any]:
    """Read and check lists of candidate entities per relation, or per relation and entity.

    :param source: a mapping, or a JSON file of an object: relation -> list of entities, or relation -> {entity -> list
        of entities}; labels, or ids
    :param entities: the labels of all entities, to check against
    :param relations: the labels of all relations, to check against
    :returns: the mapping
    :raises DataError: if the file is no such object, a list is empty or repeats an entity, or a label is unknown
    """
    name = "the candidates"
    content = source
    if not isinstance(source, Mapping):
        name = str(source)
        try:
            content = json.loads("\n".join(read_lines(pathlib.Path(source))))
        except json.JSONDecodeError as error:
            raise DataError(f"{source}, line {error.lineno}: no valid JSON ({error.msg})") from None
    if not isinstance(content, Mapping):
        raise DataError(f"{name}: expected an object relation -> list of entities, found {type(content).__name__}")
    entities = None if entities is None else set(entities)
    relations = None if relations is None else set(relations)
    for relation, value in content.items():
        if relations is not None and relation not in relations:
            raise DataError(f"{name}: {relation!r} is no relation of the dataset")
        if isinstance(value, Mapping):
            for entity, names in value.items():
                _check(names, f"{name}: the list of ({entity!r}, {relation!r})", entities)
        else:
            _check(value, f"{name}: the list of {relation!r}", entities)
    return content


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
