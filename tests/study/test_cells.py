"""Runs: done once, in several processes, and failed ones."""

import json
import shutil

import pytest

from pykeen_mmkg.study import Study, StudyError
from pykeen_mmkg.study import cells as module

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


def _without(*keys):
    def edit(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.update(key="another"),
        lambda content: content["results"]["pool"].update(ranks=[]),
        lambda content: content["results"]["pool"].update(ranks=[0.5]),
        lambda content: content["results"]["pool"].update(ranks=["1"]),
        lambda content: content["results"].update(standard=3),
        *(_without(key) for key in ("key", "results", "dataset")),
        *(_without("results", "standard", key) for key in ("metrics", "ranks")),
        '{"key": "x", "results',
        "",
        "[]",
        '"x"',
        "{",
        "[" * 5000,
        b"\xff",
    ],
)
def test_a_damaged_run_is_named(damage, finished, tmp_path):
    study, directory = finished
    shutil.copytree(directory, tmp_path / "out")
    path = sorted((tmp_path / "out" / "runs").iterdir())[0]
    if callable(damage):
        content = json.loads(path.read_text())
        damage(content)
        path.write_text(json.dumps(content))
    else:
        path.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    with pytest.raises(StudyError, match=rf"{path.name} is damaged .*: delete it"):
        study.table(tmp_path / "out")


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
