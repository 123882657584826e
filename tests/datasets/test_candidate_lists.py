"""Candidate lists and lists of relations."""

import json
import pathlib

import pytest

from pykeen_mmkg.datasets import read_candidates, read_relations
from pykeen_mmkg.errors import DataError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1: no valid JSON"),
        ("", "is empty"),
        ("[]", "expected an object"),
        ('{"r": "a"}', "list of 'r' is a str"),
        ('{"r": [1.5]}', "list of 'r' holds 1.5"),
        ('{"r": [true]}', "list of 'r' holds True"),
        ('{"r": []}', "list of 'r' is empty"),
        ('{"r": ["a", "b", "a"]}', "'r' has 'a' twice"),
        ('{"q": ["a"]}', "'q' is no relation"),
        ('{"r": ["a", "z"]}', "list of 'r' has 'z', which is no entity"),
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


def test_candidates_by_relation_and_entity_or_by_id(tmp_path: pathlib.Path):
    path = tmp_path / "candidates.json"
    candidates = {"r": {"a": ["b"], "b": ["a", "b"]}, "0": [2, 1]}
    path.write_text("\ufeff" + json.dumps(candidates), encoding="utf-8")
    assert read_candidates(path) == read_candidates(candidates) == candidates


def test_a_repeated_candidate_is_an_error_wherever_it_stands():
    for source in ({"r": ["a", "b", "a"]}, {"r": {"b": ["a", "a"]}}, {"r": [1, 1]}):
        with pytest.raises(DataError, match="(?s)'r'.*twice"):
            read_candidates(source)
