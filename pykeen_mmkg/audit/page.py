"""An audit as one page of HTML, which needs nothing else: pictures are inlined as thumbnails."""

import base64
import io
from collections.abc import Iterator
from html import escape

from ..encoders.images import load_image
from ..errors import ImageError
from .report import AuditReport, Finding, one_line

__all__ = ["audit_page"]

#: pixels on a side
THUMBNAIL = 128

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
section { border-left: .4rem solid #bbb; margin: 1rem 0; padding: .1rem 1rem }
section.warning { border-color: #e0a100 } section.error { border-color: #c22 }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top } figcaption { max-width: 10rem }
code, .digest { font-size: .85rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: .3rem 0 }
"""


def audit_page(report: AuditReport) -> str:
    """Write a report as a page of HTML, the gravest findings first.

    Everything that comes from the dataset is escaped, and no file is named that a browser would load.

    :param report: the report
    :returns: the page
    """
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Audit of {escape(report.name)}</title>',
        f"<style>{STYLE}</style></head><body><h1>Audit of {escape(report.name)}</h1>"
        f"<p>{escape(report.sizes_text())}</p>",
        f'<p class="digest">digest {escape(report.digest)}</p>',
    ]
    for finding in report.gravest_first():
        parts.append(f'<section class="{finding.severity}"><h2>{finding.severity}: {escape(finding.check)}</h2>')
        parts += [f"<p>{escape(finding.message)}</p>", *_examples(finding), "</section>"]
    return "\n".join([*parts, "</body></html>", ""])


def _examples(finding: Finding) -> Iterator[str]:
    examples = finding.details.get("examples") or []
    images = finding.details.get("images")
    if images:
        for group, path in zip(examples, images, strict=True):
            caption = ", ".join(map(str, group))
            yield f"<figure>{_thumbnail(path)}<figcaption>{escape(caption)}</figcaption></figure>"
    elif examples:
        yield "<ul>" + "".join(f"<li><code>{escape(one_line(example))}</code></li>" for example in examples) + "</ul>"


def _thumbnail(path: str) -> str:
    try:
        image = load_image(path)
    except ImageError:
        return "<em>cannot be decoded</em>"
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG")
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
