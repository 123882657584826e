"""A scorer of unseen relations that reads nothing but texts."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from docdata import parse_docdata

from ...options import strict
from .relevidence import RelEvidence

__all__ = ["TextOnly"]


@parse_docdata
class TextOnly(RelEvidence):
    """Scores a triple by the texts of its head, relation and tail; the graph serves as training data only.

    It is :class:`~pykeen_mmkg.models.zero_shot.relevidence.RelEvidence` with ``text`` as the only evidence.

    ---
    name: TextOnly
    citation:
        author: Wang
        year: 2022
        link: https://arxiv.org/abs/2203.02167
        arxiv: 2203.02167
    """

    #: The default strategy for optimizing the model's hyper-parameters
    hpo_default: ClassVar[Mapping[str, Any]] = dict(
        rank=dict(type=int, low=8, high=48, q=8),
        dropout=dict(type=float, low=0.0, high=0.6, q=0.1),
    )

    @strict()
    def __init__(self, *, evidence: Sequence[str] | None = None, **kwargs) -> None:
        """Initialize the model.

        :param evidence: by default the texts only; add ``words`` for mentions of names
        :param kwargs: keyword arguments of :class:`~pykeen_mmkg.models.zero_shot.relevidence.RelEvidence`
        """
        super().__init__(evidence=("text",) if evidence is None else evidence, **kwargs)
