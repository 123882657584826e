"""Labels as tensors."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.errors import FeatureError
from pykeen_mmkg.features import label_tensors
from pykeen_mmkg.features.label_tensors import json_parts, labels_from_tensors, labels_to_tensors


@given(st.lists(st.text(max_size=5) | st.text("ab", max_size=5), max_size=6))
def test_round_trip(labels: list[str]) -> None:
    """Any labels come back: empty ones, all of Unicode, lone halves of a surrogate pair."""
    tensors = labels_to_tensors(labels)
    assert tensors["label_offsets"].shape == (len(labels) + 1,)
    assert labels_from_tensors(tensors["labels"], tensors["label_offsets"]) == tuple(labels)


@pytest.mark.parametrize("offsets", [[], [1, 3], [0, 2], [0, 4, 3], [0, 5]])
def test_damaged(offsets: list[int]) -> None:
    """Offsets that do not fit the bytes."""
    with pytest.raises(FeatureError, match="3 bytes"):
        labels_from_tensors(torch.tensor([97, 98, 99], dtype=torch.uint8), torch.tensor(offsets, dtype=torch.long))


def test_no_text() -> None:
    """Bytes that are no text, or are cut within a character."""
    for offsets in ([0, 2], [0, 1, 2]):
        content = torch.tensor(list("é".encode())[::-1] if len(offsets) == 2 else list("é".encode()), dtype=torch.uint8)
        with pytest.raises(FeatureError, match="UTF-8"):
            labels_from_tensors(content, torch.tensor(offsets))


def test_json_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts are the whole, however long they are."""
    labels = ['a"', "\u00e9", "", "\U0001f600", "b"]
    for size in (1, 2, 5, 9):
        monkeypatch.setattr(label_tensors, "CHUNK", size)
        for n in range(len(labels) + 1):
            assert "".join(json_parts(labels[:n])) == json.dumps(labels[:n])
