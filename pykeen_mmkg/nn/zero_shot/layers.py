"""Layers of the generator, its discriminator and the extractor of pairs, and how they are drawn."""

import torch
from class_resolver import ClassResolver
from pykeen.typing import FloatTensor
from torch import nn
from torch.nn import functional

from ...options import strict

__all__ = ["SpectralLinear", "UnbiasedLayerNorm", "draw_xavier", "norm_resolver"]


class SpectralLinear(nn.Linear):
    r"""A linear map :math:`W\mathbf{x} / \sigma(W) + \mathbf{b}` with a spectral norm of one.

    The greatest singular value is followed by one power iteration a step [miyato2018]_. The parametrization of torch
    does the same, but a model that has one cannot be pickled, as PyKEEN's pipeline does.
    """

    left: FloatTensor

    def __init__(self, in_features: int, out_features: int) -> None:
        """Initialize the map."""
        super().__init__(in_features, out_features)
        self.register_buffer("left", functional.normalize(torch.randn(out_features), dim=0))

    def normalized(self) -> FloatTensor:
        """Return the weight with a spectral norm of one, after a power iteration in training."""
        with torch.no_grad():
            right = functional.normalize(self.weight.T @ self.left, dim=0)
            left = functional.normalize(self.weight @ right, dim=0)
            if self.training:
                self.left.copy_(left)
        return self.weight / torch.dot(left, self.weight @ right)

    def forward(self, x: FloatTensor) -> FloatTensor:
        """Apply the map."""
        return functional.linear(x, self.normalized(), self.bias)


class UnbiasedLayerNorm(nn.LayerNorm):
    r"""A layer normalization by the unbiased deviation, as in the code of ZSGAN [qin2020]_ and of MRE [cai2024]_.

    .. math::

        \mathbf{y} = \mathbf{a} \odot \frac{\mathbf{x} - \mu}{\sigma + \epsilon} + \mathbf{b} \qquad
        \mu = \frac1d \sum_i x_i \qquad \sigma^2 = \frac{1}{d - 1} \sum_i (x_i - \mu)^2

    torch's divides by the root of the biased variance plus :math:`\epsilon`.
    """

    @strict(eps=0)
    def __init__(self, normalized_shape: int, eps: float = 1e-3) -> None:
        """Initialize the normalization.

        :param normalized_shape: the dimension d
        :param eps: what is added to the deviation
        """
        super().__init__(normalized_shape, eps=eps)

    def forward(self, x: FloatTensor) -> FloatTensor:
        """Normalize vectors of shape ``(*s, d)``."""
        centered = x - x.mean(dim=-1, keepdim=True)
        # one coordinate has no deviation, and is zero after centring
        deviation = x.std(dim=-1, keepdim=True) if x.shape[-1] > 1 else torch.zeros_like(centered)
        return centered / (deviation + self.eps) * self.weight + self.bias


#: layer normalizations by name: ``layernorm`` (torch's) and ``unbiasedlayernorm``
norm_resolver: ClassResolver[nn.LayerNorm] = ClassResolver(
    [nn.LayerNorm, UnbiasedLayerNorm], base=nn.LayerNorm, base_as_suffix=False, default=nn.LayerNorm
)


def draw_xavier(module: nn.Module) -> None:
    """Draw the linear maps of a module anew: Xavier's normal distribution, and biases of zero [glorot2010]_."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_normal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
