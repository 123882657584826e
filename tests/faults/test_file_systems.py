"""Names, links and things that are no files: found, refused or listed, and never waited for."""

import os
import pathlib
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from pykeen_mmkg.datasets import ModalityTable, MultimodalDataset
from pykeen_mmkg.datasets.files import read_triples
from pykeen_mmkg.encoders.images import load_image
from pykeen_mmkg.features import FeatureStore

from .harness import Case, Listed, Refused, Right, cases, settle

TRIPLES = "a\tr\tb\nb\tr\tc\n"


def _graph(folder: pathlib.Path) -> pathlib.Path:
    graph = folder / "graph"
    graph.mkdir()
    (graph / "train.tsv").write_text(TRIPLES)
    (graph / "test.tsv").write_text("a\tr\tc\n")
    return graph


def _image(path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, "PNG")


def _count(number: int) -> Callable[[MultimodalDataset], None]:
    def check(dataset: MultimodalDataset) -> None:
        assert sum(map(len, dataset.entity_table.images)) == number

    return check


def _with_images(make: Callable[[pathlib.Path], object]) -> Callable[[pathlib.Path], Callable[[], MultimodalDataset]]:
    def made(folder: pathlib.Path) -> Callable[[], MultimodalDataset]:
        graph = _graph(folder)
        _image(graph / "images" / "a.png")
        make(graph / "images")

        def load() -> MultimodalDataset:
            dataset = MultimodalDataset(graph)
            assert dataset.training.num_triples == 2
            return dataset

        return load

    return made


def _link(name: str, target: str) -> Callable[[pathlib.Path], None]:
    return lambda folder: (folder / name).symlink_to(target)


def _names() -> Iterator[Case]:
    # of no label, with digits that are none to int()
    for name in ("1\u00b22.png", "a_\u00b2.png", "a_\u0663.png", "\u2460.png", "_1.png", "a_.png", "a__1.png", "A.png"):
        here = "a" if name == "a_\u0663.png" else None
        end = Right(_count(2)) if here else Listed("belong to no entity", name, check=_count(1))
        yield Case(f"image {name}", _with_images(lambda folder, n=name: _image(folder / n)), end)
    for name in ("\n.png", "\x07.png", "\u202e.png", "\u200b.png", "e\u0301.png", "\U0001f600.png", "x" * 200 + ".png"):
        end = Listed("belong to no entity", repr(name)[1:9], check=_count(1))
        yield Case(f"image {name!r:.20}", _with_images(lambda folder, n=name: _image(folder / n)), end)
    surrogate = os.fsdecode(b"\xff\xfe.png")
    yield Case(
        "image of bytes that are no UTF-8",
        _with_images(lambda folder: _image(folder / surrogate)),
        Listed("belong to no entity", "\\udcff\\udcfe.png", check=_count(1)),
    )
    for name in (".a.png", ".hidden/a.png", "..a.png"):
        yield Case(f"hidden {name}", _with_images(lambda folder, n=name: _image(folder / n)), Right(_count(1)))


def _no_files() -> Iterator[Case]:
    for name, make in {
        "a link to itself": _link("b.png", "b.png"),
        "a link to nothing": _link("b.png", "nowhere.png"),
        "a link to a device": _link("b.png", "/dev/zero"),
        "a FIFO": lambda folder: os.mkfifo(folder / "b.png"),
        "a FIFO that is no image": lambda folder: os.mkfifo(folder / "b"),
        "a link to a FIFO": lambda folder: (os.mkfifo(folder / ".f"), (folder / "b.png").symlink_to(folder / ".f")),
    }.items():
        file = "b" if name == "a FIFO that is no image" else "b.png"
        yield Case(name, _with_images(make), Listed("no regular files or broken links", repr(file), check=_count(1)))
    for name, make in {
        "a link to the folder": _link("loop", "."),
        "a link to the folder above": _link("loop", ".."),
        "two links to each other": lambda folder: (
            (folder / "x").mkdir(),
            (folder / "y").mkdir(),
            (folder / "x" / "to").symlink_to(folder / "y"),
            (folder / "y" / "to").symlink_to(folder / "x"),
        ),
        "an empty folder": lambda folder: (folder / "b").mkdir(),
        "a folder like an image": lambda folder: (folder / "b.png").mkdir(),
        "folders to a depth of 60": lambda folder: (folder / "/".join("d" * 60)).mkdir(parents=True),
    }.items():
        end = Right(_count(1)) if "above" not in name else Listed("train.tsv", check=_count(1))
        yield Case(name, _with_images(make), end)


@cases([*_names(), *_no_files()])
def test_image_folder(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    settle(case, lambda load: load(), tmp_path, caplog)


#: what is made at a path in place of a file
THINGS: dict[str, Callable[[pathlib.Path], object]] = {
    "a FIFO": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to(path.with_name("gone")),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "an empty file": lambda path: path.touch(),
    "a file of zeros": lambda path: path.write_bytes(bytes(1 << 12)),
    "nothing": lambda path: None,
}

#: reader -> the name of the file that it reads
READERS: dict[Callable[[pathlib.Path], object], str] = {
    read_triples: "x.tsv",
    ModalityTable.load: "y.tsv",
    load_image: "x.png",
    FeatureStore.load: "x.safetensors",
}


def _readers() -> Iterator[Case]:
    for reader, name in READERS.items():
        for thing, make in THINGS.items():

            def made(folder: pathlib.Path, reader=reader, name=name, make=make) -> Callable[[], object]:
                make(folder / name)
                return lambda: reader(folder / name)

            yield Case(f"{thing} as {name}", made, Refused(name))


@cases(_readers())
def test_reader(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    settle(case, lambda read: read(), tmp_path, caplog)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["images", "images/b", "train.tsv"])
def test_what_may_not_be_read(name: str, tmp_path: pathlib.Path) -> None:
    graph = _graph(tmp_path)
    _image(graph / "images" / "b" / "x.png")
    (graph / name).chmod(0)
    try:
        with pytest.raises(ValueError, match=name.rsplit("/")[-1]):
            MultimodalDataset(graph).training  # noqa: B018
    finally:
        (graph / name).chmod(0o755)
