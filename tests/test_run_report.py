"""The report of a run: what its folder holds is shown as it is, what it does not hold is said."""

import json
import re

import pytest
from click.testing import CliRunner
from pykeen.pipeline import pipeline

from pykeen_mmkg.cli import main
from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import EvaluationError, RunError
from pykeen_mmkg.evaluation.evaluating import evaluate
from pykeen_mmkg.run_report import run_report
from pykeen_mmkg.runs import load_run, save_run


@pytest.fixture(scope="module")
def dataset(folder):
    return MultimodalDataset(path=folder)


@pytest.fixture(scope="module")
def result(dataset):
    """A model that was trained with early stopping."""
    return pipeline(
        dataset=dataset,
        model="vlkge",
        model_kwargs={"embedding_dim": 4, "modalities": ["structural"]},
        training_kwargs={"num_epochs": 6, "use_tqdm": False},
        stopper="early",
        stopper_kwargs={"frequency": 2, "patience": 5},
        evaluator="standard",
        random_seed=0,
        device="cpu",
    )


@pytest.fixture(scope="module")
def saved(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("reported") / "my <run>"
    baseline = {"both.realistic.inverse_harmonic_mean_rank": 0.125, "both.realistic.hits_at_10": 0.5}
    save_run(result, path, baselines={"degreerule": baseline})
    return path


def test_whole(saved, dataset, result) -> None:
    """Figures, both curves, each stratum; and in the gallery the triples of the best and the worst ranks."""
    page = run_report(saved, dataset)
    assert "my &lt;run&gt;" in page and "<run>" not in page
    for metric in ("both.realistic.inverse_harmonic_mean_rank", "both.realistic.hits_at_3"):
        assert f">{result.metric_results.to_flat_dict()[metric]:.4g}<" in page
    assert ">0.125<" in page and "read the figures with care" not in page
    first, second = re.findall(r'<polyline points="([^"]*)"', page)
    assert len(first.split()) == 6 and len(second.split()) == 3
    heights = [float(point.split(",")[1]) for point in first.split()]
    losses = load_run(saved).document["losses"]
    # a greater loss is drawn higher, that is, nearer to the top
    assert sorted(range(6), key=heights.__getitem__) == sorted(range(6), key=losses.__getitem__, reverse=True)
    for name in ("side", "relation", "query", "target", "seen"):
        assert f"By {name}" in page
    ranks = evaluate(result.model, dataset, "standard", use_tqdm=False).ranks.to_frame()
    worst = ranks["realistic"].max()
    best, gallery = page.partition("The best answers")[2].split("The worst answers")
    shown = [[float(rank) for rank in re.findall(r">([0-9.]+) of \d+<", part)] for part in (best, gallery)]
    assert shown[0][0] == ranks["realistic"].min() and shown[0] == sorted(shown[0])
    assert shown[1][0] == worst and shown[1] == sorted(shown[1], reverse=True)
    assert not re.search(r"(src|href)=.(http|/|file)", page)
    assert "base64" in page


def test_what_is_missing_is_said(saved, result, dataset, tmp_path) -> None:
    """Without a dataset, and of PyKEEN's folder, which has no baselines."""
    page = run_report(saved)
    assert "need the dataset" in page and "By relation" not in page and page.count("<polyline") == 2
    result.save_to_directory(tmp_path / "theirs")
    theirs = run_report(tmp_path / "theirs", dataset)
    assert "No baseline was evaluated" in theirs and theirs.count("<polyline") == 2
    assert f">{result.get_metric('mrr'):.4g}<" in theirs
    (tmp_path / "theirs" / "results.json").unlink()
    bare = run_report(tmp_path / "theirs")
    assert "holds no metrics" in bare and "holds no losses" in bare and "no curve of validation" in bare
    (tmp_path / "theirs" / "results.json").write_text("[1]")
    with pytest.raises(RunError, match="no JSON object"):
        run_report(tmp_path / "theirs")
    with pytest.raises(EvaluationError, match="no split 'tests'"):
        run_report(saved, dataset, split="tests")


def test_constant_losses(saved, tmp_path) -> None:
    """Late fusion has a loss that says nothing, which is not drawn."""
    from pykeen_mmkg.run_report import _curves, _Record

    record = _Record("latefusion", {}, {}, [0.5, 0.5], {}, {})
    assert "late fusion trains its scorers" in " ".join(_curves(record))


def test_command(saved, folder, tmp_path) -> None:
    output = tmp_path / "page.html"
    arguments = ["report", str(saved), "--dataset", str(folder), "--split", "validation", "--output", str(output)]
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 0, found.output
    assert "split validation" in output.read_text()
    wrong = CliRunner().invoke(main, ["report", str(tmp_path), "--output", str(tmp_path / "x.html")])
    assert wrong.exit_code == 2 and not (tmp_path / "x.html").exists()
    assert json.loads((saved / "run.json").read_text())["stopper"]["frequency"] == 2
