"""What cannot be right is told before the first training, with the file and the row."""

import json
import pathlib
import shutil

import pytest
import yaml

from pykeen_mmkg.errors import DataError
from pykeen_mmkg.study import Study, StudyError, cells
from pykeen_mmkg.study.validation import said_of

from .cases import CONFIG


@pytest.fixture
def nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(cell: object, path: object) -> None:
        raise AssertionError("it trained")

    monkeypatch.setattr(cells, "run_cell", train)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocols": {"standard": {"split": "dev"}}}, r"s\.yaml: row 'wide': 'dev' is no split of the dataset"),
        ({"protocols": ["zsl-candidates"]}, "row 'wide': .*candidates"),
        ({"base": {**CONFIG["base"], "dataset": "nationss"}}, "row 'wide': 'nationss' is neither a folder"),
        ({"variants": {"a": {}, "b": {"model_kwargs": {"embedding_dim": "x"}}}}, "row 'b': the model cannot be made"),
        ({"variants": {"a": {}, "b": {"model": "vlkge"}}}, "row 'b': No text, image or feature"),
    ],
)
def test_told_before_the_first_training(change, message, nothing_trains, tmp_path) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**CONFIG, **change}, sort_keys=False))
    with pytest.raises(StudyError, match=message):
        Study.load(tmp_path / "s.yaml").run(tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_stopper_needs_a_validation_split(folder, nothing_trains, tmp_path) -> None:
    shutil.copytree(folder, tmp_path / "graph")
    (tmp_path / "graph" / "valid.tsv").unlink()
    base = {**CONFIG["base"], "dataset": str(tmp_path / "graph"), "stopper": "early"}
    with pytest.raises(StudyError, match="row 'wide': there is no validation split for the stopper 'early'"):
        Study({**CONFIG, "base": base}).run(tmp_path / "out", progress=False)


def test_what_is_right_passes(tmp_path) -> None:
    study = Study({**CONFIG, "seeds": [0], "variants": {"a": None}})
    assert len(study.run(tmp_path, progress=False)) == 4


def test_errors_say_what_they_are_about() -> None:
    with pytest.raises(StudyError, match="x.yaml: row 'a': bad"), said_of("x.yaml: row 'a'"):
        raise DataError("bad")
    with pytest.raises(StudyError, match="^once$"), said_of("x.yaml"):
        raise StudyError("once")
    with pytest.raises(KeyError), said_of("x.yaml"):
        raise KeyError("a fault of ours")


@pytest.fixture
def candidates(folder: pathlib.Path, tmp_path: pathlib.Path) -> tuple[Study, pathlib.Path]:
    """A study on a graph with candidate lists, and the folder of the graph."""
    graph = tmp_path / "graph"
    shutil.copytree(folder, graph)
    lists = {f"r{k}": [f"e{i}" for i in range(24)] for k in range(3)}
    (graph / "candidates.json").write_text(json.dumps(lists))
    config = {
        "base": {**CONFIG["base"], "dataset": str(graph)},
        "variants": {"a": {}},
        "seeds": [0],
        "protocols": ["zsl-candidates"],
    }
    return Study(config), graph


def test_shorter_candidates_are_another_study(candidates, tmp_path) -> None:
    """After shortening the lists, the same output folder says what a fresh one does."""
    study, graph = candidates
    before = study.run(tmp_path / "out", progress=False)
    rows = [line.split("\t") for line in (graph / "test.tsv").read_text().splitlines()]
    short = {f"r{k}": sorted({t for _, r, t in rows if r == f"r{k}"}) for k in range(3)}
    (graph / "candidates.json").write_text(json.dumps(short))
    again = study.run(tmp_path / "out", progress=False)
    fresh = study.run(tmp_path / "fresh", progress=False)
    assert again["mrr"].item() == fresh["mrr"].item() > before["mrr"].item()
    # and back: both are kept
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2
