"""Fusions in which nothing is learned: average, sum and concatenation."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.typing import BoolTensor, FloatTensor

from ...options import strict
from .abstract import STRUCTURAL, Fusion, check_form, counted_modalities, masked, weighted_sum

__all__ = ["AverageFusion", "ConcatFusion", "SumFusion"]


@parse_docdata
class AverageFusion(Fusion):
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

    @strict()
    def __init__(
        self, modalities: str | Sequence[str], dim: int, form: str = "uneven", structural: str = STRUCTURAL
    ) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        :param form: ``uneven``, ``dense`` or ``masked``
        :param structural: the modality that the uneven form always counts
        :raises MultimodalError: if there is no such form
        """
        super().__init__(modalities=modalities, dim=dim)
        self.form = check_form(form, ("uneven", "dense", "masked"), "average")
        self.always = [i for i, name in enumerate(self.modalities) if form == "uneven" and name == structural]

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        if mask is None:
            total = xs[0]
            for x in xs[1:]:
                total = total + x
            return total / len(xs)
        return weighted_sum(xs, self.coefficients(mask).to(dtype=xs[0].dtype))

    def coefficients(self, mask: BoolTensor) -> FloatTensor:  # noqa: D102
        weights = mask.to(dtype=torch.get_default_dtype())
        if self.form == "dense":
            return weights / self.num_modalities
        counted = counted_modalities(mask, self.always)
        # at least one: an item without any modality is 0 / 1
        return weights / counted.sum(dim=-1, keepdim=True).clamp(min=1)

    def iter_extra_repr(self) -> Iterable[str]:  # noqa: D102
        yield from super().iter_extra_repr()
        yield f"form={self.form}"


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
        if mask is not None:
            return weighted_sum(xs, mask.to(dtype=xs[0].dtype))
        total = xs[0]
        for x in xs[1:]:
            total = total + x
        return total

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
