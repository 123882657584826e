"""The audit of a dataset: what makes its figures too good, or means something else than it seems.

It works on any dataset of PyKEEN, and looks at texts, images and feature stores of multimodal ones.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..baselines.rules import DuplicateRule, InverseRule, SymmetricRule
from ..datasets.loading import dataset_digest, load_dataset
from ..errors import MultimodalError
from ..features.store import FeatureStore
from .modality_checks import (
    audit_features,
    broken_images,
    coverage,
    duplicate_images,
    duplicate_texts,
    notes,
    placeholder_vectors,
)
from .report import AuditReport, Finding
from .subject import Subject
from .triple_checks import (
    duplicates,
    inverse_relations,
    learned_relations,
    rule_check,
    same_relations,
    shared_triples,
    unseen_items,
)

__all__ = ["CHECKS", "audit"]

#: the checks by name, in their order
CHECKS: Mapping[str, Callable[[Subject], Iterator[Finding]]] = {
    "duplicates": duplicates,
    "shared-triples": shared_triples,
    "inverse-leakage": rule_check(
        "inverse-leakage", "have their inverse (another relation)", InverseRule, inverse_relations
    ),
    "symmetric-leakage": rule_check(
        "symmetric-leakage",
        "have their mirror image (same relation)",
        SymmetricRule,
        same_relations,
        # what the inverse gives away already is one leak, and told once
        told=inverse_relations,
    ),
    "duplicate-relation-leakage": rule_check(
        "duplicate-relation-leakage",
        "hold by another relation",
        DuplicateRule,
        functools.partial(learned_relations, direction="same"),
    ),
    "unseen-entities": lambda subject: (f for f in unseen_items(subject) if f.check == "unseen-entities"),
    "unseen-relations": lambda subject: (f for f in unseen_items(subject) if f.check == "unseen-relations"),
    "notes": notes,
    "coverage": coverage,
    "duplicate-texts": duplicate_texts,
    "duplicate-images": duplicate_images,
    "broken-images": broken_images,
    "placeholder-vectors": placeholder_vectors,
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
    subject = Subject(dataset, progress)
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
        checks=tuple(CHECKS if checks is None else checks),
    )
