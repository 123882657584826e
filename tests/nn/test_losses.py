"""The sampled softmax loss against its formula, through each of its doors."""

import math

import torch
from pykeen.losses import CrossEntropyLoss, loss_resolver

from pykeen_mmkg.nn.losses import SampledSoftmaxLoss

SCORES = torch.tensor([[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, 2.0, -1.0]])
ANSWER = torch.tensor([2, 0])
KNOWN = torch.tensor([[False, False, False, True], [False, True, False, False]])


def _by_hand(factor: float) -> float:
    first = factor * 0.5 - math.log(sum(math.exp(factor * x) for x in (1.0, -2.0, 0.5)))
    second = -math.log(sum(math.exp(factor * x) for x in (0.0, 2.0, -1.0)))
    return -(first + second) / 2


def test_formula() -> None:
    """Known answers are left out; each score is multiplied by the factor."""
    for factor in (1.0, 3.0):
        loss = SampledSoftmaxLoss(temperature=factor)
        torch.testing.assert_close(loss(SCORES, ANSWER, KNOWN).item(), _by_hand(factor))
    total = SampledSoftmaxLoss(reduction="sum")(SCORES, ANSWER, KNOWN)
    torch.testing.assert_close(total.item(), 2 * _by_hand(1.0))


def test_loops_of_pykeen() -> None:
    """The scores of the sLCWA and the LCWA loop give the same loss, and without a factor PyKEEN's cross-entropy."""
    loss = SampledSoftmaxLoss(temperature=3.0)
    competitors = (~KNOWN).scatter(1, ANSWER[:, None], value=False)
    sampled = loss.process_slcwa_scores(SCORES.gather(1, ANSWER[:, None]), SCORES[competitors], None, competitors)
    torch.testing.assert_close(sampled.item(), _by_hand(3.0))
    labels = torch.nn.functional.one_hot(ANSWER, 4).float()
    full = loss.process_lcwa_scores(SCORES, labels)
    torch.testing.assert_close(full, loss(SCORES, ANSWER, torch.zeros_like(KNOWN)))
    torch.testing.assert_close(
        SampledSoftmaxLoss().process_lcwa_scores(SCORES, labels), CrossEntropyLoss().process_lcwa_scores(SCORES, labels)
    )


def test_learned() -> None:
    """A learned factor has the gradient of the formula; by default there is nothing to learn."""
    assert not list(SampledSoftmaxLoss().parameters())
    loss = loss_resolver.make("sampledsoftmax", temperature=2.0, learned=True)
    loss(SCORES, ANSWER, KNOWN).backward()
    (parameter,) = loss.parameters()
    step = 1e-4
    slope = (_by_hand(2 * math.exp(step)) - _by_hand(2 * math.exp(-step))) / (2 * step)
    torch.testing.assert_close(parameter.grad.item(), slope, rtol=1e-3, atol=1e-4)
