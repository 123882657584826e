"""Resuming from a checkpoint: bit by bit where labels and features are the same, and not at all where they are not."""

import logging
import pathlib
import pickle
import shutil
from typing import Any

import pytest
import torch
from pykeen.pipeline import PipelineResult, pipeline
from pykeen.training import SLCWATrainingLoop
from pykeen.training.training_loop import TrainingLoop

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.errors import RunError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.identity import KEY, identity
from pykeen_mmkg.training.checkpoint import guard

SCORERS = {
    "content": {"model_kwargs": {"embedding_dim": 4}, "training_kwargs": {"num_epochs": 2, "use_tqdm": False}},
    "evidence": {},
}
MODELS: dict[str, dict[str, Any]] = {
    "distmult": {"embedding_dim": 4},
    "vlkge": {"embedding_dim": 4},
    "twotower": {"embedding_dim": 4},
    "latefusion": {"scorers": SCORERS},
}


@pytest.fixture
def graph(folder: pathlib.Path, stores: dict[str, str], tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the small dataset, with its features in the folder."""
    path = tmp_path / "graph"
    shutil.copytree(folder, path)
    (path / "features").mkdir()
    for name in ("visual", "textual"):
        shutil.copy(stores[name], path / "features")
    return path


def _train(graph: pathlib.Path, model: str, epochs: int, checkpoint: bool = True, **kwargs: Any) -> PipelineResult:
    options = {"checkpoint_directory": graph.parent, "checkpoint_name": "x.pt", "checkpoint_frequency": 0}
    return pipeline(
        dataset="multimodal",
        dataset_kwargs={"path": str(graph)},
        model=model,
        model_kwargs=MODELS[model],
        training_kwargs={
            "num_epochs": epochs,
            "batch_size": 16,
            "use_tqdm": False,
            **(options if checkpoint else {"checkpoint_directory": graph.parent}),
        },
        evaluation_kwargs={"use_tqdm": False},
        random_seed=0,
        device="cpu",
        **kwargs,
    )


def _rename(graph: pathlib.Path, old: str, new: str) -> None:
    for path in graph.glob("*.tsv"):
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        path.write_text("".join("\t".join(new if x == old else x for x in row) + "\n" for row in rows))


@pytest.mark.parametrize("model", MODELS)
def test_resumed_it_is_the_same_bit_by_bit(model: str, graph: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = _train(graph, model, 4, checkpoint=False)
    _train(graph, model, 2)
    with caplog.at_level(logging.WARNING):
        resumed = _train(graph, model, 4)
    assert "do not say" not in caplog.text
    assert resumed.losses == whole.losses
    expected = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert value.equal(expected[name]), name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("old", "new", "words"), [("e0", "zzz", "entities than"), ("r0", "zzz", "relations than")])
def test_renamed_it_is_refused(model: str, old: str, new: str, words: str, graph: pathlib.Path) -> None:
    _train(graph, model, 2)
    before = (graph.parent / "x.pt").read_bytes()
    _rename(graph, old, new)
    with pytest.raises(RunError, match=rf"The checkpoint .*x\.pt: the weights are those of other {words}"):
        _train(graph, model, 4)
    assert (graph.parent / "x.pt").read_bytes() == before


def test_other_features_are_refused(graph: pathlib.Path) -> None:
    _train(graph, "vlkge", 2)
    path = graph / "features" / "visual.safetensors"
    store = FeatureStore.load(path)
    FeatureStore.from_tensors(store.labels, store.vectors.flip(0), mask=store.mask.flip(0)).save(path)
    with pytest.raises(RunError, match="x.pt: the weights are those of other visual features than"):
        _train(graph, "vlkge", 4)


def test_an_old_checkpoint_is_loaded_with_a_warning(graph: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    _train(graph, "vlkge", 2)
    path = graph.parent / "x.pt"
    content = torch.load(path, weights_only=False)
    assert content["model_state_dict"]._metadata[""].pop(KEY).keys() > {"entities", "visual features"}
    torch.save(content, path)
    with caplog.at_level(logging.WARNING):
        _train(graph, "vlkge", 4)
    assert "do not say of which labels" in caplog.text


def test_a_model_from_a_pickle_is_compared_as_well(graph: pathlib.Path) -> None:
    result = _train(graph, "distmult", 2)
    model = pickle.loads(pickle.dumps(result.model))
    loop = SLCWATrainingLoop(model=model, triples_factory=result.training)
    del loop.model.graph_labels  # as of a model that was pickled before they were kept
    assert not identity(loop.model)
    _rename(graph, "e0", "zzz")
    with pytest.raises(RunError, match=r"x\.pt: the weights are those of other entities"):
        loop._load_state(graph.parent / "x.pt", MultimodalDataset(graph).training)


def test_early_stopping_restores_its_best_model(graph: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        result = _train(
            graph, "vlkge", 4, checkpoint=False, stopper="early", stopper_kwargs={"frequency": 1, "patience": 1}
        )
    assert result.stopper.best_epoch and "do not say" not in caplog.text


def test_each_loop_is_guarded_once() -> None:
    before = TrainingLoop._load_state
    guard()
    assert TrainingLoop._load_state is before and SLCWATrainingLoop._load_state is before
