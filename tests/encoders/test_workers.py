"""Encoding in other processes: the same shards, in the same order, and errors that say what they are."""

import pathlib
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from pykeen_mmkg.encoders import RayWorkers, encode_images, encode_texts, make_encoder
from pykeen_mmkg.encoders.workers import make_workers
from pykeen_mmkg.errors import EncoderError, ImageError, MultimodalError

TEXTS = {"x": "a cat", "y": "two dogs and a tree", "z": None, "w": "the red house with a small painting"}


class RayError(Exception):
    """As Ray's own."""


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Ray, as far as it is used, in this process: everything that goes to a worker and back is pickled."""
    told: dict[str, Any] = {"options": [], "waiting": 0, "most": 0, "up": 0, "down": 0, "lost": False}

    class Method:
        def __init__(self, function: Callable[..., Any]) -> None:
            self.function = function

        def remote(self, *arguments: Any) -> bytes:
            told["waiting"] += 1
            told["most"] = max(told["most"], told["waiting"])
            return pickle.dumps(self.function(*pickle.loads(pickle.dumps(arguments))))

    class Kind:
        def __init__(self, cls: type) -> None:
            self.cls = cls

        def options(self, **kwargs: Any) -> "Kind":
            told["options"].append(kwargs)
            return self

        def remote(self, *arguments: Any) -> types.SimpleNamespace:
            return types.SimpleNamespace(apply=Method(self.cls(*arguments).apply))

    def get(reference: bytes) -> Any:
        told["waiting"] -= 1
        if told["lost"]:
            raise RayError("the worker died\nand more")
        return pickle.loads(reference)

    def count(key: str) -> Callable[..., None]:
        return lambda **kwargs: told.update({key: told[key] + 1, **({"init": kwargs} if kwargs else {})})

    found = types.SimpleNamespace(
        told=told,
        init=count("up"),
        shutdown=count("down"),
        is_initialized=lambda: False,
        put=lambda value: value,
        remote=Kind,
        get=get,
        exceptions=types.SimpleNamespace(RayError=RayError),
    )
    monkeypatch.setitem(sys.modules, "ray", found)
    return found


def _double(factor: int, item: int) -> int:
    if item == 13:
        raise ImageError("the image 13 is odd")
    return factor * item


def test_in_order_and_bounded(ray: types.SimpleNamespace) -> None:
    workers = RayWorkers(workers=3, num_cpus=2, num_gpus=0.5)
    assert list(workers.map(_double, 2, range(10))) == [2 * i for i in range(10)]  # type: ignore[arg-type]
    assert ray.told["options"] == [{"num_cpus": 2, "num_gpus": 0.5}]
    assert ray.told["most"] == 6 and (ray.told["up"], ray.told["down"]) == (1, 1)
    assert ray.told["init"]["num_cpus"] == 6 and ray.told["init"]["address"] is None


def test_errors(ray: types.SimpleNamespace) -> None:
    """One of the package comes as it is; a worker that is lost is an error of the encoder; Ray ends in any case."""
    with pytest.raises(ImageError, match="^the image 13 is odd$"):
        list(RayWorkers().map(_double, 2, range(11, 20)))  # type: ignore[arg-type]
    ray.told["lost"] = True
    with pytest.raises(EncoderError, match="A worker of Ray failed: the worker died. What is encoded is kept"):
        list(RayWorkers(address="auto").map(_double, 2, range(3)))  # type: ignore[arg-type]
    assert ray.told["down"] == 2
    # what the cluster has is its own matter
    assert ray.told["init"]["address"] == "auto" and "num_cpus" not in ray.told["init"]


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_workers(None) is None
    with pytest.raises(EncoderError, match="no engine 'spark'"):
        encode_texts(TEXTS, "anything", engine="spark")
    with pytest.raises(EncoderError, match="but no engine"):
        make_workers(None, {"workers": 2})
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EncoderError, match="pip install ray"):
        make_workers("ray")


def _shards(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


def _compare(tiny: Any, tmp_path: pathlib.Path, exact: bool = True, **engine: Any) -> None:
    colours = {"x": ["red", "blue"], "y": ["green"], "z": []}
    images = {label: [str(tmp_path / f"{colour}.png") for colour in own] for label, own in colours.items()}
    for path in sum(images.values(), []):
        Image.new("RGB", (40, 30), pathlib.Path(path).stem).save(path)
    encoder = str(tiny("clip"))
    for name, options in (("one", {}), ("other", {"engine": "ray", "engine_kwargs": engine})):
        own: Any = {"directory": tmp_path / name, "progress": False, "batch_size": 2, **options}
        texts = encode_texts(TEXTS, make_encoder(encoder), **own)
        pictures = encode_images(images, make_encoder(encoder), **own)
        if name == "one":
            expected = texts.digest, pictures.digest
    assert (texts.digest, pictures.digest) == expected
    if exact:
        assert _shards(tmp_path / "one") == _shards(tmp_path / "other") and len(_shards(tmp_path / "one")) == 2


def test_the_same_shards(ray: types.SimpleNamespace, tiny: Any, tmp_path: pathlib.Path) -> None:
    _compare(tiny, tmp_path)


def test_the_same_shards_by_ray(tiny: Any, tmp_path: pathlib.Path) -> None:
    """Two processes of Ray itself; the second encoding resumes, and needs none."""
    pytest.importorskip("ray")
    try:
        # what is kept is the same, by digest; how it is parted among files follows from how long the batches took
        _compare(tiny, tmp_path, exact=False, workers=2)
    except EncoderError as error:
        if "does not start" not in str(error):
            raise
        pytest.skip(f"{error}")  # it waits 30 seconds for its own processes, which a busy machine may need
    with pytest.raises(MultimodalError, match="gone.png"):
        options: Any = {"directory": tmp_path / "other", "engine": "ray", "progress": False}
        encode_images({"x": [str(tmp_path / "gone.png")]}, make_encoder(str(tiny("clip"))), **options)
