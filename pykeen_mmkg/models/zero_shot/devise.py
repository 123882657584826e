"""DeViSE: a regression from descriptions to relation vectors."""

from collections.abc import Mapping
from typing import Any, ClassVar

from class_resolver import OptionalKwargs
from docdata import parse_docdata

from ...options import strict
from .zsgan import ZSGAN

__all__ = ["DeViSE"]


@parse_docdata
class DeViSE(ZSGAN):
    """A regression from descriptions to the centroids of relations among pairs: ZSGAN without noise and discriminator.

    ---
    name: DeViSE
    citation:
        author: Frome
        year: 2013
        link: https://papers.nips.cc/paper/2013/hash/7cce53cf90577442771720a370c3c723-Abstract.html
    """

    #: The default strategy for optimizing the model's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(embedding_dim=dict(type=int, low=50, high=250, q=50))

    @strict()
    def __init__(self, *, learner_kwargs: OptionalKwargs = None, **kwargs) -> None:
        """Initialize the model.

        :param learner_kwargs: further keyword arguments of :class:`.GenerativeLearner`; neither noise nor a
            discriminator unless they say otherwise
        :param kwargs: keyword arguments of :class:`~pykeen_mmkg.models.zero_shot.zsgan.ZSGAN`
        """
        super().__init__(learner_kwargs=dict(adversarial=False, noise_dim=0) | dict(learner_kwargs or {}), **kwargs)
