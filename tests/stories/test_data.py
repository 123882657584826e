"""Stories: bring a graph along, look at it, split it."""

import pathlib

from pykeen_mmkg.audit import audit
from pykeen_mmkg.datasets import MultimodalDataset, import_graph, split_unseen_entities, write_dataset


def test_load_a_folder():
    """Triples, texts and pictures in a folder are a dataset; what is ignored is said."""
    dataset = MultimodalDataset("mygraph")
    print(dataset.summary_str())
    assert dataset.num_entities == 16 and not dataset.notes
    assert all(dataset.entity_table.texts().values()) and all(dataset.entity_table.images)


def test_import_tables():
    """Two tables become such a folder, split at random."""
    import pandas as pd

    triples = pd.DataFrame([(f"n{i}", "next", f"n{(i + k) % 9}") for i in range(9) for k in (1, 2)])
    triples.columns = ["head", "relation", "tail"]
    entities = pd.DataFrame({"entity": [f"n{i}" for i in range(9)], "name": [f"number {i}" for i in range(9)]})
    import_graph("numbers", triples, entities)
    dataset = MultimodalDataset("numbers")
    assert sum(factory.num_triples for factory in dataset.factories.values()) == 18
    assert dataset.entity_table.texts()["n3"] == "number 3"


def test_audit():
    """What makes results look better than they are is found before anything is trained."""
    train = pathlib.Path("mygraph/train.tsv")
    train.write_text(train.read_text() + pathlib.Path("mygraph/test.tsv").read_text())
    report = audit("mygraph", progress=False)
    print(report.to_text())
    assert report.failed("error")
    assert [finding.details["count"] for finding in report.select("shared-triples")] == [4]


def test_split():
    """The triples of all splits are taken together, and split without leaks between inverses and duplicates."""
    dataset = MultimodalDataset("mygraph", split={"kind": "leak-aware", "ratios": [0.7, 0.1, 0.2], "seed": 1})
    pairs = {}
    for name, factory in dataset.factories.items():
        pairs[name] = {frozenset(pair) for pair in factory.mapped_triples[:, [0, 2]].tolist()}
    assert not pairs["training"] & pairs["testing"]


def test_split_off_entities():
    """Some entities get no training triple: the test asks about what is known by text and picture alone."""
    split = split_unseen_entities(MultimodalDataset("mygraph"), unseen=3, random_state=0)
    write_dataset(split, "unseen")
    dataset = MultimodalDataset("unseen")
    seen = set(dataset.training.mapped_triples[:, [0, 2]].flatten().tolist())
    assert len(seen) == 13
    assert all({h, t} - seen for h, _, t in dataset.testing.mapped_triples.tolist())
