"""How far the name of one entity is mentioned in the text of another."""

from collections.abc import Sequence
from typing import Any

import numpy
import torch
from pykeen.typing import FloatTensor, LongTensor
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

__all__ = ["WordOverlap"]


class WordOverlap:
    r"""The share of the words of a name, weighted by rarity, that occur in another entity's name and description.

    .. math::

        o(a, b) = \frac{\sum_{v \in \mathrm{name}(a) \cap \mathrm{text}(b)} i_v}
                       {\sum_{v \in \mathrm{name}(a)} i_v}
        \qquad i_v = \log\frac{n}{\mathrm{df}(v)}

    "Denton is a city in the U.S. state of Texas" mentions all of the name "Texas".
    """

    def __init__(self, names: Sequence[str | None], descriptions: Sequence[str | None]) -> None:
        """Initialize the overlap.

        :param names: the names of the entities, in the order of their ids
        :param descriptions: their descriptions
        """
        names = [name or "" for name in names]
        texts = [f"{name} {text or ''}" for name, text in zip(names, descriptions, strict=True)]
        options: dict[str, Any] = {"token_pattern": r"\w+", "binary": True, "dtype": numpy.float32}
        words = CountVectorizer(**options).build_analyzer()
        # only words of a name can ever match; without any, one that never does
        vocabulary = sorted({word for name in names for word in words(name)}) or [""]
        vectorizer = CountVectorizer(vocabulary=vocabulary, **options)
        self._text = vectorizer.transform(texts)
        frequency = numpy.maximum(numpy.asarray(self._text.sum(axis=0)).ravel(), 1.0)
        weighted = vectorizer.transform(names) @ sparse.diags(numpy.log(len(texts) / frequency).astype(numpy.float32))
        total = numpy.maximum(numpy.asarray(weighted.sum(axis=1)).ravel(), 1e-6)
        self._name = (sparse.diags(1 / total) @ weighted).tocsr().astype(numpy.float32)

    def __call__(self, heads: LongTensor, tails: LongTensor) -> FloatTensor:
        """Return o(tail, head) and o(head, tail).

        :param heads: shape: ``(m,)``
        :param tails: shape: ``(m,)``
        :returns: shape: ``(m, 2)``, on the CPU
        """
        h, t = heads.cpu().numpy(), tails.cpu().numpy()
        mentioned = numpy.asarray(self._name[t].multiply(self._text[h]).sum(axis=1)).ravel()
        mentions = numpy.asarray(self._name[h].multiply(self._text[t]).sum(axis=1)).ravel()
        return torch.from_numpy(numpy.stack([mentioned, mentions], axis=-1).astype(numpy.float32))

    def grid(self, heads: LongTensor, tails: LongTensor) -> FloatTensor:
        """Return the same for all pairs.

        :param heads: shape: ``(q,)``
        :param tails: shape: ``(c,)``
        :returns: shape: ``(c, q, 2)``, on the CPU
        """
        h, t = heads.cpu().numpy(), tails.cpu().numpy()
        mentioned = (self._name[t] @ self._text[h].T.tocsr()).toarray()
        mentions = (self._text[t] @ self._name[h].T.tocsr()).toarray()
        return torch.from_numpy(numpy.stack([mentioned, mentions], axis=-1).astype(numpy.float32))
