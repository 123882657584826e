"""NELL-ZS and Wiki-ZS: the real split, and the layout of the published files."""

import json
import pathlib
from collections.abc import Callable

import pytest

from pykeen_mmkg.datasets.benchmarks import NELLZS, Benchmark, WikiZS

Make = Callable[..., Benchmark]


def test_nellzs(made: Make):
    dataset = made(NELLZS)
    coverage = dataset.coverage()
    assert coverage.row("training", "relations").total == 139
    assert len(coverage.unseen_relations["testing"]) == 32
    assert set(dataset.dev_relations or ()) == set(coverage.unseen_relations["validation"])
    assert len(dataset.dev_relations or ()) == 10
    candidates = dataset.candidates
    assert candidates is not None
    assert len(candidates) == 181
    for factory in (dataset.testing, dataset.validation):
        assert factory is not None
        sets = {relation: set(labels) for relation, labels in candidates.items()}
        assert all(t in sets[r] for _, r, t in factory.label_triples(factory.mapped_triples).tolist())
    wife = candidates["concept:wifeof"]
    types = {
        t.split(":")[1]
        for _, r, t in dataset.testing.label_triples(dataset.testing.mapped_triples).tolist()
        if r == "concept:wifeof"
    }
    assert sorted(wife) == sorted(label for label in dataset.entity_to_id if label.split(":")[1] in types)


def write(folder: pathlib.Path, contents: dict[str, object]) -> dict[str, pathlib.Path]:
    for name, content in contents.items():
        folder.joinpath(name).write_text(content if isinstance(content, str) else json.dumps(content))
    return {name: folder / name for name in contents}


@pytest.mark.parametrize(("count", "kept"), [(100, True), (99, False)])
def test_nellzs_training_relations(tmp_path: pathlib.Path, count: int, kept: bool):
    """Seen: the relations of tasks that are not held out, and the others with at least 100 triples."""
    entities = [f"concept:city:e_{i}_" for i in range(count)]
    relations = ["concept:held", "concept:task", "concept:other", "concept:dev"]
    rows = [(0, 1, 0), (0, 1, 1), *((i, 0, 2) for i in range(count))]
    files = write(
        tmp_path,
        {
            "entity_ids": "\n".join([str(count), *(f"{label} {i}" for i, label in enumerate(entities))]),
            "relation_ids": "\n".join(["4", *(f"{label} {i}" for i, label in enumerate(relations))]),
            "triples": "\n".join([str(len(rows)), *(" ".join(map(str, row)) for row in rows)]),
            "valid": {"concept:dev": [["concept:city:e_0_", "concept:dev", "concept:city:e_1_"]]},
            "test": {"concept:held": [["concept:city:new", "concept:held", "concept:city:e_1_"]]},
            "literals": "NELL:task\trdfs:comment\tto do \nNELL:task\trdfs:label\tno comment\n",
            "task_relations": "51 relations\n\tconcept:held    71\n\tconcept:task   210\n",
        },
    )
    graph = NELLZS().convert(files)
    seen = {relation for _, relation, _ in graph.triples["train"]}
    assert seen == {"concept:task"} | ({"concept:other"} if kept else set())
    assert ("concept:task", "task", "to do") in (graph.relations or ())
    assert {label for label, *_ in graph.relations or ()} == seen | {"concept:held", "concept:dev"}
    assert ("concept:city:new", "new", "a city") in graph.entities
    assert ("concept:city:e_1_", "e 1", "a city") in graph.entities
    assert ("concept:city:e_7_" in {label for label, *_ in graph.entities}) is kept


def test_wikizs(tmp_path: pathlib.Path):
    files = write(
        tmp_path,
        {
            "train": {"P31": [["Q2", "P31", "Q3"], ["Q1", "P31", "Q3"]]},
            "valid": {"P17": [["Q1", "P17", "Q2"], ["Q1", "P17", "Q2"]]},
            "test": {"P6": [["Q3", "P6", "Q4"]]},
            "literals": "Wikidata:P31\trdfs:label\tinstance of\nWikidata:P31\trdfs:comment\tthat class\n"
            "Wikidata:Q3\trdfs:label\tplanet\n",
        },
    )
    WikiZS().convert(files).write(tmp_path / "wiki-zs")
    dataset = WikiZS(tmp_path / "wiki-zs")
    assert dataset.duplicates == {"training": 0, "validation": 1, "testing": 0}
    assert dataset.relation_table.texts() == {"P17": None, "P31": "instance of: that class", "P6": None}
    assert dataset.entity_table.texts() == {"Q1": None, "Q2": None, "Q3": "planet", "Q4": None}
    assert dataset.dev_relations == ("P17",)
