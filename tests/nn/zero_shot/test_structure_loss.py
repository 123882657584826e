"""The loss of the structure phase."""

import pytest
import torch
from pykeen.losses import MarginRankingLoss

from pykeen_mmkg.nn.zero_shot.structure_loss import MeanSquareRegularizer, WeightedLoss


def test_a_weight() -> None:
    """The other loss, times the weight, in either training."""
    torch.manual_seed(0)
    base, positive, negative = MarginRankingLoss(margin=3.0), torch.randn(4, 1), torch.randn(4, 5)
    loss = WeightedLoss(base, 0.7)
    expected = 0.7 * (3.0 + negative - positive).clamp(min=0).mean()
    assert loss.reduction == "mean"
    torch.testing.assert_close(loss.process_slcwa_scores(positive, negative), expected)
    torch.testing.assert_close(loss(positive, negative), 0.7 * base(positive, negative))
    scores, labels = torch.randn(3, 6), torch.eye(6)[:3]
    torch.testing.assert_close(loss.process_lcwa_scores(scores, labels), 0.7 * base.process_lcwa_scores(scores, labels))


def test_mean_of_squares() -> None:
    """Over all coordinates of calls of several sizes, once; nothing in evaluation."""
    regularizer = MeanSquareRegularizer(weight=0.5)
    one, other = torch.randn(3, 4, requires_grad=True), torch.randn(10, 4)
    regularizer.update(one)
    regularizer.update(other)
    term = regularizer.pop_regularization_term()
    total = sum(float(x) ** 2 for x in torch.cat([one, other]).flatten().tolist())
    assert float(term) == pytest.approx(0.5 * total / (13 * 4), rel=1e-5)
    term.backward()
    torch.testing.assert_close(one.grad, one.detach() / 52)
    assert float(regularizer.pop_regularization_term()) == 0
    regularizer.eval().update(one)
    assert float(regularizer.pop_regularization_term()) == 0 and not regularizer.updated
    regularizer.train()
    with torch.no_grad():
        regularizer.update(one)
    assert not regularizer.updated
    regularizer.update(torch.full((2,), 3.0, dtype=torch.cfloat) * 1j)
    assert float(regularizer.pop_regularization_term()) == pytest.approx(4.5)
