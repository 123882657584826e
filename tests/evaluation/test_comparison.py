"""Comparisons: differences by hand, other ids and orders, and ranks of other triples."""

import numpy
import pytest
import torch
from pykeen.datasets import Nations
from pykeen.triples import TriplesFactory

from pykeen_mmkg.errors import EvaluationError
from pykeen_mmkg.evaluation.comparison import compare
from pykeen_mmkg.evaluation.results import RankTable
from pykeen_mmkg.evaluation.significance import holm, paired_test
from pykeen_mmkg.evaluation.strata import relation_kinds


def _table(triples: torch.Tensor, ranks: numpy.ndarray) -> RankTable:
    both = torch.cat([triples, triples]).numpy()
    side = numpy.repeat(["head", "tail"], len(triples))
    return RankTable(both, side, ranks, ranks + 1, numpy.full(len(both), 14))


def test_against_paired_tests() -> None:
    """A row for all and for each group: the paired test of its ranks; p-values adjusted together."""
    training, testing = Nations().training, Nations().testing.mapped_triples
    generator = numpy.random.default_rng(0)
    one, other = (generator.integers(1, 13, size=2 * len(testing)) for _ in range(2))
    frame = compare(_table(testing, one), _table(testing, other), training, by=["side", "kind"])
    side = numpy.repeat(["head", "tail"], len(testing))
    kind = relation_kinds(training.mapped_triples, training.num_relations)[numpy.tile(testing[:, 1].numpy(), 2)]
    groups = {("", "all"): side != "", ("side", "head"): side == "head", ("side", "tail"): side == "tail"}
    groups |= {("kind", name): kind == name for name in sorted(set(kind))}
    assert list(zip(frame["by"], frame["group"], strict=True)) == list(groups)
    p_values = []
    for (_, row), mask in zip(frame.iterrows(), groups.values(), strict=True):
        first, second = 1 / (one[mask] + 0.5), 1 / (other[mask] + 0.5)
        assert row["count"] == mask.sum()
        assert row["first"] == pytest.approx(first.mean()) and row["second"] == pytest.approx(second.mean())
        assert row["difference"] == pytest.approx(first.mean() - second.mean())
        assert row["low"] <= row["difference"] <= row["high"]
        p_values.append(paired_test(first, second).p_value)
    # the test takes ranks in another order, which changes sums in the last place
    assert frame["p"].tolist() == pytest.approx(holm(p_values))


def test_other_ids_and_orders() -> None:
    """A run that knows the labels by other ids, and so ranks in another order, is compared triple by triple."""
    training, testing = Nations().training, Nations().testing.mapped_triples
    shuffled = torch.randperm(14, generator=torch.Generator().manual_seed(0))
    labels = {label: int(shuffled[i]) for label, i in training.entity_to_id.items()}
    other_training = TriplesFactory(
        torch.stack([shuffled[training.mapped_triples[:, 0]], training.mapped_triples[:, 1],
                     shuffled[training.mapped_triples[:, 2]]], dim=-1),
        labels,
        training.relation_to_id,
    )  # fmt: skip
    triples = torch.stack([shuffled[testing[:, 0]], testing[:, 1], shuffled[testing[:, 2]]], dim=-1).flip(0)
    ranks = numpy.arange(1, 2 * len(testing) + 1)
    n = len(testing)
    flipped = numpy.concatenate([ranks[:n][::-1], ranks[n:][::-1]])
    frame = compare(_table(testing, ranks), _table(triples, flipped), training, other_factory=other_training)
    assert frame["difference"].tolist() == [0.0] and frame["p"].tolist() == [1.0]
    with pytest.raises(EvaluationError, match="same triples"):
        compare(_table(testing, ranks), _table(testing[1:], ranks[2:]), training)
    with pytest.raises(EvaluationError, match="same triples"):
        compare(_table(testing, ranks), _table(triples, flipped), training)
