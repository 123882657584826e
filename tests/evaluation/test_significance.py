"""The paired test against scipy and against a plain bootstrap."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pykeen_mmkg.errors import EvaluationError
from pykeen_mmkg.evaluation.significance import holm, paired_test


def test_interval_equals_the_plain_bootstrap():
    generator = numpy.random.default_rng(0)
    first = 1 / generator.integers(1, 20, size=400)
    second = 1 / generator.integers(1, 25, size=400)
    result = paired_test(first, second, num_bootstrap=4_000)
    difference = first - second
    means = [difference[generator.integers(400, size=400)].mean() for _ in range(4_000)]
    assert result.difference == pytest.approx(difference.mean())
    assert (result.low, result.high) == pytest.approx(tuple(numpy.quantile(means, [0.025, 0.975])), abs=0.004)
    assert result.p_value == stats.wilcoxon(first, second, zero_method="pratt").pvalue


def test_equal_models_and_bad_shapes():
    ranks = numpy.array([1.0, 0.5, 0.1])
    assert paired_test(ranks, ranks).p_value == 1.0
    with pytest.raises(EvaluationError, match="same triples"):
        paired_test(ranks, ranks[:2])


def test_a_constant_gain_is_found():
    ranks = numpy.full(50, 0.25)
    result = paired_test(ranks * 2, ranks)
    assert result.difference == pytest.approx(0.25) == result.low == result.high
    assert result.p_value < 1e-6


def test_holm_by_hand():
    # 3 x .01, 2 x .02, 1 x .04
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(deadline=None)
def test_holm_is_monotone_and_at_least_the_raw_value(values):
    adjusted = holm(values)
    order = numpy.argsort(values, kind="stable")
    assert all(0 <= p <= a <= 1 for p, a in zip(values, adjusted, strict=True))
    assert (numpy.diff(numpy.array(adjusted)[order]) >= 0).all()
