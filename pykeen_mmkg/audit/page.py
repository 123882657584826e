"""An audit as one page of HTML, which needs nothing else: pictures are inlined as thumbnails."""

import pathlib
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from ..html_parts import html_figure, html_page
from .report import AuditReport, Finding, one_line

__all__ = ["audit_page"]


def audit_page(report: AuditReport) -> str:
    """Write a report as a page of HTML, the gravest findings first.

    Everything that comes from the dataset is escaped, and no file is named that a browser would load.

    :param report: the report
    :returns: the page
    """
    parts = [f"<p>{escape(report.sizes_text())}</p>", f'<p class="digest">digest {escape(report.digest)}</p>']
    for finding in report.gravest_first():
        parts.append(f'<section class="{finding.severity}"><h2>{finding.severity}: {escape(finding.check)}</h2>')
        parts += [f"<p>{escape(finding.message)}</p>", *_examples(finding), "</section>"]
    return html_page(f"Audit of {report.name}", parts)


def _examples(finding: Finding) -> Iterator[str]:
    examples = finding.details.get("examples") or []
    images = finding.details.get("images")
    if images:
        # those that are equal stand in one row
        for group in images:
            figures = (html_figure(image["file"], _caption(image)) for image in group)
            yield '<div class="equal">' + "".join(figures) + "</div>"
    elif examples:
        yield "<ul>" + "".join(f"<li><code>{escape(one_line(example))}</code></li>" for example in examples) + "</ul>"


def _caption(image: Mapping[str, Any]) -> str:
    return f"{', '.join(map(str, image['entities']))} ({pathlib.PurePath(image['file']).name})"
