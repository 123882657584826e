"""The table of benchmarks, and the command that prints it."""

import dataclasses

import pytest
from click.testing import CliRunner
from docdata import get_docdata

from pykeen_mmkg.cli import main
from pykeen_mmkg.datasets.benchmarks import BENCHMARKS, MKGW, DB15k, WikiZS, WN9Img, select_benchmarks
from pykeen_mmkg.datasets.benchmarks.facts import facts_of, facts_table
from pykeen_mmkg.errors import DataError

from .conftest import ROOT


def test_facts_are_those_of_the_docdata():
    facts = dataclasses.asdict(facts_of(DB15k))
    data = get_docdata(DB15k)
    assert facts["key"] == "db15k"
    assert {name: facts[name] for name in ("validation", "testing")} == {"validation": 7481, "testing": 9902}
    assert facts["leaks"] == data["leaks"]
    assert facts["images"].startswith("MMKB")
    assert facts_of(WikiZS).entity_text is None


def test_table():
    sizes, origins = facts_table([WN9Img, MKGW, WikiZS], "github").split("\n\n")
    rows = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]] for row in sizes.splitlines()}
    assert rows["wn9img"] == ["6,555", "9", "11,741", "1,337", "1,319", "all", "0"]
    assert rows["mkgw"] == ["15,000", "169", "34,196", "4,276", "4,274", "all", "all"]
    assert rows["wikizs"][-2:] == ["?", "all"]
    assert "89.9 %" in origins
    assert len(origins.splitlines()) == 2 + 3


def test_selection():
    assert select_benchmarks(["DB15K", "wn9img"]) == (DB15k, WN9Img)
    assert select_benchmarks() == BENCHMARKS
    with pytest.raises(DataError, match="'wn18' is no benchmark; there are wn9img, "):
        select_benchmarks(["wn9img", "wn18"])


def test_command():
    runner = CliRunner()
    result = runner.invoke(main, ["datasets"], catch_exceptions=False)
    assert result.exit_code == 0
    assert all(cls.__name__.lower() in result.output for cls in BENCHMARKS)
    assert "wn9img" not in runner.invoke(main, ["datasets", "db15k"], catch_exceptions=False).output
    result = runner.invoke(main, ["datasets", "--audit", "mkgy"])
    assert result.exit_code == 2
    assert "cannot be made" in result.output


def test_documentation_has_the_present_table():
    """``pykeen-mmkg datasets --format github``."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert facts_table(BENCHMARKS, "github") in text
