"""Stories: keep a model, take its vectors along, evaluate it, compare it."""

from typing import Any

import pandas as pd
from pykeen.pipeline import pipeline

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.evaluation.breakdown import breakdown
from pykeen_mmkg.evaluation.evaluating import evaluate
from pykeen_mmkg.evaluation.significance import paired_test
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.predict import predict
from pykeen_mmkg.runs import load_run, save_run
from pykeen_mmkg.vectors import export_vectors, vectors_of


def test_save_and_load(here, result: Any):
    """One folder without a pickle, which can be moved, and answers as before without dataset and encoder."""
    save_run(result, "run", license="mit")
    (here / "run").rename(here / "moved")
    run = load_run("moved")
    query = {"head": "red disc", "relation": "next shape"}
    answers = predict(run.model, run.training, **query)
    assert answers.equals(predict(result.model, result.training, **query))


def test_export(result: Any):
    """The vectors with their labels, as a table that everything reads, or as a store that every model here takes."""
    store = vectors_of(result.model, result.training, modality="fused")
    export_vectors(store, "vectors.tsv")
    export_vectors(store, "vectors.safetensors")
    assert len(pd.read_csv("vectors.tsv", sep="\t", header=None)) == 16
    assert FeatureStore.load("vectors.safetensors").labels == store.labels


def test_use_the_vectors_elsewhere(result: Any):
    """What one model has learned, or what anybody computed, is a feature of the next."""
    export_vectors(vectors_of(result.model, result.training, modality="visual"), "visual.safetensors")
    sources = {"features": {"visual": "visual.safetensors"}}
    kwargs = {"sources": sources, "modalities": ["structural", "visual"], "embedding_dim": 8}
    data = {"dataset": "multimodal", "dataset_kwargs": {"path": "mygraph"}}
    second = pipeline(**data, model="vlkge", model_kwargs=kwargs, epochs=1)
    assert second.get_metric("mrr") > 0


def test_who_is_right_where(result: Any):
    """The figure of a whole split, broken down by relation and by what is known of the answer."""
    dataset = MultimodalDataset("mygraph")
    ranks = evaluate(result.model, dataset, protocol="standard")
    table = breakdown(ranks, dataset.training, by=["relation"])
    assert len(breakdown(ranks, dataset.training, by=["target"]))
    assert table["count"].sum() == 2 * dataset.testing.num_triples


def test_compare(result: Any):
    """The difference of two models on the same test triples, with its interval."""
    dataset = MultimodalDataset("mygraph")
    rule = pipeline(dataset=dataset, model="degreerule", epochs=0).model
    ours, theirs = (evaluate(model, dataset, protocol="standard").ranks for model in (result.model, rule))
    test = paired_test(1 / ours.realistic, 1 / theirs.realistic)
    assert test.low <= test.difference <= test.high and 0 <= test.p_value <= 1
