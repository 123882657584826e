"""DB15K, MKG-W and MKG-Y: leaks of the real data, and where their texts come from."""

import pathlib
from collections.abc import Callable

import pytest

from pykeen_mmkg.datasets.benchmarks import MKGW, MKGY, Benchmark, DB15k
from pykeen_mmkg.errors import DataError

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


#: two links of MMKB, the first one to an entity without a sentence, and what Freebase has
LINKED = {
    "links": "/m/1 <SameAs> <http://dbpedia.org/resource/Paris> .\n"
    "/m/2 <SameAs> <http://dbpedia.org/resource/What%3F_(film)> .\n",
    "entities": "/m/1\tParis -- \n/m/2\tWhat? -- A film of 1972.\n",
}
MKGW_FILES = LINKED | {
    "entity_ids": "3\nhttp://w/Q2 0\nhttp://w/Q1 1\nhttp://w/Q3 2\n",
    "relation_ids": "2\nhttp://w/P6 0\nhttp://w/P17 1\n",
    "names": "http://dbpedia.org/resource/Earth\thttp://w/Q2\nhttp://dbpedia.org/resource/What?_(film)\thttp://w/Q1\n",
    "relation_names": "head of government\ncountry\n",
    "entity_descriptions": "Q2\tthird planet\nQ22\tcountry\n",
    "relation_descriptions": "P17\tstate of the item\n",
}


def test_mkgw_texts_through_links(files: dict[str, pathlib.Path], tmp_path: pathlib.Path):
    """Names through DBpedia; descriptions are Wikidata's own, else Freebase's of the same title."""
    for name, content in MKGW_FILES.items():
        tmp_path.joinpath(name).write_text(content)
    graph = MKGW().convert(files | {name: tmp_path / name for name in MKGW_FILES})
    assert graph.entities == [
        ("http://w/Q1", "What? (film)", "A film of 1972."),
        ("http://w/Q2", "Earth", "third planet"),
        ("http://w/Q3", "", ""),
    ]
    assert graph.relations == [
        ("http://w/P17", "country", "state of the item"),
        ("http://w/P6", "head of government", ""),
    ]
    tmp_path.joinpath("relation_names").write_text("head of government\n")
    with pytest.raises(DataError, match="relation_names has 1 names, not 2"):
        MKGW().convert(files | {name: tmp_path / name for name in MKGW_FILES})


def test_mkgy_descriptions_of_the_same_title(files: dict[str, pathlib.Path], tmp_path: pathlib.Path):
    contents = LINKED | {"entity_ids": "2\nWhat?_(film) 0\nParis 1\n", "relation_ids": "1\nwasBornIn 0\n"}
    for name, content in contents.items():
        tmp_path.joinpath(name).write_text(content)
    graph = MKGY().convert(files | {name: tmp_path / name for name in contents})
    assert graph.entities == [("Paris", "Paris", ""), ("What?_(film)", "What? (film)", "A film of 1972.")]
    assert graph.relations == [("wasBornIn", "was born in", "")]
