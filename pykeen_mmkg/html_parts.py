"""Pieces of pages of HTML that need nothing else: escaped text, one style, pictures inlined as thumbnails."""

import base64
import io
import math
import pathlib
from collections.abc import Iterable, Sequence
from html import escape

from .encoders.images import load_image
from .errors import ImageError

__all__ = ["STYLE", "THUMBNAIL", "html_curve", "html_figure", "html_page", "html_picture", "html_table", "thumbnail"]

#: pixels on a side
THUMBNAIL = 128

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
section { border-left: .4rem solid #bbb; margin: 1rem 0; padding: .1rem 1rem }
section.warning { border-color: #e0a100 } section.error { border-color: #c22 }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top } figcaption { max-width: 10rem }
code, .digest { font-size: .85rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: .3rem 0 }
table { border-collapse: collapse; margin: .5rem 0 }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top }
th { border-bottom: 2px solid #bbb } td { border-bottom: 1px solid #ddd } td.number { text-align: right }
td img { max-width: 4rem; max-height: 4rem } tr.known { background: #e6f4e6 }
.label, .note { color: #666; font-size: .85rem }
"""


def thumbnail(path: str | pathlib.Path, size: int = THUMBNAIL) -> bytes:
    """Return a picture, small, as a JPEG without what else its file holds.

    :param path: the file
    :param size: the most pixels on a side
    :returns: the bytes of the JPEG
    :raises ImageError: if the file cannot be read or decoded
    """
    image = load_image(path)
    image.thumbnail((size, size))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG")
    return buffer.getvalue()


def html_picture(path: str | pathlib.Path, size: int = THUMBNAIL) -> str:
    """Return the thumbnail of a picture as an element; one that cannot be decoded is said to be so.

    :param path: the file
    :param size: the most pixels on a side
    """
    try:
        data = base64.b64encode(thumbnail(path, size)).decode()
    except ImageError:
        return "<em>cannot be decoded</em>"
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def html_figure(path: str | pathlib.Path, caption: str) -> str:
    """Return a picture with a caption, which is escaped.

    :param path: the file
    :param caption: the text below it
    """
    return f"<figure>{html_picture(path)}<figcaption>{escape(caption)}</figcaption></figure>"


def html_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table whose cells are escaped; numbers that are not whole have four digits.

    :param header: the names of the columns
    :param rows: the cells of each row
    """
    lines = ["<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in header) + "</tr>"]
    for row in rows:
        cells = []
        for cell in row:
            number = isinstance(cell, int | float) and not isinstance(cell, bool)
            text = f"{cell:.4g}" if isinstance(cell, float) else str(cell)
            cells.append(f'<td class="number">{text}</td>' if number else f"<td>{escape(text)}</td>")
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def html_curve(points: Sequence[tuple[float, float]], across: str, up: str, size: tuple[int, int] = (480, 160)) -> str:
    """Return a curve as a drawing (SVG), with the least and the greatest of both axes.

    :param points: pairs of numbers, from left to right; those that are not finite are left out
    :param across: what the first numbers are
    :param up: what the second numbers are
    :param size: width and height, in pixels
    """
    points = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not points:
        return "<p>No number of the curve is finite.</p>"
    width, height = size
    (left, right), (low, high) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
    path = " ".join(
        f"{60 + (width - 70) * (x - left) / ((right - left) or 1):.1f},"
        f"{10 + (height - 40) * (high - y) / ((high - low) or 1):.1f}"
        for x, y in points
    )
    texts = [
        (55, 15, "end", f"{high:.4g}"),
        (55, height - 28, "end", f"{low:.4g}"),
        (60, height - 8, "start", f"{left:g}"),
        (width - 10, height - 8, "end", f"{right:g}"),
        ((width + 50) / 2, height - 8, "middle", across),
    ]
    labels = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>' for x, y, anchor, text in texts
    )
    dots = "".join(
        f'<circle cx="{x}" cy="{y}" r="2"/>'
        for x, y in (point.split(",") for point in path.split() if len(points) < 60)
    )
    return (
        f'<figure><svg width="{width}" height="{height}" role="img" aria-label="{escape(up)} by {escape(across)}" '
        f'font-size="11"><path d="M60 10V{height - 30}H{width - 10}" fill="none" stroke="#999"/>{labels}'
        f'<polyline points="{path}" fill="none" stroke="#2255aa" stroke-width="1.5"/>{dots}</svg>'
        f"<figcaption>{escape(up)}</figcaption></figure>"
    )


def html_page(title: str, parts: Iterable[str], style: str = STYLE) -> str:
    """Return a whole page with a title, which is also its heading.

    :param title: the title, which is escaped
    :param parts: what comes below it, as HTML: whoever gives it has escaped it
    :param style: the style sheet
    """
    name = escape(title)
    return "\n".join(
        [
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>',
            f"<style>{style}</style></head><body><h1>{name}</h1>",
            *parts,
            "</body></html>",
            "",
        ]
    )
