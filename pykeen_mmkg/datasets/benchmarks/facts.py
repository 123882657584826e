"""What is known about each benchmark, as a table."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from docdata import get_docdata
from tabulate import tabulate

from .base import Benchmark

__all__ = ["BenchmarkFacts", "facts_of", "facts_table"]


@dataclasses.dataclass(frozen=True)
class BenchmarkFacts:
    """The facts in the ``docdata`` of a benchmark."""

    #: as in ``pipeline(dataset=...)``
    key: str
    name: str
    entities: int
    relations: int
    training: int
    validation: int
    testing: int
    #: how many entities and relations have a text, None if nobody has counted
    entity_text: int | None
    relation_text: int | None
    source: str
    license: str
    images: str
    leaks: str
    link: str


def facts_of(cls: type[Benchmark]) -> BenchmarkFacts:
    """Collect the facts about a benchmark; its files are not needed."""
    data: dict[str, Any] = get_docdata(cls)
    statistics, coverage = data["statistics"], data["coverage"]
    return BenchmarkFacts(
        key=cls.__name__.lower(),
        name=data["name"],
        **{split: statistics[split] for split in ("entities", "relations", "training", "validation", "testing")},
        entity_text=coverage.get("entity_text"),
        relation_text=coverage.get("relation_text"),
        source=data["source"],
        license=data["license"],
        images=data.get("images", ""),
        leaks=data.get("leaks", ""),
        link=data["citation"]["link"],
    )


def facts_table(benchmarks: Iterable[type[Benchmark]], fmt: str = "simple") -> str:
    """Print the facts about benchmarks: a table of their sizes, and one of where they come from.

    :param benchmarks: the benchmarks
    :param fmt: a format of tables that the library tabulate knows
    :returns: the two tables
    """
    facts = [facts_of(cls) for cls in benchmarks]
    splits = ("training", "validation", "testing")
    sizes = [
        [
            fact.key,
            f"{fact.entities:,}",
            f"{fact.relations:,}",
            *(f"{getattr(fact, split):,}" for split in splits),
            _share(fact.entity_text, fact.entities),
            _share(fact.relation_text, fact.relations),
        ]
        for fact in facts
    ]
    headers = ["name", "entities", "relations", *splits, "entities with text", "relations with text"]
    origins = [[fact.key, fact.source, fact.license, fact.leaks or "none known"] for fact in facts]
    # a cell of a Markdown table has one line
    widths = None if fmt in ("github", "pipe") else [None, 45, 40, 40]
    return "\n\n".join(
        [
            tabulate(sizes, headers=headers, tablefmt=fmt, colalign=("left", *("right",) * 7), disable_numparse=True),
            tabulate(origins, headers=["name", "source", "licence", "known leaks"], tablefmt=fmt, maxcolwidths=widths),
        ]
    )


def _share(part: int | None, whole: int) -> str:
    if part is None:
        return "?"
    return "all" if part == whole else f"{part:,}"
