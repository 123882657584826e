"""What depends on private names: it is there, and nowhere else."""

import ast
import importlib
import pathlib

import numpy
import pykeen.version
import pytest
import torch
from pykeen.losses import MarginRankingLoss, SoftplusLoss
from pykeen.pipeline import pipeline
from pykeen.stoppers import EarlyStopper, NopStopper
from pykeen.triples import TriplesFactory

from pykeen_mmkg import _compat
from pykeen_mmkg.errors import DataError
from pykeen_mmkg.features import FeatureStore

PACKAGE = pathlib.Path(_compat.__file__).parent


@pytest.mark.parametrize(("module", "cls"), _compat.HOOKS)
def test_hooks_exist(module: str, cls: str) -> None:
    """The methods that subclasses of ours override."""
    base = getattr(importlib.import_module(module), cls)
    for name in _compat.HOOKS[module, cls]:
        assert callable(getattr(base, name))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_private_name_elsewhere(path: pathlib.Path) -> None:
    """No module but _compat imports a private name of PyKEEN or torch, or reads one from their modules."""
    if path.name == "_compat.py":
        return
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"pykeen", "torch"}:
            found += [alias.name for alias in node.names if alias.name.startswith("_")]
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            name = ast.unparse(node.value)
            if name.split(".")[0] in {"torch", "nn", "functional", "pykeen"}:
                found.append(f"{name}.{node.attr}")
    assert not found


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.11.1", True),
        ("1.11.0", True),
        ("1.10.9", True),
        ("1.11.2-dev", True),
        ("1.11.2", False),
        ("1.11.3-dev", False),
        ("2.0.0", False),
    ],
)
def test_which_versions_ignore_the_default_loss(version: str, expected: bool) -> None:
    assert _compat.ignores_default_loss(version) is expected


def test_later_pipelines_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pipeline minds the default itself, a loss that it hands over is meant."""

    def loss() -> object:
        kwargs = {"modalities": ["structural"], "embedding_dim": 4}
        result = pipeline(
            dataset="nations", model="vlkge", model_kwargs=kwargs, training_kwargs={"num_epochs": 0}, random_seed=0
        )
        return type(result.model.loss)

    monkeypatch.setattr(pykeen.version, "get_version", lambda: "1.11.1")
    assert loss() is SoftplusLoss
    monkeypatch.setattr(pykeen.version, "get_version", lambda: "1.11.2")
    # this pipeline is that of 1.11.1, which makes a loss of its own
    expected = MarginRankingLoss if PIPELINE_IGNORES else SoftplusLoss
    assert loss() is expected


PIPELINE_IGNORES = _compat.ignores_default_loss(pykeen.version.get_version())


def test_gradient_of_distances() -> None:
    """The private function of torch gives the gradient of torch.cdist."""
    torch.manual_seed(0)
    x, y, grad = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4), torch.randn(3, 5)
    distances = torch.cdist(x, y, p=1.0)
    (expected,) = torch.autograd.grad(distances, x, grad)
    torch.testing.assert_close(_compat.cdist_backward(grad, x.detach(), y, 1.0, distances.detach()), expected)


def test_versions_of_tensors() -> None:
    """An in-place change counts."""
    x = torch.zeros(2)
    before = _compat.tensor_version(x)
    x.add_(1)
    assert _compat.tensor_version(x) > before


@pytest.mark.parametrize("stopper", [None, "nop", NopStopper, "early", EarlyStopper])
@pytest.mark.parametrize("model", ["vlkge", "complexn3"])
def test_early_stopping_without_validation(model: str, stopper: object) -> None:
    """PyKEEN's own loop would fail after the first epochs, by a name of its own: our models say so at once."""
    factory = TriplesFactory.from_labeled_triples(numpy.array([["a", "r", "b"], ["b", "r", "c"], ["c", "s", "a"]]))
    store = FeatureStore.from_tensors(["a", "b", "c"], torch.eye(3), modality="textual")
    sources = {"sources": {"features": {"textual": store}}} if model == "vlkge" else {}
    options = dict(training_loop="slcwa", training_kwargs={"num_epochs": 1, "use_tqdm": False}, device="cpu")
    kwargs = dict(training=factory, testing=factory, model=model, model_kwargs=sources, stopper=stopper, **options)
    if stopper in ("early", EarlyStopper):
        with pytest.raises(DataError, match="Early stopping needs validation triples"):
            pipeline(**kwargs)
    else:
        assert pipeline(**kwargs).losses
    assert not _compat.stops_without_validation()
