"""A residual adapter for frozen features."""

from collections.abc import Iterable

import torch
from pykeen.typing import FloatTensor
from pykeen.utils import ExtraReprMixin
from torch import nn

from ..options import strict

__all__ = ["ResidualAdapter"]


class ResidualAdapter(nn.Module, ExtraReprMixin):
    """A small trained change of a frozen vector: ``x + tanh(g) * LayerNorm(W2 relu(W1 x))``.

    The idea is that of VL-KGE (https://arxiv.org/abs/2603.02435). Its code has a layer normalization without an affine
    part, which is here with ``affine=False``, and starts with weights of zero; here the scalar g starts at zero, so
    that the adapter starts as the identity, and W1 and W2 at random: were all of them zero, no gradient would ever
    leave zero.
    """

    @strict(dim=1, bottleneck=1)
    def __init__(self, dim: int, bottleneck: int = 64, affine: bool = True) -> None:
        """Initialize the adapter.

        :param dim: the dimension of the vectors
        :param bottleneck: the number of rows of W1
        :param affine: whether the layer normalization has weights and biases
        """
        super().__init__()
        self.dim = dim
        self.down = nn.Linear(dim, bottleneck, bias=False)
        self.up = nn.Linear(bottleneck, dim, bias=False)
        self.norm = nn.LayerNorm(dim, elementwise_affine=affine)
        self.gate = nn.Parameter(torch.zeros(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the identity."""
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.xavier_uniform_(self.up.weight)
        self.norm.reset_parameters()
        nn.init.zeros_(self.gate)

    def forward(self, x: FloatTensor) -> FloatTensor:
        """Change the vectors.

        :param x: shape ``(*b, d)``
        :returns: shape ``(*b, d)``. A zero vector stays zero only until the bias of the LayerNorm has been trained:
            mask what is missing afterwards
        """
        return x + self.gate.tanh() * self.norm(self.up(self.down(x).relu()))

    def iter_extra_repr(self) -> Iterable[str]:  # noqa: D102
        yield from super().iter_extra_repr()
        yield f"dim={self.dim}"
