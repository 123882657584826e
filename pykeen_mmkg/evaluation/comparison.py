"""Two models on the same triples: the paired difference of their reciprocal ranks, in all and by stratum."""

from collections.abc import Sequence
from typing import Any

import numpy
import pandas

from ..datasets import labels_of
from ..errors import EvaluationError
from .breakdown import strata
from .results import ProtocolMetricResults, RankTable
from .significance import holm, paired_test

__all__ = ["compare"]


def compare(
    first: ProtocolMetricResults | RankTable,
    second: ProtocolMetricResults | RankTable,
    factory: Any,
    by: Sequence[str] = (),
    *,
    other_factory: Any = None,
    seed: int = 0,
) -> pandas.DataFrame:
    """Compare two models by the realistic ranks that they give to the same answers.

    :param first: the results of the first model by a named protocol, or their ranks
    :param second: those of the second, of the same triples and sides
    :param factory: the training triples, by whose ids the first was ranked
    :param by: some of :data:`~pykeen_mmkg.evaluation.breakdown.BY`
    :param other_factory: the training triples by whose ids the second was ranked, by default the same
    :param seed: the seed of the bootstrap
    :returns: a row for all ranks, and one for each group: ``by``, ``group``, ``count``, ``first`` and ``second`` (their
        MRR), ``difference`` (first minus second), ``low`` and ``high`` of its 95 % interval, and ``p``, adjusted for
        the number of rows after Holm; see :func:`.paired_test`
    :raises EvaluationError: if the ranks are of different triples
    """
    tables = [_table(results) for results in (first, second)]
    factories = [factory, other_factory or factory]
    keys = [_keys(table, own) for table, own in zip(tables, factories, strict=True)]
    # two runs may know the labels by different ids, and so rank in different orders
    orders = [numpy.lexsort(key.T[::-1]) for key in keys]
    if len(keys[0]) != len(keys[1]) or (keys[0][orders[0]] != keys[1][orders[1]]).any():
        raise EvaluationError(
            f"Only ranks of the same triples can be compared, but there are {len(keys[0])} and {len(keys[1])} of "
            "different ones: evaluate both models on the same split."
        )
    one, other = (1 / table.realistic[order] for table, order in zip(tables, orders, strict=True))
    groups = {("", "all"): numpy.ones(len(one), dtype=bool)}
    for name, values in strata(tables[0], factory, by).items():
        values = numpy.asarray(values).astype(str)[orders[0]]
        groups |= {(name, value): values == value for value in numpy.unique(values).tolist()}
    rows = []
    for (name, group), mask in groups.items():
        test = paired_test(one[mask], other[mask], seed=seed)
        row = {"by": name, "group": group, "count": int(mask.sum()), "first": one[mask].mean()}
        row |= {"second": other[mask].mean(), "difference": test.difference, "low": test.low, "high": test.high}
        rows.append({**row, "p": test.p_value})
    frame = pandas.DataFrame(rows)
    frame["p"] = holm(frame["p"].tolist())
    return frame


def _table(results: ProtocolMetricResults | RankTable) -> RankTable:
    table = results if isinstance(results, RankTable) else results.ranks
    if table is None:
        raise EvaluationError("The results do not keep the rank of each triple: evaluate by a named protocol.")
    return table


def _keys(table: RankTable, factory: Any) -> numpy.ndarray:
    """Return side, head, relation and tail of each rank, as labels; shape: ``(n, 4)``."""
    entities = numpy.array(labels_of(factory, "entity"))
    relations = numpy.array(labels_of(factory, "relation", inverse=False))
    heads, middle, tails = table.triples.T
    return numpy.stack([table.side, entities[heads], relations[middle], entities[tails]], axis=-1).astype(str)
