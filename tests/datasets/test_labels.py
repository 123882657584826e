"""Labels in the order of their ids, and the labels of inverse relations."""

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from pykeen_mmkg.datasets import labels_in_order, labels_of
from pykeen_mmkg.datasets.labels import label_digests
from pykeen_mmkg.errors import DataError


@given(st.lists(st.text(), unique=True), st.randoms(use_true_random=False))
def test_order_of_the_ids(labels: list[str], random: object) -> None:
    items = list(enumerate(labels))
    random.shuffle(items)
    assert list(labels_in_order({label: i for i, label in items})) == labels


def _factory(*relations: str, inverse: bool = False) -> TriplesFactory:
    triples = numpy.array([("a", relation, "b") for relation in relations], dtype=str)
    return TriplesFactory.from_labeled_triples(triples, create_inverse_triples=inverse)


def test_ids_decide_the_order():
    ids = {"z": 0, "a": 2, "m": 1}
    factory = TriplesFactory(_factory("r").mapped_triples, entity_to_id=ids, relation_to_id={"r": 0})
    assert labels_of(factory, "entity") == ["z", "m", "a"]


def test_an_inverse_follows_its_relation():
    factory = _factory("r", "s", inverse=True)
    assert labels_of(factory, "relation") == ["r", "r_inverse", "s", "s_inverse"]
    assert labels_of(factory, "relation", inverse=False) == labels_of(_factory("r", "s"), "relation") == ["r", "s"]
    assert labels_of(factory, "entity") == ["a", "b"]


@pytest.mark.parametrize("names", [("likes", "likes_inverse"), ("likes", "likes_inverse", "likes_inverse_inverse")])
def test_a_relation_that_is_called_as_an_inverse(names: tuple[str, ...]):
    triples = [(0, relation, 1) for relation in range(len(names))]
    factory = TriplesFactory(
        torch.tensor(triples), {"a": 0, "b": 1}, {name: i for i, name in enumerate(names)}, create_inverse_triples=True
    )
    labels = labels_of(factory, "relation")
    assert labels[::2] == list(names)
    assert len(set(labels)) == len(labels) == 2 * len(names)


def test_no_labels():
    with pytest.raises(DataError, match="has no labels"):
        labels_of(CoreTriplesFactory.create(_factory("r").mapped_triples), "entity")


def test_digests_tell_labels_and_their_order_apart() -> None:
    triples = torch.tensor([[0, 0, 1]])
    one = label_digests(TriplesFactory(triples, {"a": 0, "b": 1}, {"r": 0}))
    assert set(one) == {"entities", "relations"}
    assert label_digests(TriplesFactory(triples.flip(1), {"b": 1, "a": 0}, {"r": 0})) == one
    for entities in ({"a": 1, "b": 0}, {"a": 0, "c": 1}, {"a": 0, "b": 1, "c": 2}):
        other = label_digests(TriplesFactory(triples, entities, {"r": 0}))
        assert other["entities"] != one["entities"] and other["relations"] == one["relations"]
