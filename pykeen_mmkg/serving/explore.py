"""The pages of the application, which load nothing from elsewhere and run nothing but their own script."""

import base64
import hashlib
import pathlib
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from ..html_parts import STYLE, html_page, html_table

__all__ = ["explore_page", "reference_page"]

PAGE = pathlib.Path(__file__).with_name("explore.html")

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", flags=re.DOTALL)


def _policy(page: str) -> str:
    """Return a policy that allows the inline style and script of a page by their digests, and pictures of one's own."""
    digests: dict[str, list[str]] = {"style": ["'none'"], "script": ["'none'"]}
    for kind, content in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        digests[kind] = [own for own in digests[kind] if own != "'none'"] + [f"'sha256-{digest}'"]
    return (
        f"default-src 'none'; script-src {' '.join(digests['script'])}; style-src {' '.join(digests['style'])}; "
        "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def explore_page() -> tuple[str, str]:
    """Return the page to explore a graph with, and its policy."""
    page = PAGE.read_text(encoding="utf-8").replace("<style>", f"<style>{STYLE}", 1)
    return page, _policy(page)


def reference_page(schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return a page that says how to ask, from a schema of OpenAPI, and its policy.

    :param schema: the schema
    """
    parts = ['<p>As <a href="openapi.json">OpenAPI</a>; a refusal has a status of 4xx and says why in "error".</p>']
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(operation.get('summary', ''))}</p>")
            rows = list(_parameters(operation, schema))
            if rows:
                parts.append(html_table(["", "where", "what", "default"], rows))
            parts.append("</section>")
    page = html_page(f"{schema['info']['title']} {schema['info']['version']}", parts)
    return page, _policy(page)


def _parameters(operation: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[list[object]]:
    for parameter in operation.get("parameters", ()):
        yield _row(parameter["name"], parameter["in"], parameter.get("schema", {}) | parameter)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        found = schema["components"]["schemas"].get(name, content["schema"])
        for field, described in found.get("properties", {}).items():
            yield _row(field, "form", described)


def _row(name: str, where: str, described: Mapping[str, Any]) -> list[object]:
    default = described.get("default")
    return [name, where, described.get("description", ""), "" if default is None else str(default)]
