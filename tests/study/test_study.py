"""A study: its rows, its table against the runs by hand, and starting it again."""

import json

import numpy
import pandas
import pytest
import yaml
from pykeen.pipeline import pipeline
from scipy import stats

from pykeen_mmkg.study import cells as module
from pykeen_mmkg.study.study import Study, StudyError

CONFIG = {
    "name": "small",
    "base": {
        "dataset": "nations",
        "model": "distmult",
        "model_kwargs": {"embedding_dim": 4},
        "training_kwargs": {"num_epochs": 2, "use_tqdm": False},
    },
    "variants": {"wide": {"model_kwargs": {"embedding_dim": 8}}, "complex": {"model": "complex"}},
    "seeds": [0, 1],
    "protocols": {"standard": None, "pool": {"protocol": "relation-pool", "targets": ["tail"]}},
    "baselines": {"inverse rule": {"model": "inverserule"}},
    "metrics": ["mrr", "hits@10"],
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    path = directory / "small.yaml"
    path.write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    study = Study.load(path)
    study.run(directory / "out", progress=False)
    return study, directory / "out"


def test_rows_are_base_and_changes_merged():
    study = Study(CONFIG)
    assert list(study.rows) == ["wide", "complex", "inverse rule"]
    assert study.rows["wide"] == {**CONFIG["base"], "model_kwargs": {"embedding_dim": 8}}
    assert study.rows["complex"] == {**CONFIG["base"], "model": "complex"}
    assert study.rows["inverse rule"] == {
        "dataset": "nations",
        "model": "inverserule",
        "training_kwargs": {"num_epochs": 0},
    }
    assert [(cell.row, cell.seed) for cell in study.cells()] == [
        ("wide", 0),
        ("wide", 1),
        ("complex", 0),
        ("complex", 1),
        ("inverse rule", 0),
    ]


def test_models_times_ablations_drop_and_shuffle():
    config = {
        "base": {"dataset": "nations", "model_kwargs": {"embedding_dim": 4}},
        "models": {"a": {"model": "vlkge"}, "b": {"model": "vlkge", "model_kwargs": {"fusion": "sum"}}},
        "ablations": {
            "full": {},
            "no image": {"drop": "visual"},
            "text only": {"drop": ["structural", "visual"]},
            "shuffled": {"shuffle": ["visual", "textual"]},
        },
        "seeds": [3, 5],
    }
    study = Study(config)
    assert list(study.rows)[:2] == ["a, full", "a, no image"]
    assert len(study.rows) == 8
    assert study.rows["b, no image"]["model_kwargs"] == {
        "embedding_dim": 4,
        "fusion": "sum",
        "modalities": ["structural", "textual"],
    }
    assert study.rows["a, text only"]["model_kwargs"]["modalities"] == ["textual"]
    shuffles = [
        cell.config["model_kwargs"]["representation_kwargs"]["shuffle"]
        for cell in study.cells()
        if cell.row == "a, shuffled"
    ]
    assert shuffles == [{"visual": 3, "textual": 3}, {"visual": 5, "textual": 5}]


def test_table_equals_the_runs_by_hand(finished):
    study, directory = finished
    table = study.table(directory).set_index(["protocol", "row"])
    values, ranks = [], []
    for seed in (0, 1):
        result = pipeline(**CONFIG["base"], random_seed=seed, evaluator="standard").metric_results
        config = {**CONFIG["base"], "model_kwargs": {"embedding_dim": 8}}
        result = pipeline(**config, random_seed=seed, evaluator="standard").metric_results
        values.append(result.get_metric("mrr"))
        ranks.append(1 / result.ranks.realistic)
    row = table.loc["standard", "wide"]
    assert row["mrr"] == pytest.approx(numpy.mean(values))
    assert row["mrr std"] == pytest.approx(numpy.std(values, ddof=1))
    rule = pipeline(dataset="nations", model="inverserule", epochs=0, evaluator="standard").metric_results
    first, second = 1 / rule.ranks.realistic, numpy.mean(ranks, axis=0)
    row = table.loc["standard", "inverse rule"]
    assert row["runs"] == 1 and numpy.isnan(row["mrr std"])
    assert row["difference"] == pytest.approx(first.mean() - second.mean())
    # two rows are tested; the smaller of the two p-values is doubled (Holm)
    p_value = stats.wilcoxon(first - second, zero_method="pratt").pvalue
    assert row["p"] == pytest.approx(2 * p_value)


def test_report(finished):
    study, directory = finished
    table = pandas.read_csv(directory / "results.csv")
    assert len(table) == 6
    markdown = (directory / "results.md").read_text()
    assert "## Protocol `standard`" in markdown and "## Protocol `relation-pool`, pool" in markdown
    mrr = table.set_index(["protocol", "row"]).loc[("pool", "inverse rule"), "mrr"]
    assert f"| {mrr:.3f} " in markdown
    content = json.loads((directory / "results.json").read_text())
    assert content["seeds"] == [0, 1]
    assert content["protocols"]["pool"]["protocol"] == "relation-pool"
    assert content["versions"]["pykeen"] and len(content["datasets"][0]) == 64
    run = json.loads(next((directory / "runs").glob("*.json")).read_text())
    assert {"key", "row", "seed", "config", "dataset", "versions", "results", "losses", "seconds"} <= set(run)


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


def test_key_follows_configuration_and_data():
    cell = Study(CONFIG).cells()[0]
    assert cell.key("a") != cell.key("b")
    other = Study({**CONFIG, "variants": {"renamed": CONFIG["variants"]["wide"]}}).cells()[0]
    assert cell.key() == other.key()
    changed = Study({**CONFIG, "protocols": ["standard"]}).cells()[0]
    assert cell.key() != changed.key()


def test_failed_runs_are_told_and_the_others_kept(tmp_path):
    config = {**CONFIG, "seeds": [0], "variants": {"bad": {"model_kwargs": {"nonsense": 1}}, "good": {}}}
    study = Study(config)
    with pytest.raises(StudyError, match="1 of 3 runs failed.*'bad', seed 0.*nonsense"):
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


def test_plot(finished, tmp_path):
    pytest.importorskip("matplotlib")
    study, directory = finished
    study.plot(directory, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": {}}, "unknown key 'variant'"),
        ({"seeds": [1, 1]}, "distinct"),
        ({"metrics": ["accuracy"]}, "'accuracy' is no metric"),
        ({"reference": "other"}, "'other' is no row"),
        ({"variants": {"x": {"drop": "smell"}}}, "'smell'"),
        ({"variants": {"x": {"drop": ["structural", "visual", "textual"]}}}, "drops every modality"),
        ({"variants": {"x": {"random_seed": 3}}}, "give `seeds`"),
        ({"baselines": {"x": {}}}, "names no `model`"),
        ({"baselines": {"wide": {"model": "inverserule"}}}, "two rows called 'wide'"),
        ({"base": {"model": "distmult"}}, "names no `dataset`"),
        ({"base": {"dataset": "nations"}, "variants": {"x": {}}}, "'x' names no `model`"),
        ({"variants": {}, "baselines": {}}, "no row"),
        ({"variants": {"x": {"model_kwargs": {"embedding_dim": {1, 2}}}}}, "not plain JSON"),
    ],
)
def test_bad_configuration(change, message):
    with pytest.raises(StudyError, match=message):
        Study({**CONFIG, **change})


def test_bad_file(tmp_path):
    with pytest.raises(StudyError, match="no study at"):
        Study.load(tmp_path / "none.yaml")
    path = tmp_path / "bad.yaml"
    path.write_text("a: [")
    with pytest.raises(StudyError, match="neither JSON nor YAML"):
        Study.load(path)
    path.write_text("- a")
    with pytest.raises(StudyError, match="holds a list"):
        Study.load(path)
