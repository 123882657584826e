"""The residual adapter against its formula."""

import pytest
import torch

from pykeen_mmkg.nn.adapter import ResidualAdapter


@pytest.mark.parametrize("affine", [True, False])
def test_formula(affine: bool) -> None:
    torch.manual_seed(0)
    adapter, x = ResidualAdapter(6, bottleneck=4, affine=affine), torch.randn(5, 6)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter)
    expected = []
    for row in x:
        y = adapter.up.weight @ (adapter.down.weight @ row).clamp(min=0)
        y = (y - y.mean()) / (y.var(unbiased=False) + 1e-5).sqrt()
        y = y * adapter.norm.weight + adapter.norm.bias if affine else y
        expected.append(row + torch.tanh(adapter.gate) * y)
    torch.testing.assert_close(adapter(x), torch.stack(expected))


def test_bottleneck_and_biases() -> None:
    adapter = ResidualAdapter(100)
    assert adapter.down.weight.shape == (64, 100)
    assert adapter.up.weight.shape == (100, 64)
    assert adapter.down.bias is None and adapter.up.bias is None


def test_starts_as_the_identity_but_trains() -> None:
    torch.manual_seed(0)
    adapter, x = ResidualAdapter(6), torch.randn(50, 6)
    target = x + torch.randn(6)
    assert torch.equal(adapter(x), x)
    optimizer = torch.optim.Adam(adapter.parameters(), lr=0.01)
    losses = []
    for step in range(100):
        optimizer.zero_grad()
        loss = (adapter(x) - target).square().mean()
        loss.backward()
        if step == 0:
            assert adapter.gate.grad != 0
        if step == 1:
            assert all(p.grad is not None and p.grad.any() for p in adapter.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    adapter.reset_parameters()
    assert torch.equal(adapter(x), x)
