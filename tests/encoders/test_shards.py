"""Tests of the cache of vectors."""

import logging
import os
import time

import pytest
import torch

from pykeen_mmkg.encoders.shards import ShardWriter, VectorCache
from pykeen_mmkg.errors import FeatureError


def test_put_and_get(tmp_path):
    """What is put is found again, also by another process, in any order."""
    cache = VectorCache(tmp_path / "cache", dim=3)
    vectors = torch.arange(12.0).view(4, 3)
    cache.put(["a", "b"], vectors[:2], [False, True], versions="v1")
    cache.put(["c", "d"], vectors[2:], [True, False], versions="v2")
    for c in (cache, VectorCache(tmp_path / "cache", dim=3)):
        assert len(c) == 4
        assert "a" in c and "x" not in c
        found, truncated = c.get(["d", "a", "b", "a"])
        assert torch.equal(found, vectors[[3, 0, 1, 0]])
        assert truncated.tolist() == [False, False, True, False]
        assert c.versions({"a", "b"}) == ["v1"]
        assert c.versions({"a", "c"}) == ["v1", "v2"]


def test_nothing(tmp_path):
    """An empty cache makes no folder."""
    cache = VectorCache(tmp_path / "cache", dim=3)
    cache.put([], torch.empty(0, 3), [], versions="")
    assert cache.get([])[0].shape == (0, 3)
    assert not (tmp_path / "cache").exists()


def test_equal_shards_have_equal_names_and_bytes(tmp_path):
    """Two processes that did the same work write the same file."""
    contents = []
    for name in ("one", "two"):
        VectorCache(tmp_path / name, dim=2).put(["a", "b"], torch.ones(2, 2), [False, False], versions="v")
        (path,) = (tmp_path / name).iterdir()
        contents.append((path.name, path.read_bytes()))
    assert contents[0] == contents[1]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other dimension", "no keys"])
def test_damaged_shards_are_ignored(damage, tmp_path, caplog):
    """A damaged file costs its own items only, and is replaced when they are encoded again."""
    cache = VectorCache(tmp_path, dim=2)
    cache.put(["a"], torch.ones(1, 2), [False], versions="v")
    (path,) = tmp_path.iterdir()
    cache.put(["b"], torch.zeros(1, 2), [False], versions="v")
    if damage == "other dimension":
        VectorCache(tmp_path, dim=3).put(["a"], torch.ones(1, 3), [False], versions="v")
    elif damage == "no keys":
        from pykeen_mmkg.features.store import save_atomically

        save_atomically({"vectors": torch.ones(1, 2)}, path, {})
    else:
        content = path.read_bytes()
        path.write_bytes({"cut": content[:-5], "empty": b"", "text": b"no file of ours"}[damage])
    with caplog.at_level(logging.WARNING):
        again = VectorCache(tmp_path, dim=2)
    assert path.name in caplog.text
    assert "a" not in again and "b" in again
    again.put(["a"], torch.ones(1, 2), [False], versions="v")
    assert "a" in VectorCache(tmp_path, dim=2)


def test_leftovers(tmp_path):
    """Old temporary files of killed processes go, recent ones stay."""
    old, new = tmp_path / ".x.1.tmp", tmp_path / ".x.2.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - 1e6,) * 2)
    VectorCache(tmp_path, dim=2)
    assert not old.exists()
    assert new.exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    """The message names the folder."""
    tmp_path.joinpath("file").touch()
    with pytest.raises(FeatureError, match="Cannot write .*file"):
        VectorCache(tmp_path / "file" / "x", dim=1).put(["a"], torch.ones(1, 1), [False], versions="")


def test_writer(tmp_path):
    """Shards are written by size and by time, and at the end, also of a failure."""
    cache = VectorCache(tmp_path, dim=1)
    with ShardWriter(cache, versions="", size=4) as writer:
        for i in range(5):
            writer.add({f"{i}": False, f"{i}'": True}, torch.tensor([[1.0 * i], [i + 0.5]]))
    assert len(list(tmp_path.iterdir())) == 3
    vectors, truncated = VectorCache(tmp_path, dim=1).get(["3'", "4"])
    assert vectors.view(-1).tolist() == [3.5, 4]
    assert truncated.tolist() == [True, False]
    with pytest.raises(KeyboardInterrupt), ShardWriter(cache, versions="") as writer:
        writer.add({"x": False}, torch.ones(1, 1))
        raise KeyboardInterrupt
    assert "x" in VectorCache(tmp_path, dim=1)
    with ShardWriter(cache, versions="", seconds=0.0) as writer:
        writer.add({"y": False}, torch.ones(1, 1))
        assert "y" in VectorCache(tmp_path, dim=1)


def test_a_flipped_byte_costs_the_shard(tmp_path, caplog):
    """Wherever it is: other vectors are never given out, and other shards stay."""
    cache = VectorCache(tmp_path, dim=2)
    cache.put(["a", "b"], torch.rand(2, 2), [False, True], versions="v")
    (path,) = tmp_path.iterdir()
    cache.put(["c"], torch.zeros(1, 2), [False], versions="v")
    whole, expected = path.read_bytes(), cache.get(["a", "b"])
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        caplog.clear()
        other = VectorCache(tmp_path, dim=2)
        assert "c" in other
        if "a" in other and "b" in other:  # in the versions or the padding of the header
            assert all(map(torch.equal, other.get(["a", "b"]), expected))
        else:
            assert path.name in caplog.text


def test_shards_without_a_digest_are_read(tmp_path):
    """Those of earlier releases."""
    from pykeen_mmkg.features.store import save_atomically

    cache = VectorCache(tmp_path, dim=2)
    cache.put(["a"], torch.ones(1, 2), [False], versions="v")
    (path,) = tmp_path.iterdir()
    document = {"kind": "vectors", "keys": ["a"], "versions": "v"}
    save_atomically({"vectors": torch.ones(1, 2), "truncated": torch.tensor([False])}, path, document)
    assert "a" in VectorCache(tmp_path, dim=2)


def test_written_vectors_leave_the_memory(tmp_path):
    """What has been written is read from its file, not kept."""
    cache, vectors = VectorCache(tmp_path / "cache", dim=2), torch.ones(3, 2)
    cache.put(["a", "b", "c"], vectors, [False, True, False], versions="v")
    ((kept, _),) = cache._shards.values()
    assert torch.equal(kept, vectors) and kept.data_ptr() != vectors.data_ptr()
    vectors.zero_()
    assert cache.get(["b"])[0].tolist() == [[1, 1]]
