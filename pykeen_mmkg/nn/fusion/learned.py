"""Fusions with learned weights: one per modality, gates, attention."""

from collections.abc import Sequence
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.typing import BoolTensor, FloatTensor
from torch import nn

from ...options import strict
from .abstract import FormFusion, Fusion, masked, masked_softmax, weighted_sum

__all__ = ["AdaptiveFusion", "AttentionFusion", "GatedFusion", "WeightedFusion"]


@parse_docdata
class WeightedFusion(FormFusion):
    r"""A weighted mean with one learned scalar $w_i$ per modality.

    .. math::

        \mathbf{e} = \sum_{i\ \text{present}} a_i \mathbf{x}_i
        \qquad
        a_i = \frac{\exp w_i}{\sum_{j\ \text{counted}} \exp w_j}

    With `form`, what is counted is

    - ``masked`` (default): the modalities that an item has; it starts as the mean of what is present.
    - ``asymmetric``: these, and the structural one always: it keeps its weight where it is masked because the entity is
      unseen in training.
    - ``dense``: all modalities; what is missing keeps its weight.

    The latter two are the forms of the code of VL-KGE, for graphs in which entities differ in their modalities, and for
    graphs in which each has all.

    ---
    name: Weighted Average
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    forms = ("masked", "asymmetric", "dense")
    structured = "asymmetric"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Initialize the fusion; the arguments are those of :class:`FormFusion`."""
        super().__init__(*args, **kwargs)
        self.logits = nn.Parameter(torch.zeros(self.num_modalities))

    def reset_parameters(self) -> None:  # noqa: D102
        nn.init.zeros_(self.logits)

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        if mask is None:
            return weighted_sum(xs, self.logits.softmax(dim=-1))
        weights = masked_softmax(self.logits.expand(mask.shape), self.counted(mask))
        return weighted_sum(xs, weights.masked_fill(~mask, 0.0))


@parse_docdata
class GatedFusion(Fusion):
    """A mean with a gate per modality and dimension, computed from all the modalities' vectors.

    ``z = softmax_i(W2 tanh(W1 [x_1; ...; x_M] + b1) + b2)`` over the modalities ``i`` that the item has, and
    ``e = sum_i z_i * x_i``. This is the gated multimodal unit (Arevalo et al., 2017, https://arxiv.org/abs/1702.01992)
    for any number of modalities, with the sigmoid of two gates replaced by its generalisation, a softmax that can be
    masked, and with a narrow hidden layer, which keeps the number of weights linear in the dimension.

    It starts as the mean of what is present, since W2 and b2 start at zero.

    ---
    name: Gated Average
    """

    @strict(hidden_dim=1)
    def __init__(self, modalities: str | Sequence[str], dim: int, hidden_dim: int = 64) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        :param hidden_dim: the width of the hidden layer
        """
        super().__init__(modalities=modalities, dim=dim)
        self.hidden = nn.Linear(self.num_modalities * dim, hidden_dim)
        self.gate = nn.Linear(hidden_dim, self.num_modalities * dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:  # noqa: D102
        nn.init.xavier_uniform_(self.hidden.weight)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        hidden = self.hidden(torch.cat(list(masked(xs, mask)), dim=-1)).tanh()
        scores = self.gate(hidden).unflatten(-1, (self.num_modalities, self.dim))
        gates = masked_softmax(scores, None if mask is None else mask.unsqueeze(-1), dim=-2)
        total = xs[0] * gates[..., 0, :]
        for i, x in enumerate(xs[1:], start=1):
            total = torch.addcmul(total, x, gates[..., i, :])
        return total


@parse_docdata
class AttentionFusion(Fusion):
    """A weighted mean whose weights a learned query gives, from the modalities' vectors.

    ``a = softmax_i(q . tanh(W x_i + b) + c_i)`` over the modalities ``i`` that the item has, and
    ``e = sum_i a_i * x_i``: additive attention (Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473) with a query
    that is the same for all items, W shared by the modalities, and a bias ``c_i`` for each.

    It starts as the mean of what is present, since q and c start at zero.

    ---
    name: Attention
    """

    @strict(hidden_dim=1)
    def __init__(self, modalities: str | Sequence[str], dim: int, hidden_dim: int = 64) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        :param hidden_dim: the dimension of the query
        """
        super().__init__(modalities=modalities, dim=dim)
        self.key = nn.Linear(dim, hidden_dim)
        self.query = nn.Parameter(torch.zeros(hidden_dim))
        self.bias = nn.Parameter(torch.zeros(self.num_modalities))
        self.reset_parameters()

    def reset_parameters(self) -> None:  # noqa: D102
        nn.init.xavier_uniform_(self.key.weight)
        nn.init.zeros_(self.key.bias)
        nn.init.zeros_(self.query)
        nn.init.zeros_(self.bias)

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        scores = torch.stack([self.key(x).tanh() @ self.query for x in xs], dim=-1) + self.bias
        return weighted_sum(xs, masked_softmax(scores, mask))


@parse_docdata
class AdaptiveFusion(Fusion):
    """The weighted mean of AdaMF, whose weights come from the modalities' vectors as they are.

    ``a = softmax_i(q . tanh(x_i))`` over the modalities ``i`` that the item has, and ``e = sum_i a_i * x_i``, with a
    learned q: :class:`AttentionFusion` without a layer and without biases. It starts as the mean of what is present,
    since q starts at zero.

    ---
    name: Adaptive
    citation:
        author: Zhang
        year: 2024
        arxiv: 2402.15444
        link: https://aclanthology.org/2024.lrec-main.1487
        github: zjukg/AdaMF-MAT
    """

    @strict()
    def __init__(self, modalities: str | Sequence[str], dim: int) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        """
        super().__init__(modalities=modalities, dim=dim)
        self.query = nn.Parameter(torch.zeros(dim))

    def reset_parameters(self) -> None:  # noqa: D102
        nn.init.zeros_(self.query)

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        scores = torch.stack([x.tanh() @ self.query for x in xs], dim=-1)
        return weighted_sum(xs, masked_softmax(scores, mask))
