"""Tests of finding and digesting model folders."""

import json
import pathlib
import shutil

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from pykeen_mmkg.encoders import make_encoder
from pykeen_mmkg.encoders.snapshot import digest_folder, find_folder, weight_files
from pykeen_mmkg.errors import EncoderError


@pytest.fixture
def folder(tiny, tmp_path):
    """Return a copy of a tiny model's folder, free to be changed."""
    return pathlib.Path(shutil.copytree(tiny("clip"), tmp_path / "clip"))


@pytest.fixture
def pickled(folder):
    """Return a folder whose weights are pickled only."""
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    folder.joinpath("model.safetensors").unlink()
    return folder


def test_folder(folder):
    """A folder is itself, given as a string or a path."""
    assert find_folder(folder) == folder
    assert find_folder(str(folder)) == folder


@pytest.mark.parametrize("name", ["/no/such/folder", "./no-such-folder", "~/no-such-folder", "a/b/c"])
def test_no_such_folder(name):
    """What looks like a path is not looked for on the hub."""
    with pytest.raises(EncoderError, match="There is no model folder .*folder|a/b/c"):
        find_folder(name)


def test_a_folder_without_a_model(tmp_path, folder):
    """A folder without a config or without weights says so."""
    with pytest.raises(EncoderError, match="config.json"):
        find_folder(tmp_path)
    folder.joinpath("model.safetensors").unlink()
    with pytest.raises(EncoderError, match="no weights"):
        find_folder(folder)


def test_pickled_weights_need_consent(pickled, tiny):
    """Pickles are refused with a way out, and read if allowed."""
    with pytest.raises(EncoderError, match="pickled.*allow_pickle"):
        make_encoder(pickled)
    vectors = make_encoder(pickled, {"allow_pickle": True}).encode_texts(["a cat"])
    # the same weights, but elsewhere in memory: products of matrices depend on where a row begins in their last digits
    torch.testing.assert_close(vectors, make_encoder(tiny("clip")).encode_texts(["a cat"]))


def test_harmful_pickles_do_no_harm(pickled, tmp_path):
    """Even where pickles are allowed, they run no code."""

    class Harm:
        def __reduce__(self):
            return (pathlib.Path.touch, (tmp_path / "harm",))

    torch.save({"x": Harm()}, pickled / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="harmful"):
        make_encoder(pickled, {"allow_pickle": True}).encode_texts(["a cat"])
    assert not tmp_path.joinpath("harm").exists()


def test_safe_weights_come_first(folder):
    """Where there are both, the pickle is not touched, and does not count."""
    fingerprint = digest_folder(folder, allow_pickle=True)
    folder.joinpath("pytorch_model.bin").write_bytes(b"anything")
    assert weight_files(folder, allow_pickle=True) == [folder / "model.safetensors"]
    assert digest_folder(folder, allow_pickle=True) == fingerprint


def test_shards(folder, tiny):
    """Weights in several files are found by their index, and none may lack."""
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    folder.joinpath("model.safetensors").unlink()
    keys = sorted(state)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name, part in zip(names, (keys[::2], keys[1::2]), strict=True):
        save_file({key: state[key] for key in part}, folder / name, {"format": "pt"})
    weight_map = {key: names[i % 2] for i, key in enumerate(keys)}
    folder.joinpath("model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert [path.name for path in weight_files(folder)] == names
    vectors = make_encoder(folder).encode_texts(["a cat"])
    # the same weights, but elsewhere in memory: products of matrices depend on where a row begins in their last digits
    torch.testing.assert_close(vectors, make_encoder(tiny("clip")).encode_texts(["a cat"]))
    folder.joinpath(names[1]).unlink()
    with pytest.raises(EncoderError, match=names[1]):
        find_folder(folder)


def test_broken_config(folder):
    """A config that is no JSON is named."""
    folder.joinpath("config.json").write_text("{")
    with pytest.raises(EncoderError, match="config.json"):
        make_encoder(folder)


class Hub:
    """A stand-in for the hub and its local cache."""

    def __init__(self, remote=None, local=None, conversions=()):
        self.remote, self.local, self.conversions = remote or {}, local or {}, conversions
        self.downloads = []

    def snapshot_download(self, name, revision=None, allow_patterns=None, local_files_only=False):
        if local_files_only:
            if (name, revision) not in self.local:
                raise LocalEntryNotFoundError("not in the cache")
            return str(self.local[name, revision])
        self.downloads.append((name, revision, tuple(allow_patterns)))
        if (name, revision) not in self.remote:
            raise LocalEntryNotFoundError("no network\nsecond line")
        return str(self.remote[name, revision])


@pytest.fixture
def hub(monkeypatch):
    """Return a function that replaces the hub."""

    def install(**kwargs):
        stand_in = Hub(**kwargs)

        class Api:
            def get_repo_discussions(self, name, author=None, discussion_type=None):
                return iter(stand_in.conversions)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", stand_in.snapshot_download)
        monkeypatch.setattr(huggingface_hub, "HfApi", Api)
        return stand_in

    return install


def discussion(num=21, author="SFconvertbot", status="open", title="Adding `safetensors` variant of this model"):
    from types import SimpleNamespace

    return SimpleNamespace(num=num, author=author, status=status, title=title)


def test_hub(hub, folder):
    """A name is downloaded, without pickles, and gives the features and fingerprint of its folder."""
    stand_in = hub(remote={("org/clip", None): folder})
    encoder = make_encoder("org/clip")
    assert encoder.name == "org/clip"
    assert encoder.fingerprint == make_encoder(folder).fingerprint
    assert encoder.encode_texts(["cat"]).shape == (1, 10)
    patterns = stand_in.downloads[0][2]
    assert "model.safetensors" in patterns and "preprocessor_config.json" in patterns
    assert not [pattern for pattern in patterns if pattern.endswith((".bin", ".py", ".msgpack", ".h5"))]


def test_hub_cache(hub, folder):
    """A whole copy in the cache needs no network; a copy without the processor is completed."""
    stand_in = hub(local={("org/clip", None): folder})
    assert find_folder("org/clip") == folder
    assert not stand_in.downloads
    folder.joinpath("preprocessor_config.json").unlink()
    with pytest.raises(EncoderError, match="network"):
        find_folder("org/clip")


def test_revision(hub, folder):
    """The revision is handed on."""
    hub(remote={("org/clip", "v2"): folder})
    assert make_encoder("org/clip", {"revision": "v2"}).folder == folder
    with pytest.raises(EncoderError):
        make_encoder("org/clip")


def test_converted_weights(hub, pickled, tiny):
    """Where a model has pickles only, the copy that the hub's own converter made is taken, and no stranger's."""
    remote = {("org/clip", None): pickled, ("org/clip", "refs/pr/21"): tiny("clip")}
    hub(remote=remote, conversions=[discussion(num=3, author="stranger"), discussion(num=21)])
    assert find_folder("org/clip") == tiny("clip")
    hub(remote=remote, conversions=[discussion(num=21, author="stranger"), discussion(num=21, status="closed")])
    with pytest.raises(EncoderError, match="pickled"):
        find_folder("org/clip")
    stand_in = hub(remote=remote)
    assert find_folder("org/clip", allow_pickle=True) == pickled
    assert "pytorch_model.bin" in stand_in.downloads[-1][2]


def test_no_network(hub):
    """One line says what is wrong and what to do."""
    hub()
    with pytest.raises(EncoderError, match="org/clip.*no network.*path") as info:
        make_encoder("org/clip")
    assert "\n" not in str(info.value)


def test_unknown_name(hub, monkeypatch):
    """A name that the hub does not know."""

    def fail(*args, local_files_only=False, **kwargs):
        if local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(EncoderError, match="org/nothing.*RepositoryNotFoundError"):
        make_encoder("org/nothing")


def test_impossible_name():
    """What cannot be a name on the hub is told so."""
    with pytest.raises(EncoderError, match="neither"):
        make_encoder("no such thing!")
