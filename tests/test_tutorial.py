"""The tutorial runs from its first cell to its last, in an empty folder and without a network."""

import pathlib
import re

import pytest

PATH = pathlib.Path(__file__).parents[1] / "examples" / "tutorial.ipynb"


def test_tutorial(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers rightly for things that training never saw, the one that comes after training included."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYKEEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(PATH.parents[1]))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "\n".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )
    right, asked = map(int, re.search(r"(\d+) of (\d+) right", said).groups())  # type: ignore[union-attr]
    assert asked == 10 and right >= 8
    trained, rule = map(float, re.findall(r"MRR ([.\d]+)", said)[:2])
    assert trained > rule
    assert said.rstrip().endswith("brown")
