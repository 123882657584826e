"""The README's examples run as they stand, but for names of folders, encoders and the number of epochs."""

import json
import pathlib
import re

import pytest
from click.testing import CliRunner

from pykeen_mmkg.cli import main

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_first_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two lines at the top name what PyKEEN finds; a run takes a minute, and is one of the model's own tests."""
    import pykeen.pipeline
    from pykeen.datasets import dataset_resolver
    from pykeen.models import model_resolver

    called: list[dict] = []
    monkeypatch.setattr(pykeen.pipeline, "pipeline", lambda **kwargs: called.append(kwargs))
    exec(PYTHON[0], {})
    assert called == [{"dataset": "wordnetemoji", "model": "latefusion", "random_seed": 0}]
    assert {"wordnetemoji"} <= dataset_resolver.options and {"latefusion"} <= model_resolver.options


def test_first_real_use(folder, dual_encoder, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of one's own, in at most fifteen lines of code."""
    code = PYTHON[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 16
    for old, new in {
        "mygraph": str(folder),
        "openai/clip-vit-base-patch32": str(dual_encoder),
        "some entity": "e7",
        "some relation": "r1",
    }.items():
        assert old in code
        code = code.replace(old, new)
    exec(code, {})
    printed = capsys.readouterr().out
    assert "score" in printed and "evidence" in printed


def test_settings_of_vlkge(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of the example whose figures the table has, which another test runs."""
    import pykeen.pipeline

    called: list[dict] = []
    monkeypatch.setattr(pykeen.pipeline, "pipeline", lambda **kwargs: called.append(kwargs))
    exec(PYTHON[2], {})
    path = pathlib.Path(__file__).parents[1] / "examples" / "wordnet_emoji" / "vlkge_softmax.json"
    example = json.loads(path.read_text(encoding="utf-8"))["pipeline"]
    assert called == [{key: value for key, value in example.items() if not key.startswith("evaluat")}]


def test_commands_exist() -> None:
    """Every command and every option that the README shows."""
    lines = re.findall(r"^pykeen-mmkg ([\w-]+) (.*?)(?:#.*)?$", README, flags=re.MULTILINE)
    shown = {"new", "import-graph", "fetch-images", "split", "audit", "encode", "train", "predict"}
    shown |= {"similar", "export", "serve", "evaluate", "compare", "study", "update", "calibrate"}
    assert {name for name, _ in lines} == shown
    for name, rest in lines:
        text = CliRunner().invoke(main, [name, "--help"]).output
        for option in re.findall(r"--[\w-]+", rest):
            assert option in text, f"pykeen-mmkg {name} has no {option}"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_links(target: str) -> None:
    """Links lead to files of the repository."""
    assert (pathlib.Path(__file__).parents[1] / target).exists()
