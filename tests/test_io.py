"""Files that are either whole or not there."""

import hashlib
import json
import math
import pathlib
import stat

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.io import file_digest, write_json, written_whole


def test_a_new_file(tmp_path):
    path = tmp_path / "deep" / "er" / "file.txt"
    with written_whole(path) as temporary:
        assert temporary.parent == path.parent and temporary != path
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), written_whole(path) as temporary:
        temporary.write_text("ha")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_a_new_file(tmp_path):
    (tmp_path / "plain").touch()
    with written_whole(tmp_path / "file") as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@given(st.permutations([0, 1, 2]))
def test_writers_of_one_file_do_not_disturb_each_other(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("shared")
    path = folder / "file"
    writers = [written_whole(path) for _ in order]
    for i, writer in enumerate(writers):
        writer.__enter__().write_text(str(i))
    for i in order:
        writers[i].__exit__(None, None, None)
        assert path.read_text() == str(i)
    assert list(folder.iterdir()) == [path]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError), written_whole(tmp_path / "file" / "below"):
        pytest.fail("the block is not entered")


def test_numbers_that_json_lacks_and_no_half_file(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": math.nan, "b": [math.inf, numpy.float32(0.5)], "c": (numpy.int64(2), tmp_path)})
    assert json.loads(path.read_text()) == {"a": None, "b": [None, 0.5], "c": [2, str(tmp_path)]}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text())["c"][0] == 2
    assert list(tmp_path.iterdir()) == [path]


def test_file_digest(tmp_path: pathlib.Path) -> None:
    """The digest is that of the bytes, also of more than one block."""
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert file_digest(tmp_path / "file") == hashlib.sha256(data).hexdigest()
