"""Types of entities, by label, file or mapping, and the entities of a type that fits a relation."""

import pathlib

import pytest
import torch

from pykeen_mmkg.datasets import entity_types, type_candidates, type_pools
from pykeen_mmkg.errors import DataError

IDS = {"a": 0, "b": 1, "c": 2}


def test_types_from_labels_files_and_mappings(tmp_path: pathlib.Path) -> None:
    assert entity_types({"concept:city:rome": 0, "concept:river:po": 2, "concept:city:oslo": 1}).tolist() == [0, 0, 1]
    assert entity_types({"x/1": 0, "y/1": 1, "x/2": 2}, separator="/", field=0).tolist() == [0, 1, 0]
    (tmp_path / "types.tsv").write_text("\ufeffa\tx\nb\ty\nc\tx\n", encoding="utf-8")
    assert entity_types(IDS, types=tmp_path / "types.tsv").tolist() == [0, 1, 0]
    assert entity_types(IDS, types={"a": "x", "b": "x", "c": "x"}).tolist() == [0, 0, 0]


def test_an_entity_without_a_type_is_named() -> None:
    with pytest.raises(DataError, match="'a' has no type: field 1 of its label"):
        entity_types(IDS)
    with pytest.raises(DataError, match="'b' has no type: the types"):
        entity_types(IDS, types={"a": "x"})
    with pytest.raises(DataError, match="/nowhere does not exist"):
        entity_types(IDS, types="/nowhere")


def test_pools_are_all_entities_of_the_answers_types() -> None:
    types = torch.tensor([0, 1, 0, 2, 1])
    triples = torch.tensor([[0, 0, 1], [2, 0, 1], [1, 2, 0], [1, 2, 3]])
    tails = {relation: pool.tolist() for relation, pool in type_pools(triples, types).items()}
    assert tails == {0: [1, 4], 2: [0, 2, 3]}
    heads = {relation: pool.tolist() for relation, pool in type_pools(triples, types, column=0).items()}
    assert heads == {0: [0, 2], 2: [1, 4]}


def test_candidates_by_label() -> None:
    entities = ["concept:city:ulm", "concept:food:rye", "concept:city:bonn", "concept:river:po:north"]
    # r has city and river as types of its tails, s has food
    triples = torch.as_tensor([[1, 0, 0], [1, 0, 3], [0, 2, 1]])
    ids = {label: i for i, label in enumerate(entities)}
    assert type_candidates(triples, ids, {"r": 0, "q": 1, "s": 2}) == {
        "r": ["concept:city:ulm", "concept:city:bonn", "concept:river:po:north"],
        "s": ["concept:food:rye"],
    }
