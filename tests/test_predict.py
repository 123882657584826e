"""Ranked predictions: names in place of labels, known triples left out, clear errors."""

import pathlib

import numpy
import pandas
import pytest
import torch
from pykeen.models import DistMult, TransE, model_resolver
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import DataError, RunError
from pykeen_mmkg.features.store import FeatureStore
from pykeen_mmkg.names import names_of
from pykeen_mmkg.predict import SLOTS, Predictor, predict, read_queries
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


def test_batches(run, folder) -> None:
    """Many queries at once, of all slots, are answered as each alone; what is known is marked where asked for."""
    model, factory = open_run(run)
    predictor = Predictor(model, factory)
    rows = factory.label_triples(factory.mapped_triples[:5]).tolist()
    queries = [{name: None if name == slot else label for name, label in zip(SLOTS, row, strict=True)}
               for row in rows for slot in SLOTS]  # fmt: skip
    batched = list(predictor.predict(queries, k=4, batch_size=4))
    for query, df in zip(queries, batched, strict=True):
        pandas.testing.assert_frame_equal(df, predict(model, factory, **query, k=4), rtol=1e-5)
    known = {tuple(row) for row in factory.label_triples(factory.mapped_triples).tolist()}
    for query, df in zip(queries, predictor.predict(queries, k=None, known="mark"), strict=True):
        triples = [tuple(label if query[slot] is None else query[slot] for slot in SLOTS) for label in df["label"]]
        assert df["known"].tolist() == [triple in known for triple in triples]
        assert df["known"].any()
    with pytest.raises(DataError, match="known='hide'"):
        next(predictor.predict(queries, known="hide"))


def test_inverse_triples(folder) -> None:
    """Relations are ranked by the scores of their own triples, where the model has inverse ones as well."""
    training = MultimodalDataset(path=folder, create_inverse_triples=True).training
    model = DistMult(triples_factory=training, random_seed=0)
    df = predict(model, training, head="e1", tail="e5", k=None)
    rows = [[training.entity_to_id["e1"], training.relation_to_id[label], training.entity_to_id["e5"]]
            for label in df["label"]]  # fmt: skip
    assert df["score"].tolist() == pytest.approx(model.predict_hrt(torch.tensor(rows))[:, 0].tolist(), abs=1e-5)


def test_read_queries(tmp_path) -> None:
    """The open slot is empty or a question mark; a header is noticed, and what is not a query is told by its line."""
    path = tmp_path / "q.tsv"
    path.write_text("head\trelation\ttail\ndog\thypernym\t\ndog\t?\tcat\n\thypernym\tcat\ndog\thypernym\n")
    found = [[query[slot] for slot in SLOTS] for query in read_queries(path)]
    tail = ["dog", "hypernym", None]
    assert found == [tail, ["dog", None, "cat"], [None, "hypernym", "cat"], tail]
    for line in ("dog\thypernym\tcat", "dog", "?\t?\tcat", "a\tb\tc\td"):
        path.write_text(f"dog\thypernym\t?\n{line}\n")
        with pytest.raises(DataError, match="line 2"):
            read_queries(path)


def test_explain(folder) -> None:
    """What scorers add to an answer adds up to its score; relations are not explained."""
    dataset = MultimodalDataset(path=folder)
    few = {"training_kwargs": {"num_epochs": 1}}
    model = pipeline(
        dataset=dataset,
        model="latefusion",
        model_kwargs={"scorers": {"structure": few, "evidence": {"model_kwargs": {"parts": ["link", "loop"]}}}},
        training_kwargs={"use_tqdm": False},
        random_seed=0,
        device="cpu",
    ).model
    predictor = Predictor(model, dataset.training)
    for query in ({"head": "e1", "relation": "r0"}, {"tail": "e1", "relation": "r0"}):
        (df,) = predictor.predict([query], k=3)
        explained = predictor.explain(query, df)
        shares = explained.drop(columns=df.columns)
        assert 0 < len(shares.columns) <= 3
        assert shares.sum(axis=1).tolist() == pytest.approx(df["score"].tolist(), abs=1e-4)
    with pytest.raises(DataError, match="not relations"):
        predictor.explain({"head": "e1", "tail": "e2"}, df)


def test_added_relation() -> None:
    """A relation that was added to a trained model answers by its name."""
    rows = [["a", "knows", "b"], ["b", "knows", "c"], ["c", "likes", "a"]]
    factory = TriplesFactory.from_labeled_triples(numpy.array(rows))

    def store(*labels: str) -> FeatureStore:
        count = len(labels)
        return FeatureStore(labels, torch.eye(count, 4), torch.ones(count).bool(), torch.ones(count).long(), "textual")

    features = {"textual": store("a", "b", "c"), "relation_textual": store("knows", "likes")}
    model = model_resolver.make("textonly", triples_factory=factory, sources={"features": features}, random_seed=0)
    model.add_relation("admires: thinks highly of", label="admires", vector=torch.tensor([1.0, 1.0, 0.0, 0.0]))
    df = predict(model, factory, head="a", relation="admires", k=None)
    expected = model.predict_t(torch.tensor([[factory.entity_to_id["a"], 2]]))[0]
    scores = [expected[factory.entity_to_id[label]].item() for label in df["label"]]
    assert df["score"].tolist() == pytest.approx(scores) and len(df) == 2


def test_what_one_call_reads_serves_the_next(folder, monkeypatch) -> None:
    """Names and known triples are read anew where something has changed, and only there."""
    dataset = MultimodalDataset(path=folder)
    model = DistMult(triples_factory=dataset.training, random_seed=0)
    read: list[str] = []

    def counted(factory, kind="entity"):
        read.append(kind)
        return names_of(factory, kind)

    monkeypatch.setattr("pykeen_mmkg.predict.names_of", counted)

    def ask(**kwargs):
        return predict(model, dataset.training, head="e7", relation="r1", **kwargs)

    first = ask(k=None)
    assert ask(k=None).equals(first) and len(read) == 2
    assert predict(model, dataset.training, head="thing 7", relation="Successor 1", k=None).equals(first)
    assert len(read) == 2
    assert len(ask(k=None, known=[dataset.testing])) <= len(first) and len(read) == 4
    table = folder / "entities.tsv"
    text = table.read_text()
    try:
        table.write_text(text.replace("thing 8", "Renamed thing 8"))
        names = dict(zip(*(ask(k=None)[column] for column in ("label", "name")), strict=True))
        assert names["e8"] == "Renamed thing 8" and len(read) == 6
    finally:
        table.write_text(text)
