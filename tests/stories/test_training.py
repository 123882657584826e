"""Stories: train, compare with what is simpler, stop early, go on, search."""

import pytest
from pykeen.hpo import hpo_pipeline
from pykeen.pipeline import pipeline

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.study import Study

MYGRAPH = {"path": "mygraph"}


def test_train(encoder: str):
    """PyKEEN's own pipeline, with a model that reads texts and pictures."""
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs={"path": "mygraph"},
        model="vlkge",
        model_kwargs={"encoder": encoder, "interaction": "vlcomplex", "embedding_dim": 16},
        training_kwargs={"num_epochs": 2},
        evaluator="standard",
    )
    assert 0 < result.get_metric("mrr") <= 1 and result.metric_results.protocol == "standard"


def test_late_fusion(encoder: str):
    """Content, structure and evidence, each trained on its own; the weights say what each is worth."""
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs=MYGRAPH,
        model="latefusion",
        model_kwargs={"encoder": encoder},
        training_kwargs={"num_epochs": 2},
    )
    print(result.model.weights_)
    assert {"content", "structure"} <= set(result.model.weights_.columns)


def test_baselines():
    """What needs no training, and has to be beaten."""
    figures = {}
    for name in ("inverserule", "symmetricrule", "duplicaterule", "degreerule", "randomrule"):
        rule = pipeline(dataset="multimodal", dataset_kwargs=MYGRAPH, model=name, epochs=0)
        figures[name] = rule.get_metric("mrr")
    assert 0 < figures["randomrule"] < 1 and figures["degreerule"] > 0


def test_stop_early(encoder: str):
    """By the validation triples, as everywhere in PyKEEN."""
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs=MYGRAPH,
        model="vlkge",
        model_kwargs={"encoder": encoder, "embedding_dim": 8},
        epochs=30,
        stopper="early",
        stopper_kwargs={"frequency": 1, "patience": 1, "relative_delta": 0.5},
    )
    assert len(result.losses) < 30


def test_go_on(here, encoder: str):
    """Training that was interrupted goes on from its checkpoint, and ends where it would have ended."""
    data = {"dataset": "multimodal", "dataset_kwargs": MYGRAPH, "random_seed": 0}
    model = {"model": "vlkge", "model_kwargs": {"encoder": encoder, "embedding_dim": 8}}
    kept = {"checkpoint_directory": here, "checkpoint_name": "mine.pt", "checkpoint_frequency": 0}
    pipeline(**data, **model, training_kwargs={"num_epochs": 2, **kept})
    resumed = pipeline(**data, **model, training_kwargs={"num_epochs": 4, **kept})
    assert resumed.losses == pipeline(**data, **model, epochs=4).losses


def test_search(encoder: str):
    """What is searched is said by the model's ``hpo_default``; here one dimension is, and the rest is fixed."""
    study = hpo_pipeline(
        dataset="multimodal",
        dataset_kwargs=MYGRAPH,
        model="vlkge",
        model_kwargs={"encoder": encoder, "fusion": "average", "structural_dropout": 0.0},
        model_kwargs_ranges={"embedding_dim": {"type": int, "low": 8, "high": 16, "q": 8}},
        training_kwargs={"num_epochs": 1},
        n_trials=2,
    ).study
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}
    assert study.best_params["model.embedding_dim"] in (8, 16)


def test_what_each_modality_is_worth(encoder: str):
    """One table of ablations and controls, over seeds; finished runs are not done again."""
    kwargs = {"encoder": encoder, "embedding_dim": 8}
    base = {"dataset": "multimodal", "dataset_kwargs": MYGRAPH, "model": "vlkge", "model_kwargs": kwargs}
    variants = {"all": {}, "no pictures": {"drop": ["visual"]}, "pictures shuffled": {"shuffle": ["visual"]}}
    options = {"training_kwargs": {"num_epochs": 1, "use_tqdm": False}}
    study = Study({"base": {**base, **options}, "variants": variants, "seeds": [0], "protocols": ["standard"]})
    study.run("results", progress=False)
    table = study.markdown("results")
    assert all(name in table for name in variants)


def test_a_wrong_option(encoder: str):
    """It is one clear error that names the option, before anything is encoded or trained."""
    kwargs = {"encoder": encoder, "structural_dropout": 3}
    with pytest.raises(MultimodalError, match=r"structural_dropout=3 must be from 0 to 1"):
        pipeline(dataset="multimodal", dataset_kwargs=MYGRAPH, model="vlkge", model_kwargs=kwargs)
