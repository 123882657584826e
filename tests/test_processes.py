"""Shares of a piece of work: each item is somebody's, once, and the parts come together in order."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.processes import Division


@given(st.integers(0, 50), st.integers(1, 7))
def test_parts_are_all(total: int, size: int) -> None:
    divisions = [Division(rank, size) for rank in range(size)]
    bounds = [division.bounds(total) for division in divisions]
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(total))
    assert max(stop - start for start, stop in bounds) - min(stop - start for start, stop in bounds) <= 1
    parts = [division.every(numpy.arange(total)).tolist() for division in divisions]
    if total < size:  # too few to share: everybody has all
        assert parts == [list(range(total))] * size
    else:
        assert sorted(sum(parts, [])) == list(range(total))


@given(st.integers(0, 30), st.integers(1, 5), st.data())
def test_joined_in_order(total: int, size: int, data: st.DataObject) -> None:
    """What the processes send each other is put where it came from."""
    items = numpy.random.default_rng(0).random((total, 2))
    parts = [Division(rank, size).every(items) for rank in range(size)]

    def gather(target: list, part: numpy.ndarray) -> None:
        assert any(part is own for own in parts)
        target[:] = parts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.distributed.all_gather_object", gather)
        rank = data.draw(st.integers(0, size - 1))
        assert (Division(rank, size).join(parts[rank], total) == items).all()


def test_without_processes() -> None:
    assert Division.current() == Division(0, 1)
    with pytest.raises(MultimodalError, match="no process 2 of 2"):
        Division(2, 2)
