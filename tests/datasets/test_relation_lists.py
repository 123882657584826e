"""Candidate lists, and the candidates by type of NELL-ZS."""

import json
import pathlib

import pytest
import torch

from pykeen_mmkg.datasets import read_candidates, read_relations, type_candidates
from pykeen_mmkg.datasets.relation_lists import nell_type
from pykeen_mmkg.errors import DataError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1: no valid JSON"),
        ("", "is empty"),
        ("[]", "expected an object"),
        ('{"r": "a"}', "'r' are no list"),
        ('{"r": [1]}', "'r' are no list"),
        ('{"r": []}', "candidate list of relation 'r' is empty"),
        ('{"r": ["a", "b", "a"]}', "'r' has 'a' twice"),
        ('{"q": ["a"]}', "'q' is no relation"),
        ('{"r": ["a", "z"]}', "candidate 'z' of relation 'r' is no entity"),
    ],
)
def test_bad_candidates(tmp_path: pathlib.Path, content: str, message: str):
    path = tmp_path / "candidates.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as info:
        read_candidates(path, entities=["a", "b"], relations=["r"])
    assert str(path) in str(info.value)


def test_candidates(tmp_path: pathlib.Path):
    path = tmp_path / "candidates.json"
    candidates = {"r": ["b", "a"], "s": ["a"]}
    path.write_text(json.dumps(candidates))
    assert read_candidates(path) == candidates
    assert read_candidates(path, entities="ab", relations="rs") == candidates


def test_relations(tmp_path: pathlib.Path):
    path = tmp_path / "dev_relations.txt"
    path.write_text("r\n\ns\n")
    assert read_relations(path) == ("r", "s")
    path.write_text("r\ns\nr\n")
    with pytest.raises(DataError, match="'r' comes twice"):
        read_relations(path)


def test_type_candidates():
    entities = ["concept:city:ulm", "concept:food:rye", "concept:city:bonn", "concept:river:po:north"]
    # r has city and river as types of its tails, s has food
    triples = torch.as_tensor([[1, 0, 0], [1, 0, 3], [0, 2, 1]])
    assert type_candidates(triples, entities, ["r", "q", "s"]) == {
        "r": ["concept:city:ulm", "concept:city:bonn", "concept:river:po:north"],
        "s": ["concept:food:rye"],
    }


def test_label_without_type():
    with pytest.raises(DataError, match="'Ulm' is not of the form"):
        nell_type("Ulm")
