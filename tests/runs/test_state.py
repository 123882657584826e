"""State dicts without a pickle: what goes in comes out, tensors bit by bit."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pykeen_mmkg.errors import RunError
from pykeen_mmkg.runs.state import flatten_state, restore_state

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text()
    | st.builds(lambda n: torch.arange(n, dtype=torch.float32), st.integers(0, 4))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


def _same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and a == b


@given(st.dictionaries(st.text(), values, max_size=4))
def test_round_trip(state: dict) -> None:
    document, tensors = flatten_state(state)
    assert _same(state, restore_state(json.loads(json.dumps(document)), tensors))


def test_optimizer_and_module() -> None:
    module = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {"model": dict(module.state_dict()), "optimizer": optimizer.state_dict()}
    document, tensors = flatten_state(state)
    restored = restore_state(json.loads(json.dumps(document)), tensors)
    assert _same(state, restored)
    other = torch.optim.Adam(module.parameters())
    other.load_state_dict(restored["optimizer"])


def test_tied_tensors_do_not_share_memory() -> None:
    weight = torch.zeros(2)
    _, tensors = flatten_state({"a": weight, "b": weight})
    assert tensors["a"].data_ptr() != tensors["b"].data_ptr()


def test_reserved_keys_are_kept_apart() -> None:
    state = {"x": {"__tensor__": "y"}, "z": {"__pairs__": 1, "__tuple__": 2}}
    document, tensors = flatten_state(state)
    assert restore_state(document, tensors) == state


def test_what_needs_a_pickle_is_refused() -> None:
    with pytest.raises(RunError, match="'a/b'.*Linear"):
        flatten_state({"a": {"b": nn.Linear(1, 1)}})


def test_a_missing_tensor_is_named() -> None:
    document, _ = flatten_state({"weight": torch.ones(1)})
    with pytest.raises(RunError, match="'weight'"):
        restore_state(document, {})
