"""Studies from YAML and JSON, and options on the command line, that are bombs, loops or nonsense."""

import json
import pathlib
from collections.abc import Callable, Iterator

import pytest

from pykeen_mmkg.study.study import Study

from .harness import Case, Refused, cases, cli, settle

GOOD = {"base": {"dataset": "nations"}, "variants": {"one": {"model": "transe"}}}
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGED = "m0: &m0 {k0: 1}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}], k{i}: 1}}\n" for i in range(1, 12)
)


def _write(name: str, content: str | bytes) -> Callable[[pathlib.Path], pathlib.Path]:
    def make(folder: pathlib.Path) -> pathlib.Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def _texts() -> Iterator[Case]:
    texts = {
        "a bomb of aliases": BOMB + f"variants: *a11\nbase: {json.dumps(GOOD['base'])}\n",
        "a bomb of merges": MERGED + f"variants: *m11\nbase: {json.dumps(GOOD['base'])}\n",
        "a loop": "base: &x\n  dataset: nations\n  more: *x\nvariants: {one: {model: transe, model_kwargs: *x}}\n",
        "a loop alone": "&x [*x]\n",
        "a program": "base: !!python/object/apply:os.mkdir ['it_was_run']\n",
        "an unknown alias": "base: *nothing\n",
        "tabs": "base:\n\tdataset: nations\n",
        "two documents": "base: {}\n---\nbase: {}\n",
        "empty": "",
        "a list": "[]\n",
        "a number": "3\n",
        "deep": "[" * 3000,
        "NUL": "base: {}\0\n",
        "a key that is a list": "? [a]\n: b\n",
    }
    for name, text in texts.items():
        yield Case(f"YAML: {name}", _write("s.yaml", text), Refused("s.yaml"))
    for name, text in {
        "empty": "",
        "half": json.dumps(GOOD)[:-3],
        "deep": "[" * 100_000,
        "a list": "[]",
        "null": "null",
        "latin 1": '{"base": "\u00e9"}'.encode("latin1"),
    }.items():
        yield Case(f"JSON: {name}", _write("s.json", text), Refused("s.json"))


def _keys() -> Iterator[Case]:
    for key, values in {
        "base": (3, [], "nations"),
        "variants": ({}, 3, "one", {"one": 3}, {"one": {"model": "no_such_model"}}, {"one": {"modle": "transe"}}),
        "seeds": ("12", 3, [0, 0], [], ["0"], [0.5], [True]),
        "protocols": (3, ["no_such_protocol"], [{"protocol": "standard", "splt": "testing"}]),
        "bsae": ({},),
    }.items():
        for value in values:
            yield Case(f"{key}={value!r}", _write("s.json", json.dumps({**GOOD, key: value})), Refused("s.json"))


@cases([*_texts(), *_keys()])
def test_study(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settle(case, lambda path: Study.load(path), tmp_path, caplog)
    assert not (tmp_path / "it_was_run").exists()


@pytest.mark.parametrize("value", ["[1]", "3", "null", "{", "", '{"a":}', "[" * 50_000])
def test_json_on_the_command_line(value: str) -> None:
    cli("audit", "nations", "--dataset-kwargs", value, status=2, words=["--dataset-kwargs"])
