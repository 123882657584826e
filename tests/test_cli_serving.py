"""The command that serves a run."""

import pytest
from click.testing import CliRunner

from pykeen_mmkg.cli import main


def test_serve(folder, stores, tmp_path, monkeypatch) -> None:
    """A server gets the application of the run, with the limits that were given."""
    uvicorn = pytest.importorskip("uvicorn")
    testclient = pytest.importorskip("fastapi.testclient")
    config = tmp_path / "c.json"
    config.write_text('{"model_kwargs": {"embedding_dim": 4, "modalities": ["structural"]}, '
                      '"training_kwargs": {"use_tqdm": false}}')  # fmt: skip
    run, runner, served = tmp_path / "run", CliRunner(), []
    options = ["--model", "vlkge", "--dataset", str(folder), "--epochs", "1", "--config", str(config)]
    trained = runner.invoke(main, ["train", *options, "--output", str(run)])
    assert trained.exit_code == 0, trained.output
    monkeypatch.setattr(uvicorn, "run", lambda app, **kwargs: served.append((app, kwargs)))
    result = runner.invoke(
        main, ["serve", str(run), "--dataset", str(folder), "--port", "0", "--rate", "1", "--max-answers", "3"]
    )
    assert result.exit_code == 0, result.output
    assert "serving" in result.output
    ((app, kwargs),) = served
    assert (kwargs["host"], kwargs["port"]) == ("127.0.0.1", 0)
    client = testclient.TestClient(app)
    assert len(client.get("/predict?head=e1&relation=r0&k=3").json()["answers"]) == 3
    assert client.get("/predict?head=e1&relation=r0&k=4").status_code == 422
    assert client.get("/health").status_code == 429
    # what a calibration keeps in the run is told
    assert runner.invoke(main, ["calibrate", str(run), "--dataset", str(folder)]).exit_code == 0
    runner.invoke(main, ["serve", str(run), "--rate", "0"])
    calibrated = testclient.TestClient(served[1][0]).get("/predict?head=e1&relation=r0").json()
    assert "calibrated by the method platt" in calibrated["probability"]
    assert all(0 < answer["probability"] < 1 for answer in calibrated["answers"])
    assert runner.invoke(main, ["serve", str(tmp_path / "none")]).exit_code == 2
