"""A fusion of structure with several pictures of an item."""

from collections.abc import Sequence
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.typing import BoolTensor, FloatTensor

from ...errors import MultimodalError
from ...options import strict
from .abstract import STRUCTURAL, Fusion, masked, masked_softmax, weighted_sum

__all__ = ["InstanceAttentionFusion"]


@parse_docdata
class InstanceAttentionFusion(Fusion):
    r"""IKRL's attention over several pictures: those count that are like the structural vector.

    .. math::

        \mathbf{e} = [\mathbf{s}; \textstyle\sum_k a_k \mathbf{x}_k],
        \qquad a_k = \operatorname{softmax}_k(\mathbf{x}_k \cdot \mathbf{s})

    over the pictures that the item has; every modality but the structural one is a picture. The output has the
    dimension ``2 d``: structure and image as two rows for the interaction ``ikrl``, or as one vector. Without
    structure (an item that training never saw) all pictures count the same.

    ---
    name: Instance Attention
    citation:
        author: Xie
        year: 2017
        arxiv: 1609.07028
        link: https://doi.org/10.24963/ijcai.2017/438
    """

    @strict()
    def __init__(self, modalities: str | Sequence[str], dim: int, structural: str = STRUCTURAL) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities: structure, and one for each picture
        :param dim: the dimension of every modality's vectors
        :param structural: the modality that attends to the others
        :raises MultimodalError: if there is no such modality, or no other one
        """
        super().__init__(modalities=modalities, dim=dim)
        if structural not in self.modalities or self.num_modalities < 2:
            raise MultimodalError(
                f"Attention over pictures needs the modality {structural!r} and at least one picture; there are "
                f"{list(self.modalities)}."
            )
        self.query = self.modalities.index(structural)

    @classmethod
    def fused_dim(cls, num_modalities: int, dim: int, **kwargs: Any) -> int:  # noqa: D102
        return 2 * dim

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        xs = list(masked(xs, mask))
        structural = xs.pop(self.query)
        if mask is not None:
            mask = torch.cat([mask[..., : self.query], mask[..., self.query + 1 :]], dim=-1)
        scores = torch.stack([(x * structural).sum(dim=-1) for x in xs], dim=-1)
        return torch.cat([structural, weighted_sum(xs, masked_softmax(scores, mask))], dim=-1)
