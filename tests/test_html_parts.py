"""The pieces of pages: nothing is markup that was not meant to be, and pictures are in the page."""

import base64
import io
import re

import pytest
from PIL import Image

from pykeen_mmkg.errors import ImageError
from pykeen_mmkg.html_parts import html_curve, html_figure, html_page, html_picture, html_table, thumbnail

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


def test_curve() -> None:
    """From left to right, greater numbers higher; what is not finite is left out, and one point is a curve."""
    drawing = html_curve([(1, 5.0), (2, float("nan")), (3, 1.0), (4, 3.0)], EVIL, "loss")
    (points,) = re.findall(r'points="([^"]*)"', drawing)
    xs, ys = zip(*(map(float, point.split(",")) for point in points.split()), strict=True)
    assert len(xs) == 3 and list(xs) == sorted(xs) and ys[0] < ys[2] < ys[1]
    assert "<script" not in drawing
    assert html_curve([(1, 2.0)], "x", "y").count("<circle") == 1
    assert "finite" in html_curve([(1, float("inf"))], "x", "y")
