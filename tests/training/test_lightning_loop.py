"""The pipeline by Lightning: two processes make what one makes, runs are kept meanwhile, and a training goes on."""

import json
import multiprocessing
import os
import pathlib
import socket
import sys
from typing import Any

import pytest
import torch
from pykeen.pipeline import pipeline

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.runs import load_run, save_run
from pykeen_mmkg.runs.training_run import train_run

pytest.importorskip("pytorch_lightning")

ARGUMENTS: dict[str, Any] = {
    "training_loop": "sampledsoftmax",
    "training_loop_kwargs": {"num_sampled": 5},
    "loss": "sampledsoftmax",
    "optimizer": "adagrad",
    "optimizer_kwargs": {"lr": 0.1},
    "training_kwargs": {"num_epochs": 3, "batch_size": 20, "use_tqdm": False},
    "stopper": "early",
    "stopper_kwargs": {"frequency": 1, "patience": 9, "metric": "mrr", "relative_delta": 0.0},
    "evaluation_kwargs": {"use_tqdm": False},
    "random_seed": 3,
}


def _train(folder: pathlib.Path, stores: dict[str, str], output: pathlib.Path, rank: int = 0, **options: Any) -> None:
    features = {"features": {key: stores[key] for key in ("visual", "textual")}}
    # sparse: gradients of rows are added up by the processes, too
    kwargs = {"embedding_dim": 4, "sources": features, "representation_kwargs": {"structural_kwargs": {"sparse": True}}}
    arguments = {**ARGUMENTS, "model_kwargs": kwargs}
    engine = {"accelerator": "cpu", **options}
    checkpoints = output / "checkpoints"
    result = train_run(
        folder,
        "vlkge",
        arguments,
        engine="lightning",
        engine_kwargs=engine,
        checkpoints=checkpoints,
        checkpoint_every=2,
    )
    if rank == 0:
        save_run(result, output)
    output.joinpath(f"{rank}.json").write_text(json.dumps([result.losses, result.get_metric("mrr")]))


def _process(rank: int, port: int, *arguments: Any) -> None:
    # what torchrun sets
    local = {"LOCAL_RANK": rank, "RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0}
    named = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ.update({key: str(value) for key, value in (local | named).items()})
    torch.set_num_threads(1)
    _train(*arguments, rank=rank, devices=2)


@pytest.mark.skipif(sys.platform != "linux", reason="the processes are forks")
def test_two_processes_are_one(folder: pathlib.Path, stores: dict[str, str], tmp_path: pathlib.Path) -> None:
    """Weights, losses, what the stopper saw, and the final metrics; the runs of both load."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    one, two = tmp_path / "one", tmp_path / "two"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_process, args=(rank, port, folder, stores, two)) for rank in range(2)]
    for path in (one, two):
        path.mkdir()
    for process in processes:
        process.start()
    _train(folder, stores, one)
    for process in processes:
        process.join(timeout=300)
        assert process.exitcode == 0
    (expected, mrr), *others = (
        json.loads(path.read_text()) for path in (one / "0.json", two / "0.json", two / "1.json")
    )
    for losses, own in others:
        assert losses == pytest.approx(expected, rel=1e-5)
        assert own == pytest.approx(mrr, rel=1e-6)
    runs = [load_run(path) for path in (one, two)]
    for name, value in runs[0].model.state_dict().items():
        torch.testing.assert_close(runs[1].model.state_dict()[name], value, msg=lambda text, name=name: name + text)
    seen = [run.document["stopper"]["results"] for run in runs]
    assert seen[0] == pytest.approx(seen[1], rel=1e-6) and len(seen[0]) == 3
    assert runs[1].document["configuration"]["training_loop_kwargs"]["devices"] == 2
    # the run of the second epoch is not that of the end
    (kept,) = two.joinpath("checkpoints").iterdir()
    assert kept.name == "epoch-2"
    assert load_run(kept).document["losses"] == pytest.approx(expected[:2], rel=1e-5)
    assert len(load_run(kept).model.state_dict()) == len(runs[1].model.state_dict())


def _pipeline(epochs: int, **options: Any) -> Any:
    return pipeline(
        dataset="nations",
        model="distmult",
        model_kwargs={"embedding_dim": 3},
        training_loop="lightning",
        training_loop_kwargs={"accelerator": "cpu", **options},
        training_kwargs={"num_epochs": epochs, "batch_size": 800, "use_tqdm": False},
        evaluation_kwargs={"use_tqdm": False},
        random_seed=1,
    )


def test_going_on(tmp_path: pathlib.Path) -> None:
    """One epoch, and two more from its checkpoint, are three."""
    path = tmp_path / "state.ckpt"
    whole = _pipeline(3)
    _pipeline(1, checkpoint=str(path))
    result = _pipeline(3, checkpoint=str(path))
    assert result.losses == pytest.approx(whole.losses, rel=1e-6) and len(whole.losses) == 3
    for own, expected in zip(result.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(own, expected)


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MultimodalError, match="takes no sub_batch_size; use more devices"):
        pipeline(dataset="nations", model="transe", training_loop="lightning", training_kwargs={"sub_batch_size": 2})
    with pytest.raises(MultimodalError, match="DegreeRule fits itself at its first step"):
        pipeline(dataset="nations", model="degreerule", training_loop="lightning")
    with pytest.raises(MultimodalError, match="'episodick' is no training loop; did you mean 'episodic'"):
        train_run("nations", "transe", {"training_loop": "episodick"}, engine="lightning")
    with pytest.raises(MultimodalError, match="engine 'pykeen' takes no {'devices': 2}"):
        train_run("nations", "transe", engine_kwargs={"devices": 2})
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    with pytest.raises(MultimodalError, match="pip install pytorch-lightning"):
        pipeline(dataset="nations", model="transe", training_loop="lightning")
