"""The running normalization against a loop over batches."""

import pytest
import torch

from pykeen_mmkg.nn.zero_shot.running_norm import RunningNorm


def test_values_by_hand() -> None:
    """The first batch sets the statistics, later ones move them by the momentum; what is far off is clamped."""
    norm = RunningNorm(2, momentum=0.25, limit=2.0)
    batches = [torch.tensor([[0.0, 1.0], [2.0, 5.0]]), torch.tensor([[4.0, 1.0], [4.0, 1.0], [60.0, 1.0]])]
    mean = square = 0.0
    for step, x in enumerate(batches):
        out = norm(x)
        weight = max(0.25, 1 / (step + 1))
        mean = mean + weight * (x.mean(0) - mean)
        square = square + weight * ((x**2).mean(0) - square)
        expected = (x - mean) / (square - mean**2).sqrt()
        torch.testing.assert_close(out, expected.clamp(-2.0, 2.0))
    assert expected.max() > 2
    assert norm.eval()(torch.tensor([[1e6, -1e6]])).tolist() == [[2.0, -2.0]]


def test_limit_and_smallest_scale() -> None:
    """By default nothing passes six deviations, and a feature that never varies is not blown up without bound."""
    assert RunningNorm(1).momentum == 0.05
    norm = RunningNorm(1)
    norm(torch.zeros(4, 1))
    assert norm.eval()(torch.tensor([[0.05], [0.07], [-9.0]])).view(-1).tolist() == pytest.approx([5.0, 6.0, -6.0])


def test_a_single_row_has_no_statistics() -> None:
    """One row alone, or evaluation, changes nothing; a reset forgets."""
    norm = RunningNorm(1)
    norm(torch.full((1, 1), 7.0))
    norm.eval()(torch.full((9, 1), 7.0))
    assert norm.mean.item() == 0.0 and norm.square.item() == 1.0 and int(norm.steps) == 0
    norm.train()(torch.tensor([[1.0], [3.0]]))
    assert norm.mean.item() == 2.0
    norm.reset_parameters()
    assert norm.mean.item() == 0.0 and norm.square.item() == 1.0 and int(norm.steps) == 0


def test_running_norm_keeps_two_batches_apart() -> None:
    """Positives and negatives that come in two calls keep their difference; a batch normalization loses it."""
    norm = RunningNorm(1)
    for _ in range(50):
        high, low = norm(torch.full((8, 1), 3.0)), norm(torch.full((8, 1), -3.0))
    assert (high - low).min() > 1.0
    norm.eval()
    before = norm.mean.clone()
    norm(torch.ones(8, 1))
    assert torch.equal(before, norm.mean)
