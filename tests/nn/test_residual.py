"""The mean square of residuals."""

import torch

from pykeen_mmkg.nn.residual import ResidualRegularizer


def test_mean_square() -> None:
    """Weighted, and added up over the batches since it was asked for."""
    regularizer = ResidualRegularizer(weight=0.5)
    regularizer.update(torch.tensor([1.0, 3.0], requires_grad=True))
    regularizer.update(torch.tensor([[2.0], [0.0]], requires_grad=True))
    assert regularizer.pop_regularization_term().item() == 0.5 * (5 + 2)
    assert regularizer.pop_regularization_term().item() == 0
