"""Fusions in which nothing is learned: average, sum and concatenation."""

from collections.abc import Sequence
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.typing import BoolTensor, FloatTensor

from .abstract import FormFusion, Fusion, masked, weighted_sum

__all__ = ["AverageFusion", "ConcatFusion", "SumFusion"]


@parse_docdata
class AverageFusion(FormFusion):
    """The mean of the modalities: the fusion of VL-KGE.

    With `form`, it is

    - ``uneven`` (default): ``(seen * s + has_v * v + has_t * t) / (1 + has_v + has_t)``, the paper's form for graphs in
      which entities differ in their modalities: the structural slot is always counted, also where it is masked
      because the entity is unseen in training; another modality is counted where it is present. With a full mask this
      equals the dense form.
    - ``dense``: ``(s + v + t) / 3``, the paper's form for graphs in which every entity has every modality. Something
      that is missing nevertheless is a zero that counts.
    - ``masked``: the mean of what is present; a masked structural slot is not counted.

    Source of the formulas: Efthymiou et al., VL-KGE, WWW 2026, https://arxiv.org/abs/2603.02435, and its code.

    ---
    name: Average
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    forms = ("uneven", "dense", "masked")
    structured = "uneven"

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        if mask is None:
            total = sum(xs[1:], start=xs[0])
            # a whole table is not to be divided by one
            return total / len(xs) if len(xs) > 1 else total
        return weighted_sum(xs, self.coefficients(mask).to(dtype=xs[0].dtype))

    def coefficients(self, mask: BoolTensor) -> FloatTensor:  # noqa: D102
        # at least one: an item without any modality is 0 / 1
        number = self.counted(mask).sum(dim=-1, keepdim=True).clamp(min=1)
        return mask.to(dtype=torch.get_default_dtype()) / number


@parse_docdata
class SumFusion(Fusion):
    """The sum of the modalities that an item has ("addition" in VL-KGE).

    ---
    name: Sum
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        return sum(xs[1:], start=xs[0]) if mask is None else weighted_sum(xs, mask.to(dtype=xs[0].dtype))

    def coefficients(self, mask: BoolTensor) -> FloatTensor:  # noqa: D102
        return mask.to(dtype=torch.get_default_dtype())


@parse_docdata
class ConcatFusion(Fusion):
    """The modalities side by side, with zeros for what is missing; the output has the dimension ``M * d``.

    ---
    name: Concatenation
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    @classmethod
    def fused_dim(cls, num_modalities: int, dim: int, **kwargs: Any) -> int:  # noqa: D102
        return num_modalities * dim

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        return torch.cat(list(masked(xs, mask)), dim=-1)
