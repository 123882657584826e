"""Sparse gradients: the same training as with dense ones, where the optimizer allows, and dense ones where not."""

from typing import Any

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.nn.representation import Embedding
from pykeen.optimizers import optimizer_resolver
from pykeen.training import SLCWATrainingLoop
from pykeen.training.callbacks import GradientNormClippingTrainingCallback

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.complex_n3 import ComplExN3
from pykeen_mmkg.models.vlkge import VLKGE
from pykeen_mmkg.training import sparse_gradients as module
from pykeen_mmkg.training.sampled_softmax import SampledSoftmaxTrainingLoop
from pykeen_mmkg.training.sparse_gradients import sparse_gradients, takes_sparse

FACTORY = Nations().training
FACTORY = FACTORY.clone_and_exchange_triples(FACTORY.mapped_triples[::40])
FEATURES = FeatureStore.from_tensors(FACTORY.entity_to_id, torch.randn(14, 4), modality="textual")


def _model(sparse: bool | None = None, interaction: str = "vldistmult") -> VLKGE:
    options: dict[str, Any] = {"structural_kwargs": {"sparse": sparse}}
    if interaction in {"vlcomplex", "vlrotate"}:
        options["imaginary_kwargs"] = {"sparse": sparse}
    return VLKGE(
        triples_factory=FACTORY,
        embedding_dim=4,
        interaction=interaction,
        sources={"features": {"textual": FEATURES}},
        representation_kwargs=options,
        random_seed=0,
    )


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the gradient of each parameter was sparse in each step."""
    seen: list[bool] = []
    for cls in (torch.optim.Adagrad, torch.optim.SGD, optimizer_resolver.lookup("lazyadam")):
        original = cls.step

        def step(self: Any, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            seen.extend(p.grad.is_sparse for group in self.param_groups for p in group["params"] if p.grad is not None)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(cls, "step", step)
    return seen


def _train(model: Any, optimizer: str = "adagrad", options: Any = None, loop: Any = SLCWATrainingLoop, **kwargs) -> Any:
    torch.manual_seed(1)
    made = optimizer_resolver.make(optimizer, options, params=model.get_grad_params(), lr=0.05)
    # few triples in a batch, so that it does not have all rows
    trainer = loop(model=model, triples_factory=FACTORY, optimizer=made)
    trainer.train(FACTORY, num_epochs=1, batch_size=2, use_tqdm=False, **kwargs)
    return model.state_dict()


@pytest.mark.parametrize("interaction", ["vldistmult", "vltranse", "vlcomplex", "vlrotate"])
@pytest.mark.parametrize("optimizer", ["adagrad", "sgd"])
def test_as_dense(interaction: str, optimizer: str, steps: list[bool]) -> None:
    """A training with sparse gradients ends where one with dense ones does."""
    dense = _train(_model(False, interaction), optimizer)
    assert not any(steps)
    sparse = _train(_model(True, interaction), optimizer)
    assert any(steps)
    assert dense.keys() == sparse.keys()
    for name in dense:
        torch.testing.assert_close(sparse[name], dense[name], rtol=1e-4, atol=1e-5)


def test_sampled_softmax_with_a_penalty(steps: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another loop, a regularizer of the looked-up rows, and a model without the option: large tables by themselves."""
    results = []
    for rows in (1000, 1):
        monkeypatch.setattr(module, "MIN_ROWS", rows)
        model = ComplExN3(triples_factory=FACTORY, embedding_dim=4, random_seed=0)
        results.append(_train(model, loop=SampledSoftmaxTrainingLoop))
        assert any(steps) == (rows == 1)
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, rtol=1e-4, atol=1e-5)


def _made(model: Any, optimizer: str = "adagrad", **options: Any) -> Any:
    return optimizer_resolver.make(optimizer, options, params=model.get_grad_params(), lr=0.05)


def test_by_size_and_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables and other optimizers have dense gradients."""
    model = _model()
    with sparse_gradients(model, _made(model), {}) as tables:
        assert not tables
    monkeypatch.setattr(module, "MIN_ROWS", 10)
    for optimizer in (
        _made(model, "adam"),
        _made(model, "sgd", momentum=0.9),
        _made(model, fused=True),
        _made(model, weight_decay=0.1),
        None,
    ):
        with sparse_gradients(model, optimizer, {}) as tables:
            assert not tables
    for optimizer in (_made(model), _made(model, "lazyadam"), _made(model, lr_decay=0.1)):
        with sparse_gradients(model, optimizer, {}) as tables:
            assert len(tables) == 2, "of entities and of relations"
    refused = _model(False)
    with sparse_gradients(refused, _made(refused), {}) as tables:
        assert refused.entity_representations[0].parts["structural"] not in tables


def test_as_without_the_option(steps: list[bool]) -> None:
    """A small graph is trained bit by bit as ever."""
    default, dense = _train(_model()), _train(_model(False))
    assert not any(steps)
    assert all(torch.equal(default[name], dense[name]) for name in dense)


def test_lazy_adam(steps: list[bool]) -> None:
    """The lazy Adam trains with sparse gradients."""
    model = _model(True)
    before = model.state_dict()["entity_representations.0.parts.structural._embeddings.weight"].clone()
    after = _train(model, "lazyadam")["entity_representations.0.parts.structural._embeddings.weight"]
    assert any(steps) and not torch.equal(before, after)


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_clipping_max_norm": 1.0},
        {"gradient_clipping_max_abs_value": 1.0},
        {"callbacks": "gradient_norm_clipping", "callbacks_kwargs": {"max_norm": 1.0}},
        {"callbacks": GradientNormClippingTrainingCallback},
        {"callbacks": [None, GradientNormClippingTrainingCallback(max_norm=1.0)]},
    ],
)
def test_clipping(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Clipped gradients are dense, by themselves; asked to be sparse, the training does not begin."""
    monkeypatch.setattr(module, "MIN_ROWS", 10)
    model = _model()
    with sparse_gradients(model, _made(model), options) as tables:
        assert not tables
    asked = _model(True)
    with pytest.raises(MultimodalError, match="clipping"), sparse_gradients(asked, _made(asked), options):
        pass
    with sparse_gradients(model, _made(model), {"callbacks": ["tracker"]}) as tables:
        assert tables


def test_asked_of_an_optimizer_that_cannot() -> None:
    """The message names the optimizer, and those that can."""
    with pytest.raises(MultimodalError, match="Adam .*lazyadam"):
        _train(_model(True), "adam")


def test_afterwards_all_is_as_before() -> None:
    """Also after an error."""
    model = _model(True)
    optimizer = torch.optim.Adagrad(model.get_grad_params())
    with pytest.raises(KeyError), sparse_gradients(model, optimizer, {}) as tables:
        assert tables == [model.entity_representations[0].parts["structural"]]
        assert all(table._embeddings.sparse for table in tables)
        raise KeyError
    assert not any(m._embeddings.sparse for m in model.modules() if isinstance(m, Embedding))


def test_takes_sparse() -> None:
    """Without what makes a difference between sparse and dense gradients."""
    parameters = [torch.nn.Parameter(torch.ones(2))]
    assert takes_sparse(torch.optim.SGD(parameters, lr=1.0))
    assert not takes_sparse(torch.optim.SGD(parameters, lr=1.0, momentum=0.1))
    assert not takes_sparse(torch.optim.RMSprop(parameters))
