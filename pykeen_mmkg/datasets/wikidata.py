"""Dumps in the manner of Wikidata: an entity a line, as JSON, with labels, descriptions and claims.

Of a property's statements the preferred ones count, or, where there are none, those of normal rank, as in Wikidata's
own "truthy" export. What links to an item that the dump does not have is left out, and counted.
"""

import bz2
import gzip
import json
import pathlib
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import IO, Any

import pandas as pd

from ..errors import DataError
from .frames import GraphTables, choose_text

__all__ = ["SUFFIXES", "read_wikidata"]

#: the suffixes of dumps
SUFFIXES = tuple(suffix + packed for suffix in (".json", ".jsonl", ".ndjson") for packed in ("", ".gz", ".bz2"))

#: properties of a picture
PICTURES = ("P18",)

#: where a file of Wikimedia Commons is found by its name, at most so many pixels wide
COMMONS = "https://commons.wikimedia.org/wiki/Special:FilePath/{name}?width=512"

#: the longest line, in characters: the largest items of Wikidata have a few millions
MAX_LINE = 100_000_000


def is_dump(path: pathlib.Path) -> bool:
    """Return whether a file is called like a dump."""
    return path.name.lower().endswith(SUFFIXES)


def read_wikidata(
    path: str | pathlib.Path, language: str = "en", images: str | pathlib.Path | None = None
) -> GraphTables:
    """Read a dump, line by line; brackets and commas of a JSON array around the lines are passed over.

    :param path: a file of :data:`SUFFIXES`
    :param language: the language of names and descriptions, see :func:`~pykeen_mmkg.datasets.frames.choose_text`
    :param images: a folder with pictures, called as the statements call them; default: ``images`` beside the dump, if
        it exists. A picture that is not there is named by its address at Wikimedia Commons
    :returns: the tables; properties are relations, and have texts where the dump has them as entities
    :raises DataError: if the file is missing or broken, with the line
    """
    path = pathlib.Path(path)
    folder = path.parent / "images" if images is None else pathlib.Path(images)
    there = {_spaced(one.name): one for one in folder.iterdir()} if folder.is_dir() else {}
    if images is not None and not folder.is_dir():
        raise DataError(f"the folder of images {folder} does not exist")
    items: dict[str, dict[str, Any]] = {}
    properties: dict[str, dict[str, Any]] = {}
    links: list[tuple[str, str, str]] = []
    other = 0
    for number, record in _records(path):
        label = record.get("id")
        if not isinstance(label, str) or not label:
            raise DataError(f"{path}, line {number}: the entity has no id")
        kind = properties if record.get("type") == "property" else items
        if label in kind:
            raise DataError(f"{path}, line {number}: the entity {label!r} comes twice")
        row = kind[label] = {
            "name": choose_text(_texts(record.get("labels")), language),
            "description": choose_text(_texts(record.get("descriptions")), language),
            "image": [],
        }
        for prop, value in _values(record.get("claims"), f"{path}, line {number}"):
            if isinstance(value, Mapping) and (target := _target(value)):
                if kind is items:
                    links.append((label, prop, target))
            elif prop in PICTURES and isinstance(value, str):
                known = there.get(_spaced(value))
                quoted = urllib.parse.quote(value.replace(" ", "_"), safe="")
                row["image"].append(COMMONS.format(name=quoted) if known is None else str(known.absolute()))
            else:
                other += 1
    triples = sorted({link for link in links if link[2] in items})
    if not triples:
        raise DataError(f"{path} has no statement that links two of its {len(items)} items")
    beyond = len(set(links)) - len(triples)
    notes = []
    if other:
        notes.append(f"{path}: {other} statements with a value that is no item are left out")
    if beyond:
        notes.append(f"{path}: {beyond} statements link to an item that the dump does not have, and are left out")
    used = sorted({relation for _, relation, _ in triples})
    return GraphTables(
        pd.DataFrame(triples, columns=["head", "relation", "tail"], dtype=object),
        _frame("entity", sorted(items), items),
        _frame("relation", used, properties).drop(columns="image"),
        notes,
    )


def _frame(kind: str, labels: list[str], rows: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    columns = {
        name: pd.Series([rows[label][name] if label in rows else None for label in labels], dtype=object)
        for name in ("name", "description", "image")
    }
    return pd.DataFrame({kind: pd.Series(labels, dtype=object), **columns})


def _records(path: pathlib.Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    opened: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix.lower(), open)
    try:
        file: IO[str]
        with opened(path, "rt", encoding="utf-8") as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                text = line.strip().rstrip(",")
                if text in ("", "[", "]"):
                    continue
                try:
                    record = json.loads(text)
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{path}, line {number}: no JSON ({error}); a dump has an entity a line") from None
                if not isinstance(record, Mapping):
                    raise DataError(f"{path}, line {number}: expected an entity, a JSON object, found {text[:60]!r}")
                yield number, record
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _texts(given: Any) -> dict[str, str]:
    """Return language -> text, of ``{"en": {"value": ...}}`` or ``{"en": ...}``."""
    if not isinstance(given, Mapping):
        return {}
    found = {tag: text.get("value") if isinstance(text, Mapping) else text for tag, text in given.items()}
    return {tag: " ".join(text.split()) for tag, text in found.items() if isinstance(text, str) and text.strip()}


def _values(claims: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Give the values of the best statements of each property."""
    for prop, statements in claims.items() if isinstance(claims, Mapping) else ():
        if not isinstance(statements, list) or not all(isinstance(statement, Mapping) for statement in statements):
            raise DataError(f"{where}: the statements of {prop} are no list of objects")
        ranks = [statement.get("rank", "normal") for statement in statements]
        best = "preferred" if "preferred" in ranks else "normal"
        for statement, rank in zip(statements, ranks, strict=True):
            snak = statement.get("mainsnak")
            if rank == best and isinstance(snak, Mapping) and snak.get("snaktype", "value") == "value":
                data = snak.get("datavalue")
                yield prop, data.get("value") if isinstance(data, Mapping) else None


def _target(value: Mapping[str, Any]) -> str | None:
    """Return the item that a value names, None if it names none."""
    if isinstance(value.get("id"), str):
        return str(value["id"])
    number = value.get("numeric-id")
    return f"Q{number}" if isinstance(number, int) and value.get("entity-type", "item") == "item" else None


def _spaced(name: str) -> str:
    return name.replace("_", " ")
