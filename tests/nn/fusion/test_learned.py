"""Fusions with learned weights."""

import pytest
import torch

from pykeen_mmkg.nn.fusion import (
    AverageFusion,
    make_fusion,
)

from .cases import NAMES


@pytest.mark.parametrize("kind", ["weighted", "gated", "attention"])
def test_learned_fusions_start_as_the_mean_and_learn(kind: str) -> None:
    torch.manual_seed(0)
    fusion = make_fusion(kind, None, modalities=NAMES, dim=5)
    xs, mask = [torch.randn(20, 5) for _ in NAMES], torch.rand(20, 4) < 0.6
    torch.testing.assert_close(fusion(xs, mask), AverageFusion(NAMES, 5, form="masked")(xs, mask))
    # the target is the second modality: the fusion finds that out
    optimizer = torch.optim.Adam(fusion.parameters(), lr=0.05)
    first = None
    for _ in range(200):
        optimizer.zero_grad()
        loss = (fusion(xs) - xs[1]).square().mean()
        loss.backward()
        optimizer.step()
        first = first or loss.item()
    assert loss.item() < 0.05 * first
    fusion.reset_parameters()
    torch.testing.assert_close(fusion(xs, mask), AverageFusion(NAMES, 5, form="masked")(xs, mask))


def test_adaptive_weights_come_from_the_vectors() -> None:
    """They start equal; a query that likes the first coordinate prefers the modality that has more of it."""
    fusion = make_fusion("adaptive", None, modalities=["visual", "textual"], dim=2)
    xs = [torch.tensor([[5.0, 1.0], [-5.0, 2.0]]), torch.tensor([[-5.0, 3.0], [5.0, 4.0]])]
    torch.testing.assert_close(fusion(xs), (xs[0] + xs[1]) / 2)
    with torch.no_grad():
        fusion.query.copy_(torch.tensor([20.0, 0.0]))
    torch.testing.assert_close(fusion(xs), torch.tensor([[5.0, 1.0], [5.0, 4.0]]))
    fusion.reset_parameters()
    torch.testing.assert_close(fusion(xs), (xs[0] + xs[1]) / 2)


@pytest.mark.parametrize("kind", ["gated", "attention"])
def test_hidden_layer(kind: str) -> None:
    """64 wide unless said otherwise, drawn anew at a reset, with biases of zero."""
    torch.manual_seed(0)
    fusion = make_fusion(kind, None, modalities=NAMES, dim=5)
    layer = fusion.hidden if kind == "gated" else fusion.key
    assert layer.out_features == 64
    assert make_fusion(kind, {"hidden_dim": 7}, modalities=NAMES, dim=5).reset_parameters() is None
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.fill_(7.0)
    fusion.reset_parameters()
    bound = (6 / (layer.in_features + 64)) ** 0.5
    assert 0.9 * bound < layer.weight.abs().max() <= bound
    assert all(not p.any() for p in fusion.parameters() if p is not layer.weight)
