"""The two players of an adversarial training: a generator of relation vectors and its discriminator."""

from collections.abc import Sequence

import torch
from class_resolver import HintOrType
from pykeen.typing import FloatTensor
from torch import nn
from torch.nn import functional

from ...options import strict
from .layers import SpectralLinear, draw_xavier, norm_resolver

__all__ = ["Critic", "Generator"]


class Generator(nn.Module):
    r"""A vector from a text and noise: :math:`\mathrm{LayerNorm}(W_2 W_1 W_0 [\mathbf{z}; \mathbf{x}])`.

    There is nothing between the maps, so they are applied to each text and to each dimension of the noise, not to each
    sample. These are the maps of MRE [cai2024]_; ZSGAN [qin2020]_ has two, with 250 dimensions in between.
    """

    @strict(noise_dim=0)
    def __init__(
        self,
        text_dim: int,
        dim: int,
        noise_dim: int = 15,
        normalize: bool = True,
        spectral: bool = True,
        norm: HintOrType[nn.LayerNorm] = None,
        hidden_dims: Sequence[int] | None = None,
        xavier: bool = False,
        last: nn.Sequential | None = None,
    ) -> None:
        """Initialize the generator.

        :param text_dim: the dimension of texts
        :param dim: the dimension of the result
        :param noise_dim: the dimension of the noise, 0 for none
        :param normalize: whether to end with a layer normalization
        :param spectral: whether the maps have a spectral norm of one
        :param norm: which layer normalization, see :data:`~pykeen_mmkg.nn.zero_shot.layers.norm_resolver`
        :param hidden_dims: the dimensions between the maps, by default those of texts and of the result
        :param xavier: whether the maps are drawn by :func:`~pykeen_mmkg.nn.zero_shot.layers.draw_xavier`
        :param last: linear maps from texts to the result that another module has, too; they are the last ones here, and
            only the first, from noise and text to the dimension of texts, is the generator's own
        """
        super().__init__()
        self.noise_dim, self.xavier = noise_dim, xavier
        linear = SpectralLinear if spectral else nn.Linear
        if last is not None:
            self.maps = nn.Sequential(linear(text_dim + noise_dim, text_dim), *last)
        else:
            dims = [text_dim + noise_dim, *((text_dim, dim) if hidden_dims is None else hidden_dims), dim]
            self.maps = nn.Sequential(*(linear(one, other) for one, other in zip(dims[:-1], dims[1:], strict=True)))
        self.norm = norm_resolver.make(norm, normalized_shape=dim) if normalize else nn.Identity()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the maps by Xavier's distribution, if asked to; else they draw themselves."""
        if self.xavier:
            draw_xavier(self.maps)

    def forward(self, texts: FloatTensor, noise: FloatTensor | None = None) -> FloatTensor:
        """Generate.

        :param texts: shape: ``(b, text_dim)``
        :param noise: shape: ``(b, n, noise_dim)`` or ``(n, noise_dim)``; None where there is none
        :returns: shape: ``(b, n, dim)``; without noise ``(b, 1, dim)``
        """
        # the dimensions of the noise go through the maps as rows, and no bias is added to them
        basis = torch.eye(self.noise_dim, self.noise_dim + texts.shape[-1], dtype=texts.dtype, device=texts.device)
        x = functional.pad(texts, (self.noise_dim, 0))
        for layer in self.maps:
            assert isinstance(layer, nn.Linear)
            weight = layer.normalized() if isinstance(layer, SpectralLinear) else layer.weight
            x, basis = functional.linear(x, weight, layer.bias), basis @ weight.T
        x = x[:, None]
        return self.norm(x if noise is None else x + noise @ basis)


class Critic(nn.Module):
    r"""The discriminator: a realness and a class score.

    :math:`m(\mathbf{x}) = \mathrm{LayerNorm}(\mathrm{LeakyReLU}(W\mathbf{x}))`; the realness is
    :math:`V m(\mathbf{x})`, the class score :math:`s_y(\mathbf{x}) = m(\mathbf{x}) \cdot m(\mathbf{c}_y)` with the
    centroid of the class. Both maps have a spectral norm of one.
    """

    @strict(dim=1)
    def __init__(self, dim: int, norm: HintOrType[nn.LayerNorm] = None, xavier: bool = False) -> None:
        """Initialize the critic.

        :param dim: the dimension of what it judges
        :param norm: which layer normalization, see :data:`~pykeen_mmkg.nn.zero_shot.layers.norm_resolver`
        :param xavier: whether the maps are drawn by :func:`~pykeen_mmkg.nn.zero_shot.layers.draw_xavier`
        """
        super().__init__()
        self.xavier = xavier
        self.middle = SpectralLinear(dim, dim)
        self.out = SpectralLinear(dim, 1)
        self.norm = norm_resolver.make(norm, normalized_shape=dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the maps by Xavier's distribution, if asked to; else they draw themselves."""
        if self.xavier:
            draw_xavier(self)

    def features(self, x: FloatTensor) -> FloatTensor:
        """Return m(x)."""
        return self.norm(functional.leaky_relu(self.middle(x)))

    def forward(self, x: FloatTensor) -> FloatTensor:
        """Return the realness; shape: ``s`` for an input of shape ``(*s, dim)``."""
        return self.out(self.features(x)).squeeze(-1)

    def judge(
        self, x: FloatTensor, own: FloatTensor, other: FloatTensor, margin: float, negatives: FloatTensor | None = None
    ) -> tuple[FloatTensor, FloatTensor]:
        r"""Return the realness and the hinge of classes.

        With the centroid of another class it is :math:`\max(0, \gamma - s_y(\mathbf{x}) + s_{y'}(\mathbf{x}))`; with
        negatives, as published, :math:`\max(0, \gamma - s_y(\mathbf{x}) + s_y(\mathbf{x}^-))`.

        :param x: shape: ``(b, n, dim)``
        :param own: shape: ``(b, dim)``; the centroid of the class
        :param other: shape: ``(b, dim)``; that of another
        :param margin: the margin
        :param negatives: shape: ``(b, m, dim)``; what is of no class, one for each x where m is n; n may be 1, or a
            multiple of m, for which the negatives are repeated
        :returns: shape: ``(b, n)`` each; the hinge with negatives ``(b, max(n, m))``
        """
        n = x.shape[1]
        compared = other[:, None] if negatives is None else negatives
        m, own, compared = self.features(torch.cat([x, own[:, None], compared], dim=1)).split(
            [n, 1, compared.shape[1]], dim=1
        )
        if negatives is None:
            margins = (m * (own - compared)).sum(-1)
        else:
            below = (compared * own).sum(-1)
            margins = (m * own).sum(-1) - below.repeat(1, max(1, n // below.shape[1]))
        return self.out(m).squeeze(-1), functional.relu(margin - margins)
