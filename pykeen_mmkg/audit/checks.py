"""An audit of a dataset: what makes its figures too good, or means something else than it seems.

It works on any dataset of PyKEEN, and looks at texts, images and feature stores of multimodal ones.
"""

import dataclasses
import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pykeen.triples import CoreTriplesFactory
from tqdm.auto import tqdm

from ..baselines.rules import Baseline, DuplicateRule, InverseRule, SymmetricRule, opposite_relations
from ..datasets import GraphMetadata, load_dataset
from ..errors import MultimodalError
from ..evaluation.results import dataset_digest
from ..evaluation.run import evaluate
from ..features.store import FeatureStore
from ..indexing import occurring, seen_entities
from ..sampling.filterer import KnownTriplesFilterer
from .placeholders import find_placeholders

__all__ = ["CHECKS", "AuditReport", "Finding", "audit"]

Severity = Literal["info", "warning", "error"]

#: from harmless to grave
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")

#: the share of leaked evaluation triples from which on a finding is a warning, and an error
LEAK_LEVELS: Mapping[Severity, float] = {"warning": 0.01, "error": 0.1}

#: how many examples a finding shows
EXAMPLES = 5


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was found.

    :param check: the name of the check, see :data:`CHECKS`
    :param severity: "info"; "warning": figures have to be read with care; "error": figures do not mean what they seem
        to
    :param message: one sentence
    :param details: figures and examples, plain JSON
    """

    check: str
    severity: Severity
    message: str
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """The findings about a dataset.

    :param name: the dataset
    :param digest: the digest of its content
    :param sizes: entities, relations, and triples per split
    :param findings: the findings, in the order of the checks
    """

    name: str
    digest: str
    sizes: Mapping[str, int]
    findings: tuple[Finding, ...]

    def select(self, check: str) -> tuple[Finding, ...]:
        """Return the findings of one check."""
        return tuple(finding for finding in self.findings if finding.check == check)

    def failed(self, fail_on: str | Iterable[str] | None = "error") -> bool:
        """Return whether the audit failed.

        :param fail_on: a severity (it or a graver one), a check by name (of which a warning or an error), or several,
            as a list or separated by commas; ``None`` or ``"never"``: never
        :raises MultimodalError: if there is no such severity or check
        """
        if fail_on is None:
            return False
        names = fail_on.split(",") if isinstance(fail_on, str) else list(fail_on)
        result = False
        for name in (name.strip() for name in names):
            if name == "never":
                continue
            if name in SEVERITIES:
                grave = SEVERITIES[SEVERITIES.index(name) :]  # type: ignore[arg-type]
                result |= any(finding.severity in grave for finding in self.findings)
            elif name in CHECKS:
                result |= any(f.check == name and f.severity != "info" for f in self.findings)
            else:
                raise MultimodalError(
                    f"fail-on: {name!r} is neither a severity {list(SEVERITIES)} nor a check {sorted(CHECKS)}."
                )
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "name": self.name,
            "digest": self.digest,
            "sizes": dict(self.sizes),
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def to_text(self) -> str:
        """Return a readable report, the gravest findings first."""
        sizes = ", ".join(f"{count:,} {what}" for what, count in self.sizes.items())
        lines = [f"Audit of {self.name}: {sizes}", f"digest {self.digest}", ""]
        for severity in reversed(SEVERITIES):
            for finding in self.findings:
                if finding.severity == severity:
                    lines.append(f"{severity.upper():8}{finding.check}: {finding.message}")
                    examples = finding.details.get("examples")
                    if examples and severity != "info":
                        lines.append(" " * 8 + f"for example {_example(examples[0])}")
        counts = {severity: sum(f.severity == severity for f in self.findings) for severity in SEVERITIES}
        lines += ["", ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES))]
        return "\n".join(lines)


class _Subject:
    """A dataset with what the checks share."""

    def __init__(self, dataset: Any, progress: bool) -> None:
        self.dataset = dataset
        self.progress = progress
        self.training: CoreTriplesFactory = dataset.training
        splits = getattr(dataset, "factories", None) or {
            "training": dataset.training,
            "validation": dataset.validation,
            "testing": dataset.testing,
        }
        self.splits = {name: factory for name, factory in splits.items() if factory is not None}
        self.triples = {name: factory.mapped_triples for name, factory in self.splits.items()}
        self.evaluated = [name for name in self.splits if name != "training"]
        self.multimodal = hasattr(dataset, "entity_table")
        self.entities = {index: label for label, index in (getattr(self.training, "entity_to_id", None) or {}).items()}
        self.relations = {
            index: label for label, index in (getattr(self.training, "relation_to_id", None) or {}).items()
        }

    def show(self, triples: torch.Tensor) -> list[list[str]]:
        """Return some triples with labels."""
        return [
            [
                str(self.entities.get(h, h)),
                str(self.relations.get(r, r)),
                str(self.entities.get(t, t)),
            ]
            for h, r, t in triples[:EXAMPLES].tolist()
        ]


def _example(example: Any) -> str:
    """Write an example in one line: a label, a triple of labels, or a group of them."""
    return example if isinstance(example, str) else " | ".join(map(str, example))


def _percent(part: int, total: int) -> str:
    return f"{part:,} of {total:,} ({part / max(total, 1):.1%})"


def _leak_severity(share: float) -> Severity:
    return next((level for level in ("error", "warning") if share >= LEAK_LEVELS[level]), "info")


# ---- triples --------------------------------------------------------------------------------------------------------


def _duplicates(subject: _Subject) -> Iterator[Finding]:
    """Look for triples that come twice within a split."""
    dropped = dict(getattr(subject.dataset, "duplicates", None) or {})
    for name, triples in subject.triples.items():
        count = dropped.get(name) or len(triples) - len(triples.unique(dim=0))
        if count:
            yield Finding(
                "duplicates",
                "warning",
                f"{count:,} lines of the {name} split repeat a triple.",
                {"split": name, "count": count},
            )


def _shared_triples(subject: _Subject) -> Iterator[Finding]:
    """Look for triples that two splits share."""
    names = list(subject.triples)
    for first, second in itertools.combinations(names, 2):
        later = subject.triples[second].unique(dim=0)
        shared = later[KnownTriplesFilterer(subject.triples[first]).contains(later)]
        if len(shared):
            share = len(shared) / len(later)
            # that further test splits overlap each other is a matter of their design
            severity: Severity = "error" if first == "training" else "warning"
            yield Finding(
                "shared-triples",
                severity,
                f"{_percent(len(shared), len(later))} distinct {second} triples are in {first} too: a score on "
                f"{second} "
                f"measures memory.",
                {
                    "splits": [first, second],
                    "count": len(shared),
                    "share": share,
                    "examples": subject.show(shared),
                },
            )


def _rule_check(
    check: str, what: str, cls: type[Baseline], find: Callable[[_Subject], torch.Tensor]
) -> Callable[[_Subject], Iterator[Finding]]:
    def run(subject: _Subject) -> Iterator[Finding]:
        opposite = find(subject)
        training = KnownTriplesFilterer(subject.training.mapped_triples)
        for name in subject.evaluated:
            triples = subject.triples[name]
            if not len(triples):
                continue
            other = opposite[triples[:, 1]]
            image = triples.clone()
            if cls is DuplicateRule:
                image[:, 1] = other
            else:
                image = torch.stack([triples[:, 2], other, triples[:, 0]], dim=1)
            found = training.contains(image) & (other >= 0)
            count, share = int(found.sum()), float(found.float().mean())
            details: dict[str, Any] = {"split": name, "count": count, "share": share}
            if not count:
                continue
            message = f"{_percent(count, len(triples))} {name} triples {what} in training"
            if name in ("testing", "validation"):
                result = evaluate(cls(subject.training), subject.dataset, "standard", split=name, use_tqdm=False)
                details["rule"] = {key: result.get_metric(key) for key in ("mrr", "hits@1", "hits@3", "hits@10")}
                message += f"; the bare rule that answers with it has MRR {details['rule']['mrr']:.3f}"
            details["relations"] = {
                str(subject.relations.get(r, r)): str(subject.relations.get(int(opposite[r]), int(opposite[r])))
                for r in triples[found, 1].unique().tolist()
            }
            details["examples"] = subject.show(triples[found])
            yield Finding(check, _leak_severity(share), message + ".", details)

    run.__doc__ = f"Look for evaluation triples that {what} in training, and score the rule that exploits it."
    return run


def _learned(direction: Literal["inverse", "same"]) -> Callable[[_Subject], torch.Tensor]:
    def find(subject: _Subject) -> torch.Tensor:
        factory = subject.training
        return opposite_relations(factory.mapped_triples, factory.real_num_relations, direction)[0]

    return find


def _unseen(subject: _Subject) -> Iterator[Finding]:
    """Look for entities and relations of evaluation triples that training does not have."""
    factory = subject.training
    relations_seen = occurring(factory.mapped_triples[:, 1], factory.real_num_relations)
    for name in subject.evaluated:
        triples = subject.triples[name]
        for kind, ids, seen, labels in (
            ("entities", triples[:, [0, 2]], seen_entities(factory), subject.entities),
            ("relations", triples[:, 1:2], relations_seen, subject.relations),
        ):
            unseen = ~seen[ids]
            items = ids[unseen].unique()
            if len(items):
                affected = int(unseen.any(dim=1).sum())
                yield Finding(
                    f"unseen-{kind}",
                    "warning",
                    f"{_percent(len(items), len(ids.unique()))} {kind} of the {name} split are not in training; "
                    f"{_percent(affected, len(triples))} triples have one: only a model of text or images can tell "
                    f"them "
                    f"apart.",
                    {
                        "split": name,
                        "count": len(items),
                        "triples": affected,
                        "examples": [str(labels.get(i, i)) for i in items[:EXAMPLES].tolist()],
                    },
                )


# ---- modalities -----------------------------------------------------------------------------------------------------


def _coverage(subject: _Subject) -> Iterator[Finding]:
    """Count the entities and relations with text and images."""
    if not subject.multimodal:
        return
    coverage = subject.dataset.coverage()
    for kind in ("entities", "relations"):
        row = coverage.row("all", kind)
        yield Finding(
            "coverage",
            "info",
            f"of {row.total:,} {kind}, {row.text:,} have a text, {row.image:,} an image, {row.none:,} neither.",
            dataclasses.asdict(row),
        )
    for name in subject.evaluated:
        row = coverage.row(name, "triples")
        yield Finding(
            "coverage",
            "info",
            f"of {row.total:,} {name} triples, both entities have a text in {row.text:,}, an image in {row.image:,}.",
            dataclasses.asdict(row),
        )


def _duplicate_texts(subject: _Subject) -> Iterator[Finding]:
    """Look for items with the same text: nothing that reads the text can tell them apart."""
    if not subject.multimodal:
        return
    for kind, table in (("entities", subject.dataset.entity_table), ("relations", subject.dataset.relation_table)):
        groups: dict[str, list[str]] = defaultdict(list)
        for label, text in table.texts().items():
            if text and text.strip():
                groups[text.strip()].append(label)
        same = sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)
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


def _duplicate_images(subject: _Subject) -> Iterator[Finding]:
    """Look for image files with the same content."""
    if not subject.multimodal:
        return
    owners: dict[Path, list[str]] = defaultdict(list)
    for label, paths in zip(subject.dataset.entity_table.labels, subject.dataset.entity_table.images, strict=True):
        for path in paths:
            owners[Path(path)].append(label)
    if not owners:
        return
    sizes: dict[int, list[Path]] = defaultdict(list)
    for path in owners:
        sizes[path.stat().st_size].append(path)
    # only files of the same size can be equal: the others need not be read
    suspects = [path for paths in sizes.values() if len(paths) > 1 for path in paths]
    digests: dict[str, list[Path]] = defaultdict(list)
    for path in tqdm(suspects, desc="Comparing images", unit="image", disable=not subject.progress):
        digests[hashlib.sha256(path.read_bytes()).hexdigest()].append(path)
    groups = [
        sorted({label for path in paths for label in owners[path]}) for paths in digests.values() if len(paths) > 1
    ]
    groups += [sorted(set(labels)) for path, labels in owners.items() if len(set(labels)) > 1]
    between = [group for group in groups if len(group) > 1]
    within = len(groups) - len(between)
    if between:
        items = {label for group in between for label in group}
        between.sort(key=len, reverse=True)
        yield Finding(
            "duplicate-images",
            "warning",
            f"{len(items):,} entities share an image (equal files) with another, in {len(between):,} groups.",
            {
                "count": len(items),
                "groups": len(between),
                "examples": [group[:EXAMPLES] for group in between[:EXAMPLES]],
            },
        )
    if within:
        yield Finding(
            "duplicate-images",
            "info",
            f"{within:,} entities have the same image (equal files) more than once.",
            {"within": within},
        )


def _placeholder_vectors(subject: _Subject) -> Iterator[Finding]:
    """Look for identical and random-looking rows in the feature stores."""
    for name, path in GraphMetadata.of(subject.training).features.items():
        yield from audit_features(FeatureStore.load(path), name)


def audit_features(store: FeatureStore, name: str | None = None) -> tuple[Finding, ...]:
    """Look for placeholders in one feature store, see :mod:`pykeen_mmkg.audit.placeholders`.

    :param store: the store
    :param name: what the findings call it, default: its modality
    """
    name = name or store.modality
    rows = store.mask.nonzero().view(-1)
    result = find_placeholders(store.vectors[rows])
    labels = [store.labels[row] for row in rows.tolist()]
    findings = []
    if zero := [label for label, row in zip(labels, rows.tolist(), strict=True) if not store.vectors[row].any()]:
        findings.append(
            Finding(
                "placeholder-vectors",
                "error",
                f"{_percent(len(zero), len(labels))} {name} vectors are zero, but not marked as missing.",
                {"store": name, "kind": "zero", "count": len(zero), "examples": zero[:EXAMPLES]},
            )
        )
    if result.identical:
        count = sum(map(len, result.identical))
        largest = len(result.identical[0])
        findings.append(
            Finding(
                "placeholder-vectors",
                "error" if largest >= max(10, 0.05 * len(labels)) else "warning",
                f"{_percent(count, len(labels))} {name} vectors equal another; the largest group has {largest:,}.",
                {
                    "store": name,
                    "kind": "identical",
                    "count": count,
                    "groups": len(result.identical),
                    "largest": largest,
                    "examples": [[labels[i] for i in group[:EXAMPLES]] for group in result.identical[:EXAMPLES]],
                },
            )
        )
    if result.has_random:
        findings.append(
            Finding(
                "placeholder-vectors",
                "error",
                f"about {result.random_share:.0%} of the {len(labels):,} {name} vectors look random: they share no "
                f"direction with the others.",
                {
                    "store": name,
                    "kind": "random",
                    "share": result.random_share,
                    "count": len(result.random),
                    "examples": [labels[i] for i in result.random[:EXAMPLES]],
                },
            )
        )
    if result.has_matched:
        findings.append(
            Finding(
                "placeholder-vectors",
                "warning",
                f"about {result.matched_share:.0%} of the {name} vectors look as if drawn from the mean and deviation "
                f"of each "
                f"column.",
                {"store": name, "kind": "moment-matched", "share": result.matched_share},
            )
        )
    if not findings:
        how = "" if result.tested else " (too few rows or dimensions to look for random ones)"
        findings.append(
            Finding(
                "placeholder-vectors",
                "info",
                f"no placeholder among {len(labels):,} {name} vectors{how}.",
                {"store": name},
            )
        )
    return tuple(findings)


#: the checks by name, in their order
CHECKS: Mapping[str, Callable[[_Subject], Iterator[Finding]]] = {
    "duplicates": _duplicates,
    "shared-triples": _shared_triples,
    "inverse-leakage": _rule_check("inverse-leakage", "have their inverse", InverseRule, _learned("inverse")),
    "symmetric-leakage": _rule_check(
        "symmetric-leakage",
        "have their mirror image (same relation)",
        SymmetricRule,
        lambda subject: torch.arange(subject.training.real_num_relations),
    ),
    "duplicate-relation-leakage": _rule_check(
        "duplicate-relation-leakage", "hold by another relation", DuplicateRule, _learned("same")
    ),
    "unseen-entities": lambda subject: (f for f in _unseen(subject) if f.check == "unseen-entities"),
    "unseen-relations": lambda subject: (f for f in _unseen(subject) if f.check == "unseen-relations"),
    "coverage": _coverage,
    "duplicate-texts": _duplicate_texts,
    "duplicate-images": _duplicate_images,
    "placeholder-vectors": _placeholder_vectors,
}


def audit(
    dataset: Any,
    checks: Sequence[str] | None = None,
    features: Mapping[str, FeatureStore | str | Path] | None = None,
    progress: bool = True,
) -> AuditReport:
    """Audit a dataset.

    :param dataset: any dataset of PyKEEN, its name, or the path of a folder
    :param checks: the checks to do, default: all of :data:`CHECKS`
    :param features: further feature stores by name
    :param progress: whether to show a progress bar while images are read
    :returns: the report
    :raises MultimodalError: if there is no such check
    """
    dataset = load_dataset(dataset)
    unknown = sorted(set(checks or ()) - set(CHECKS))
    if unknown:
        raise MultimodalError(f"There is no check {unknown[0]!r}; the checks are {list(CHECKS)}.")
    subject = _Subject(dataset, progress)
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        if checks is None or name in checks:
            findings += check(subject)
    if checks is None or "placeholder-vectors" in checks:
        for name, store in (features or {}).items():
            findings += audit_features(store if isinstance(store, FeatureStore) else FeatureStore.load(store), name)
    return AuditReport(
        name=getattr(dataset, "get_normalized_name", lambda: type(dataset).__name__)(),
        digest=dataset_digest(dataset),
        sizes={
            "entities": dataset.training.num_entities,
            "relations": dataset.training.real_num_relations,
            **{f"{name} triples": len(triples) for name, triples in subject.triples.items()},
        },
        findings=tuple(findings),
    )
