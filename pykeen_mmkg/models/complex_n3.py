"""ComplEx as Lacroix et al. train it."""

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from docdata import parse_docdata
from pykeen.losses import Loss
from pykeen.models.nbase import ERModel
from pykeen.nn.representation import Embedding
from pykeen.regularizers import PowerSumRegularizer
from pykeen.triples import CoreTriplesFactory
from torch import nn

from ..nn.interaction import FastComplExInteraction
from ..nn.losses import SampledSoftmaxLoss
from ..options import strict
from .loss import OwnLossMixin

__all__ = ["ComplExN3"]


@parse_docdata
class ComplExN3(OwnLossMixin, ERModel):
    r"""ComplEx with tiny initial vectors and the nuclear 3-norm as its penalty.

    .. math::

        \lambda \left(\|h\|_3^3 + \|r\|_3^3 + \|t\|_3^3\right), \qquad \|x\|_3^3 = \sum_i |x_i|^3

    over the complex moduli, averaged over a batch. Use it with inverse triples, the optimizer Adagrad with a learning
    rate of 0.1, and the training loop ``sampledsoftmax``.

    ---
    name: ComplEx-N3
    citation:
        author: Lacroix
        year: 2018
        link: https://proceedings.mlr.press/v80/lacroix18a.html
        arxiv: 1806.07297
        github: facebookresearch/kbc
    """

    #: The default strategy for optimizing the model's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(
        embedding_dim=dict(type=int, low=64, high=512, q=64),
        penalty=dict(type=float, low=1e-3, high=1.0, scale="log"),
    )
    #: The default loss function class
    loss_default: ClassVar[type[Loss]] = SampledSoftmaxLoss
    #: The default parameters for the default loss function class
    loss_default_kwargs: ClassVar[Mapping[str, Any]] = {}

    @strict(embedding_dim=1, penalty=0, initial_scale=0)
    def __init__(
        self,
        *,
        triples_factory: CoreTriplesFactory,
        embedding_dim: int = 128,
        penalty: float = 0.1,
        initial_scale: float = 1e-3,
        **kwargs,
    ) -> None:
        r"""Initialize the model.

        :param triples_factory: the training triples
        :param embedding_dim: the complex dimension
        :param penalty: $\lambda$
        :param initial_scale: the standard deviation of the initial real and imaginary parts
        :param kwargs: keyword arguments of :class:`~pykeen.models.ERModel`
        """
        options: dict[str, Any] = dict(
            shape=embedding_dim,
            dtype=torch.cfloat,
            initializer=functools.partial(nn.init.normal_, std=initial_scale),
        )
        if penalty:
            options |= dict(regularizer=PowerSumRegularizer, regularizer_kwargs=dict(weight=penalty, p=3.0))
        super().__init__(
            triples_factory=triples_factory,
            interaction=FastComplExInteraction,
            entity_representations=Embedding,
            entity_representations_kwargs=options,
            relation_representations=Embedding,
            relation_representations_kwargs=options,
            **kwargs,
        )
