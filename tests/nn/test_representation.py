"""The representations inside PyKEEN's unchanged models, loops and pipeline."""

import json
import pathlib

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.evaluation import RankBasedEvaluator
from pykeen.models import DistMult, ERModel
from pykeen.pipeline import pipeline

from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.indexing import seen_entities
from pykeen_mmkg.nn.representation import (
    ComplexMultimodalRepresentation,
    FeatureRepresentation,
    MultimodalRepresentation,
)

D = 8


@pytest.fixture(scope="module")
def dataset() -> Nations:
    return Nations()


@pytest.fixture
def config(dataset: Nations, tmp_path: pathlib.Path) -> dict:
    """Keyword arguments as a JSON file would have them: paths, names and numbers only."""
    labels = sorted(dataset.entity_to_id, key=dataset.entity_to_id.__getitem__)
    g = torch.Generator().manual_seed(0)
    visual = FeatureStore.from_tensors(labels[2:], torch.randn(len(labels) - 2, 12, generator=g), modality="visual")
    textual = FeatureStore.from_tensors(labels, torch.randn(len(labels), D, generator=g), modality="textual")
    seen = seen_entities(dataset.training)
    seen[3] = False
    config = {
        "embedding_dim": D,
        "labels": labels,
        "features": {
            "visual": str(visual.save(tmp_path / "visual.safetensors")),
            "textual": str(textual.save(tmp_path / "textual.safetensors")),
        },
        "seen": seen.tolist(),
        "feature_kwargs": {"adapter": True},
        "structural_dropout": 0.2,
        "modality_dropout": 0.1,
    }
    return json.loads(json.dumps(config))


def build(dataset: Nations, config: dict, interaction: str, fusion: str = "average", **kwargs: object) -> ERModel:
    is_complex = interaction in {"complex", "rotate"}
    return ERModel(
        triples_factory=dataset.training,
        interaction=interaction,
        interaction_kwargs={"p": 1} if interaction == "transe" else None,
        entity_representations=ComplexMultimodalRepresentation if is_complex else MultimodalRepresentation,
        entity_representations_kwargs={**config, "fusion": fusion, **kwargs},
        relation_representations_kwargs={"shape": 3 * D if fusion == "concat" else D}
        | ({"dtype": torch.cfloat} if is_complex else {}),
        random_seed=0,
    )


def train(dataset: Nations, model: ERModel, loop: str, epochs: int = 2):
    return pipeline(
        dataset=dataset,
        model=model,
        training_loop=loop,
        training_kwargs={"num_epochs": epochs, "use_tqdm": False, "batch_size": 256, "pin_memory": False},
        evaluation_kwargs={"use_tqdm": False, "batch_size": 32},
        device="cpu",
        random_seed=0,
    )


@pytest.mark.parametrize(
    ("interaction", "fusion", "loop"),
    [
        ("distmult", "average", "slcwa"),
        ("distmult", "gated", "lcwa"),
        ("transe", "weighted", "slcwa"),
        ("complex", "attention", "lcwa"),
        ("complex", "sum", "slcwa"),
        ("rotate", "concat", "slcwa"),
    ],
)
def test_pipeline(dataset: Nations, config: dict, tmp_path: pathlib.Path, interaction: str, fusion: str, loop: str):
    """Train, evaluate, save and load; the features stay what they are, and the scores do."""
    model = build(dataset, config, interaction, fusion)
    representation = model.entity_representations[0]
    before = {name: part.lookup().clone() for name, part in representation.parts.items() if name != "structural"}
    initial = {name: p.clone() for name, p in model.named_parameters()}
    result = train(dataset, model, loop)
    for name, rows in before.items():
        assert torch.equal(representation.parts[name].lookup(), rows)
        labels, path = config["labels"], config["features"][name]
        assert torch.equal(rows, FeatureStore.load(path).lookup(labels)[0])
    # everything that can be trained is
    unmoved = [name for name, p in model.named_parameters() if torch.equal(p, initial[name])]
    assert not unmoved
    assert result.get_metric("mrr") > 0.2
    result.save_to_directory(tmp_path / "run", save_replicates=True, save_training=False)
    loaded = torch.load(tmp_path / "run" / "trained_model.pkl", weights_only=False)
    batch = torch.tensor([[0, 1], [3, 2]])
    assert all(torch.equal(p, dict(loaded.named_parameters())[name]) for name, p in model.named_parameters())
    torch.testing.assert_close(loaded.predict_t(batch), model.predict_t(batch))
    assert not any("features" in key or "mask" in key for key in model.state_dict())


def test_training_mode_of_an_ablation_equals_pykeens_model(dataset: Nations) -> None:
    """Structure only is DistMult: the same scores and gradients from the same weights."""
    ours = ERModel(
        triples_factory=dataset.training,
        interaction="distmult",
        entity_representations=MultimodalRepresentation,
        entity_representations_kwargs={"embedding_dim": D, "modalities": ["structural"]},
        relation_representations_kwargs={"shape": D},
        random_seed=0,
    )
    theirs = DistMult(triples_factory=dataset.training, embedding_dim=D, random_seed=0)
    for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
        p.data.copy_(q.data)
    batch = dataset.training.mapped_triples[:50]
    for model in (ours, theirs):
        model.train()
        model.score_hrt(batch).square().sum().backward()
    torch.testing.assert_close(ours.predict_hrt(batch), theirs.predict_hrt(batch))
    torch.testing.assert_close(*([p.grad for p in model.parameters()] for model in (ours, theirs)))


@pytest.mark.parametrize("interaction", ["distmult", "complex"])
def test_evaluation_fuses_once(dataset: Nations, config: dict, interaction: str, monkeypatch: pytest.MonkeyPatch):
    """Once for both sides and all batches; and the metrics are those without the cache."""
    model = build(dataset, config, interaction)
    fusion = model.entity_representations[0].fusion
    calls = []
    forward = type(fusion).forward
    monkeypatch.setattr(type(fusion), "forward", lambda *args: calls.append(1) or forward(*args))
    metrics = []
    for cache in (True, False):
        model.entity_representations[0].eval_cache = cache
        calls.clear()
        results = RankBasedEvaluator().evaluate(
            model,
            dataset.testing.mapped_triples,
            batch_size=16,
            use_tqdm=False,
            additional_filter_triples=dataset.training.mapped_triples,
        )
        metrics.append(results.get_metric("mrr"))
        # one table, not one for each modality as well
        parts = model.entity_representations[0].parts
        assert all(parts[name]._table is None for name in ("visual", "textual"))
        assert len(calls) == 1 if cache else len(calls) > 10
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-9)


def test_early_stopping_evaluates_fresh_weights(dataset: Nations, config: dict) -> None:
    """Evaluations between epochs see each the weights of their time."""
    model = build(dataset, config, "distmult", structural_dropout=0.0, modality_dropout=0.0)
    result = pipeline(
        dataset=dataset,
        model=model,
        stopper="early",
        stopper_kwargs={"frequency": 1, "patience": 10, "relative_delta": 1e-9},
        training_kwargs={"num_epochs": 4, "use_tqdm": False, "batch_size": 256, "pin_memory": False},
        evaluation_kwargs={"use_tqdm": False, "batch_size": 32},
        optimizer="adagrad",
        optimizer_kwargs={"lr": 0.1},
        device="cpu",
        random_seed=0,
    )
    assert len(set(result.stopper.results)) > 1
    model.entity_representations[0].eval_cache = False
    fresh = RankBasedEvaluator().evaluate(
        model,
        dataset.validation.mapped_triples,
        batch_size=32,
        use_tqdm=False,
        additional_filter_triples=dataset.training.mapped_triples,
    )
    # training has reached its last epoch, so these are its weights
    assert result.stopper.results[-1] == pytest.approx(fresh.get_metric(result.stopper.metric), abs=1e-6)


def test_regularizer_of_the_representation_reaches_the_loss(dataset: Nations, config: dict) -> None:
    model = build(dataset, config, "distmult", regularizer="lp", regularizer_kwargs={"weight": 0.5}).train()
    model.score_hrt(dataset.training.mapped_triples[:10])
    assert model.collect_regularization_term() > 0
    train(dataset, model, "slcwa", epochs=1)


def test_features_alone_as_entity_representation(dataset: Nations, config: dict) -> None:
    """A model on nothing but projected features."""
    model = ERModel(
        triples_factory=dataset.training,
        interaction="distmult",
        entity_representations=FeatureRepresentation,
        entity_representations_kwargs={
            "features": config["features"]["textual"],
            "labels": config["labels"],
            "shape": 5,
            "storage": "cpu",
        },
        relation_representations_kwargs={"shape": 5},
        random_seed=0,
    )
    assert model.device.type == "cpu"
    assert train(dataset, model, "lcwa").get_metric("mrr") > 0.2
