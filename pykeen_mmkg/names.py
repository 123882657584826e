"""The names of entities and relations, which people ask by in place of labels."""

import dataclasses
import difflib
import pathlib
from collections.abc import Mapping

from pykeen.triples import CoreTriplesFactory

from .datasets.labels import Kind
from .datasets.metadata import GraphMetadata
from .errors import DataError

__all__ = ["names_of", "resolve"]


def names_of(triples_factory: CoreTriplesFactory, kind: Kind = "entity") -> dict[str, str]:
    """Return label -> name, from the table that the factory's metadata points to.

    :param triples_factory: the factory
    :param kind: ``"entity"`` or ``"relation"``
    :returns: the names; empty if there is no table. A label without a name is left out
    """
    record = dataclasses.replace(GraphMetadata.of(triples_factory), images=None)
    path = record.entities if kind == "entity" else record.relations
    if path is None or not pathlib.Path(path).is_file():
        added = record.added if kind == "entity" else {}
        return {label: name for label, row in added.items() if (name := row.get("name"))}
    table = record.table(triples_factory, kind)
    return {label: name for label, name in zip(table.labels, table.names, strict=True) if name}


def resolve(query: str, label_to_id: Mapping[str, int], names: Mapping[str, str], kind: str = "entity") -> str:
    """Return the label that a query means: a label itself, or the name of exactly one label.

    :param query: a label or a name; names are compared without case
    :param label_to_id: the labels of the graph
    :param names: label -> name
    :param kind: what to call it in an error message
    :returns: the label
    :raises DataError: if nothing or more than one thing has this name, with what comes near
    """
    if query in label_to_id:
        return query
    folded = query.casefold()
    matches = [label for label, name in names.items() if name.casefold() == folded and label in label_to_id]
    if not matches:  # a table may hold several names of one thing, as WordNet's lemmas, separated by commas
        matches = [
            label
            for label, name in names.items()
            if label in label_to_id and folded in (part.strip().casefold() for part in name.split(","))
        ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise DataError(f"{len(matches)} labels have the name {query!r}: {sorted(matches)[:10]}. Give one of them.")
    near = difflib.get_close_matches(query, [*label_to_id, *names.values()], n=5)
    raise DataError(f"No {kind} is called {query!r}" + (f"; near it are {near}." if near else "."))
