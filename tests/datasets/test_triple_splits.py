"""Splits of labeled triples: nothing lost, nothing twice, seeded, and what each kind promises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.datasets.triple_splits import SPLIT_KINDS, SplitRule, split_anew
from pykeen_mmkg.errors import DataError

TRIPLES = [(f"e{i}", f"r{k}", f"e{(i * (k + 2) + k) % 40}") for i in range(40) for k in range(8)]
TRIPLES += [(t, "r0", h) for h, _, t in TRIPLES[::5]]


def _labels(rows, *columns):
    return {row[column] for row in rows for column in columns}


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_every_triple_is_in_one_split(kind: str):
    parts = SplitRule(kind).split(TRIPLES)
    assert sorted(triple for rows in parts.values() for triple in rows) == sorted(set(TRIPLES))
    assert {"training", "validation", "testing"} <= set(parts)
    assert parts == SplitRule(kind).split(TRIPLES[::-1] + TRIPLES[:5])
    assert parts != SplitRule(kind, seed=1).split(TRIPLES)


@pytest.mark.parametrize("kind", ["random", "leak-aware"])
def test_no_item_is_unseen(kind: str):
    parts = SplitRule(kind).split(TRIPLES)
    assert _labels(parts["training"], 0, 2) == _labels(TRIPLES, 0, 2)
    assert _labels(parts["training"], 1) == _labels(TRIPLES, 1)
    assert abs(len(parts["testing"]) - 0.1 * len(set(TRIPLES))) < 6


@settings(deadline=None)
@given(st.integers(0, 9))
def test_pairs_stay_on_one_side(seed: int):
    parts = SplitRule("leak-aware", seed=seed).split(TRIPLES)
    pairs = [{frozenset((h, t)) for h, _, t in rows} for rows in parts.values()]
    assert sum(map(len, pairs)) == len(set().union(*pairs))


def test_unseen_items_are_unseen():
    parts = SplitRule("unseen-entities").split(TRIPLES)
    seen = _labels(parts["training"], 0, 2)
    assert all(not {h, t} <= seen for h, _, t in parts["testing"])
    parts = SplitRule("unseen-relations").split(TRIPLES)
    assert _labels(parts["testing"], 1).isdisjoint(_labels(parts["training"], 1))


def test_no_validation():
    assert set(SplitRule(ratios=(0.9, 0, 0.1)).split(TRIPLES)) == {"training", "testing"}


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("randm", "must be one of"),
        (3, "name of a kind or a mapping"),
        ({"knd": "random"}, "unknown key 'knd'"),
        ({"ratios": [1, 0, 0]}, "three positive shares"),
        ({"ratios": [0.8, 0.1, 0.2]}, "three positive shares"),
        ({"ratios": ["0.8", 0.1, 0.1]}, "three positive shares"),
        ({"ratios": 0.8}, "three positive shares"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": "0"}, "seed='0'"),
        ({"seed": True}, "seed=True"),
    ],
)
def test_bad_rules(given_, message: str):
    with pytest.raises(DataError, match=message):
        SplitRule.of(given_)


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_too_few(kind: str):
    with pytest.raises(DataError):
        SplitRule(kind).split([("a", "r", "b")])


def test_only_what_has_no_test_split_is_split_unasked():
    notes: list[str] = []
    given_ = {"training": TRIPLES[5:], "testing": TRIPLES[:5]}
    assert split_anew(given_, None, notes) == given_ and not notes
    assert sum(map(len, split_anew(given_, SplitRule(), notes).values())) == len(set(TRIPLES)) and not notes
    parts = split_anew({"training": TRIPLES, "validation": TRIPLES[:5]}, None, notes)
    assert parts["validation"] == TRIPLES[:5] and parts["testing"]
    assert "no test split" in notes[0]
