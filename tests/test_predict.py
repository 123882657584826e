"""Ranked predictions: names in place of labels, known triples left out, clear errors."""

import pathlib

import numpy
import pytest
import torch
from pykeen.models import TransE
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import DataError, RunError
from pykeen_mmkg.predict import names_of, predict, resolve
from pykeen_mmkg.runs import open_run


@pytest.fixture(scope="module")
def run(folder, stores, tmp_path_factory) -> pathlib.Path:
    """A saved run."""
    path = tmp_path_factory.mktemp("run")
    pipeline(
        dataset=MultimodalDataset(path=folder),
        model="vlkge",
        model_kwargs=dict(embedding_dim=8, sources=dict(features=stores)),
        training_kwargs=dict(num_epochs=3, use_tqdm=False),
        random_seed=0,
        device="cpu",
    ).save_to_directory(path)
    return path


@pytest.mark.parametrize("slot", ["head", "relation", "tail"])
def test_order_and_filter(slot: str, run, folder) -> None:
    """The answers are the model's own scores in order, without what is known."""
    model, factory = open_run(run)
    dataset = MultimodalDataset(path=folder)
    h, r, t = factory.mapped_triples[0].tolist()
    query = dict(head=factory.entity_id_to_label[h], relation=factory.relation_id_to_label[r])
    query["tail"] = factory.entity_id_to_label[t]
    del query[slot]
    df = predict(model, factory, **query, k=None, known=[dataset.testing])
    column = {"head": 0, "relation": 1, "tail": 2}[slot]
    labels = factory.relation_id_to_label if slot == "relation" else factory.entity_id_to_label
    known = {tuple(row) for f in (factory, dataset.testing) for row in f.mapped_triples.tolist()}
    expected = []
    for index, label in labels.items():
        triple = [h, r, t]
        triple[column] = index
        # no training triple relates an entity to itself
        if tuple(triple) not in known and triple[0] != triple[2]:
            expected.append((model.predict_hrt(torch.as_tensor([triple])).item(), label))
    expected.sort(reverse=True)
    assert df["label"].tolist() == [label for _, label in expected]
    assert df["score"].tolist() == pytest.approx([score for score, _ in expected], abs=1e-5)
    assert df["rank"].tolist() == list(range(1, len(expected) + 1))


def test_own_answers() -> None:
    """An entity answers its own query if and only if training has such a triple of the relation."""
    rows = [["a", "knows", "b"], ["b", "knows", "c"], ["b", "is", "b"], ["a", "is", "c"]]
    factory = TriplesFactory.from_labeled_triples(numpy.array(rows))
    model = TransE(triples_factory=factory, random_seed=0)
    for slot in ("head", "tail"):
        other = "tail" if slot == "head" else "head"
        for relation, own in (("knows", False), ("is", True)):
            labels = predict(model, factory, **{other: "c", "relation": relation})["label"].tolist()
            assert ("c" in labels) == own and labels


def test_names(run) -> None:
    """A query may give names, and the answer has them."""
    model, factory = open_run(run)
    by_label = predict(model, factory, head="e7", relation="r1", k=3)
    by_name = predict(model, factory, head="Thing 7", relation="successor 1", k=3)
    assert by_label.equals(by_name)
    assert len(by_label) == 3
    names = names_of(factory)
    assert by_label["name"].tolist() == [names.get(label, "") for label in by_label["label"]]


def test_resolve() -> None:
    """A label wins over a name, a name must be of one thing, and a near miss is told."""
    ids = {"a": 0, "b": 1, "c": 2}
    names = {"a": "dog, domestic dog", "b": "cat", "c": "Cat"}
    assert resolve("b", ids, names) == "b"
    assert resolve("Domestic Dog", ids, names) == "a"
    with pytest.raises(DataError, match=r"2 labels.*'b', 'c'"):
        resolve("cat", ids, names)
    with pytest.raises(DataError, match="near it are.*cat"):
        resolve("catt", ids, names)


@pytest.mark.parametrize("query", [{}, dict(head="e1"), dict(head="e1", relation="r0", tail="e2")])
def test_bad_query(query: dict, run) -> None:
    """Exactly one slot is open."""
    model, factory = open_run(run)
    with pytest.raises(DataError, match="exactly one"):
        predict(model, factory, **query)


def test_open_run(tmp_path) -> None:
    """A folder that is no run is told from one."""
    with pytest.raises(RunError, match="trained_model.pkl"):
        open_run(tmp_path)


def test_names_without_table(folder) -> None:
    """Plain factories have no names."""
    dataset = MultimodalDataset(path=folder)
    plain = TriplesFactory(dataset.training.mapped_triples, dataset.entity_to_id, dataset.relation_to_id)
    assert names_of(plain) == {}
