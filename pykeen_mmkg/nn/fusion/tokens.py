"""A fusion by a transformer, for which each modality, or each part of one, is a token."""

from collections.abc import Sequence

import torch
from docdata import parse_docdata
from pykeen.typing import BoolTensor, FloatTensor
from torch import nn

from ...errors import MultimodalError
from ...options import strict
from .abstract import Fusion, masked

__all__ = ["TransformerFusion"]


@parse_docdata
class TransformerFusion(Fusion):
    r"""MyGO's entity encoder: a transformer over the tokens of an item, read off at a token of its own.

    .. math::

        \mathbf{e} = \operatorname{Transformer}\left(\mathbf{c},
            \mathbf{x}_1 + \mathbf{p}_1, \dots, \mathbf{x}_M + \mathbf{p}_M\right)_0

    with a learned $\mathbf{c}$ and a learned $\mathbf{p}_i$ for each token. What is missing is no token. There may be
    as many tokens as one likes: a modality of
    :class:`~pykeen_mmkg.nn.multimodal.MultimodalRepresentation` can be one picture of several, or one piece of a text.

    Source: the paper, whose tokens are discrete codes of image patches and the input embeddings of a language model.
    Its contrastive loss is no part of a fusion.

    ---
    name: Transformer
    citation:
        author: Zhang
        year: 2025
        arxiv: 2404.09468
        link: https://arxiv.org/abs/2404.09468
        github: zjukg/MyGO
    """

    @strict(num_layers=1, num_heads=1, hidden_dim=1, dropout=(0, 1))
    def __init__(
        self,
        modalities: str | Sequence[str],
        dim: int,
        num_layers: int = 1,
        num_heads: int = 1,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Initialize the fusion.

        :param modalities: the names of the tokens
        :param dim: the dimension of every token
        :param num_layers: how many layers the transformer has
        :param num_heads: into how many heads the dimension is split
        :param hidden_dim: the width of the hidden layers, by default twice the dimension
        :param dropout: the dropout of the transformer
        :raises MultimodalError: if the dimension cannot be split like this
        """
        super().__init__(modalities=modalities, dim=dim)
        if dim % num_heads:
            raise MultimodalError(f"The dimension {dim} cannot be split into {num_heads} heads.")
        hidden_dim = 2 * dim if hidden_dim is None else hidden_dim
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, num_heads, hidden_dim, dropout, batch_first=True) for _ in range(num_layers)
        )
        self.item = nn.Parameter(torch.empty(dim))
        self.types = nn.Parameter(torch.empty(self.num_modalities, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:  # noqa: D102
        for layer in self.layers:
            for module in layer.modules():
                if isinstance(module, nn.LayerNorm | nn.Linear):
                    module.reset_parameters()
                elif isinstance(module, nn.MultiheadAttention):
                    module._reset_parameters()
        nn.init.normal_(self.item, std=0.02)
        nn.init.normal_(self.types, std=0.02)

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        tokens = torch.stack(list(masked(xs, mask)), dim=-2) + self.types
        batch = tokens.shape[:-2]
        tokens = torch.cat([self.item.expand(*batch, 1, -1), tokens], dim=-2)
        tokens = tokens.reshape(-1, *tokens.shape[-2:])
        hidden = None
        if mask is not None:
            # the token of the item is always there
            hidden = torch.cat([mask.new_zeros(*batch, 1), ~mask], dim=-1).view(*tokens.shape[:2])
        for layer in self.layers:
            tokens = layer(tokens, src_key_padding_mask=hidden)
        fused = tokens[:, 0].view(*batch, self.dim)
        return fused if mask is None else fused.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
