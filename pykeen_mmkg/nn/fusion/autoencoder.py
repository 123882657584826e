"""A fusion whose vector is what an autoencoder of the modalities keeps."""

from collections.abc import Sequence

import torch
from docdata import parse_docdata
from pykeen.typing import BoolTensor, FloatTensor
from torch import nn

from ...options import strict
from ..residual import ResidualRegularizer
from .abstract import Fusion, masked

__all__ = ["AutoencoderFusion"]


@parse_docdata
class AutoencoderFusion(Fusion):
    r"""TransAE: the middle layer of an autoencoder of all modalities.

    .. math::

        \mathbf{e} = \sigma\left(W [\sigma(W_1 \mathbf{x}_1 + \mathbf{b}_1); \dots;
            \sigma(W_M \mathbf{x}_M + \mathbf{b}_M)] + \mathbf{b}\right),
        \qquad
        \hat{\mathbf{x}}_i = V_i\, \sigma(V \mathbf{e} + \mathbf{c})_i + \mathbf{c}_i

    with zeros in the place of what is missing, and $\sigma = \tanh$. The mean of $(\hat{x}_{ij} - x_{ij})^2$ over what
    is present joins the loss by `weight`, the way PyKEEN's regularizers do; no gradient goes to the $\mathbf{x}_i$
    that are to be reproduced, so that what is trained does not shrink for it. With ``visual``
    and ``textual`` alone an entity has nothing but content, as in the paper.

    Source: the paper, which has no structural vector and no projection; layers and errors are those of a public
    re-implementation (the link below). It has the logistic function after every layer, the last one too, which can
    reproduce no negative value; here, $\tanh$ is between the layers and nothing after the last one. It halves the
    ranking loss beside the errors of all heads and tails, positive and negative; here, `weight` is the user's choice.

    ---
    name: Autoencoder
    citation:
        author: Wang
        year: 2019
        link: https://doi.org/10.1109/IJCNN.2019.8852079
        github: ksolaiman/TransAE
    """

    @strict(hidden_dim=1, weight=0)
    def __init__(
        self, modalities: str | Sequence[str], dim: int, hidden_dim: int | None = None, weight: float = 1.0
    ) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors, and of the middle layer
        :param hidden_dim: the width of each modality's hidden layer, by default half of `dim`
        :param weight: how much the error counts beside the loss
        """
        super().__init__(modalities=modalities, dim=dim)
        width = max(1, dim // 2) if hidden_dim is None else hidden_dim
        number = self.num_modalities
        self.encoders = nn.ModuleList(nn.Linear(dim, width) for _ in self.modalities)
        self.encode = nn.Linear(number * width, dim)
        self.decode = nn.Linear(dim, number * width)
        self.decoders = nn.ModuleList(nn.Linear(width, dim) for _ in self.modalities)
        self.error = ResidualRegularizer(weight=weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:  # noqa: D102
        for layer in (*self.encoders, self.encode, self.decode, *self.decoders):
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def reproduce(self, fused: FloatTensor) -> list[FloatTensor]:
        """Return what the autoencoder makes of fused vectors, shape ``(*b, d)`` for each modality."""
        hidden = self.decode(fused).tanh().chunk(self.num_modalities, dim=-1)
        return [decoder(part) for decoder, part in zip(self.decoders, hidden, strict=True)]

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        hidden = [encoder(x).tanh() for encoder, x in zip(self.encoders, xs, strict=True)]
        fused = self.encode(torch.cat(list(masked(hidden, mask)), dim=-1)).tanh()
        if self.training and torch.is_grad_enabled():
            residuals = [again - x.detach() for again, x in zip(self.reproduce(fused), xs, strict=True)]
            if mask is not None:
                residuals = [residual[mask[..., i]] for i, residual in enumerate(residuals)]
            flat = torch.cat([residual.flatten() for residual in residuals])
            if len(flat):
                self.error.update(flat)
        return fused if mask is None else fused.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
