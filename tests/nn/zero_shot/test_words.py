"""Mentions of names."""

import math

import pytest
import torch

from pykeen_mmkg.nn.zero_shot.words import WordOverlap


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
