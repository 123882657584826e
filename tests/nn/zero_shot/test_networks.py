"""The generator and its discriminator against their formulas."""

import pytest
import torch
from torch import nn

from pykeen_mmkg.nn.zero_shot.layers import SpectralLinear, UnbiasedLayerNorm
from pykeen_mmkg.nn.zero_shot.networks import Critic, Generator

TEXT, DIM = 6, 4


def test_generated_vectors_are_their_formula() -> None:
    """Noise and text side by side, through the maps one after the other; without noise there is one sample."""
    torch.manual_seed(0)
    for noise_dim in (3, 0):
        generator = Generator(TEXT, DIM, noise_dim, spectral=True).eval()
        texts, noise = torch.randn(2, TEXT), torch.randn(2, 5, noise_dim)
        made = generator(texts, noise if noise_dim else None)
        assert made.shape == (2, 5 if noise_dim else 1, DIM)
        both = torch.cat([noise, texts[:, None].expand(2, 5, TEXT)], dim=-1)
        assert torch.allclose(made.expand(2, 5, DIM), generator.norm(generator.maps(both)), atol=1e-5)


def test_maps_of_the_generator() -> None:
    """Those of MRE by default, ZSGAN's by their dimensions; the last ones may be another module's."""
    dims = [(m.in_features, m.out_features) for m in Generator(TEXT, DIM, 3).maps]
    assert dims == [(9, 6), (6, 4), (4, 4)]
    two = Generator(TEXT, DIM, 3, hidden_dims=[5], norm="unbiasedlayernorm", xavier=True)
    assert [(m.in_features, m.out_features) for m in two.maps] == [(9, 5), (5, 4)]
    assert isinstance(two.norm, UnbiasedLayerNorm) and not any(m.bias.any() for m in two.maps)
    last = nn.Sequential(SpectralLinear(TEXT, DIM), SpectralLinear(DIM, DIM))
    shared = Generator(TEXT, DIM, 3, last=last)
    assert [*shared.maps][1:] == [*last] and shared.maps[0].out_features == TEXT
    two.eval()
    with torch.no_grad():
        texts, noise = torch.randn(2, TEXT), torch.randn(5, 3)
        x = torch.cat([noise[3], texts[1]])
        for m in two.maps:
            x = m.normalized() @ x + m.bias
        expected = (x - x.mean()) / (x.std() + 1e-3)
        torch.testing.assert_close(two(texts, noise)[1, 3], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", [None, "unbiasedlayernorm"])
def test_hinge_of_centroids(norm: str | None) -> None:
    """Against another class, by a loop, with the critic's own features."""
    torch.manual_seed(0)
    critic = Critic(DIM, norm=norm).eval()
    x, own, other = torch.randn(2, 3, DIM), torch.randn(2, 1, DIM), torch.randn(2, 1, DIM)
    with torch.no_grad():
        total = 0.0
        for i in range(2):
            for j in range(3):
                m, a, b = (critic.features(v) for v in (x[i, j], own[i, 0], other[i, 0]))
                total += max(0.0, 5.0 - float(m @ a) + float(m @ b))
        realness, hinge = critic.judge(x, own[:, 0], other[:, 0], 5.0)
        assert float(hinge.mean()) == pytest.approx(total / 6, abs=1e-5)
        assert torch.allclose(realness, critic(x), atol=1e-6)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (6, 3), (1, 3)])
def test_hinge_of_pairs(n: int, m: int) -> None:
    """As published: the same class, and another pair; the maps and the norm written out."""
    torch.manual_seed(0)
    critic = Critic(DIM, norm="unbiasedlayernorm").eval()
    x, own, negatives = torch.randn(2, n, DIM), torch.randn(2, DIM), torch.randn(2, m, DIM)

    def features(v: torch.Tensor) -> torch.Tensor:
        v = critic.middle.normalized() @ v + critic.middle.bias
        v = torch.where(v > 0, v, 0.01 * v)
        return (v - v.mean()) / (v.std() + 1e-3)

    with torch.no_grad():
        realness, hinge = critic.judge(x, own, torch.randn(2, DIM), 5.0, negatives)
        assert hinge.shape == (2, max(n, m))
        for i in range(2):
            for j in range(max(n, m)):
                c, vector, pair = features(own[i]), features(x[i, j % n]), features(negatives[i, j % m])
                expected = max(0.0, 5.0 - (float(vector @ c) - float(pair @ c)))
                assert float(hinge[i, j]) == pytest.approx(expected, abs=1e-4)
        torch.testing.assert_close(realness, critic(x))


def test_xavier_is_drawn_at_a_reset_too() -> None:
    """The layers' own reset comes first, as PyKEEN does it."""
    for module in (Critic(DIM, xavier=True), Generator(TEXT, DIM, xavier=True)):
        for part in module.modules():
            if isinstance(part, nn.Linear):
                part.reset_parameters()
        module.reset_parameters()
        assert not any(part.bias.any() for part in module.modules() if isinstance(part, nn.Linear))
