"""The images that a table names: within its folder, elsewhere, by address, and missing."""

import pathlib

import pytest

from pykeen_mmkg.datasets.table_images import IMAGE_PATH, LINKED, image_parts, place_image, read_images
from pykeen_mmkg.errors import ImageError


@pytest.fixture
def table(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "graph" / "img").mkdir(parents=True)
    for name in ("graph/a.png", "graph/img/b.png", "c.png"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path / "graph" / "entities.tsv"


def test_a_cell_has_paths_and_addresses(table: pathlib.Path):
    assert image_parts(" a.png | |img/b.png|") == ["a.png", "img/b.png"]
    images, urls = read_images("a.png|https://example.org/x.png| img/b.png", table, "line 2")
    assert images == (table.parent / "a.png", table.parent / "img/b.png")
    assert urls == ("https://example.org/x.png",)
    assert read_images("", table, "line 2") == ((), ())


def test_images_from_elsewhere_need_leave(table: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ImageError, match=r"line 7: the image '\.\./c\.png' is outside of the table's folder"):
        read_images("../c.png", table, "line 7")
    monkeypatch.setenv(IMAGE_PATH, str(table.parent.parent))
    assert read_images("../c.png", table, "line 7")[0][0].read_bytes() == b"c.png"
    with pytest.raises(ImageError, match="line 7: the image 'd.png' does not exist"):
        read_images("d.png", table, "line 7")


def test_a_place_beside_the_table(table: pathlib.Path):
    folder = table.parent
    assert place_image(folder / "img" / "b.png", folder) == "img/b.png"
    placed = place_image(folder.parent / "c.png", folder)
    assert placed.startswith(f"{LINKED}/") and (folder / placed).read_bytes() == b"c.png"
    assert place_image(folder.parent / "c.png", folder) == placed
