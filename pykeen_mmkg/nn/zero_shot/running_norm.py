"""A normalization of features by running statistics."""

import torch
from pykeen.typing import FloatTensor, LongTensor
from torch import nn

__all__ = ["RunningNorm"]


class RunningNorm(nn.Module):
    """Scale features by running statistics, without centring a batch on itself.

    PyKEEN's loops score positive and negative triples in separate calls; a batch normalization would bring both to the
    same mean, and with it away the difference that is to be learned. Here statistics are those of earlier calls, too.
    """

    mean: FloatTensor
    square: FloatTensor
    steps: LongTensor

    def __init__(self, dim: int, momentum: float = 0.05, limit: float = 6.0) -> None:
        """Initialize the module.

        :param dim: the number of features
        :param momentum: the weight of the newest batch
        :param limit: the greatest absolute value that is let through
        """
        super().__init__()
        self.momentum, self.limit = momentum, limit
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("square", torch.ones(dim))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def reset_parameters(self) -> None:
        """Forget the statistics."""
        self.mean.zero_()
        self.square.fill_(1.0)
        self.steps.zero_()

    def forward(self, x: FloatTensor) -> FloatTensor:
        """Scale features of shape ``(n, dim)``."""
        if self.training and len(x) > 1:
            with torch.no_grad():
                weight = max(self.momentum, 1.0 / (int(self.steps) + 1))
                self.mean.lerp_(x.mean(0), weight)
                self.square.lerp_(x.square().mean(0), weight)
                self.steps += 1
        scale = (self.square - self.mean.square()).clamp(min=1e-4).rsqrt()
        return ((x - self.mean) * scale).clamp(-self.limit, self.limit)
