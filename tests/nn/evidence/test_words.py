"""Tests for common words, against TF-IDF by hand."""

import math
from collections import Counter

import pytest
import torch

from pykeen_mmkg.nn.evidence.queries import Queries
from pykeen_mmkg.nn.evidence.words import WORDS, CommonWords, WordOverlap, stems
from pykeen_mmkg.nn.preprocessing import StandIns

NAMES = ["Dog", "Cats", "", "hunting dogs", "walk", "stone", "rock"]
TEXTS = ["a hunter's friend", "small cat, no dog", "", "dog that hunts hunts", "to walk the dogs", "a small rock", ""]


def test_stems() -> None:
    """One ending is taken off, the longest that leaves three letters; other signs are no words."""
    text = "Hunting dogs hunted_the nations' gas, bees & 3 walks"
    assert stems(text) == ["hunt", "dog", "hunt", "the", "nat", "gas", "bee", "3", "walk"]


def vectors(texts: list[list[str]], documents: list[list[str]], max_df: float = 0.2) -> list[dict[str, float]]:
    """Return unit TF-IDF vectors with damped frequencies, as scikit-learn's documentation defines them."""
    n = len(documents)
    frequency = Counter(word for words in documents for word in set(words))
    rarity = {w: math.log((1 + n) / (1 + df)) + 1 for w, df in frequency.items() if df <= max_df * n}
    result = []
    for words in texts:
        row = {w: (1 + math.log(c)) * rarity[w] for w, c in Counter(words).items() if w in rarity}
        norm = math.sqrt(sum(v * v for v in row.values())) or 1.0
        result.append({w: v / norm for w, v in row.items()})
    return result


def test_cosines() -> None:
    """Each part is five times the cosine of the known entity's field and the candidate's."""
    names, texts = [*NAMES, *NAMES, *["unlike"] * 20], [*TEXTS, *TEXTS, *["everything else"] * 20]
    n = len(names)
    documents = [stems(a) + stems(b) for a, b in zip(names, texts, strict=True)]
    label = vectors([stems(a) for a in names], documents)
    description = vectors([stems(b) for b in texts], documents)
    heads = torch.tensor([0, 3, 2, 4])
    words = CommonWords(names, texts)
    scores = words(Queries(heads, heads, n, n))
    assert words.names == WORDS and scores.shape == (5, 4, n)
    pairs = [(description, label), (label, description), (label, label), (description, description)]
    for k, (own, other) in enumerate(pairs):
        expected = [[5 * sum(v * other[t].get(w, 0.0) for w, v in own[h].items()) for t in range(n)] for h in heads]
        torch.testing.assert_close(scores[k], torch.tensor(expected))
        assert scores[k].any()
    ids = torch.tensor([5, 1])
    torch.testing.assert_close(words(Queries(heads, heads, n, n, ids=ids)), scores[..., ids])


def test_characters() -> None:
    """Names are compared by 3- to 5-grams within padded words, those that two names have."""

    def grams(name: str) -> list[str]:
        padded = [f" {word} " for word in name.lower().split()]
        return [word[i : i + k] for word in padded for k in (3, 4, 5) for i in range(len(word) - k + 1)]

    names = ["walking", "walkman", "talking", "stone"]
    documents = [grams(name) for name in names]
    frequency = Counter(gram for some in documents for gram in set(some))
    shared = [[gram for gram in some if frequency[gram] >= 2] for some in documents]
    weights = vectors(shared, documents, max_df=1.0)
    words = CommonWords(names, [""] * 4, parts=["words:characters"])
    scores = words(Queries(torch.tensor([0]), torch.tensor([0]), 4, 1))[0, 0]
    expected = [5 * sum(v * other.get(gram, 0.0) for gram, v in weights[0].items()) for other in weights]
    assert scores.tolist() == pytest.approx(expected, abs=1e-5)
    assert scores[1] > 0 and scores[3] == 0


def test_stand_ins() -> None:
    """An entity without words scores as the weighted sum of the entities in its place, on either side."""
    names, texts = ["red foxes", "red wolves", "", "blue fox wolf"], [""] * 4
    plain = CommonWords(names, texts, ["words:characters"])
    found = StandIns(torch.tensor([2]), torch.tensor([[0, 1]]), torch.tensor([[0.6, 0.3]]))
    words = CommonWords(names, texts, ["words:characters"], found)
    queries = Queries(torch.arange(4), torch.zeros(4, dtype=torch.long), num_entities=4, num_relations=1)
    before, (after,) = plain(queries)[0], words(queries)
    others = [0, 1, 3]
    torch.testing.assert_close(after[others][:, others], before[others][:, others])
    torch.testing.assert_close(after[2, others], 0.6 * before[0, others] + 0.3 * before[1, others])
    torch.testing.assert_close(after[others, 2], 0.6 * before[others, 0] + 0.3 * before[others, 1])
    assert before[2].eq(0).all() and after[2].ne(0).any()


def test_shares_are_weighted_by_rarity() -> None:
    """By hand: 'el' is in two texts, 'paso' and 'texas' in one or two of four."""
    words = WordOverlap(
        ["El Paso", "Texas", "El Greco", None], ["El Paso is a city in Texas.", None, "He was born in Crete", ""]
    )
    overlap = words(torch.tensor([0, 0, 1, 3]), torch.tensor([1, 2, 0, 0]))
    assert overlap[0].tolist() == [1.0, 0.0]  # El Paso's text mentions Texas, not the other way round
    el, greco = math.log(4 / 2), math.log(4 / 1)
    assert overlap[1, 0].item() == pytest.approx(el / (el + greco), abs=1e-5)
    assert overlap[2].tolist() == [0.0, 1.0]
    assert overlap[3].tolist() == [0.0, 0.0]  # nothing is known of the last one
    heads, tails = torch.tensor([3, 0, 2]), torch.arange(4)
    grid = words.grid(heads, tails)
    torch.testing.assert_close(grid[:, 1], words(torch.zeros(4, dtype=torch.long), tails))
    assert torch.allclose(grid.transpose(0, 1).reshape(12, 2), words(heads.repeat_interleave(4), tails.repeat(3)))


def test_words_are_not_case_sensitive_and_any_length() -> None:
    """Words of one letter count, and a graph without any name is no error."""
    words = WordOverlap(["Vitamin C", "lemon"], [None, "rich in vitamin c"])
    assert words(torch.tensor([0]), torch.tensor([1])).tolist() == [[0.0, 0.0]]  # in both texts: no rarity
    words = WordOverlap(["Vitamin C", "lemon", None], [None, "rich in c", ""])
    vitamin, c = math.log(3), math.log(3 / 2)
    overlap = words(torch.tensor([1]), torch.tensor([0]))
    assert overlap[0].tolist() == [pytest.approx(c / (vitamin + c), abs=1e-5), 0.0]
    nothing = WordOverlap([None, ""], ["a text", None])
    assert nothing(torch.tensor([0]), torch.tensor([1])).tolist() == [[0.0, 0.0]]
    assert nothing.grid(torch.tensor([0]), torch.tensor([1, 0])).tolist() == [[[0.0, 0.0]], [[0.0, 0.0]]]


@pytest.mark.parametrize(("names", "texts"), [(["a"], ["x"]), (["aa", "aa"], ["", ""]), (["same"] * 9, ["same"] * 9)])
def test_nothing_is_left_to_compare(names: list[str], texts: list[str]) -> None:
    """Few texts, or equal ones, have no rare word: the parts have nothing to say, and 0 says that."""
    n = len(names)
    scores = CommonWords(names, texts)(Queries(torch.tensor([0]), torch.tensor([0]), n, n))
    assert scores.shape == (5, 1, n)
    assert not scores[:4].any() or n < 5


def test_fewer_than_five_texts() -> None:
    """A word of one text is rare, though it is in more than a fifth of them; one of two is not."""
    scores = CommonWords(["dog", "cat"], ["a dog barks", "a cat purrs"])(
        Queries(torch.tensor([0]), torch.tensor([0]), 2, 2)
    )
    assert scores[0, 0, 0] > 0 and scores[3, 0, 0] == pytest.approx(5) and not scores[:4, 0, 1].any()
