"""The description of a result: how it was obtained."""

import json

import pykeen
from pykeen.datasets import Nations
from pykeen.models import DistMult

from pykeen_mmkg.datasets import dataset_digest
from pykeen_mmkg.evaluation.description import describe, versions
from pykeen_mmkg.evaluation.evaluating import evaluate
from pykeen_mmkg.io import write_json


def test_description_of_results(tmp_path):
    dataset = Nations()
    model = DistMult(triples_factory=dataset.training, embedding_dim=2, random_seed=0)
    results = evaluate(model, dataset, "vlkge-author", use_tqdm=False)
    write_json(tmp_path / "a" / "results.json", describe(results, dataset, seeds=[0], config={"model": "distmult"}))
    content = json.loads((tmp_path / "a" / "results.json").read_text())
    assert content["protocol"] == "vlkge-author" and content["seeds"] == [0]
    assert content["dataset"] == {"name": "Nations", "digest": dataset_digest(dataset)}
    assert content["versions"]["pykeen"] == pykeen.version.get_version() and set(versions()) == set(content["versions"])
    assert content["metrics"]["both.realistic.inverse_harmonic_mean_rank"] == results.get_metric("mrr")
    assert content["config"] == {"model": "distmult"}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["results.json"]
