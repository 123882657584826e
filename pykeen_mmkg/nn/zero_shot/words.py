"""How far the name of one entity is mentioned in the text of another."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy
import torch
from pykeen.typing import FloatTensor, LongTensor
from scipy import sparse

__all__ = ["WordOverlap"]

_WORD = re.compile(r"\w+")


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
        in_name = [set(_WORD.findall((name or "").lower())) for name in names]
        in_text = [
            words | set(_WORD.findall((text or "").lower())) for words, text in zip(in_name, descriptions, strict=True)
        ]
        frequency = Counter(word for words in in_text for word in words)
        # only words of a name can ever match
        vocabulary = {word: i for i, word in enumerate(sorted(set().union(*in_name)))}
        rarity = numpy.array([numpy.log(len(in_text) / frequency[word]) for word in vocabulary], dtype=numpy.float32)
        self._text = self._matrix(in_text, vocabulary)
        weighted = self._matrix(in_name, vocabulary) @ sparse.diags(rarity if len(rarity) else numpy.zeros(1))
        total = numpy.maximum(numpy.asarray(weighted.sum(axis=1)).ravel(), 1e-6)
        self._name = (sparse.diags(1 / total) @ weighted).tocsr().astype(numpy.float32)

    @staticmethod
    def _matrix(sets: Sequence[set[str]], vocabulary: dict[str, int]) -> sparse.csr_matrix:
        columns = [sorted(vocabulary[word] for word in words if word in vocabulary) for words in sets]
        pointer = numpy.cumsum([0, *map(len, columns)])
        flat = numpy.array([i for row in columns for i in row], dtype=numpy.int64)
        shape = (len(sets), max(len(vocabulary), 1))
        return sparse.csr_matrix((numpy.ones(len(flat), dtype=numpy.float32), flat, pointer), shape=shape)

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
