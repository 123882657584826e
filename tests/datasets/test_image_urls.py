"""Images by address: fetched when asked, within the limits, and kept only if Pillow decodes them."""

import io
import logging
import pathlib
from typing import Any

import pytest
from PIL import Image

from pykeen_mmkg.datasets import MultimodalDataset, downloading, image_urls, write_dataset
from pykeen_mmkg.datasets.image_urls import FETCHED, FetchRule, fetch_images, fetched_images
from pykeen_mmkg.datasets.tables import ModalityTable
from pykeen_mmkg.errors import DataError, MultimodalError

#: status, headers, parts of the content: a part may be a number of seconds to wait
Answer = tuple[int, dict[str, str], list[bytes | float]]


@pytest.fixture
def server(web: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(downloading, "PAUSE", 0.0)
    return web


def picture(color: int = 0, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (color, 0, 0)).save(buffer, form)
    return buffer.getvalue()


def files(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_fetched_once_under_a_digest(server: Any, tmp_path: pathlib.Path):
    """The name of the file is a digest, its suffix that of the content; what is there is not asked for again."""
    urls = [server.give("/../../etc/a.png?x=1", picture(1)), server.give("/b.gif", picture(2, "JPEG"))]
    folder = tmp_path / "kept"
    first = fetch_images([*urls, urls[0]], folder, progress=False)
    assert (first.new, first.kept, first.failed) == (2, 0, {})
    assert len(server.asked) == 2
    assert sorted(name.partition(".")[2] for name in files(folder)) == ["jpeg", "png"]
    assert all(len(name.partition(".")[0]) == 32 and name[:32].isalnum() for name in files(tmp_path))
    there = fetched_images(folder, [*urls, server.url + "/other"])
    assert {url: path.read_bytes() for url, path in there.items()} == {urls[0]: picture(1), urls[1]: picture(2, "JPEG")}
    again = fetch_images(urls, folder, progress=False)
    assert (again.new, again.kept, len(server.asked)) == (0, 2, 2)


BOMB = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\2\0\0\0"


@pytest.mark.parametrize(
    ("content", "status", "fault"),
    [
        (b"<html>sign in</html>", 200, "no image that Pillow decodes"),
        (picture()[:45], 200, "no image that Pillow decodes"),
        (b"", 200, "no image that Pillow decodes"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 200, "no image that Pillow decodes"),
        (BOMB + b"\0" * 99, 200, "no image that Pillow decodes"),
        (picture() + b"\0" * 5000, 200, "more than 4,000 bytes"),
        (picture(), 404, "answers 404 Not Found"),
        (picture(), 403, "answers 403"),
    ],
)
def test_what_is_not_kept(server: Any, tmp_path: pathlib.Path, content: bytes, status: int, fault: str):
    """Said with its address, and the others come nevertheless."""
    bad, good = server.give("/bad", content, status), server.give("/good", picture())
    result = fetch_images([bad, good], tmp_path / "kept", FetchRule(max_bytes=4000), progress=False)
    assert (result.new, list(result.failed)) == (1, [bad])
    assert fault in result.failed[bad]
    assert str(result).startswith("1 images fetched") and bad in str(result)
    assert len(files(tmp_path)) == 1 and server.asked.count("/bad") == 1


@pytest.mark.parametrize(
    "target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:image/png;base64,AA", "gopher:x"]
)
def test_redirect_to_another_scheme(server: Any, tmp_path: pathlib.Path, target: str):
    url = server.give("/moved", b"", 302, Location=target)
    result = fetch_images([url], tmp_path / "kept", progress=False)
    assert result.new == 0 and "edirect" in result.failed[url]
    assert files(tmp_path) == []


def test_redirect_within_the_scheme(server: Any, tmp_path: pathlib.Path):
    server.give("/there.png", picture())
    url = server.give("/here", b"", 301, Location="/there.png")
    assert fetch_images([url], tmp_path, progress=False).new == 1
    circle = server.give("/circle", b"", 302, Location="/circle")
    assert fetch_images([circle], tmp_path, progress=False).failed


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://x/y.png", "http://", "https:/x.png", "http:///x.png"])
def test_other_schemes(tmp_path: pathlib.Path, url: str):
    result = fetch_images([url], tmp_path / "kept", progress=False)
    assert "neither http nor https" in result.failed[url]


def test_broken_connection_is_tried_again(server: Any, tmp_path: pathlib.Path):
    whole = picture()

    def answer(number: int) -> Answer:
        return (200, {"Content-Length": str(len(whole))}, [whole[: 30 if number < 3 else None]])

    server.answers["/x"] = answer
    server.answers["/y"] = (200, {"Content-Length": "99"}, [b"half"])
    server.answers["/z"] = (503, {}, [])
    urls = [server.url + path for path in ("/x", "/y", "/z")]
    result = fetch_images(urls, tmp_path / "kept", progress=False)
    assert result.new == 1 and len(files(tmp_path)) == 1
    assert "ended after 4 of 99 bytes" in result.failed[urls[1]] and "503" in result.failed[urls[2]]
    assert [server.asked.count(path) for path in ("/x", "/y", "/z")] == [3, 3, 3]


def test_a_server_that_drips(server: Any, tmp_path: pathlib.Path):
    """The time is that of the whole image: a byte now and then does not keep the connection open."""
    server.answers["/slow"] = (200, {}, [part for byte in picture() for part in (bytes([byte]), 0.02)])
    url = server.url + "/slow"
    result = fetch_images([url], tmp_path / "kept", FetchRule(seconds=0.2), progress=False)
    assert "takes too long" in result.failed[url]


def test_too_many(server: Any, tmp_path: pathlib.Path):
    urls = [server.give(f"/{i}", picture(i)) for i in range(3)]
    with pytest.raises(DataError, match="3 images .* more than max_images=2"):
        fetch_images(urls, tmp_path / "kept", FetchRule(max_images=2))
    assert server.asked == [] and files(tmp_path) == []


def test_interrupted(server: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C leaves whole images alone, and the next call asks for the others only."""
    urls = [server.give(f"/{i}", picture(i)) for i in range(6)]
    with monkeypatch.context() as patch:
        fetch, count = image_urls._fetch, iter(range(9))

        def interrupted(*args: object) -> str | None:
            if next(count) == 2:
                raise KeyboardInterrupt
            return fetch(*args)  # type: ignore[arg-type]

        patch.setattr(image_urls, "_fetch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch_images(urls, tmp_path, FetchRule(workers=1), progress=False)
    had = len(files(tmp_path))
    assert 2 <= had < 6 and not [name for name in files(tmp_path) if name.endswith(".tmp")]
    server.asked.clear()
    result = fetch_images(urls, tmp_path, progress=False)
    assert (result.kept, result.new, len(server.asked)) == (had, 6 - had, 6 - had)


@pytest.mark.parametrize(
    "given",
    ["all", "", 3, None, {"max_byte": 1}, {"seconds": 0}, {"workers": 0}, {"max_images": 1.5}, {"seconds": "1"}],
)
def test_rules(given: object):
    with pytest.raises(MultimodalError, match="image_urls"):
        FetchRule.of(given)  # type: ignore[arg-type]


@pytest.fixture
def graph(server: Any, tmp_path: pathlib.Path) -> pathlib.Path:
    """Two entities with an image in the folder, an address, and an address that is gone."""
    folder = tmp_path / "graph"
    folder.mkdir()
    folder.joinpath("train.tsv").write_text("a\tr\tb\nb\tr\tc\n")
    folder.joinpath("test.tsv").write_text("a\tr\tc\n")
    folder.joinpath("own.png").write_bytes(picture(7))
    there, gone = server.give("/b c.png", picture(8)), server.url + "/gone.png"
    folder.joinpath("entities.tsv").write_text(f"entity\timages\na\town.png|{there}\nb\t{gone}\nc\t\n")
    return folder


def test_dataset(server: Any, graph: pathlib.Path, caplog: pytest.LogCaptureFixture):
    """Nothing is asked unless that is said; what was fetched is found by every later load, and by a copy."""
    dataset = MultimodalDataset(graph)
    assert [len(images) for images in dataset.entity_table.images] == [1, 0, 0]
    (note,) = dataset.notes
    assert "2 images are URLs and not fetched" in note and "image_urls='fetch'" in note and server.asked == []
    before = dataset.digest

    dataset = MultimodalDataset(graph, image_urls={"seconds": 5})
    assert [len(images) for images in dataset.entity_table.images] == [2, 0, 0]
    (note,) = dataset.notes
    assert "gone.png" in note and "404" in note
    assert dataset.digest != before

    server.asked.clear()
    later = MultimodalDataset(graph)
    assert later.entity_table.images == dataset.entity_table.images and server.asked == []
    with caplog.at_level(logging.ERROR):
        write_dataset(later, graph.parent / "copy")
    table = ModalityTable.load(graph.parent / "copy" / "entities.tsv", notes=[])
    assert [[path.read_bytes() for path in images] for images in table.images] == [[picture(7), picture(8)], [], []]
    assert table.urls == {"b": (server.url + "/gone.png",)}


def test_encoded_like_others(graph: pathlib.Path):
    """A model that reads the tables anew finds what was fetched."""
    from pykeen_mmkg.datasets import GraphMetadata

    dataset = MultimodalDataset(graph, image_urls="fetch")
    table = GraphMetadata.of(dataset.training).table(dataset.training, "entity")
    assert table.images[0][1].parent == graph / FETCHED
