"""A fusion that moves each modality into the space of the structural vectors by optimal transport."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.typing import BoolTensor, FloatTensor
from torch import nn

from ...errors import MultimodalError
from ...options import strict
from .abstract import STRUCTURAL, Fusion, masked, masked_softmax, weighted_sum

__all__ = ["TransportFusion", "sinkhorn"]


def sinkhorn(cost: FloatTensor, temperature: float, iterations: int = 50) -> FloatTensor:
    r"""Return the entropic transport plan between uniform distributions.

    The plan $P = \operatorname{diag}(u) \exp(-C / \epsilon) \operatorname{diag}(v)$ whose rows and columns add up to
    $1/n$ and $1/m$ minimises $\langle P, C \rangle - \epsilon H(P)$ (Cuturi, 2013, https://arxiv.org/abs/1306.0895).
    Columns are exact, rows as exact as the iterations make them.

    :param cost: shape: ``(*b, n, m)``; $C$
    :param temperature: $\epsilon$
    :param iterations: how often rows and columns are scaled in turn, in logarithms
    :returns: shape: ``(*b, n, m)``
    """
    kernel = -cost / temperature
    n, m = cost.shape[-2:]
    columns = torch.zeros_like(kernel[..., :1, :])
    for _ in range(iterations):
        rows = -math.log(n) - (kernel + columns).logsumexp(dim=-1, keepdim=True)
        columns = -math.log(m) - (kernel + rows).logsumexp(dim=-2, keepdim=True)
    return (kernel + rows + columns).exp()


@parse_docdata
class TransportFusion(Fusion):
    r"""OTKGE: a weighted mean of vectors that were moved into the space of the structural ones.

    .. math::

        \mathbf{e} = \sum_i w_i\, (d P_i + D_i)^\top \mathbf{x}_i

    over the modalities that the item has; for the structural one there is nothing to move. $w$ is the softmax of a
    learned number for each of these, $D_i$ a learned matrix, zero at first, and $P_i$ the mean, over items, of the
    optimal plan (:func:`sinkhorn`) that moves the $d$ coordinates of $\mathbf{x}_i$ to those of the structural vector
    $\mathbf{s}$ at the cost $(x_{ij} - s_k)^2$. In training the mean follows the batches, each with a few items that
    have both, with a momentum as batch normalization has it; no gradient goes through a plan.

    Source: the paper and its code. There, plans come from the first ten entities and are multiplied by a hundred or
    more, $D_i$ starts at random, and the weights are chosen, not learned.

    ---
    name: Optimal Transport
    citation:
        author: Cao
        year: 2022
        link: https://proceedings.neurips.cc/paper_files/paper/2022/hash/ffdb280e7c7b4c4af30e04daf5a84b98-Abstract-Conference.html
        github: Lion-ZS/OTKGE
    """

    #: shape (M, d, d), the mean plans; unused for the structural modality
    plans: FloatTensor
    #: shape (M,), whether there is a plan yet
    followed: BoolTensor

    @strict(temperature=1e-6, items=1, momentum=(0, 1))
    def __init__(
        self,
        modalities: str | Sequence[str],
        dim: int,
        temperature: float = 0.1,
        items: int = 10,
        momentum: float = 0.1,
        structural: str = STRUCTURAL,
    ) -> None:
        r"""Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        :param temperature: $\epsilon$ of the plan, as a share of the mean cost
        :param items: of how many items of a batch plans are made
        :param momentum: how much of the mean a new batch is
        :param structural: the modality whose space the others are moved into
        :raises MultimodalError: if there is no such modality
        """
        super().__init__(modalities=modalities, dim=dim)
        if structural not in self.modalities:
            raise MultimodalError(f"There is no modality {structural!r} to move to; there are {list(self.modalities)}.")
        self.temperature, self.items, self.momentum = temperature, items, momentum
        self.target = self.modalities.index(structural)
        self.logits = nn.Parameter(torch.zeros(self.num_modalities))
        self.correction = nn.Parameter(torch.zeros(self.num_modalities, dim, dim))
        self.register_buffer("plans", torch.empty(self.num_modalities, dim, dim))
        self.register_buffer("followed", torch.empty(self.num_modalities, dtype=torch.bool))
        self.reset_parameters()

    def reset_parameters(self) -> None:  # noqa: D102
        nn.init.zeros_(self.logits)
        nn.init.zeros_(self.correction)
        # before there is a plan, a coordinate stays what it is
        self.plans = torch.eye(self.dim).div(self.dim).to(self.plans).repeat(self.num_modalities, 1, 1)
        self.followed = torch.zeros_like(self.followed)

    @torch.no_grad()
    def _follow(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> None:
        """Let the mean plans follow a batch."""
        structural = xs[self.target].reshape(-1, self.dim)
        has = torch.ones(len(structural), len(xs), dtype=torch.bool, device=structural.device)
        has = has if mask is None else mask.reshape(has.shape)
        plans, followed = self.plans.clone(), self.followed.clone()
        for i, x in enumerate(xs):
            both = (has[:, i] & has[:, self.target]).nonzero()[:, 0]
            if i == self.target or not len(both):
                continue
            chosen = both[torch.randperm(len(both), device=both.device)[: self.items]]
            x, s = x.reshape(-1, self.dim)[chosen].float(), structural[chosen].float()
            cost = (x.unsqueeze(-1) - s.unsqueeze(-2)).square()
            # a temperature of its own for each item: the scale of vectors changes in training
            cost = cost / cost.mean(dim=(-1, -2), keepdim=True).clamp(min=torch.finfo(cost.dtype).tiny)
            plan = sinkhorn(cost, self.temperature).mean(dim=0).to(plans)
            plans[i] = torch.lerp(plans[i], plan, self.momentum) if followed[i] else plan
            followed[i] = True
        # new tensors: the graph of an earlier batch may hold the old ones
        self.plans, self.followed = plans, followed

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        if self.training and torch.is_grad_enabled():
            self._follow(xs, mask)
        maps = self.dim * self.plans + self.correction
        moved = [x if i == self.target else x @ maps[i] for i, x in enumerate(masked(xs, mask))]
        if mask is None:
            return weighted_sum(moved, self.logits.softmax(dim=-1))
        return weighted_sum(moved, masked_softmax(self.logits.expand(mask.shape), mask))

    def iter_extra_repr(self) -> Any:  # noqa: D102
        yield from super().iter_extra_repr()
        yield f"temperature={self.temperature}"
