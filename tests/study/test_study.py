"""The tables and plots of a study, against the runs by hand."""

import json

import numpy
import pandas
import pytest
from pykeen.datasets import Nations
from pykeen.pipeline import pipeline
from scipy import stats

from pykeen_mmkg.evaluation.breakdown import breakdown

from .cases import CONFIG


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


def test_strata(finished):
    """The mean over seeds of the MRR of each group, as the breakdown of the same runs has it."""
    study, directory = finished
    frame = study.strata(directory)
    assert set(frame["stratum"]) == {"kind", "entities", "halflinks"}  # nothing is said of modalities
    results = [
        pipeline(
            **{**CONFIG["base"], "model_kwargs": {"embedding_dim": 8}}, random_seed=seed, evaluator="standard"
        ).metric_results
        for seed in (0, 1)
    ]
    training = Nations().training
    for stratum in ("kind", "halflinks"):
        expected = [breakdown(result, training, by=stratum).set_index(stratum) for result in results]
        chosen = frame[(frame["protocol"] == "standard") & (frame["stratum"] == stratum)].set_index("group")
        assert chosen["count"].to_dict() == expected[0]["count"].to_dict()
        for group in chosen.index:
            mean = numpy.mean([table.loc[group, "mrr"] for table in expected])
            assert chosen.loc[group, "wide"] == pytest.approx(mean)
    assert "MRR by stratum" in study.markdown(directory, strata=True)
    assert "MRR by stratum" not in study.markdown(directory)


def test_plot(finished, tmp_path):
    pytest.importorskip("matplotlib")
    study, directory = finished
    study.plot(directory, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
