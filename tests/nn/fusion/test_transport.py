"""Optimal transport of coordinates."""

import math

import pytest
import torch

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.fusion.transport import TransportFusion, sinkhorn

NAMES = ["structural", "visual"]


@pytest.mark.parametrize(("n", "m"), [(4, 4), (3, 5)])
def test_sinkhorn(n: int, m: int) -> None:
    """Marginals are uniform, and the plan has the form of the optimum: the kernel with scaled rows and columns."""
    cost = torch.rand(2, n, m, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    plan = sinkhorn(cost, temperature=0.2, iterations=300)
    torch.testing.assert_close(plan.sum(dim=-1), torch.full((2, n), 1 / n).double())
    torch.testing.assert_close(plan.sum(dim=-2), torch.full((2, m), 1 / m).double())
    rest = plan.log() + cost / 0.2
    mixed = rest - rest[:, :1] - rest[:, :, :1] + rest[:, :1, :1]
    torch.testing.assert_close(mixed, torch.zeros_like(mixed), atol=1e-9, rtol=0)


def test_plan_sorts() -> None:
    """In one dimension, optimal transport moves the k-th smallest to the k-th smallest."""
    x, s = torch.tensor([3.0, -1.0, 0.5, 9.0]), torch.tensor([0.0, 10.0, -2.0, 4.0])
    fusion = TransportFusion(NAMES, 4, temperature=0.001)
    fusion([s[None], x[None]])
    order = torch.zeros(4, 4)
    order[x.argsort(), s.argsort()] = 1.0
    torch.testing.assert_close(4 * fusion.plans[1], order, atol=0.02, rtol=0)
    # moved, x has its numbers in the order of s, and the fusion starts as the mean
    moved = x[order.argmax(dim=0)]
    torch.testing.assert_close(fusion.eval()([s[None], x[None]])[0], (s + moved) / 2, atol=0.15, rtol=0)


def test_plans_follow_batches() -> None:
    """The first batch gives the plans, later ones a share; none without items that have both; no step in evaluation."""
    torch.manual_seed(0)
    fusion = TransportFusion(NAMES, 3, momentum=0.25)
    xs, ys = [torch.randn(4, 3) for _ in NAMES], [torch.randn(4, 3) for _ in NAMES]
    start = fusion.plans
    mask = torch.tensor([[True, False], [False, True], [True, False], [False, False]])
    fusion(xs, mask)
    torch.testing.assert_close(fusion.plans, start)
    torch.testing.assert_close(3 * start[1], torch.eye(3))

    def plan(batch: list[torch.Tensor]) -> torch.Tensor:
        cost = (batch[1][:, :, None] - batch[0][:, None, :]) ** 2
        return sinkhorn(cost / cost.mean(dim=(1, 2), keepdim=True), 0.1).mean(dim=0)

    first = fusion(xs)
    torch.testing.assert_close(fusion.plans[1], plan(xs))
    second = fusion(ys)
    expected = 0.75 * plan(xs) + 0.25 * plan(ys)
    torch.testing.assert_close(fusion.plans[1], expected)
    # heads and tails are fused before there is a gradient
    (first + second).sum().backward()
    assert fusion.correction.grad is not None and fusion.correction.grad[1].any()
    fusion.eval()(xs)
    torch.testing.assert_close(fusion.plans[1], expected)
    assert "plans" in fusion.state_dict() and math.isclose(fusion.momentum, 0.25)
    fusion.reset_parameters()
    torch.testing.assert_close(fusion.plans, start)


def test_some_items_only() -> None:
    fusion = TransportFusion(NAMES, 2, items=1, temperature=0.05)
    xs = [torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([[5.0, 7.0], [7.0, 5.0]])]
    fusion(xs)
    # one of the two orders, not their mean
    assert (fusion.plans[1] - 0.25).abs().min() > 0.1


def test_needs_structure() -> None:
    with pytest.raises(MultimodalError, match="no modality 'structural'"):
        TransportFusion(["visual", "textual"], 2)
