"""The two-tower interaction against its formula, written with plain numbers."""

import math

import pytest
import torch
from torch import nn

from pykeen_mmkg.nn.two_tower_interaction import TwoTowerInteraction


def _by_hand(interaction: TwoTowerInteraction, h, scale, code, t) -> float:
    """Score one triple with loops over numbers."""
    first, second = interaction.perceptron[0], interaction.perceptron[3]
    x = [*h.tolist(), *code.tolist()]
    hidden = [
        sum(w * v for w, v in zip(row, x, strict=True)) + b
        for row, b in zip(first.weight.tolist(), first.bias.tolist(), strict=True)
    ]
    hidden = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in hidden]
    out = [
        sum(w * v for w, v in zip(row, hidden, strict=True)) + b
        for row, b in zip(second.weight.tolist(), second.bias.tolist(), strict=True)
    ]
    query = [a * b + c for a, b, c in zip(h.tolist(), scale.tolist(), out, strict=True)]
    dot = sum(a * b for a, b in zip(query, t.tolist(), strict=True))
    return math.exp(interaction.log_temperature.item()) * dot / (math.hypot(*query) * math.hypot(*t.tolist()))


def _parts(*sizes: int, dim: int = 3) -> list[torch.Tensor]:
    return [torch.randn(size, dim, dtype=torch.double) for size in sizes]


def _interaction() -> TwoTowerInteraction:
    return TwoTowerInteraction(3, hidden_dim=4, temperature=7.0).double().eval()


def test_formula() -> None:
    """Triple by triple, and all tails at once."""
    torch.manual_seed(0)
    interaction = _interaction()
    h, a, b, t = _parts(2, 2, 2, 5)
    expected = torch.tensor(
        [[_by_hand(interaction, h[i], a[i], b[i], t[j]) for j in range(5)] for i in range(2)], dtype=torch.double
    )
    torch.testing.assert_close(interaction.score_t(h, (a, b), t), expected)
    relations = a.repeat_interleave(5, 0), b.repeat_interleave(5, 0)
    torch.testing.assert_close(interaction(h.repeat_interleave(5, 0), relations, t.repeat(2, 1)), expected.flatten())
    assert interaction.log_temperature.item() == pytest.approx(math.log(7.0))


def test_all_ways_agree() -> None:
    """All heads, all relations, tails of their own for each query, and one query alone give the same scores."""
    torch.manual_seed(1)
    interaction = _interaction()
    h, a, b, t = _parts(4, 4, 4, 4)
    tails = interaction.score_t(h, (a, b), t)
    own = interaction(h[:, None], (a[:, None], b[:, None]), t.expand(4, 4, 3))
    torch.testing.assert_close(own, tails)
    torch.testing.assert_close(interaction.score_hrt(h, (a, b), t).squeeze(-1), tails.diagonal())
    torch.testing.assert_close(interaction.score_t(h[:1], (a[:1], b[:1]), t), tails[:1])
    heads = interaction.score_h(h, (a, b), t)
    torch.testing.assert_close(heads[1, 2], interaction(h[2:3], (a[1:2], b[1:2]), t[1:2])[0])
    relations = interaction.score_r(h, (a, b), t)
    torch.testing.assert_close(relations[1, 3], interaction(h[1:2], (a[3:4], b[3:4]), t[1:2])[0])


def test_missing_content() -> None:
    """A zero vector has the score zero, finite gradients included."""
    interaction = _interaction().train()
    h, a, b, t = _parts(2, 2, 2, 3)
    t[1] = 0
    t.requires_grad_()
    scores = interaction.score_t(h, (a, b), t)
    assert scores[:, 1].eq(0).all()
    scores.sum().backward()
    assert t.grad is not None and t.grad.isfinite().all()


def test_starts_near_the_head() -> None:
    """Without the perceptron, and with a scale of one, an entity is nearest to itself."""
    interaction = _interaction()
    nn.init.zeros_(interaction.perceptron[3].weight)
    nn.init.zeros_(interaction.perceptron[3].bias)
    h, b = _parts(6, 6)
    scores = interaction.score_t(h, (torch.ones_like(h), b), h)
    torch.testing.assert_close(scores.diagonal(), torch.full((6,), 7.0, dtype=torch.double))
    assert scores.argmax(dim=1).equal(torch.arange(6))


def test_reset() -> None:
    """A reset brings the temperature back."""
    interaction = TwoTowerInteraction(3, temperature=5.0)
    nn.init.zeros_(interaction.log_temperature)
    interaction.reset_parameters()
    torch.testing.assert_close(interaction.log_temperature.detach().exp(), torch.tensor(5.0))
