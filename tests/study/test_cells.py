"""Runs: done once, in several processes, and failed ones."""

import json

import pytest

from pykeen_mmkg.study import cells as module
from pykeen_mmkg.study.study import Study, StudyError

from .cases import CONFIG


def test_a_finished_run_is_not_repeated_and_a_missing_one_is(finished, monkeypatch):
    study, directory = finished
    before = {path.name: path.read_bytes() for path in (directory / "runs").iterdir()}
    done = []
    original = module.run_cell
    monkeypatch.setattr(module, "run_cell", lambda cell, path: (done.append(cell), original(cell, path)))
    study.run(directory, progress=False)
    assert not done
    lost = study._paths(directory)[1][1]
    lost.unlink()
    study.run(directory, progress=False)
    assert [(cell.row, cell.seed) for cell in done] == [("wide", 1)]
    again = json.loads(lost.read_text())
    assert again["results"] == json.loads(before[lost.name])["results"]


def test_failed_runs_are_told_and_the_others_kept(tmp_path):
    config = {**CONFIG, "seeds": [0], "variants": {"bad": {"loss_kwargs": {"margin": "wide"}}, "good": {}}}
    study = Study(config)
    with pytest.raises(StudyError, match="1 of 3 runs failed.*'bad', seed 0.*TypeError"):
        study.run(tmp_path, progress=False)
    assert len(list((tmp_path / "runs").iterdir())) == 2
    with pytest.raises(StudyError, match="no finished run of the row 'bad'"):
        study.table(tmp_path)


def test_workers_give_the_same_runs(tmp_path, finished):
    study, directory = finished
    small = Study({**CONFIG, "seeds": [0], "variants": {"wide": CONFIG["variants"]["wide"]}})
    small.run(tmp_path, workers=2, progress=False)
    for path in (tmp_path / "runs").iterdir():
        expected = json.loads((directory / "runs" / path.name).read_text())
        assert json.loads(path.read_text())["results"] == expected["results"]
