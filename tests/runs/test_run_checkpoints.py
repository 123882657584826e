"""Runs that are saved while a model trains, by any training loop."""

import pathlib
from typing import Any

import pytest
import torch

from pykeen_mmkg.errors import RunError
from pykeen_mmkg.processes import Division
from pykeen_mmkg.runs import load_run
from pykeen_mmkg.runs.run_checkpoints import RunCheckpoints
from pykeen_mmkg.runs.training_run import train_run

ARGUMENTS: dict[str, Any] = {
    "model_kwargs": {"embedding_dim": 3},
    "training_kwargs": {"batch_size": 800, "use_tqdm": False},
    "evaluation_kwargs": {"use_tqdm": False},
    "random_seed": 2,
}


def test_they_are_what_the_model_was(tmp_path: pathlib.Path) -> None:
    """The run of an epoch holds the weights that a training of so many epochs ends with; the last run has no trace."""
    result = train_run("nations", "distmult", {**ARGUMENTS, "epochs": 5}, checkpoints=tmp_path, checkpoint_every=2)
    shorter = train_run("nations", "distmult", {**ARGUMENTS, "epochs": 2})
    assert {path.name for path in tmp_path.iterdir()} == {"epoch-2", "epoch-4"}
    run = load_run(tmp_path / "epoch-2")
    for own, expected in zip(run.model.parameters(), shorter.model.parameters(), strict=True):
        torch.testing.assert_close(own, expected)
    assert run.document["epoch"] == 2 and run.document["losses"] == result.losses[:2]
    assert run.document["configuration"]["dataset"] == "nations" and run.document["random_seed"] == 2
    assert "callbacks" not in result.configuration


def test_of_several_processes_the_first_one_writes(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Division, "current", lambda: Division(1, 2))
    RunCheckpoints(tmp_path, None, {}).post_epoch(epoch=1, epoch_loss=0.0)  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_number_of_epochs(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match="each 0 epochs"):
        RunCheckpoints(tmp_path, None, {}, every=0)  # type: ignore[arg-type]
