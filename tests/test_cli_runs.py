"""The commands that ask and change saved runs."""

import json
import pathlib
import shutil

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from pykeen.pipeline import pipeline

from pykeen_mmkg.cli import main
from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.runs import load_run, save_run


def invoke(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result.output if code else result.stdout


@pytest.fixture(scope="module")
def run(folder: pathlib.Path, dual_encoder: pathlib.Path, tmp_path_factory) -> pathlib.Path:
    """A saved run, whose texts and pictures a real encoder has read."""
    path = tmp_path_factory.mktemp("run")
    result = pipeline(
        dataset=MultimodalDataset(path=folder),
        model="vlkge",
        model_kwargs=dict(embedding_dim=8, encoder=str(dual_encoder), sources={"store": str(path / "store")}),
        training_kwargs=dict(num_epochs=2, use_tqdm=False),
        evaluation_kwargs=dict(use_tqdm=False),
        random_seed=0,
        device="cpu",
    )
    save_run(result, path / "run")
    return path / "run"


def test_predict_outside(run: pathlib.Path, dual_encoder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """By a text and a picture, on either side, with the features' encoder; a label and a text are one too many."""
    picture = tmp_path / "okapi.png"
    Image.new("RGB", (20, 20), (200, 100, 60)).save(picture)
    by_head = ("--head-text", "a thing", "--head-image", picture, "--relation", "r0")
    text = invoke("predict", run, *by_head, "--encoder", dual_encoder, "--json")
    rows = [json.loads(line) for line in text.splitlines()]
    model, factory = load_run(run).model, load_run(run).training
    model.add_entities({"new": {"text": "a thing", "images": picture}}, encoder=dual_encoder)  # type: ignore[operator]
    scores = model.predict_t(torch.tensor([[24, 0]]))[0, :24]
    expected = {factory.entity_id_to_label[i]: score for i, score in enumerate(scores.tolist())}
    assert len(rows) == 10 and rows[0]["score"] == pytest.approx(max(expected.values()), abs=1e-5)
    assert all(row["score"] == pytest.approx(expected[row["label"]], abs=1e-5) for row in rows)
    page = tmp_path / "page.html"
    by_tail = ("--tail-text", "a thing", "--relation", "r0", "--encoder", dual_encoder, "-k", 3, "--html", page)
    assert len(invoke("predict", run, *by_tail).splitlines()) == 4
    assert "a thing" in page.read_text()
    assert "not both" in invoke("predict", run, "--head", "e1", *by_head, code=2)
    # the run knows the name of its encoder
    assert invoke("predict", run, *by_head, "--json") == text


def test_update(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """An unknown entity is refused with its row, unless a table describes it; other rows are not used."""
    triples, table = tmp_path / "triples.tsv", tmp_path / "entities.tsv"
    triples.write_text("e22\tr0\te3\ne3\tr1\tokapi\n")
    table.write_text("entity\tlabel\tdescription\nokapi\tokapi\ta striped animal\ne3\tother\tother\n")
    options = ("update", run, triples, "--output", tmp_path / "new", "--steps", 3)
    assert "triple 2 (e3, r1, okapi): unknown entity 'okapi'" in invoke(*options, code=2)
    assert "2 new triples, 1 new entities, 3 steps" in invoke(*options, "--entities", table)
    made = load_run(tmp_path / "new")
    assert made.training.num_entities == 25 and load_run(run).training.num_entities == 24
    answers = invoke("predict", tmp_path / "new", "--head", "okapi", "--relation", "r1", "-k", 2)
    assert len(answers.splitlines()) == 3
    assert "not empty" in invoke(*options, "--entities", table, code=2)


def test_calibrate(run: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Probabilities are fitted on a split of the dataset and kept in the run, which is otherwise what it was."""
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    query = ("predict", mine, "--head", "e1", "--relation", "r0", "--probability", "--json")
    assert "pykeen-mmkg calibrate" in invoke(*query, code=2)
    assert "give --dataset" in invoke("calibrate", mine, code=2)
    assert "'valid'" in invoke("calibrate", mine, "--dataset", folder, "--split", "valid", code=2)
    text = invoke("calibrate", mine, "--dataset", folder, "--ratio", 4)
    assert "2 triples of the split validation, 4 negatives" in text
    rows = [json.loads(line) for line in invoke(*query).splitlines()]
    assert all(0 < row["probability"] < 1 for row in rows) and len(rows) == 10
    again = load_run(mine)
    assert again.document["calibration"]["split"] == "validation"
    assert {key: again.document[key] for key in ("weights", "state")} == {
        key: load_run(run).document[key] for key in ("weights", "state")
    }
    assert "relations were not" in invoke("predict", mine, "--head", "e1", "--tail", "e2", "--probability", code=2)
