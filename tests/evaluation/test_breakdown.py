"""The breakdown against loops over the ranks."""

import numpy
import pytest
import torch
from pykeen.datasets import Nations
from pykeen.evaluation import RankBasedEvaluator
from pykeen.models import DistMult

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import EvaluationError
from pykeen_mmkg.evaluation.breakdown import breakdown, modality_masks
from pykeen_mmkg.evaluation.evaluating import evaluate
from pykeen_mmkg.features import FeatureStore


@pytest.fixture(scope="module")
def nations():
    dataset = Nations()
    model = DistMult(triples_factory=dataset.training, embedding_dim=4, random_seed=0)
    return dataset, model, evaluate(model, dataset, use_tqdm=False)


def test_by_relation_and_side(nations):
    dataset, _, results = nations
    frame = breakdown(results, dataset.training, by=["relation", "side"])
    assert frame["count"].sum() == 402 and frame["share"].sum() == pytest.approx(1)
    for record in frame.to_dict(orient="records"):
        relation = dataset.relation_to_id[record["relation"]]
        chosen = (results.ranks.triples[:, 1] == relation) & (results.ranks.side == record["side"])
        ranks = results.ranks.realistic[chosen]
        assert record["count"] == len(ranks)
        assert record["mrr"] == pytest.approx(numpy.mean(1 / ranks))
        assert record["hits@3"] == pytest.approx(numpy.mean(ranks <= 3))
        assert record["mean_rank"] == pytest.approx(ranks.mean())
    sides = breakdown(results, dataset.training, by="side").set_index("side")
    assert sides.loc["tail", "mrr"] == pytest.approx(results.get_metric("tail.mrr"))
    assert sides.loc["head", "hits@10"] == pytest.approx(results.get_metric("head.hits@10"))


def test_by_modalities_of_query_and_target(nations):
    dataset, _, results = nations
    generator = torch.Generator().manual_seed(0)
    masks = {name: torch.rand(14, generator=generator) > 0.4 for name in ("visual", "textual")}
    frame = breakdown(results, dataset.training, by=("query", "target"), masks=masks, ks=[5])
    expected: dict[tuple[str, str], list[float]] = {}
    for (h, _, t), side, rank in zip(
        results.ranks.triples.tolist(), results.ranks.side, results.ranks.realistic, strict=True
    ):
        query, target = (h, t) if side == "tail" else (t, h)
        names = tuple(
            " + ".join(name for name in ("visual", "textual") if masks[name][entity]) or "none"
            for entity in (query, target)
        )
        expected.setdefault(names, []).append(rank)
    rows = {(row["query"], row["target"]): row for row in frame.to_dict(orient="records")}
    assert set(rows) == set(expected)
    for names, ranks in expected.items():
        assert rows[names]["mrr"] == pytest.approx(numpy.mean(1 / numpy.array(ranks)))
        assert rows[names]["hits@5"] == pytest.approx(numpy.mean(numpy.array(ranks) <= 5))


def test_of_a_model(nations):
    dataset, model, results = nations
    known = [dataset.training.mapped_triples, dataset.validation.mapped_triples]
    frame = breakdown(model, dataset.training, by="side", triples=dataset.testing, additional_filter_triples=known)
    assert frame.equals(breakdown(results, dataset.training, by="side"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.tsv").write_text("a\tr\tb\nb\tr\tc\n")
    (tmp_path / "test.tsv").write_text("a\tr\td\nc\tr\ta\n")
    (tmp_path / "entities.tsv").write_text("entity\tdescription\na\tthe a\nb\t\nc\tthe c\nd\tthe d\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.png").write_bytes(b"")
    return tmp_path


def test_masks_and_seen_of_a_multimodal_dataset(folder):
    dataset = MultimodalDataset(path=folder)
    masks = modality_masks(dataset.training)
    assert masks["visual"].tolist() == [False, True, False, False]
    assert masks["textual"].tolist() == [True, False, True, True]
    model = DistMult(triples_factory=dataset.training, embedding_dim=4, random_seed=0)
    results = evaluate(model, dataset, use_tqdm=False)
    frame = breakdown(results, dataset.training, by="seen").set_index("seen")
    # d is unseen, and is to be found once: as the tail of (a, r, d)
    assert frame.loc[False, "count"] == 1 and frame.loc[True, "count"] == 3
    # a store decides before the table does: here only c has a text
    store = FeatureStore.from_tensors(["c"], torch.ones(1, 2), modality="textual")
    store.save(folder / "features" / "textual.safetensors")
    assert modality_masks(MultimodalDataset(path=folder).training)["textual"].tolist() == [False, False, True, False]


def test_bad_input(nations):
    dataset, model, results = nations
    with pytest.raises(EvaluationError, match="by='colour'"):
        breakdown(results, dataset.training, by="colour")
    with pytest.raises(EvaluationError, match="`masks`"):
        breakdown(results, dataset.training, by="query")
    with pytest.raises(EvaluationError, match="`triples`"):
        breakdown(model, dataset.training)
    kwargs = {"additional_filter_triples": [dataset.training.mapped_triples], "use_tqdm": False}
    plain = RankBasedEvaluator().evaluate(model, dataset.testing.mapped_triples, **kwargs)
    with pytest.raises(EvaluationError, match="RankBasedMetricResults does not keep"):
        breakdown(plain, dataset.training)
