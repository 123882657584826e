"""The pieces of pages: nothing is markup that was not meant to be, and pictures are in the page."""

import base64
import io
import re

import pytest
from PIL import Image

from pykeen_mmkg.errors import ImageError
from pykeen_mmkg.html_parts import html_figure, html_page, html_picture, html_table, thumbnail

EVIL = "<script>alert('1')</script>"


def test_thumbnail(tmp_path) -> None:
    """A picture of the same shape, at most as large as asked, without the metadata of its file."""
    image = Image.new("RGB", (400, 100), "red")
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    image.save(tmp_path / "x.jpg", exif=exif)
    data = thumbnail(tmp_path / "x.jpg", 64)
    small = Image.open(io.BytesIO(data))
    assert (small.format, small.size) == ("JPEG", (64, 16))
    assert b"secret" in (tmp_path / "x.jpg").read_bytes() and b"secret" not in data
    (inlined,) = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', html_picture(tmp_path / "x.jpg", 64))
    assert base64.b64decode(inlined) == data
    with pytest.raises(ImageError):
        thumbnail(tmp_path / "none.jpg")
    assert "cannot be decoded" in html_picture(tmp_path / "none.jpg")


def test_everything_is_escaped(tmp_path) -> None:
    page = html_page(EVIL, [html_figure(tmp_path / "none.png", EVIL), html_table([EVIL], [[EVIL], [1.0 / 3], [True]])])
    assert "<script" not in page and page.count("&lt;script&gt;") == 5
    assert '<td class="number">0.3333</td>' in page and "<td>True</td>" in page
