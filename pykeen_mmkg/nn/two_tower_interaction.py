"""Two towers: a query made of head and relation, compared with the tail by their cosine."""

import math

import torch
from docdata import parse_docdata
from pykeen.nn.modules import Interaction
from pykeen.typing import FloatTensor
from torch import nn
from torch.nn.functional import normalize

from ..options import strict
from .kernels import cross_dot

__all__ = ["TwoTowerInteraction"]


@parse_docdata
class TwoTowerInteraction(Interaction[FloatTensor, tuple[FloatTensor, FloatTensor], FloatTensor]):
    r"""A query of head and relation, compared with the tail by a cosine of learned temperature.

    .. math::

        f(h, r, t) = \tau \cos(q, t), \qquad q = h \odot a_r + \mathrm{MLP}([\mathrm{dropout}(h); \rho_r])

    where $a_r$ and $\rho_r$ are the two representations of the relation, $\tau = e^\lambda$ is learned, and the
    perceptron goes from $2d$ over a hidden layer (GELU, dropout) to $d$. With $a_r = 1$ and small weights a query
    starts near its head, so that an entity is compared with entities like it before anything is learned. A zero vector
    has the score 0 with everything.

    All tails are scored by one matrix product. For heads the query has to be made anew for each candidate: use inverse
    relations.

    ---
    name: Two-Tower
    citation:
        author: Wang
        year: 2022
        link: https://aclanthology.org/2022.acl-long.295
        github: intfloat/SimKGC
    """

    relation_shape = ("d", "d")

    @strict(dim=1, hidden_dim=1, dropout=(0, 1), temperature=0)
    def __init__(
        self, dim: int, hidden_dim: int | None = None, dropout: float = 0.1, temperature: float = 20.0
    ) -> None:
        r"""Initialize the interaction.

        :param dim: the dimension $d$ of all representations
        :param hidden_dim: the width of the hidden layer, by default $2d$
        :param dropout: the dropout of the head, as the perceptron sees it, and of the hidden layer
        :param temperature: $\tau$ at first
        """
        super().__init__()
        hidden_dim = 2 * dim if hidden_dim is None else hidden_dim
        self.dropout = nn.Dropout(dropout)
        self.perceptron = nn.Sequential(
            nn.Linear(2 * dim, hidden_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden_dim, dim)
        )
        self.initial_log_temperature = math.log(temperature)
        self.log_temperature = nn.Parameter(torch.tensor(self.initial_log_temperature))

    def reset_parameters(self) -> None:  # noqa: D102
        super().reset_parameters()
        nn.init.constant_(self.log_temperature, self.initial_log_temperature)

    def query(self, h: FloatTensor, scale: FloatTensor, code: FloatTensor) -> FloatTensor:
        r"""Make queries of length one from parts whose batch dimensions can be broadcast.

        :param h: shape: ``(*batch_dims, d)``; heads
        :param scale: shape: ``(*batch_dims, d)``; $a_r$
        :param code: shape: ``(*batch_dims, d)``; $\rho_r$
        :returns: shape: ``(*batch_dims, d)``
        """
        parts = torch.broadcast_tensors(self.dropout(h), code)
        return normalize(h * scale + self.perceptron(torch.cat(parts, dim=-1)), dim=-1)

    def forward(self, h: FloatTensor, r: tuple[FloatTensor, FloatTensor], t: FloatTensor) -> FloatTensor:
        """Evaluate the interaction function.

        :param h: shape: ``(*batch_dims, d)``; heads
        :param r: shape: ``(*batch_dims, d)`` each; the two representations of the relations
        :param t: shape: ``(*batch_dims, d)``; tails
        :returns: shape: ``batch_dims``; the scores
        """
        query, key = self.query(h, *r), normalize(t, dim=-1)
        if key.ndim > 1 and key.shape[-2] * key.shape[-1] == key.numel() and query.shape[-2] == 1:
            # all queries with the same tails
            scores = cross_dot(query.reshape(-1, query.shape[-1]), key.reshape(-1, key.shape[-1]))
            scores = scores.view(*query.shape[:-2], key.shape[-2])
        else:
            scores = (query * key).sum(dim=-1)
        return self.log_temperature.exp() * scores
