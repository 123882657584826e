"""DeViSE: a regression from descriptions to relation vectors."""

from collections.abc import Mapping
from typing import Any, ClassVar

from docdata import parse_docdata

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

    def __init__(self, *, adversarial: bool = False, noise_dim: int = 0, **kwargs) -> None:
        """Initialize the model.

        :param adversarial: whether there is a discriminator
        :param noise_dim: the dimension of the noise
        :param kwargs: keyword arguments of :class:`~pykeen_mmkg.models.zero_shot.zsgan.ZSGAN`
        """
        super().__init__(adversarial=adversarial, noise_dim=noise_dim, **kwargs)
