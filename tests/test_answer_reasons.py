"""Reasons in words, on a graph by hand."""

import json
import pathlib

import numpy
import pytest
from click.testing import CliRunner
from pykeen.models import TransE
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

from pykeen_mmkg.answer_reasons import reasons
from pykeen_mmkg.cli import main
from pykeen_mmkg.errors import DataError
from pykeen_mmkg.models.evidence import Evidence
from pykeen_mmkg.models.late_fusion import LateFusion
from pykeen_mmkg.predict import Predictor
from pykeen_mmkg.runs import save_run

#: whoever is married has the other as a relative; relatives of relatives are friends
ROWS = [(f"a{i}", "married", f"b{i}") for i in range(8)] + [(f"b{i}", "relative", f"a{i}") for i in range(7)]


@pytest.fixture(scope="module")
def training() -> TriplesFactory:
    return TriplesFactory.from_labeled_triples(numpy.array(ROWS))


@pytest.mark.parametrize("fused", [False, True])
def test_in_words(training: TriplesFactory, fused: bool) -> None:
    """The triple of the other relation speaks for it, as training has it, whichever side is asked for."""
    model = Evidence(triples_factory=training, parts=["link", "path"])
    if fused:
        kwargs = {"evidence": {"model_kwargs": {"parts": ["link", "path"]}}}
        model = LateFusion(triples_factory=training, scorers=kwargs, held_out_entities=0.0)
    predictor = Predictor(model.eval(), training)
    for query, answer in (
        ({"head": "b7", "relation": "relative"}, "a7"),
        ({"relation": "relative", "tail": "a7"}, "b7"),
    ):
        table = reasons(predictor, query, answer)
        assert table is not None and table.columns.tolist() == ["part", "strength", "reason"]
        assert table["reason"].tolist() == ["a7 | married | b7"] and table["part"].tolist() == ["link"]
        # seven of eight pairs, and five that discount
        assert table["strength"].tolist() == pytest.approx([7 / 13])


def test_errors(training: TriplesFactory) -> None:
    """What cannot be said is told, and a model without evidence has none."""
    predictor = Predictor(Evidence(triples_factory=training, parts=["link"]).eval(), training)
    with pytest.raises(DataError, match="'nobody'"):
        reasons(predictor, {"head": "b7", "relation": "relative"}, "nobody")
    with pytest.raises(DataError, match="not for relations"):
        reasons(predictor, {"head": "b7", "tail": "a7"}, "relative")
    assert (
        reasons(Predictor(TransE(triples_factory=training), training), {"head": "b7", "relation": "relative"}, "a7")
        is None
    )


def test_command(tmp_path: pathlib.Path) -> None:
    """`predict --explain` says why the first answer is the first, also in JSON lines."""
    (tmp_path / "train.tsv").write_text("".join("\t".join(row) + "\n" for row in ROWS))
    (tmp_path / "test.tsv").write_text("b7\trelative\ta7\n")
    kwargs = {"parts": ["link"]}
    options = dict(training_kwargs={"num_epochs": 0}, evaluation_kwargs={"use_tqdm": False}, device="cpu")
    result = pipeline(
        dataset="multimodal", dataset_kwargs={"path": str(tmp_path)}, model="evidence", model_kwargs=kwargs, **options
    )
    save_run(result, tmp_path / "run")
    common = ["predict", str(tmp_path / "run"), "--explain", "-k", "2"]
    shown = CliRunner().invoke(main, [*common, "--head", "b7", "--relation", "relative"])
    assert shown.exit_code == 0 and "a7 | married | b7" in shown.output, shown.output
    (tmp_path / "queries.tsv").write_text("b7\trelative\t?\n")
    shown = CliRunner().invoke(main, [*common, "--queries", str(tmp_path / "queries.tsv")])
    assert json.loads(shown.stdout)["reasons"][0]["reason"] == "a7 | married | b7"
