"""The lazy Adam: rows of a sparse gradient as by torch's SparseAdam, dense gradients as by torch's Adam."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.optimizers import optimizer_resolver
from torch.nn import functional

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.lazy_adam import LazyAdam


def _train(optimizer: Any, table: torch.Tensor, matrix: torch.Tensor, batches: list[list[int]], sparse: bool) -> None:
    for batch in batches:
        optimizer.zero_grad()
        rows = functional.embedding(torch.tensor(batch), table, sparse=sparse)
        (rows @ matrix).square().sum().backward()
        optimizer.step()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=5), min_size=1, max_size=4))
def test_rows_as_by_sparse_adam(batches: list[list[int]]) -> None:
    """With repeated rows, too; the matrix, whose gradient is dense, as by Adam."""
    initial, mixer = torch.linspace(-1, 1, 14).reshape(7, 2), torch.tensor([[1.0, 0.5], [-0.3, 2.0]])
    table, matrix = torch.nn.Parameter(initial.clone()), torch.nn.Parameter(mixer.clone())
    _train(LazyAdam([table, matrix], lr=0.1), table, matrix, batches, sparse=True)
    other, second = torch.nn.Parameter(initial.clone()), torch.nn.Parameter(mixer.clone())
    rows, dense = torch.optim.SparseAdam([other], lr=0.1), torch.optim.Adam([second], lr=0.1)
    for batch in batches:
        other.grad = second.grad = None
        values = functional.embedding(torch.tensor(batch), other, sparse=True)
        (values @ second).square().sum().backward()
        rows.step()
        dense.step()
    torch.testing.assert_close(table, other)
    torch.testing.assert_close(matrix, second)
    outside = sorted(set(range(7)) - {row for batch in batches for row in batch})
    assert torch.equal(table[outside], initial[outside])


def test_dense_gradients_as_by_adam() -> None:
    """Bit by bit."""
    results = []
    for cls in (LazyAdam, torch.optim.Adam):
        table, matrix = torch.nn.Parameter(torch.ones(5, 2)), torch.nn.Parameter(torch.eye(2))
        _train(cls([table, matrix], lr=0.1), table, matrix, [[0, 1], [1, 4]], sparse=False)
        results.append((table, matrix))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_state_is_resumed() -> None:
    """Two steps at once are one, saved and loaded, and another one; the gradient is left where it was."""
    whole, parts = torch.nn.Parameter(torch.ones(5, 2)), torch.nn.Parameter(torch.ones(5, 2))
    matrix = torch.eye(2)
    _train(LazyAdam([whole]), whole, matrix, [[0, 1], [1, 4]], sparse=True)
    first = LazyAdam([parts])
    _train(first, parts, matrix, [[0, 1]], sparse=True)
    assert parts.grad is not None and parts.grad.is_sparse
    second = LazyAdam([parts])
    second.load_state_dict(first.state_dict())
    _train(second, parts, matrix, [[1, 4]], sparse=True)
    assert torch.equal(whole, parts)


def test_closure_and_ascent() -> None:
    """The loss of a closure is returned; with `maximize` the step goes up."""
    up, down = torch.nn.Parameter(torch.ones(3, 1)), torch.nn.Parameter(torch.ones(3, 1))
    for table, maximize in ((up, True), (down, False)):
        optimizer = LazyAdam([table], lr=0.1, maximize=maximize)

        def loss(table: torch.Tensor = table) -> torch.Tensor:
            value = functional.embedding(torch.tensor([1]), table, sparse=True).sum()
            value.backward()
            return value.detach()

        assert float(optimizer.step(loss)) == 1.0
    assert torch.allclose(up.flatten(), torch.tensor([1.0, 1.1, 1.0]))
    assert torch.allclose(down.flatten(), torch.tensor([1.0, 0.9, 1.0]))


@pytest.mark.parametrize("options", [{"weight_decay": 0.1}, {"amsgrad": True}, {"fused": True}, {"lr": -1.0}])
def test_refused_options(options: dict[str, Any]) -> None:
    """What rows that rest cannot honour is an error before anything is trained."""
    with pytest.raises(MultimodalError, match=next(iter(options))):
        LazyAdam([torch.nn.Parameter(torch.ones(2))], **options)


def test_found_by_name() -> None:
    """PyKEEN's resolver knows it."""
    assert optimizer_resolver.lookup("lazyadam") is LazyAdam
