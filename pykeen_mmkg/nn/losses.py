"""The cross-entropy of an answer among sampled competitors."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from docdata import parse_docdata
from pykeen.losses import CrossEntropyLoss
from pykeen.typing import BoolTensor, FloatTensor, LongTensor
from torch import nn
from torch.nn import functional

from ..options import strict

__all__ = ["SampledSoftmaxLoss"]


@parse_docdata
class SampledSoftmaxLoss(CrossEntropyLoss):
    r"""The cross-entropy of the answer among its competitors, of scores multiplied by a temperature.

    For scores $f$, the answer $t$, its competitors $\mathcal{C}$ and the factor $\tau$,

    .. math::

        -\log \frac{\exp \tau f(t)}{\exp \tau f(t) + \sum_{t' \in \mathcal{C}} \exp \tau f(t')}

    Use it with the training loop of the same name, whose batches share their competitors, or with any loop of PyKEEN.
    The factor can be learned along with the model (``learned=True``), which a scorer of bounded scores needs. It
    changes no ranking.

    ---
    name: Sampled Softmax
    citation:
        author: Jean
        year: 2015
        link: https://aclanthology.org/P15-1001
    """

    #: The default strategy for optimizing the loss's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(temperature=dict(type=float, low=1.0, high=64.0, scale="log"))

    @strict()
    def __init__(self, temperature: float = 1.0, learned: bool = False, reduction: str = "mean") -> None:
        r"""Initialize the loss.

        :param temperature: $\tau$, at first if it is learned
        :param learned: whether $\log \tau$ is a parameter of the model that the loss belongs to
        :param reduction: ``mean`` or ``sum`` over the batch
        """
        super().__init__(reduction=reduction)  # type: ignore[arg-type]
        log_temperature = torch.tensor(math.log(temperature))
        self.log_temperature: torch.Tensor
        if learned:
            self.log_temperature = nn.Parameter(log_temperature)
        else:
            self.register_buffer("log_temperature", log_temperature, persistent=False)

    def forward(self, scores: FloatTensor, answer: LongTensor, known: BoolTensor) -> FloatTensor:
        """Return the loss of queries that share their candidates.

        :param scores: shape: ``(b, n)``
        :param answer: shape: ``(b,)``; the column of each answer
        :param known: shape: ``(b, n)``; columns that are left out, since they are answers, too
        :returns: a scalar
        """
        scores = (self.log_temperature.exp() * scores).masked_fill(known, -math.inf)
        return functional.cross_entropy(scores, answer, reduction=self.reduction)

    def process_lcwa_scores(self, predictions: FloatTensor, *args: Any, **kwargs: Any) -> FloatTensor:  # noqa: D102
        return super().process_lcwa_scores(self.log_temperature.exp() * predictions, *args, **kwargs)

    def process_slcwa_scores(  # noqa: D102
        self, positive_scores: FloatTensor, negative_scores: FloatTensor, *args: Any, **kwargs: Any
    ) -> FloatTensor:
        factor = self.log_temperature.exp()
        return super().process_slcwa_scores(factor * positive_scores, factor * negative_scores, *args, **kwargs)
