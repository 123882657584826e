"""Significance of the difference between two models, beyond what the choice of test triples explains."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from scipy import stats

from ..errors import EvaluationError

__all__ = ["PairedTest", "holm", "paired_test"]


@dataclass(frozen=True)
class PairedTest:
    """A comparison of two models on the same ranked triples.

    :param difference: mean reciprocal rank of the first minus that of the second
    :param low: lower end of the bootstrap interval of the difference
    :param high: upper end of it
    :param p_value: of the Wilcoxon signed-rank test, two-sided
    """

    difference: float
    low: float
    high: float
    p_value: float


def paired_test(
    first: numpy.ndarray, second: numpy.ndarray, level: float = 0.95, num_bootstrap: int = 2_000, seed: int = 0
) -> PairedTest:
    """Compare the reciprocal ranks of the same triples.

    The Wilcoxon signed-rank test (Wilcoxon, 1945) takes the differences by rank, those of zero after the method of
    Pratt (1959); the interval is the percentile bootstrap over triples (Efron, 1979). Both speak about other test
    triples from the same source. They do not speak about other seeds: average over seeds before, and show the deviation
    over seeds beside it.

    :param first: shape: ``(n,)``; reciprocal ranks of the first model, averaged over its seeds
    :param second: shape: ``(n,)``; those of the second, in the same order
    :param level: of the interval
    :param num_bootstrap: how many resamples
    :param seed: of the resamples
    :raises EvaluationError: if the shapes differ or there is nothing to compare
    """
    first, second = numpy.asarray(first, dtype=float), numpy.asarray(second, dtype=float)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise EvaluationError(
            f"Paired tests need the same triples twice, but the shapes are {first.shape} and {second.shape}."
        )
    differences = first - second
    if not differences.any():
        return PairedTest(0.0, 0.0, 0.0, 1.0)
    p_value = float(stats.wilcoxon(differences, zero_method="pratt").pvalue)
    generator = numpy.random.default_rng(seed)
    n = len(differences)
    # resampling n items is drawing how often each is taken: equal differences need to be drawn only once, together
    values, counts = numpy.unique(differences, return_counts=True)
    drawn = generator.multinomial(n, counts / n, size=num_bootstrap)
    low, high = numpy.quantile(drawn @ values / n, [(1 - level) / 2, (1 + level) / 2])
    return PairedTest(float(differences.mean()), float(low), float(high), p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm, 1979); in the order given."""
    values = numpy.asarray(p_values, dtype=float)
    order = values.argsort(kind="stable")
    adjusted = numpy.empty_like(values)
    adjusted[order] = numpy.maximum.accumulate((values[order] * numpy.arange(len(values), 0, -1)).clip(max=1))
    return adjusted.tolist()
