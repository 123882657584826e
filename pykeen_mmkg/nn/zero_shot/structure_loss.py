"""The loss of MRE's structure consolidator: that of the triples with a weight, and a mean of squares."""

from typing import Any

import torch
from pykeen.losses import Loss
from pykeen.regularizers import Regularizer
from pykeen.typing import FloatTensor

from ...options import strict

__all__ = ["MeanSquareRegularizer", "WeightedLoss"]


class WeightedLoss(Loss):
    """Another loss, times a weight: beside regularizers and auxiliary losses, the balance matters."""

    @strict(weight=0)
    def __init__(self, base: Loss, weight: float) -> None:
        """Initialize the loss.

        :param base: the loss
        :param weight: its weight
        """
        super().__init__(reduction=base.reduction)
        self.base, self.weight = base, weight

    def forward(self, *args: Any, **kwargs: Any) -> FloatTensor:  # noqa: D102
        return self.weight * self.base(*args, **kwargs)

    def process_slcwa_scores(self, *args: Any, **kwargs: Any) -> FloatTensor:  # noqa: D102
        return self.weight * self.base.process_slcwa_scores(*args, **kwargs)

    def process_lcwa_scores(self, *args: Any, **kwargs: Any) -> FloatTensor:  # noqa: D102
        return self.weight * self.base.process_lcwa_scores(*args, **kwargs)


class MeanSquareRegularizer(Regularizer):
    r"""The mean of the squares of all coordinates of all vectors of a step: :math:`\frac{w}{nd} \sum_{ij} x_{ij}^2`.

    PyKEEN's ``PowerSumRegularizer`` adds up the means of each of its calls; a loop calls it for positive and for
    negative triples, which are not as many.
    """

    _sum: FloatTensor
    _count: int

    def reset(self) -> None:  # noqa: D102
        super().reset()
        self._sum, self._count = torch.zeros_like(self.regularization_term), 0

    def forward(self, x: FloatTensor) -> FloatTensor:  # noqa: D102
        return x.abs().square().mean()

    def update(self, *tensors: FloatTensor) -> None:  # noqa: D102
        if not self.training or not torch.is_grad_enabled():
            return
        for x in tensors:
            self._sum = self._sum.to(x.device) + x.abs().square().sum()
            self._count += x.numel()
        self.regularization_term = self._sum / max(self._count, 1)
        self.updated = True
