"""The commands that ask and change saved runs."""

import json
import pathlib

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
    rows = [
        json.loads(line) for line in invoke("predict", run, *by_head, "--encoder", dual_encoder, "--json").splitlines()
    ]
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
    assert "give `encoder`" in invoke("predict", run, *by_head, code=2)
