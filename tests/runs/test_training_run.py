"""A run by the command `train`: it is what the pipeline makes of the same arguments, and opens as others do."""

import json
import pathlib

import pytest
import torch
from pykeen.pipeline import pipeline

from pykeen_mmkg.errors import MultimodalError, RunError
from pykeen_mmkg.runs import load_run, save_run
from pykeen_mmkg.runs.training_run import read_arguments, train_run

ARGUMENTS = {
    "model_kwargs": {"embedding_dim": 4},
    "training_kwargs": {"num_epochs": 1, "batch_size": 16, "use_tqdm": False},
    "evaluation_kwargs": {"use_tqdm": False},
    "random_seed": 3,
}


def _features(stores: dict[str, str]) -> dict[str, dict[str, str]]:
    return {"features": {key: stores[key] for key in ("visual", "textual")}}


def test_it_is_the_pipeline(folder: pathlib.Path, stores: dict[str, str], tmp_path: pathlib.Path) -> None:
    kwargs = {**ARGUMENTS, "model_kwargs": {"embedding_dim": 4, "sources": _features(stores)}}
    result = train_run(folder, "vlkge", kwargs)
    expected = pipeline(
        dataset="multimodal", dataset_kwargs={"path": str(folder)}, model="vlkge", evaluator="standard", **kwargs
    )
    assert result.losses == expected.losses
    assert result.get_metric("mrr") == expected.get_metric("mrr")
    save_run(result, tmp_path)
    run = load_run(tmp_path)
    query = torch.tensor([[0, 0]])
    torch.testing.assert_close(run.model.predict_t(query), expected.model.eval().predict_t(query))
    assert run.document["protocol"] == "standard" and run.document["random_seed"] == 3
    assert run.document["configuration"]["dataset"] == str(folder)


def test_an_evaluator_of_the_arguments_wins_over_the_protocol() -> None:
    result = train_run("nations", "distmult", {**ARGUMENTS, "evaluator": "vlkge-author"})
    assert result.metric_results.protocol == "vlkge-author"
    kwargs = {**ARGUMENTS, "evaluator_kwargs": {"targets": ["tail"]}}
    assert train_run("nations", "distmult", kwargs, protocol="relation-pool").metric_results.protocol == "relation-pool"


@pytest.mark.parametrize(
    ("dataset", "model", "arguments", "protocol", "words"),
    [
        ("nationss", "distmult", {}, "standard", "'nationss' is neither a folder"),
        ("nations", "distmul", {}, "standard", "'distmul' is no model"),
        ("nations", "distmult", {"epoch": 3}, "standard", "did you mean 'epochs'"),
        ("nations", "distmult", {"training": "x"}, "standard", "'training' must not stand"),
        ("nations", "distmult", {}, "standart", "'standart' is no evaluator"),
    ],
)
def test_what_is_refused(dataset: str, model: str, arguments: dict, protocol: str, words: str) -> None:
    with pytest.raises(MultimodalError, match=words):
        train_run(dataset, model, arguments, protocol=protocol)


@pytest.mark.parametrize("wrapped", [True, False])
def test_arguments_from_a_file(wrapped: bool, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"metadata": {}, "pipeline": ARGUMENTS} if wrapped else ARGUMENTS))
    assert read_arguments(path) == ARGUMENTS


@pytest.mark.parametrize(
    ("content", "words"), [("[1]", "holds a list"), ("{", "damaged"), ('{"modell": 1}', "did you mean 'model'")]
)
def test_a_file_that_is_wrong_is_named(content: str, words: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(RunError, match=f"c.json.*{words}"):
        read_arguments(tmp_path / "c.json")
    with pytest.raises(RunError, match="no configuration at"):
        read_arguments(tmp_path / "gone.json")
