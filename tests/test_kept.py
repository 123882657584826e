"""What is kept for a model goes with it, and when something changes."""

import gc
import os

import pytest
from torch import nn

from pykeen_mmkg.kept import Kept, file_stamp


def test_made_once_while_nothing_changes():
    kept, model, other = Kept(), nn.Linear(1, 1), nn.Linear(1, 1)
    calls: list[int] = []

    def get(*args):
        return kept.get(*args, lambda: calls.append(1) or len(calls))

    part = [1]
    assert get(model, (part,), (1, "a")) == get(model, (part,), (1, "a")) == 1
    assert get(other, (part,), (1, "a")) == 2
    for changed in (((part,), (2, "a")), (([1],), (2, "a")), ((), (2, "a"))):
        before = len(calls)
        assert get(model, *changed) == get(model, *changed) == before + 1
    assert len(kept) == 2
    del model, other
    gc.collect()
    assert len(kept) == 0


def test_what_fails_is_not_kept():
    kept, model = Kept(), nn.Linear(1, 1)
    with pytest.raises(ZeroDivisionError):
        kept.get(model, (), (), lambda: 1 / 0)
    assert kept.get(model, (), (), lambda: 2) == 2


def test_file_stamp(tmp_path):
    path = tmp_path / "file"
    assert file_stamp(path) is None and file_stamp(None) is None
    path.write_text("a")
    stamp = file_stamp(path)
    assert stamp == file_stamp(str(path)) != None  # noqa: E711
    os.utime(path, ns=(1, 1))
    assert file_stamp(path) != stamp
