"""Triples under the ids of a run, matched by label."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pykeen.datasets.base import EagerDataset
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from pykeen_mmkg.errors import RunError
from pykeen_mmkg.runs.aligned import AlignedDataset, aligned_factory


def _factory(triples: list[tuple[int, int, int]], entities: list[str], relations: list[str]) -> TriplesFactory:
    return TriplesFactory(
        torch.tensor(triples).view(-1, 3),
        {e: i for i, e in enumerate(entities)},
        {r: i for i, r in enumerate(relations)},
    )


def _labels(factory: TriplesFactory) -> list[tuple[str, ...]]:
    return [tuple(row) for row in factory.label_triples(factory.mapped_triples).tolist()]


@given(st.permutations(["007", "7", "NA", "x"]), st.permutations(["r", "s"]))
def test_labels_stay_and_ids_are_those_of_the_run(entities: list[str], relations: list[str]) -> None:
    training = _factory([(0, 0, 1)], ["7", "007", "x", "NA", "only here"], ["s", "r"])
    other = _factory([(0, 1, 2), (3, 0, 0)], entities, relations)
    aligned = aligned_factory(other, training)
    assert _labels(aligned) == _labels(other)
    assert aligned.entity_to_id == training.entity_to_id


def test_equal_labels_need_nothing() -> None:
    training = _factory([(0, 0, 1)], ["a", "b"], ["r"])
    other = _factory([(1, 0, 0)], ["a", "b"], ["r"])
    assert aligned_factory(other, training) is other


def test_an_unknown_label_is_named() -> None:
    training = _factory([(0, 0, 1)], ["a", "b"], ["r"])
    with pytest.raises(RunError, match="'renamed'"):
        aligned_factory(_factory([(0, 0, 1)], ["a", "renamed"], ["r"]), training)
    with pytest.raises(RunError, match="relation.*'s'"):
        aligned_factory(_factory([(0, 0, 1)], ["a", "b"], ["s"]), training)


def test_a_label_without_a_triple_does_not_matter() -> None:
    training = _factory([(0, 0, 1)], ["a", "b"], ["r"])
    assert _labels(aligned_factory(_factory([(0, 0, 2)], ["a", "unused", "b"], ["r"]), training)) == [("a", "r", "b")]


def test_without_labels_it_is_refused() -> None:
    training = _factory([(0, 0, 1)], ["a", "b"], ["r"])
    with pytest.raises(RunError, match="no labels"):
        aligned_factory(CoreTriplesFactory(torch.tensor([[0, 0, 1]]), 2, 1), training)


def test_a_dataset_under_the_ids_of_a_run() -> None:
    training = _factory([(0, 0, 1), (1, 0, 2)], ["a", "b", "c"], ["r"])
    shifted = ["c", "a", "b"]
    dataset = EagerDataset(
        training=_factory([(1, 0, 2), (2, 0, 0)], shifted, ["r"]), testing=_factory([(0, 0, 1)], shifted, ["r"])
    )
    dataset.extra = {"more": _factory([(2, 0, 2)], shifted, ["r"])}
    aligned = AlignedDataset(dataset, training)
    assert torch.equal(aligned.training.mapped_triples, training.mapped_triples)
    assert aligned.testing.mapped_triples.tolist() == [[2, 0, 0]]
    assert aligned.validation is None
    assert aligned.extra["more"].mapped_triples.tolist() == [[1, 0, 1]]
