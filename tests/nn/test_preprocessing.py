"""Centering, whitening and imputation against formulas written out by hand."""

import math

import pytest
import torch

from pykeen_mmkg.errors import FeatureError
from pykeen_mmkg.nn.preprocessing import aligned, center, impute, preprocess, stand_ins, whiten

X = torch.tensor([[3.0, 0.0], [0.0, 2.0], [100.0, 100.0], [0.0, 0.0]])
MASK = torch.tensor([True, True, False, False])


def test_center() -> None:
    """Two unit vectors, minus their mean (1/2, 1/2), at unit length; rows that are no features count for nothing."""
    s = math.sqrt(0.5)
    torch.testing.assert_close(center(X, MASK), torch.tensor([[s, -s], [-s, s], [0.0, 0.0], [0.0, 0.0]]))


def test_nothing_at_all() -> None:
    """Without any feature everything is zero, and nothing is NaN."""
    none = torch.zeros(4, dtype=torch.bool)
    for result in (center(X, none), whiten(X, none), preprocess(X, none, X, MASK)[0]):
        assert result.eq(0).all()


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
def test_whiten(power: float) -> None:
    """In the principal axes, each variance is scaled to v * (v + .01 * mean) ** (-2 * power)."""
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ torch.diag(
        torch.tensor([3.0, 1.0, 0.2], dtype=torch.float64)
    )
    mask = torch.arange(200) < 150
    unit = x / x.norm(dim=-1, keepdim=True)
    unit = unit - unit[:150].mean(dim=0)
    u, s, _ = torch.linalg.svd(unit[:150].T @ unit[:150] / 150)
    expected = unit @ u @ torch.diag((s + 0.01 * s.mean()) ** -power)
    expected = expected / expected.norm(dim=-1, keepdim=True)
    actual = whiten(x, mask, power=power)
    # axes have no sign and no order: inner products do not care
    torch.testing.assert_close((actual @ actual.T)[:150, :150], (expected @ expected.T)[:150, :150])
    assert actual[150:].eq(0).all()


def test_impute_kernel() -> None:
    """The estimate is the softmax average over those that have both, at unit length."""
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [0.0, 0.0], [0.6, 0.8]])
    mask = torch.tensor([True, True, False, False, True])
    v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [0.0, 0.0], [7.0, 7.0]])
    v = torch.nn.functional.pad(v, (0, 1))  # a space of its own
    has = torch.tensor([True, True, True, False, False])
    y, known = impute(x, mask, v, has, temperature=0.5)
    a, b = math.exp(0.8 / 0.5), math.exp(0.6 / 0.5)
    torch.testing.assert_close(y[2], torch.tensor([a, b]) / math.hypot(a, b))
    torch.testing.assert_close(y[[0, 1, 3, 4]], x[[0, 1, 3, 4]])
    assert known.tolist() == [True, True, True, False, True]
    torch.testing.assert_close(impute(x, mask, v, has, temperature=0.5, chunk_size=1)[0], y)


def test_impute_kernel_of_an_aligned_encoder() -> None:
    """Where pictures and texts share a space, the likeness to the texts counts as well."""
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    v = torch.tensor([[0.6, 0.8], [-0.6, 0.8], [0.8, -0.6]])
    mask, has = torch.tensor([True, True, False]), torch.ones(3, dtype=torch.bool)
    y, _ = impute(x, mask, v, has, temperature=0.5, cross_temperature=0.25)
    # likeness to the pictures: 0 and -0.96; to the texts: 0.8 and -0.6
    a, b = math.exp(0.8 / 0.25), math.exp(-0.96 / 0.5 - 0.6 / 0.25)
    torch.testing.assert_close(y[2], torch.tensor([a, b]) / math.hypot(a, b))
    assert aligned(v[:2], x[:2])
    assert not aligned(-v[:2], x[:2]) and not aligned(v[:2, :1], x[:2]) and not aligned(v[:0], x[:0])


def test_impute_ridge() -> None:
    """One dimension: the weight is sum(v x) / (sum(v v) + lambda)."""
    x, v = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 0.0]]), torch.tensor([[1.0], [2.0], [-1.0]])
    mask, has = torch.tensor([True, True, False]), torch.tensor([True, True, True])
    y, _ = impute(x, mask, v, has, method="ridge", ridge=3.0)
    estimate = -torch.tensor([1 + 2 * 3, 2 - 2 * 1.0]) / (1 + 4 + 3)
    torch.testing.assert_close(y[2], estimate / estimate.norm())
    # the constant matters once there are two dimensions
    v = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0]])
    y, _ = impute(x, mask, v, has, method="ridge", ridge=3.0)
    w = torch.linalg.inv(v[:2].T @ v[:2] + 3 * torch.eye(2)) @ v[:2].T @ x[:2]
    torch.testing.assert_close(y[2], (v[2] @ w) / (v[2] @ w).norm())


def test_impute_needs_both() -> None:
    """Without an entity that has both there is nothing to learn from; an unknown method is an error."""
    other = torch.tensor([False, False, True, True])
    y, known = impute(X, MASK, X, other)
    assert y.equal(X) and known.equal(MASK)
    with pytest.raises(FeatureError, match="kernel, ridge"):
        impute(X, MASK, X, MASK, method="mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("whitening", [None, 0.5])
def test_preprocess(whitening: float | None) -> None:
    """Both modalities are treated alike before one is estimated from the other."""
    generator = torch.Generator().manual_seed(1)
    x, v = torch.randn(9, 3, generator=generator), torch.randn(9, 4, generator=generator)
    mask, has = torch.arange(9) < 6, torch.arange(9) > 2
    y, known = preprocess(x, mask, v, has, whitening=whitening)
    each = center if whitening is None else whiten
    expected, expected_known = impute(each(x, mask), mask, each(v, has), has)
    torch.testing.assert_close(y, expected)
    assert known.equal(expected_known) and known.all()
    plain, same = preprocess(x, mask, v, has, imputation=None, whitening=whitening)
    torch.testing.assert_close(plain, each(x, mask))
    assert same.equal(mask)


def test_stand_ins() -> None:
    """The weights of the kernel: with all of them, their average is the estimate; with fewer, the greatest are left."""
    generator = torch.Generator().manual_seed(2)
    x, v = (torch.nn.functional.normalize(torch.randn(9, d, generator=generator), dim=-1) for d in (3, 4))
    mask, has = torch.arange(9) < 6, torch.arange(9) > 2
    y, _ = impute(x, mask, v, has)
    found = stand_ins(x, mask, v, has)
    assert found.ids.tolist() == [6, 7, 8] and found.others.shape == (3, 3)
    assert mask[found.others].all() and has[found.others].all()
    average = torch.einsum("mk,mkd->md", found.weights, x[found.others])
    torch.testing.assert_close(torch.nn.functional.normalize(average, dim=-1), y[6:])
    few = stand_ins(x, mask, v, has, best=2, chunk_size=2)
    torch.testing.assert_close(few.weights, found.weights.topk(2, dim=-1).values)
    assert len(stand_ins(x, mask, v, ~mask).ids) == 0
    assert stand_ins(x, torch.ones_like(mask), v, has).others.shape[0] == 0
