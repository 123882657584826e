"""FB15k-237 and FB15K-237-ZS: what the real data hold, and how the zero-shot split is put together."""

import json
import pathlib
from collections.abc import Callable

import pytest

from pykeen_mmkg.datasets.benchmarks import Benchmark, FB15k237Text, FB15k237ZS
from pykeen_mmkg.datasets.benchmarks.freebase import development_relations, freebase_texts
from pykeen_mmkg.errors import DataError

Make = Callable[..., Benchmark]


def test_every_entity_has_a_text(made: Make):
    assert all(made(FB15k237Text).entity_table.texts().values())


def test_zero_shot_split(made: Make):
    dataset = made(FB15k237ZS)
    assert dataset.validation is None
    coverage = dataset.coverage()
    assert coverage.row("training", "relations").total == 206
    assert len(coverage.unseen_relations["testing"]) == 29
    assert dataset.candidates is not None
    assert {len(labels) for labels in dataset.candidates.values()} == {1000}
    assert set(coverage.unseen_relations["testing"]) <= set(dataset.candidates)
    assert dataset.known_true is not None
    assert dataset.known_true.shape == (13810, 3)
    held_out = FB15k237ZS(dataset.record.path, hold_out="dev")
    assert held_out.validation is not None
    dev = {held_out.relation_to_id[label] for label in dataset.dev_relations or ()}
    assert len(dev) == 20
    assert set(held_out.validation.mapped_triples[:, 1].tolist()) == dev
    assert not dev & set(held_out.training.mapped_triples[:, 1].tolist())
    assert held_out.training.num_triples + held_out.validation.num_triples == dataset.training.num_triples
    assert held_out.testing == dataset.testing


def test_sentence_that_was_cut_at_a_quotation_mark(tmp_path: pathlib.Path):
    path = tmp_path / "texts"
    path.write_text('/m/1\tJack Webb -- John Randolph \\"Jack\\"\n/m/2\t"Heroes" --  \n')
    assert freebase_texts(path) == {"/m/1": ("Jack Webb", 'John Randolph \\"Jack\\'), "/m/2": ("Heroes", "")}


@pytest.fixture
def files(tmp_path: pathlib.Path) -> dict[str, pathlib.Path]:
    """Relations q (seen), r (unseen) and x (of FB15k-237 only); entity c is of FB15k-237 only."""
    contents = {
        "entity_ids": "3\nb 1\na 0\nc 2\n",
        "relation_ids": "3\nq 0\nr 1\nx 2\n",
        "train": "3\n0 1 0\n1 0 1\n0 2 0\n",
        "valid": "2\n0 1 1\n1 0 0\n",
        "test": "1\n0 1 2\n",
        "entities": "a\tAnn -- a person\n",
        "relations": "q\tis fond of\nr\tknows\n",
        "tasks": json.dumps({"r": [["b", "r", "a"]]}),
        "zero_shot_entities": json.dumps({"b": 0, "a": 1}),
        "zero_shot_relations": json.dumps({"r": 0, "q": 1}),
        "relation_descriptions": "Somebody known.\nLoved\n",
        "candidates": json.dumps({"r": ["a"], "q": ["b", "a"]}),
    }
    assert set(contents) == set(FB15k237ZS.files)
    for name, content in contents.items():
        tmp_path.joinpath(name).write_text(content)
    return {name: tmp_path / name for name in contents}


def test_converted(files: dict[str, pathlib.Path], monkeypatch: pytest.MonkeyPatch):
    """Training: all of FB15k-237 with known labels and a seen relation; what else is true of r serves as a filter."""
    monkeypatch.setattr("pykeen_mmkg.datasets.benchmarks.freebase.development_relations", lambda _: ["q"])
    graph = FB15k237ZS().convert(files)
    assert graph.triples == {
        "train": [("a", "q", "b"), ("b", "q", "a")],
        "test": [("b", "r", "a")],
        "known_true": [("a", "r", "b")],
    }
    assert graph.entities == [("a", "Ann", "a person"), ("b", "", "")]
    assert graph.relations == [("q", "is fond of", "Loved"), ("r", "knows", "Somebody known.")]
    assert list(graph.candidates or ()) == ["q", "r"]
    plain = FB15k237Text().convert({name: files[name] for name in FB15k237Text.files})
    assert plain.triples["train"] == [("a", "q", "b"), ("b", "r", "a"), ("a", "q", "c")]
    assert [label for label, *_ in plain.entities] == ["a", "b", "c"]


def test_descriptions_of_another_number(files: dict[str, pathlib.Path]):
    files["relation_descriptions"].write_text("one\n")
    with pytest.raises(DataError, match="1 lines for 2"):
        FB15k237ZS().convert(files)


def test_development_relations():
    """From relations of 80 to 2,000 triples only."""
    sizes = {"few": 79, "many": 2001, **{f"r{i}": 80 + i for i in range(4)}, "most": 2000}
    triples = [(str(i), relation, "t") for relation, size in sizes.items() for i in range(size)]
    assert development_relations(triples, number=5) == ["most", "r0", "r1", "r2", "r3"]
