"""Checks of modalities: coverage, equal texts, equal images, and placeholders among feature vectors."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pandas
from tqdm.auto import tqdm

from ..datasets.metadata import GraphMetadata
from ..encoders.images import load_image
from ..errors import ImageError
from ..features.store import FeatureStore
from ..image_archives import image_digest, image_size
from ..indexing import alike
from .placeholders import find_placeholders
from .report import Finding, Severity
from .subject import EXAMPLES, Subject, percent

__all__ = [
    "audit_features",
    "broken_images",
    "coverage",
    "duplicate_images",
    "duplicate_texts",
    "notes",
    "placeholder_vectors",
]


def coverage(subject: Subject) -> Iterator[Finding]:
    """Count the entities and relations with text and images."""
    if not subject.multimodal:
        return
    coverage = subject.dataset.coverage()
    for kind in ("entities", "relations"):
        row = coverage.row("all", kind)
        message = f"of {row.total:,} {kind}, {row.text:,} have a text, {row.image:,} an image, {row.none:,} neither."
        yield Finding("coverage", "info", message, dataclasses.asdict(row))
    for name in subject.evaluated:
        row = coverage.row(name, "triples")
        have = f"both entities have a text in {row.text:,}, an image in {row.image:,}."
        yield Finding("coverage", "info", f"of {row.total:,} {name} triples, {have}", dataclasses.asdict(row))


def duplicate_texts(subject: Subject) -> Iterator[Finding]:
    """Look for items with the same text: nothing that reads the text can tell them apart."""
    if not subject.multimodal:
        return
    for kind, table in (("entities", subject.dataset.entity_table), ("relations", subject.dataset.relation_table)):
        texts = {label: text.strip() for label, text in table.texts().items() if text and text.strip()}
        codes, _ = pandas.factorize(numpy.array([*texts.values()], dtype=object))
        often = (numpy.bincount(codes)[codes] > 1).tolist()
        same = sorted(alike(itertools.compress(texts, often), texts.__getitem__), key=len, reverse=True)
        if same:
            yield Finding(
                "duplicate-texts",
                "warning",
                f"{sum(map(len, same)):,} {kind} share their text with another, in {len(same):,} groups.",
                {
                    "kind": kind,
                    "count": sum(map(len, same)),
                    "groups": len(same),
                    "examples": [group[:EXAMPLES] for group in same[:EXAMPLES]],
                },
            )


def notes(subject: Subject) -> Iterator[Finding]:
    """Say what the dataset ignored or changed when its files were read."""
    for note in getattr(subject.dataset, "notes", None) or ():
        yield Finding("notes", "warning", note)


def broken_images(subject: Subject) -> Iterator[Finding]:
    """Look for image files that cannot be decoded: whoever encodes them leaves them out."""
    if not subject.multimodal:
        return
    paths = sorted({Path(path) for images in subject.dataset.entity_table.images for path in images})
    broken: dict[str, str] = {}
    for path in tqdm(paths, desc="Decoding images", unit="image", disable=not subject.progress or not paths):
        try:
            load_image(path)
        except ImageError as error:
            broken[str(path)] = str(error)
    if broken:
        yield Finding(
            "broken-images",
            "warning",
            f"{percent(len(broken), len(paths))} image files cannot be decoded: {next(iter(broken.values()))}",
            {"count": len(broken), "files": list(broken), "examples": list(broken)[:EXAMPLES]},
        )


def duplicate_images(subject: Subject) -> Iterator[Finding]:
    """Look for image files with the same content."""
    if not subject.multimodal:
        return
    owners: dict[Path, list[str]] = defaultdict(list)
    for label, paths in zip(subject.dataset.entity_table.labels, subject.dataset.entity_table.images, strict=True):
        for path in paths:
            owners[Path(path)].append(label)
    if not owners:
        return
    # only files of the same size can be equal: the others need not be read
    suspects = [path for paths in alike(owners, image_size) for path in paths]
    bar = tqdm(suspects, desc="Comparing images", unit="image", disable=not subject.progress)
    equal = alike(bar, image_digest)
    grouped = {path for paths in equal for path in paths}
    equal += [[path] for path, labels in owners.items() if len(set(labels)) > 1 and path not in grouped]
    groups = [(sorted({label for path in paths for label in owners[path]}), paths) for paths in equal]
    between = sorted((found for found in groups if len(found[0]) > 1), key=lambda found: len(found[0]), reverse=True)
    within = [found for found in groups if len(found[0]) == 1]

    def shown(groups: list[tuple[list[str], list[Path]]]) -> dict[str, Any]:
        return {
            "examples": [group[:EXAMPLES] for group, _ in groups[:EXAMPLES]],
            "images": [
                [{"file": str(path), "entities": sorted(set(owners[path]))[:EXAMPLES]} for path in paths[:EXAMPLES]]
                for _, paths in groups[:EXAMPLES]
            ],
        }

    if between:
        items = {label for group, _ in between for label in group}
        yield Finding(
            "duplicate-images",
            "warning",
            f"{len(items):,} entities share an image (equal files) with another, in {len(between):,} groups.",
            {"count": len(items), "groups": len(between), **shown(between)},
        )
    if within:
        message = f"{len(within):,} images of one entity come more than once (equal files)."
        yield Finding("duplicate-images", "info", message, {"within": len(within), **shown(within)})


def placeholder_vectors(subject: Subject) -> Iterator[Finding]:
    """Look for identical and random-looking rows in the feature stores."""
    for name, path in GraphMetadata.of(subject.training).features.items():
        yield from audit_features(FeatureStore.load(path), name)


def audit_features(store: FeatureStore, name: str | None = None) -> tuple[Finding, ...]:
    """Look for placeholders in one feature store, see :mod:`pykeen_mmkg.audit.placeholders`.

    :param store: the store
    :param name: what the findings call it, default: its modality
    """
    return tuple(_placeholders(store, name or store.modality))


def _placeholders(store: FeatureStore, name: str) -> Iterator[Finding]:
    def finding(severity: Severity, message: str, **details: Any) -> Finding:
        return Finding("placeholder-vectors", severity, message, {"store": name, **details})

    rows = store.mask.nonzero().view(-1)
    vectors = store.vectors[rows].float()
    result = find_placeholders(vectors)
    labels = [store.labels[row] for row in rows.tolist()]
    zero = [labels[row] for row in (~vectors.any(dim=1)).nonzero().view(-1).tolist()]
    if zero:
        message = f"{percent(len(zero), len(labels))} {name} vectors are zero, but not marked as missing."
        yield finding("error", message, kind="zero", count=len(zero), examples=zero[:EXAMPLES])
    if result.identical:
        count = sum(map(len, result.identical))
        largest = len(result.identical[0])
        yield finding(
            "error" if largest >= max(10, 0.05 * len(labels)) else "warning",
            f"{percent(count, len(labels))} {name} vectors equal another; the largest group has {largest:,}.",
            kind="identical",
            count=count,
            groups=len(result.identical),
            largest=largest,
            examples=[[labels[i] for i in group[:EXAMPLES]] for group in result.identical[:EXAMPLES]],
        )
    if result.has_random:
        yield finding(
            "error",
            f"about {result.random_share:.0%} of the {len(labels):,} {name} vectors look random: they share no "
            f"direction with the others.",
            kind="random",
            share=result.random_share,
            count=len(result.random),
            examples=[labels[i] for i in result.random[:EXAMPLES]],
        )
    if result.has_matched:
        yield finding(
            "warning",
            f"about {result.matched_share:.0%} of the {name} vectors look as if drawn from the mean and deviation of "
            f"each column.",
            kind="moment-matched",
            share=result.matched_share,
        )
    if not (zero or result.identical or result.has_random or result.has_matched):
        how = "" if result.tested else " (too few rows or dimensions to look for random ones)"
        yield finding("info", f"no placeholder among {len(labels):,} {name} vectors{how}.")
