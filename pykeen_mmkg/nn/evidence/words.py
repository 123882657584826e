"""Words that the texts of two entities have in common, weighted by rarity."""

import functools
import re
from collections.abc import Sequence
from typing import Any

import numpy
import torch
from pykeen.typing import FloatTensor, LongTensor
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from ..preprocessing import StandIns
from .queries import Queries
from .reasons import Reason

__all__ = ["WORDS", "CommonWords", "WordOverlap", "stems"]

#: the parts: what of the known entity is compared with what of the candidate
WORDS = (
    "words:description-label",
    "words:label-description",
    "words:label-label",
    "words:description-description",
    "words:characters",
)

_WORD = re.compile(r"[^\W_]+")
#: endings of English words, longest first
_ENDINGS = (
    *("ization", "ational", "ations"),
    *("ation",),
    *("ings", "ness", "ment", "ions"),
    *("ing", "ies", "ers", "ion"),
    *("es", "ed", "er", "ly", "al", "ic"),
    *("s", "y", "e"),
)


def stems(text: str) -> list[str]:
    """Return the words of a text in lower case, each without one English ending if three letters are left of it."""

    def stem(word: str) -> str:
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) >= len(ending) + 3:
                return word[: -len(ending)]
        return word

    return [stem(word) for word in _WORD.findall(text.lower())]


class CommonWords:
    """Evidence from common words: cosines of TF-IDF vectors, times 5, of the pairs of fields of :data:`WORDS`.

    Labels and descriptions share a vocabulary of stems, from which the most frequent (in more than a fifth of the
    texts) are left out; characters are compared by n-grams of 3 to 5 within the words of labels. Term frequencies are
    damped, ``1 + log tf``, as in scikit-learn's ``TfidfVectorizer(sublinear_tf=True)``.

    An entity without words can have others in its place: its vectors are the weighted sums of theirs, what is expected
    of its words.
    """

    def __init__(
        self,
        names: Sequence[str],
        descriptions: Sequence[str],
        parts: Sequence[str] = WORDS,
        stand_ins: StandIns | None = None,
    ) -> None:
        """Initialize the evidence.

        :param names: the names of the entities, in the order of their ids; empty where there is none
        :param descriptions: their descriptions
        :param parts: some of :data:`WORDS`
        :param stand_ins: entities that have no words, and others in their place
        """
        self.names = tuple(parts)
        both = [f"{name} {text}" for name, text in zip(names, descriptions, strict=True)]
        options = dict(sublinear_tf=True, dtype=numpy.float32)
        # of fewer than five texts, a fifth would be less than one
        rare = 0.2 if len(both) >= 5 else 1
        words = TfidfVectorizer(tokenizer=stems, token_pattern=None, lowercase=False, max_df=rare, **options)
        grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2, **options)
        fields: dict[str, sparse.csr_matrix] = {}
        if not set(parts) <= {"words:characters"}:
            fields["label"], fields["description"] = _transformed(words, both, names, descriptions)
        if "words:characters" in parts:
            (fields["characters"],) = _transformed(grams, names, names)
        if stand_ins is not None:
            rows = stand_ins.ids.repeat_interleave(stand_ins.others.shape[1])
            place = (rows.numpy(), stand_ins.others.flatten().numpy())
            average = sparse.csr_matrix((stand_ins.weights.flatten().numpy(), place), shape=(len(names), len(names)))
            fields = {key: value + average @ value for key, value in fields.items()}
        self._terms = getattr(words, "vocabulary_", {})
        self._fields = {key: value.tocsr() for key, value in fields.items()}
        # the transposes are kept by row, too, for fast products
        self._transposed = {key: value.T.tocsr() for key, value in self._fields.items()}

    def __call__(self, queries: Queries) -> FloatTensor:
        """Return the evidence, shape: ``(k, b, n)``."""
        heads = queries.heads.numpy()
        tables = []
        for part in self.names:
            one, _, other = part.removeprefix("words:").partition("-")
            own = self._fields[one][heads]
            if queries.ids is None:
                common = own @ self._transposed[other or one]
            else:
                common = own @ self._fields[other or one][queries.ids.numpy()].T.tocsr()
            tables.append(torch.from_numpy(common.toarray()))
        return 5 * torch.stack(tables)

    @functools.cached_property
    def _words(self) -> dict[int, str]:
        """Return the words of the vocabulary by their places."""
        return {place: word for word, place in self._terms.items()}

    def reasons(self, head: int, relation: int, tail: int) -> list[Reason]:
        """Return the words that the texts have in common, with what each adds to the cosine; of characters, none."""
        result: list[Reason] = []
        for part in self.names:
            one, _, other = part.removeprefix("words:").partition("-")
            if other:
                common = self._fields[one][[head]].multiply(self._fields[other][[tail]]).tocoo()
                pairs = zip(common.col.tolist(), common.data.tolist(), strict=True)
                result += [Reason(part, value, words=(self._words[place],)) for place, value in pairs]
        return result


def _transformed(
    vectorizer: TfidfVectorizer, corpus: Sequence[str], *columns: Sequence[str]
) -> list[sparse.csr_matrix]:
    """Fit a vectorizer, and transform columns of texts; where it leaves out every term, to vectors of no dimension."""
    try:
        vectorizer.fit(corpus)
    except ValueError:  # all that these vectorizers raise for a list of texts
        return [sparse.csr_matrix((len(column), 0), dtype=numpy.float32) for column in columns]
    return [vectorizer.transform(column) for column in columns]


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
