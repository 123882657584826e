"""Types of entities, and the entities of the types that fit a relation."""

import pathlib
from collections.abc import Mapping

import torch
from pykeen.typing import LongTensor, MappedTriples

from ..errors import DataError
from .delimited import read_lines
from .labels import labels_in_order

__all__ = ["entity_types", "type_candidates", "type_pools"]


def entity_types(
    entity_to_id: Mapping[str, int],
    types: Mapping[str, str] | str | pathlib.Path | None = None,
    separator: str = ":",
    field: int = 1,
) -> LongTensor:
    """Give each type a number, and each entity the number of its type.

    :param entity_to_id: the ids by label
    :param types: the type by entity label; or a tab-separated file with an entity and its type in each row; or ``None``
        to read it off the label, as in NELL's ``concept:TYPE:name``
    :param separator: what separates the fields of a label
    :param field: which field is the type, from 0
    :returns: the number of each entity's type, shape: ``(number of entities,)``
    :raises DataError: if an entity has no type
    """
    if types is not None and not isinstance(types, Mapping):
        rows = [line.split("\t") for line in read_lines(pathlib.Path(types)) if line]
        types = {row[0]: row[-1] for row in rows}
    numbers: dict[str, int] = {}
    result = torch.full((max(entity_to_id.values(), default=-1) + 1,), -1, dtype=torch.long)
    for label, index in entity_to_id.items():
        if types is None:
            fields = label.split(separator)
            name = fields[field] if len(fields) > field else None
        else:
            name = types.get(label)
        if not name:
            how = f"field {field} of its label, separated by {separator!r}," if types is None else "the types"
            raise DataError(f"The entity {label!r} has no type: {how} gives none.")
        result[index] = numbers.setdefault(name, len(numbers))
    return result


def type_pools(triples: MappedTriples, types: LongTensor, column: int = 2) -> dict[int, LongTensor]:
    """Gather for each relation the entities of a type that one of its answers has.

    This is the protocol of NELL-ZS (Qin et al., AAAI 2020, arXiv:2001.02332).

    :param triples: shape: ``(n, 3)``; the triples that say which types fit a relation
    :param types: shape: ``(number of entities,)``; see :func:`entity_types`
    :param column: where the answers are: 2 for tails, 0 for heads
    :returns: relation -> entities in ascending order, shape: ``(m,)`` each
    """
    types = types.to(triples.device)
    pools = {}
    for relation in triples[:, 1].unique().tolist():
        answers = triples[triples[:, 1] == relation, column].unique()
        pools[relation] = torch.isin(types, types[answers].unique()).nonzero().view(-1)
    return pools


def type_candidates(
    triples: MappedTriples, entity_to_id: Mapping[str, int], relation_to_id: Mapping[str, int]
) -> dict[str, list[str]]:
    """List the candidate tails per relation by type, see :func:`type_pools`.

    :param triples: shape: ``(n, 3)``; the triples whose tails say which types fit a relation
    :param entity_to_id: the ids by label, of which NELL's types are read off
    :param relation_to_id: the ids by label
    :returns: the labels of the candidates per relation that has a triple
    """
    entities, relations = labels_in_order(entity_to_id), labels_in_order(relation_to_id)
    pools = type_pools(triples, entity_types(entity_to_id))
    return {relations[relation]: [entities[i] for i in pool.tolist()] for relation, pool in pools.items()}
