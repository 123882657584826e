"""Errors of a regression inside of a representation, as a term of the loss."""

from pykeen.regularizers import Regularizer
from pykeen.typing import FloatTensor

__all__ = ["ResidualRegularizer"]


class ResidualRegularizer(Regularizer):
    """The mean square of residuals, as a term that PyKEEN's training loops add to the loss."""

    def forward(self, x: FloatTensor) -> FloatTensor:  # noqa: D102
        return x.square().mean()
