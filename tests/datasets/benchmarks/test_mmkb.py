"""DB15K, MKG-W and MKG-Y: leaks of the real data, and where their texts come from."""

import pathlib
from collections.abc import Callable

import pytest

from pykeen_mmkg.datasets.benchmarks import MKGW, MKGY, Benchmark, DB15k

Make = Callable[..., Benchmark]


def test_db15k_leak(made: Make):
    """As published: 9,904 lines of validation, 6,584 of the distinct triples are in training, none of testing."""
    dataset = made(DB15k)
    assert dataset.validation is not None
    assert dataset.validation.num_triples + dataset.duplicates["validation"] == 9904
    training, validation, testing = (
        set(map(tuple, factory.mapped_triples.tolist()))
        for factory in (dataset.training, dataset.validation, dataset.testing)
    )
    assert len(training & validation) == 6584
    assert not training & testing
    assert len(testing & validation) == 824
    assert '<http://dbpedia.org/resource/"female_illusionist">' in dataset.entity_to_id
    assert sum(map(bool, dataset.entity_table.descriptions)) == 12820


def test_mkgy_leak(made: Make):
    """More than a fifth of the 2,663 test triples: who is affiliated to a club plays for it."""
    dataset = made(MKGY)
    labels = dataset.relation_table.labels
    training = {(h, labels[r], t) for h, r, t in dataset.training.mapped_triples.tolist()}
    other = {"playsFor": "isAffiliatedTo", "isAffiliatedTo": "playsFor"}
    testing = [(h, labels[r], t) for h, r, t in dataset.testing.mapped_triples.tolist()]
    assert sum((h, other.get(r), t) in training for h, r, t in testing) == 581


@pytest.fixture
def files(tmp_path: pathlib.Path) -> dict[str, pathlib.Path]:
    """A graph of two entities and one relation, without texts."""
    for name in ("train", "valid", "test"):
        tmp_path.joinpath(name).write_text("1\n0 1 0\n")
    return {path.name: path for path in tmp_path.iterdir()}


def test_db15k_texts_through_links(files: dict[str, pathlib.Path], tmp_path: pathlib.Path):
    contents = {
        "entity_ids": "2\n<http://d/b> 0\n<http://d/a> 1\n",
        "relation_ids": "1\n<http://www.w3.org/2000/01/rdf-schema#seeAlso> 0\n",
        "links": "/m/1 <SameAs> <http://d/b> .\n/m/2 <SameAs> <http://d/b> .\n/m/3 <SameAs> <http://d/c> .\n",
        "entities": "/m/1\tone -- first\n/m/2\ttwo -- second\n",
    }
    for name, content in contents.items():
        tmp_path.joinpath(name).write_text(content)
    graph = DB15k().convert(files | {name: tmp_path / name for name in contents})
    assert graph.triples["train"] == [
        ("<http://d/b>", "<http://www.w3.org/2000/01/rdf-schema#seeAlso>", "<http://d/a>"),
    ]
    assert graph.entities == [("<http://d/a>", "", ""), ("<http://d/b>", "two", "second")]
    assert graph.relations == [("<http://www.w3.org/2000/01/rdf-schema#seeAlso>", "see also", "")]


def test_mkgw_texts_of_another_benchmark(files: dict[str, pathlib.Path], tmp_path: pathlib.Path):
    contents = {
        "entity_ids": "2\nhttp://w/Q2 0\nhttp://w/Q1 1\n",
        "relation_ids": "1\nhttp://w/P6 0\n",
        "entity_names": "Q2\tEarth\nQ22\tScotland\n",
        "entity_descriptions": "Q2\tthird planet\n",
        "relation_names": "P6\thead of government\n",
        "relation_descriptions": "P17\tcountry\n",
    }
    for name, content in contents.items():
        tmp_path.joinpath(name).write_text(content)
    graph = MKGW().convert(files | {name: tmp_path / name for name in contents})
    assert graph.entities == [("http://w/Q1", "", ""), ("http://w/Q2", "Earth", "third planet")]
    assert graph.relations == [("http://w/P6", "head of government", "")]
