"""Modalities as tokens of a transformer."""

import pytest
import torch

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.fusion import TransformerFusion

NAMES = ["structural", "picture 0", "picture 1", "word"]


def test_tokens_are_a_set() -> None:
    """Their order means nothing but for what they are."""
    torch.manual_seed(0)
    fusion = TransformerFusion(NAMES, 8, num_layers=2, num_heads=4).eval()
    xs, mask = [torch.randn(3, 8) for _ in NAMES], torch.rand(3, 4) < 0.7
    order = [2, 0, 3, 1]
    fused, other = fusion(xs, mask), fusion([xs[i] for i in order], mask[:, order])
    assert not torch.allclose(fused, other)
    with torch.no_grad():
        fusion.types.copy_(fusion.types[0].expand(4, -1))
    torch.testing.assert_close(fusion([xs[i] for i in order], mask[:, order]), fusion(xs, mask))


def test_reset() -> None:
    """Everything is drawn anew."""
    fusion = TransformerFusion(NAMES, 4, num_layers=2)
    drawn = []
    for _ in range(2):
        for parameter in fusion.parameters():
            torch.nn.init.constant_(parameter, 7.0)
        torch.manual_seed(0)
        fusion.reset_parameters()
        drawn.append({name: parameter.clone() for name, parameter in fusion.named_parameters()})
    for name, parameter in drawn[0].items():
        assert torch.equal(parameter, drawn[1][name]) and (parameter.abs() <= 1).all(), name


def test_heads() -> None:
    with pytest.raises(MultimodalError, match="cannot be split into 3 heads"):
        TransformerFusion(NAMES, 8, num_heads=3)
