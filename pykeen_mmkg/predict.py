"""Ranked predictions with names: the tails, heads or relations that complete a query.

A thin layer over :func:`pykeen.predict.predict_target`: it accepts the name of an entity in place of its label, leaves
out what is known already, and adds the names to the answer.
"""

import dataclasses
import difflib
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import pandas
from pykeen.models.base import Model
from pykeen.predict import predict_target
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from .datasets.labels import Kind
from .datasets.metadata import GraphMetadata
from .errors import DataError
from .indexing import irreflexive_relations

__all__ = ["names_of", "predict", "resolve"]


def names_of(triples_factory: CoreTriplesFactory, kind: Kind = "entity") -> dict[str, str]:
    """Return label -> name, from the table that the factory's metadata points to.

    :param triples_factory: the factory
    :param kind: ``"entity"`` or ``"relation"``
    :returns: the names; empty if there is no table. A label without a name is left out
    """
    record = dataclasses.replace(GraphMetadata.of(triples_factory), images=None)
    path = record.entities if kind == "entity" else record.relations
    if path is None or not pathlib.Path(path).is_file():
        return {}
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


def predict(
    model: Model,
    triples_factory: TriplesFactory,
    *,
    head: str | None = None,
    relation: str | None = None,
    tail: str | None = None,
    k: int | None = 10,
    known: Iterable[CoreTriplesFactory] = (),
) -> pandas.DataFrame:
    """Return the best answers to a query with one open slot.

    :param model: a trained model
    :param triples_factory: the factory that it was trained on (for the labels, and the first known triples)
    :param head: the head, by label or name, or None to predict it
    :param relation: the relation, by label or name, or None to predict it
    :param tail: the tail, by label or name, or None to predict it
    :param k: how many answers, or None for all
    :param known: further factories whose triples are left out of the answer, besides the training triples
    :returns: a data frame with the columns ``rank``, ``label``, ``name``, ``score``, best first. An entity is
        no answer to its own query, unless a training triple of the relation relates an entity to itself
    :raises DataError: if not exactly one slot is open, or a name is unknown or ambiguous
    """
    given: dict[str, Any] = dict(head=head, relation=relation, tail=tail)
    if sum(value is None for value in given.values()) != 1:
        raise DataError(f"Leave exactly one of head, relation and tail open; given are {given}.")
    names = {"entity": names_of(triples_factory), "relation": names_of(triples_factory, "relation")}
    for slot, value in given.items():
        if value is not None:
            kind = "relation" if slot == "relation" else "entity"
            labels = triples_factory.relation_to_id if kind == "relation" else triples_factory.entity_to_id
            given[slot] = resolve(value, labels, names[kind], kind)
    (target,) = (slot for slot, value in given.items() if value is None)
    predictions = predict_target(model=model, triples_factory=triples_factory, **given)
    predictions = predictions.filter_triples(
        triples_factory.mapped_triples, *(factory.mapped_triples for factory in known)
    )
    df = predictions.df
    if target != "relation":
        # nothing is its own hypernym: what no training triple of the relation does, no answer does
        irreflexive = irreflexive_relations(triples_factory.mapped_triples, triples_factory.real_num_relations)
        if irreflexive[triples_factory.relation_to_id[given["relation"]]]:
            df = df[df[f"{target}_label"] != given["head" if target == "tail" else "tail"]]
    df = df.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
    df = df if k is None else df.head(k)
    labels = df[f"{target}_label"]
    target_names = names["relation" if target == "relation" else "entity"]
    return pandas.DataFrame(
        {
            "rank": range(1, len(df) + 1),
            "label": labels,
            "name": [target_names.get(label, "") for label in labels],
            "score": df["score"],
        }
    )
