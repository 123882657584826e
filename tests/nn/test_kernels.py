"""The kernels against the plain statement of what they compute."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.nn import kernels


def _pairs(k: int, n: int, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(n, (k,)).sort().values, torch.randint(m, (k,))


def _reference(x: torch.Tensor, y: torch.Tensor, p: int, power_norm: bool) -> torch.Tensor:
    distance = (x - y).norm(p=p, dim=-1)
    return distance**p if power_norm else distance


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 6), m=st.integers(1, 9), k=st.integers(0, 30), d=st.integers(1, 9), seed=st.integers(0, 9999))
def test_pairs(n: int, m: int, k: int, d: int, seed: int) -> None:
    """All pair kernels, with repeated and missing rows, and with no pairs at all."""
    torch.manual_seed(seed)
    x, y = torch.randn(n, d, dtype=torch.double), torch.randn(m, d, dtype=torch.double)
    rows, cols = _pairs(k, n, m)
    torch.testing.assert_close(kernels.pair_dot(x, y, rows, cols), (x[rows] * y[cols]).sum(dim=-1))
    for power_norm in (False, True):
        for p in (1, 2):
            expected = _reference(x[rows], y[cols], p, power_norm)
            torch.testing.assert_close(kernels.pair_distance(x, y, rows, cols, p, power_norm), expected)
        torch.testing.assert_close(kernels.pair_euclidean(x, y, rows, cols, power_norm), expected)


@pytest.mark.parametrize("power_norm", [False, True])
@pytest.mark.parametrize("p", [1, 2])
def test_gradients(p: int, power_norm: bool) -> None:
    """The gradients agree with finite differences, over several blocks and with pairs that are close together."""
    torch.manual_seed(0)
    x = torch.randn(4, 3, dtype=torch.double)
    y = torch.randn(6, 3, dtype=torch.double)
    y[2] = x[1] + 0.05
    x.requires_grad_(), y.requires_grad_()
    rows, cols = _pairs(20, 4, 6)
    rows[7:9], cols[7:9] = 1, 2
    rows = rows.sort().values
    assert torch.autograd.gradcheck(lambda x, y: kernels.pair_distance(x, y, rows, cols, p, power_norm), (x, y))
    assert torch.autograd.gradcheck(lambda x, y: kernels.cross_distance(x, y, p, power_norm), (x, y))
    if p == 2:
        assert torch.autograd.gradcheck(lambda x, y: kernels.pair_euclidean(x, y, rows, cols, power_norm), (x, y))
    assert torch.autograd.gradcheck(lambda x, y: kernels.pair_dot(x, y, rows, cols), (x, y))


@pytest.mark.parametrize("numbers", [1, 3, 12, 13])
@pytest.mark.parametrize("p", [1, 2])
def test_blocks(numbers: int, p: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Differences are formed in blocks of whole rows, of which the last may be shorter."""
    monkeypatch.setattr(kernels, "CPU_BLOCK", numbers)
    torch.manual_seed(0)
    x, y = (torch.randn(n, 3, dtype=torch.double, requires_grad=True) for n in (4, 6))
    rows, cols = _pairs(10, 4, 6)
    sizes = [part.stop - part.start for part, _ in kernels._differences(x.detach(), y.detach(), rows, cols)]
    most = max(1, numbers // 3)
    assert sizes == [most] * (10 // most) + [10 % most] * bool(10 % most)
    distance = kernels.pair_distance(x, y, rows, cols, p)
    torch.testing.assert_close(distance, _reference(x[rows], y[cols], p, False))
    assert torch.autograd.gradcheck(lambda x, y: kernels.pair_distance(x, y, rows, cols, p), (x, y))


def test_norms_are_not_raised_unless_asked_for() -> None:
    """The power is an option."""
    torch.manual_seed(0)
    x, y = torch.randn(3, 4, dtype=torch.double), torch.randn(3, 4, dtype=torch.double)
    index, expected = torch.arange(3), (x - y).square().sum(-1).sqrt()
    torch.testing.assert_close(kernels.pair_distance(x, y, index, index, p=2), expected)
    torch.testing.assert_close(kernels.pair_euclidean(x, y, index, index), expected)
    torch.testing.assert_close(kernels.cross_distance(x, y, p=2).diagonal(), expected)
    torch.testing.assert_close(kernels.cross_distance(x[:1], y, p=2, power_norm=True)[0, 0], expected[0] ** 2)


@pytest.mark.parametrize("k", [0, 1, 40])
def test_sparse_way_of_dot_products(k: int) -> None:
    """Few pairs of many rows, listed more than once, are no dense product."""
    torch.manual_seed(0)
    x, y = (torch.randn(n, 3, dtype=torch.double, requires_grad=True) for n in (17, 23))
    rows, cols = torch.randint(3, (k,)).sort().values * 5, torch.randint(2, (k,)) * 22
    assert kernels.DENSE_BELOW * k < 17 * 23
    torch.testing.assert_close(kernels.pair_dot(x, y, rows, cols), (x[rows] * y[cols]).sum(dim=-1))
    assert torch.autograd.gradcheck(lambda x, y: kernels.pair_dot(x, y, rows, cols), (x, y))


def test_only_one_gradient() -> None:
    """A side that needs no gradient gets none, and does not disturb that of the other."""
    x, y = torch.randn(3, 4, dtype=torch.double), torch.randn(5, 4, dtype=torch.double, requires_grad=True)
    rows, cols = _pairs(9, 3, 5)
    for function in (kernels.pair_dot, kernels.pair_euclidean, lambda *a: kernels.pair_distance(*a, p=1)):
        assert torch.autograd.gradcheck(lambda y, f=function: f(x, y, rows, cols), (y,))
    assert torch.autograd.gradcheck(lambda y: kernels.cross_distance(x, y, p=1), (y,))


@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_zero_distance(scale: float) -> None:
    """Equal vectors, also zeros, have the distance zero, exactly, and a gradient of zero, as with torch's norm."""
    x = (scale * torch.randn(3, 8)).requires_grad_()
    index = torch.arange(3)
    for function in (
        lambda x, y: kernels.cross_distance(x, y, p=2).diagonal(),
        lambda x, y: kernels.cross_distance(x, y, p=1).diagonal(),
        lambda x, y: kernels.pair_euclidean(x, y, index, index),
        lambda x, y: kernels.pair_distance(x, y, index, index, p=2),
    ):
        distance = function(x, x.detach().clone())
        assert distance.tolist() == [0.0] * 3
        (gradient,) = torch.autograd.grad(distance.sum(), x)
        assert gradient.count_nonzero() == 0


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_near_duplicates_keep_their_digits(offset: float) -> None:
    """Vectors a millionth apart, at the origin and far from it, where the plain matrix form knows no digit."""
    torch.manual_seed(0)
    x = torch.randn(4, 64) + offset
    shift = torch.linspace(1e-4, 1e-2, 50).unsqueeze(-1) * torch.randn(50, 64)
    y = torch.cat([x[:1] + shift, torch.randn(30, 64) + offset, x])
    exact = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")
    matrix_form = torch.cdist(x, y, compute_mode="use_mm_for_euclid_dist")
    relative = ((kernels.cross_distance(x, y, p=2) - exact).abs() / exact.clamp_min(1e-30))[exact > 0]
    assert relative.max() < 3e-6
    assert ((matrix_form - exact).abs() / exact.clamp_min(1e-30))[exact > 0].max() > 1e-3
    rows, cols = (z.flatten() for z in torch.meshgrid(torch.arange(4), torch.arange(84), indexing="ij"))
    paired = kernels.pair_euclidean(x, y, rows, cols).view(4, 84)
    assert ((paired - exact).abs() / exact.clamp_min(1e-30))[exact > 0].max() < 3e-6


@pytest.mark.parametrize("num_queries", [1, 2, 5, 64])
@pytest.mark.parametrize("threads", [1, 2])
def test_equal_entities_are_tied(num_queries: int, threads: int) -> None:
    """Entities with equal vectors get equal scores, wherever they stand in the table, but for the last digits.

    Whether also the last ones are equal is up to the library's product: MKL with AVX2 and two threads sums the columns
    of one tile in another order than those of the next.
    """
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for n, d in ((101, 200), (101, 768), (6555, 16), (6555, 200)):
            base = torch.randn(n // 3, d)
            y = base[torch.arange(n) % base.shape[0]]
            x = torch.randn(num_queries, d)
            for scores in (kernels.cross_dot(x, y), kernels.cross_distance(x, y, p=2)):
                one, other = scores[:, : n // 3], scores[:, n // 3 : 2 * (n // 3)]
                torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6 * d)
    finally:
        torch.set_num_threads(before)


def test_low_precision_products_do_not_reach_distances() -> None:
    """Neither autocast nor a reduced precision of matrix products costs a distance its digits."""
    torch.manual_seed(0)
    x, y = torch.randn(8, 96), torch.randn(40, 96)
    exact = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist").float()
    rows, cols = _pairs(50, 8, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(kernels.cross_distance(x, y, p=2), exact)
        torch.testing.assert_close(kernels.pair_euclidean(x, y, rows, cols), exact[rows, cols])
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        torch.testing.assert_close(kernels.cross_distance(x, y, p=2), exact)
        torch.testing.assert_close(kernels.cross_distance(x, y, p=2, power_norm=True), exact**2)
        assert kernels.cross_distance(x.half(), y.half(), p=2).dtype == torch.half
    finally:
        torch.set_float32_matmul_precision(before)


FIRST_CALL = """
import warnings, torch
from pykeen_mmkg.nn import kernels
x, index = torch.randn(9, 4, requires_grad=True), torch.arange(9)
assert kernels.DENSE_BELOW * len(index) < 81, "the sparse way"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    kernels.pair_dot(x, x, index, index).sum().backward()
print(*(warning.message for warning in caught))
"""


def test_no_warning_about_sparse_tensors() -> None:
    """torch's note on the beta state of CSR tensors, which comes at a process's first, is not the user's business."""
    process = subprocess.run([sys.executable, "-c", FIRST_CALL], capture_output=True, text=True, check=True)
    assert not process.stdout.strip()


@pytest.mark.parametrize("p", [1, 2])
def test_one_row_is_a_row(p: int) -> None:
    """A single query has the shape and the values of its row among others."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 5, generator=generator) for n in (3, 7))
    assert kernels.cross_distance(x[:1], y, p=p).shape == kernels.cross_dot(x[:1], y).shape == (1, 7)
    torch.testing.assert_close(kernels.cross_distance(x[:1], y, p=p), kernels.cross_distance(x, y, p=p)[:1])
    torch.testing.assert_close(kernels.cross_dot(x[:1], y), kernels.cross_dot(x, y)[:1])


def test_products_of_reduced_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where matrix products may drop digits, distances are those of double precision, rounded."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 64, generator=generator) + 3 for n in (5, 9))
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    expected = kernels.cross_distance(x.double(), y.double(), p=2).float()
    assert kernels.cross_distance(x, y, p=2).equal(expected)
    monkeypatch.undo()
    assert not kernels.cross_distance(x, y, p=2).equal(expected)
