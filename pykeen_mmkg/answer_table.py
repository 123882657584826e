"""Answers to queries as data frames that a notebook shows with pictures and texts, and as a page of many of them."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any, NamedTuple

import pandas
from pykeen.triples import CoreTriplesFactory

from .datasets import GraphMetadata, ModalityTable
from .datasets.labels import Kind
from .html_parts import html_page, html_picture

__all__ = ["Answers", "Item", "answers_page", "answers_table", "items_table"]

#: pixels of a picture, and how many of one entity are shown
SIZE, MOST = 64, 3

#: columns that stand in the cell of the answer, or on its row
_TOLD = ("rank", "label", "name", "known")


class Item(NamedTuple):
    """What is shown of an entity or a relation."""

    #: its name, or its label where it has none
    name: str
    description: str
    images: tuple[pathlib.Path, ...]


def items_table(factory: CoreTriplesFactory, kind: Kind, labels: Iterable[str]) -> ModalityTable:
    """Return names, texts and pictures of labels, from where the metadata of a factory say that they are.

    :param factory: a factory; files that it names and that are gone are passed over
    :param kind: of entities or of relations
    :param labels: the labels
    :returns: a row for each label, in their order
    """
    record = GraphMetadata.of(factory)
    gone: dict[str, Any] = {
        name: None
        for name in ("entities", "relations", "images")
        if (path := getattr(record, name)) is not None and not pathlib.Path(path).exists()
    }
    table = dataclasses.replace(record, missing_rows="allow", **gone).table(factory, kind)
    return table.align(tuple(labels), missing="allow")


Describe = Callable[[str], Item]


class Answers(pandas.DataFrame):
    """The answers to a query, best first; a notebook shows them with pictures and texts.

    Whatever is made of it is a plain data frame.
    """

    #: gives what is shown of an answer by its label
    describe: Describe | None

    _metadata = ["describe"]

    @property
    def _constructor(self) -> type[pandas.DataFrame]:  # type: ignore[override]
        return pandas.DataFrame

    @classmethod
    def of(cls, frame: pandas.DataFrame | Mapping[str, Any], describe: Describe | None = None) -> "Answers":
        """Make it of a data frame.

        :param frame: the answers, with the columns ``rank``, ``label`` and ``name``
        :param describe: gives what is shown of an answer by its label; it is called when a notebook asks
        :returns: the answers
        """
        answers = cls(frame)
        answers.describe = describe
        return answers

    def __reduce_ex__(self, protocol: Any) -> Any:
        # what describes them holds the graph, and stays here
        return pandas.DataFrame, (pandas.DataFrame(self),)

    def _repr_html_(self) -> str:
        describe = getattr(self, "describe", None)
        if describe is None or not {"rank", "label"} <= set(self.columns):
            return pandas.DataFrame(self)._repr_html_() or ""  # type: ignore[operator]
        most = pandas.get_option("display.max_rows") or len(self)
        more = f"<p>The first {most} of {len(self):,} answers.</p>" if len(self) > most else ""
        return answers_table(self.head(most), describe) + more


def answers_table(frame: pandas.DataFrame, describe: Describe) -> str:
    """Return answers as a table of HTML; everything of the graph is escaped, and pictures are inlined.

    :param frame: the answers
    :param describe: gives what is shown of an answer by its label
    """
    further = [str(name) for name in frame.columns if name not in _TOLD]
    marked = "known" in frame.columns
    header = ["", "", "answer", *further, *(["known"] if marked else [])]
    lines = ["<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in header) + "</tr>"]
    for row in frame.to_dict(orient="records"):
        known = marked and bool(row["known"])
        lines.append('<tr class="known">' if known else "<tr>")
        lines.append(f'<td class="number">{row["rank"]}</td>' + _cells(str(row["label"]), describe(str(row["label"]))))
        for name in further:
            value = row[name]
            text = f"{value:.4g}" if isinstance(value, float) else escape(str(value))
            lines.append(f'<td class="number">{"" if pandas.isna(value) else text}</td>')
        lines.append(f"<td>{'true' if known else ''}</td></tr>" if marked else "</tr>")
    return "\n".join([*lines, "</table>"])


def _cells(label: str, item: Item) -> str:
    """Return two cells: the pictures of an item, and its texts."""
    pictures = "".join(html_picture(path, SIZE) for path in item.images[:MOST])
    own = "" if item.name == label else f' <span class="label">{escape(label)}</span>'
    text = f'<div class="label">{escape(item.description)}</div>' if item.description else ""
    return f"<td>{pictures}</td><td>{escape(item.name)}{own}{text}</td>"


def answers_page(answered: Iterable[tuple[Mapping[str, Item | None], Answers]], title: str) -> str:
    """Write queries with their answers as a page of HTML that needs nothing else.

    :param answered: for each query, what it gives by slot, None for the open one, and its answers
    :param title: the title of the page
    :returns: the page
    """
    parts = []
    for query, answers in answered:
        heading = " &ndash; ".join("?" if item is None else escape(item.name) for item in query.values())
        parts.append(f"<section><h2>{heading}</h2>")
        for item in query.values():
            if item is not None and (item.images or item.description):
                pictures = "".join(html_picture(path, SIZE) for path in item.images[:MOST])
                parts.append(f'<p class="note">{pictures} {escape(item.name)}: {escape(item.description)}</p>')
        describe = answers.describe or (lambda label: Item(label, "", ()))
        parts += [answers_table(answers, describe) if len(answers) else "<p>No answer is left.</p>", "</section>"]
    return html_page(title, parts)
