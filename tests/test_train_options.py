"""``pykeen train <model>``: what PyKEEN leaves out of the commands of our models."""

import importlib
import inspect
import json
import pathlib
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pykeen.models import model_resolver

from pykeen_mmkg import _bridge
from pykeen_mmkg.errors import DataError
from pykeen_mmkg.models.vlkge import VLKGE
from pykeen_mmkg.train_options import complete_command, parameter_lines

OURS = {name: cls for name, cls in model_resolver.lookup_dict.items() if cls.__module__.startswith("pykeen_mmkg.")}


@pytest.fixture
def build() -> Any:
    from pykeen.models.cli import build_cli_from_cls

    return build_cli_from_cls


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What PyKEEN's pipeline is called with."""
    calls: list[dict[str, Any]] = []

    class Result:
        class metric_results:
            to_dict = staticmethod(dict)

    def pipeline(**kwargs: Any) -> type[Result]:
        calls.append(kwargs)
        return Result

    monkeypatch.setattr("pykeen.pipeline.pipeline", pipeline)
    return calls


@pytest.mark.parametrize("name", OURS)
def test_each_option_has_a_line(name: str, build: Any):
    for option in build(OURS[name]).params:
        assert option.help, f"pykeen train {name}: {option.opts}"


def test_the_lines_are_those_of_the_docstring(build: Any):
    text = " ".join(CliRunner().invoke(build(VLKGE), ["--help"]).output.split())
    assert "The probability with which the structural part of an entity is hidden in a training step" in text
    assert ":class:" not in text and "``" not in text
    assert "--interaction TEXT The interaction, by default vldistmult" in text


def test_the_defaults_are_those_of_the_pipeline(build: Any):
    options = {option.name: option for option in build(VLKGE).params}
    assert options["embedding_dim"].default == inspect.signature(VLKGE).parameters["embedding_dim"].default != 50
    assert options["structural_dropout"].default == 0.0


def test_others_stay_as_they_are(build: Any):
    options = {option.name: option for option in build(model_resolver.lookup("distmult")).params}
    assert options["embedding_dim"].default == 50 and options["batch_size"].help is None


def test_arguments(build: Any, called: list[dict[str, Any]], folder: pathlib.Path, caplog: pytest.LogCaptureFixture):
    """A folder is a dataset; what is not given is left to the model."""
    command = build(VLKGE)
    for given in ([], ["--interaction", "vlcomplex", "--modalities", "structural", "--modalities", "visual"]):
        result = CliRunner().invoke(command, ["--dataset", str(folder), *given, "-I", "-n", "2"])
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout.partition("\n")[2]) == {}
    plain, chosen = called
    assert plain["dataset"].path == folder and plain["dataset"].training.create_inverse_triples
    assert plain["training_kwargs"]["num_epochs"] == 2
    assert plain["model_kwargs"]["embedding_dim"] == 256 and "interaction" not in plain["model_kwargs"]
    assert chosen["model_kwargs"]["interaction"] == "vlcomplex"
    assert list(chosen["model_kwargs"]["modalities"]) == ["structural", "visual"]
    CliRunner().invoke(command, ["--dataset", "wordnetemoji"])
    assert called[2]["dataset"] == "wordnetemoji"


def test_bad_input_is_one_line(build: Any, monkeypatch: pytest.MonkeyPatch):
    def pipeline(**_: Any) -> None:
        raise DataError("x.tsv, line 3: two columns")

    monkeypatch.setattr("pykeen.pipeline.pipeline", pipeline)
    result = CliRunner().invoke(build(VLKGE), ["--dataset", "nations"])
    assert result.exit_code == 2 and "Error: x.tsv, line 3: two columns" in result.output
    assert "Traceback" not in result.output


def test_sentences():
    def function() -> None:
        """Do it.

        :param a: the
            dimension $d$, e.g. 7, of :class:`~some.where.Thing` and ``x``. Not this
        :param b_c: whether: yes
        :returns: nothing
        """

    assert parameter_lines(function) == {"a": "The dimension d, e.g. 7, of Thing and x.", "b_c": "Whether: yes."}


def test_a_model_without_docstrings():
    """What is not described gets no line, and that is no error."""

    class Bare:
        """Bare."""

        def __init__(self, size: int = 3) -> None: ...

    option = click.Option(["--size"], type=int, default=4)
    command = complete_command(click.Command("bare", params=[option], callback=lambda **_: None), Bare)
    assert option.default == 3 and option.help is None and command.help == "Train Bare. Bare."


def test_the_builder_is_wrapped_when_it_is_imported(monkeypatch: pytest.MonkeyPatch):
    """The finder takes part in one import, of this module alone."""
    import pykeen.models.cli.builders as there

    monkeypatch.setitem(sys.modules, there.__name__, there)
    del sys.modules[there.__name__]
    finder = _bridge._CompletedCommands()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    assert finder.find_spec("pykeen.models.cli.options", None) is None and finder in sys.meta_path
    anew = importlib.import_module(there.__name__)
    assert finder not in sys.meta_path
    assert anew.build_cli_from_cls.__wrapped__.__module__ == there.__name__
