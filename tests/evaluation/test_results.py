"""What a result says about itself."""

import json
import math

import numpy
import pykeen
import pytest
from pykeen.datasets import Nations
from pykeen.models import DistMult

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.evaluation.results import RankTable, dataset_digest, describe, versions, write_json
from pykeen_mmkg.evaluation.run import evaluate


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


def test_digest_follows_the_content(tmp_path):
    first = dataset_digest(Nations())
    assert first == dataset_digest(Nations())
    changed = Nations()
    changed.testing.mapped_triples = changed.testing.mapped_triples.flip(0)
    assert dataset_digest(changed) != first
    (tmp_path / "train.tsv").write_text("a\tr\tb\n")
    (tmp_path / "test.tsv").write_text("b\tr\ta\n")
    dataset = MultimodalDataset(path=tmp_path)
    assert dataset_digest(dataset) == dataset.digest


def test_numbers_that_json_lacks_and_no_half_file(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": math.nan, "b": [math.inf, numpy.float32(0.5)], "c": (numpy.int64(2), tmp_path)})
    assert json.loads(path.read_text()) == {"a": None, "b": [None, 0.5], "c": [2, str(tmp_path)]}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text())["c"][0] == 2
    assert list(tmp_path.iterdir()) == [path]


def test_rank_table():
    table = RankTable(
        triples=numpy.array([[0, 0, 1], [2, 1, 3]]),
        side=numpy.array(["head", "tail"]),
        optimistic=numpy.array([1, 2]),
        pessimistic=numpy.array([2, 2]),
        num_candidates=numpy.array([5, 6]),
    )
    assert len(table) == 2
    assert table.ranks().tolist() == [1.5, 2.0] == table.ranks("realistic").tolist()
    assert table.ranks("optimistic").tolist() == [1, 2] and table.ranks("pessimistic").tolist() == [2, 2]
    assert table.to_frame().iloc[1].to_dict() == {
        "side": "tail",
        "head": 2,
        "relation": 1,
        "tail": 3,
        "optimistic": 2,
        "realistic": 2.0,
        "pessimistic": 2,
        "candidates": 6,
    }
