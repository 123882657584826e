"""Layers against their formulas."""

import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pykeen_mmkg.nn.zero_shot.layers import SpectralLinear, UnbiasedLayerNorm, draw_xavier, norm_resolver


def test_spectral_norms() -> None:
    """A spectral map divides by the greatest singular value, and can be pickled."""
    torch.manual_seed(0)
    linear = SpectralLinear(6, 4)
    for _ in range(100):
        linear(torch.randn(2, 6))
    linear.eval()
    x = torch.randn(3, 6)
    expected = x @ linear.weight.T / torch.linalg.matrix_norm(linear.weight, 2) + linear.bias
    assert torch.allclose(linear(x), expected, atol=1e-4)
    copied = pickle.loads(pickle.dumps(linear))
    assert torch.equal(copied.weight, linear.weight) and torch.equal(copied.left, linear.left)
    torch.testing.assert_close(copied(x), linear(x))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=6), st.sampled_from([1e-3, 0.5]))
def test_unbiased_layer_norm(values: list[float], eps: float) -> None:
    """In numbers of Python: d - 1 under the sum of squares, and eps beside the root."""
    norm = UnbiasedLayerNorm(len(values), eps=eps).double()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 1 + len(values)))
        norm.bias.fill_(0.25)
        made = norm(torch.tensor([values, values], dtype=torch.double))
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in values) / (len(values) - 1))
    expected = [(i + 1) * (x - mean) / (deviation + eps) + 0.25 for i, x in enumerate(values)]
    assert made[0].tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(made[0], made[1])


def test_norms_by_name() -> None:
    """torch's by default; one coordinate is no error."""
    assert type(norm_resolver.make(None, normalized_shape=3)) is nn.LayerNorm
    made = norm_resolver.make("unbiasedlayernorm", normalized_shape=3)
    assert isinstance(made, UnbiasedLayerNorm) and made.eps == 1e-3
    assert UnbiasedLayerNorm(1)(torch.tensor([[7.0]])).tolist() == [[0.0]]


def test_xavier() -> None:
    """A deviation of the root of 2 / (in + out), and no bias: .0816 from 200 to 100, where torch's own has .0408."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 40, bias=False), nn.LayerNorm(40))
    first, last = net[0].weight.detach(), net[2].weight.detach()
    assert first.std() == pytest.approx(0.0408, rel=0.02)
    draw_xavier(net)
    assert first.std() == pytest.approx(0.0816, rel=0.02)
    assert last.std() == pytest.approx((2 / 140) ** 0.5, rel=0.05)
    assert not net[0].bias.any() and first.abs().max() > 3 * 0.0816, "normal, not uniform"
