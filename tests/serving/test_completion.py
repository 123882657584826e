"""Names by their beginnings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.errors import DataError
from pykeen_mmkg.serving.completion import NameIndex

IDS = {"n1": 0, "n2": 1, "n3": 2, "red_disc": 3, "cat": 4}
NAMES = {"n1": "dog, domestic dog", "n2": "Cat", "n3": "cat, house cat", "red_disc": "Red Disc"}
INDEX = NameIndex(IDS, NAMES)


def test_resolve() -> None:
    """A label wins over a name, a whole name over a part of one, and each must be of one thing."""
    found = {query: INDEX.resolve(query) for query in ("cat", "Domestic DOG", "red_disc", "CAT", "house cat")}
    assert found == {"cat": 4, "Domestic DOG": 0, "red_disc": 3, "CAT": 1, "house cat": 2}
    twice = NameIndex({"a": 0, "b": 1}, {"a": "x", "b": "X"})
    with pytest.raises(DataError, match=r"2 labels .*\['a', 'b'\]"):
        twice.resolve("x")
    with pytest.raises(DataError, match=r"'doge'; some that begin alike are \['n1'\]"):
        INDEX.resolve("doge")
    with pytest.raises(DataError) as caught:
        INDEX.resolve("x" * 10_000)
    assert len(str(caught.value)) < 200


def test_complete() -> None:
    """What begins so, by the whole or by a word of it; shorter names come first."""
    assert INDEX.complete("do") == [0]
    assert INDEX.complete("cat") == [1, 2, 4]
    assert INDEX.complete("ca", 2) == [1, 2]
    assert INDEX.complete("disc") == INDEX.complete("Red_d") == [3]
    assert INDEX.complete("zebra") == []
    assert len(INDEX.complete("")) == 5


@given(st.lists(st.text(max_size=6), unique=True, max_size=8), st.text(max_size=4))
def test_any_text(names: list[str], query: str) -> None:
    """Whatever things are called, each is found by its name and by each beginning of it."""
    ids = {f"label {i}": i for i in range(len(names))}
    index = NameIndex(ids, {f"label {i}": name for i, name in enumerate(names)})
    for i, name in enumerate(names):
        folded = name.casefold()
        if folded and [other.casefold() for other in names].count(folded) == 1:
            assert index.resolve(name) == i
        if name.strip() and "," not in name and "_" not in name:
            assert i in index.complete(name.split()[0][:2] if name.split() else "", 100)
    assert set(index.complete(query)) <= set(ids.values())
