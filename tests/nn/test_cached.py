"""Computed once per evaluation, and never stale."""

import pickle
from collections.abc import Callable

import pytest
import torch
from pykeen.typing import FloatTensor, LongTensor

from pykeen_mmkg.nn.cached import CachedRepresentation, needed_rows


class Computed(CachedRepresentation):
    """A table times a matrix; it notes which rows were computed."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(max_id=10, shape=3, **kwargs)  # type: ignore[arg-type]
        self.table = torch.nn.Embedding(10, 4)
        self.linear = torch.nn.Linear(4, 3)
        self.calls: list[list[int]] = []

    def _plain_forward(self, indices: LongTensor | None = None) -> FloatTensor:
        self.calls.append(list(range(10)) if indices is None else indices.flatten().tolist())
        return self.linear(self.table.weight if indices is None else self.table(indices))

    def reset_parameters(self) -> None:
        super().reset_parameters()
        # through .data, as PyKEEN's Embedding does it: invisible to the version counter
        self.table.weight.data = self.table.weight.data.normal_()

    def truth(self) -> FloatTensor:
        return (self.table.weight @ self.linear.weight.T + self.linear.bias).detach()


INDICES = torch.tensor([[3, 3], [9, 0]])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_once_per_evaluation(mode: Callable) -> None:
    representation = Computed().eval()
    with mode():
        for _ in range(3):
            torch.testing.assert_close(representation(None), representation.truth())
            torch.testing.assert_close(representation(INDICES), representation.truth()[INDICES])
            representation.eval()  # PyKEEN's predict methods do this for each batch
    assert representation.calls == [list(range(10))]


def test_trains_after_inference_mode() -> None:
    """What inference mode has left behind must not reach autograd."""
    representation = Computed().eval()
    with torch.inference_mode():
        representation(INDICES)
    assert representation._table is not None and not representation._table.values.is_inference()
    # gradients in evaluation mode: computed anew
    representation(INDICES).sum().backward()
    assert representation.table.weight.grad is not None
    representation.train()
    representation(INDICES).sum().backward()


def optimizer_step(representation: Computed) -> None:
    optimizer = torch.optim.Adagrad(representation.parameters(), lr=0.1)
    representation(INDICES).sum().backward()
    optimizer.step()


def load(representation: Computed) -> None:
    representation.load_state_dict(Computed().state_dict())


def load_through_parent(representation: Computed) -> None:
    parent = torch.nn.Sequential(representation)
    parent.load_state_dict(torch.nn.Sequential(Computed()).state_dict())


def train_and_back(representation: Computed) -> None:
    representation.train()
    representation.table.weight.data.add_(1)
    representation.eval()


def update(representation: Computed) -> None:
    representation.table.weight.data.add_(1)
    representation.post_parameter_update()


def replace(representation: Computed) -> None:
    representation.linear = torch.nn.Linear(4, 3)


def in_place(representation: Computed) -> None:
    with torch.no_grad():
        representation.linear.bias.add_(1)


def drop(representation: Computed) -> None:
    representation.table.weight.data.add_(1)
    representation.drop_cache()


@pytest.mark.parametrize(
    "change",
    [optimizer_step, load, load_through_parent, train_and_back, update, replace, in_place, drop]
    + [Computed.reset_parameters, Computed.double],
)
def test_never_stale(change: Callable[[Computed], object]) -> None:
    representation = Computed().eval()
    with torch.inference_mode():
        before = representation(INDICES).clone()
    change(representation)
    with torch.inference_mode():
        after = representation(INDICES)
        torch.testing.assert_close(after, representation.truth()[INDICES])
        if change is not Computed.double:
            assert not torch.equal(after, before)
        assert after.dtype == representation.table.weight.dtype


def test_whoever_writes_into_the_table_spoils_nothing() -> None:
    representation = Computed().eval()
    with torch.no_grad():
        representation(None).zero_()
        torch.testing.assert_close(representation(None), representation.truth())


def test_autocast_has_its_own_table() -> None:
    representation = Computed().eval()
    with torch.no_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert representation(None).dtype == torch.bfloat16
        assert representation(None).dtype == torch.float


def test_neither_pickled_nor_state() -> None:
    representation = Computed().eval()
    keys = set(representation.state_dict())
    with torch.no_grad():
        representation(None)
    assert set(representation.state_dict()) == keys
    assert representation._table is not None
    assert pickle.loads(pickle.dumps(representation))._table is None
    assert representation._table is not None


def test_in_chunks() -> None:
    representation = Computed(chunk_size=4).eval()
    with torch.no_grad():
        torch.testing.assert_close(representation(None), representation.truth())
    assert representation.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_without_cache() -> None:
    representation = Computed(eval_cache=False).eval()
    with torch.no_grad():
        representation(INDICES)
        representation(INDICES)
    assert len(representation.calls) == 2


@pytest.mark.parametrize("indices", [torch.tensor([[3, 3], [9, 0]]), torch.arange(1, 10).repeat(2)])
def test_training_computes_rows_once(indices: torch.Tensor) -> None:
    """Unique rows, or all of them, give the same values and gradients as every row on its own."""
    gradients, values = [], []
    weights = torch.randn(*indices.shape, 3)
    torch.manual_seed(0)
    representation = Computed()
    for unique in (True, False):
        representation.unique = unique
        representation.zero_grad()
        representation.calls.clear()
        x = representation(indices)
        (x * weights).sum().backward()
        values.append(x)
        gradients.append([p.grad for p in representation.parameters()])
        if unique:
            assert representation.calls == [[0, 3, 9] if indices.ndim == 2 else list(range(10))]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


def test_normalizer_regularizer_dropout() -> None:
    """They do what they do in PyKEEN's representations."""
    representation = Computed(normalizer="normalize", regularizer="lp", dropout=0.5)
    x = representation(INDICES)
    assert (x == 0).any()
    assert representation.regularizer.pop_regularization_term().item() == pytest.approx(1.0)  # unit vectors
    representation.eval()
    with torch.no_grad():
        x = representation(INDICES)
    torch.testing.assert_close(x.norm(dim=-1), torch.ones(2, 2))
    assert len(representation.calls) == 2


def test_complex_dropout() -> None:
    class Complex(Computed):
        def _plain_forward(self, indices: LongTensor | None = None) -> FloatTensor:
            x = super()._plain_forward(indices)
            return torch.complex(x, x + 1)

    x = Complex(dropout=0.5)(torch.arange(10))
    assert torch.equal(x.real == 0, x.imag == 0)
    assert 0 < (x == 0).float().mean() < 1


@pytest.mark.parametrize(("share", "whole"), [(0.0, True), (0.75, True), (0.76, False), (1.1, False)])
def test_needed_rows(share: float, whole: bool) -> None:
    """Three of four rows: all are computed up to that share; either way each index finds its row."""
    ids = torch.tensor([[3, 1], [1, 3], [0, 3]])
    rows, positions = needed_rows(ids, max_id=4, share=share)
    assert (rows is None) == whole
    assert positions.shape == ids.shape
    rows = torch.arange(4) if rows is None else rows
    assert rows.tolist() == ([0, 1, 2, 3] if whole else [0, 1, 3])
    assert torch.equal(rows[positions], ids)


def test_moved_to_where_it_is() -> None:
    """PyKEEN's evaluators move the model each time: the table is kept, unless the move changes something."""
    representation = Computed().eval()
    with torch.no_grad():
        for _ in range(2):
            representation.to(torch.device("cpu"))
            representation(None)
        assert len(representation.calls) == 1
        representation.to(torch.float64)
        assert representation._table is None
        assert representation(None).dtype == torch.float64
        representation.linear.weight.data = representation.linear.weight.data + 1
        representation.to(torch.device("cpu"))
        torch.testing.assert_close(representation(None), representation.truth())


@pytest.mark.parametrize("max_id", [40, 1000])
def test_rows_that_are_needed(max_id: int) -> None:
    """Sorted unique rows and the place of each index, whether rows are marked or indices sorted."""
    indices = torch.randint(max_id, (4, 6), generator=torch.Generator().manual_seed(0))
    rows, positions = needed_rows(indices, max_id)
    assert rows is not None and rows.tolist() == sorted(set(indices.flatten().tolist()))
    assert torch.equal(rows[positions], indices)


def test_rows_that_are_unique_already() -> None:
    """They are computed as they are, with the gradients of any others."""
    representation = Computed()
    for indices in ([1, 4, 6], [6, 1, 4], [1, 1, 6]):
        representation.zero_grad()
        representation(torch.tensor(indices)).sum().backward()
        expected = torch.zeros(10)
        for i in indices:
            expected[i] += 1
        assert torch.equal(representation.table.weight.grad.ne(0).any(dim=-1), expected.gt(0))
        assert representation.calls[-1] == sorted(set(indices))
