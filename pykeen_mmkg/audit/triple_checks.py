"""Checks of triples: duplicates, triples that splits share, leaks through other relations, unseen items."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from pykeen.typing import MappedTriples

from ..baselines.rules import LookupBaseline, opposite_relations
from ..evaluation.evaluating import evaluate
from ..indexing import distinct_triples, occurring, seen_entities
from ..sampling.filterer import KnownTriplesFilterer
from .report import Finding, Severity
from .subject import EXAMPLES, Subject, percent

__all__ = [
    "duplicates",
    "inverse_relations",
    "learned_relations",
    "rule_check",
    "same_relations",
    "shared_triples",
    "unseen_items",
]

#: the share of leaked evaluation triples from which on a finding is a warning, and an error
LEAK_LEVELS: Mapping[Severity, float] = {"warning": 0.01, "error": 0.1}


def _leak_severity(share: float) -> Severity:
    return next((level for level in ("error", "warning") if share >= LEAK_LEVELS[level]), "info")


def duplicates(subject: Subject) -> Iterator[Finding]:
    """Look for triples that come twice within a split."""
    dropped = dict(getattr(subject.dataset, "duplicates", None) or {})
    for name, triples in subject.triples.items():
        count = dropped.get(name) or len(triples) - len(distinct_triples(triples))
        if count:
            message = f"{count:,} lines of the {name} split repeat a triple."
            yield Finding("duplicates", "warning", message, {"split": name, "count": count})


def shared_triples(subject: Subject) -> Iterator[Finding]:
    """Look for triples that two splits share."""
    names = list(subject.triples)
    for first, second in itertools.combinations(names, 2):
        later = distinct_triples(subject.triples[second])
        shared = later[KnownTriplesFilterer(subject.triples[first]).contains(later)]
        if len(shared):
            share = len(shared) / len(later)
            # that further test splits overlap each other is a matter of their design
            severity: Severity = "error" if first == "training" else "warning"
            yield Finding(
                "shared-triples",
                severity,
                f"{percent(len(shared), len(later))} distinct {second} triples are in {first} too: a score on "
                f"{second} measures memory.",
                dict(splits=[first, second], count=len(shared), share=share, examples=subject.show(shared)),
            )


#: gives the opposite of each relation, -1 for none, shape: ``(num_relations,)``
Opposites = Callable[[Subject], torch.Tensor]


def rule_check(
    check: str, what: str, cls: type[LookupBaseline], find: Opposites, told: Opposites | None = None
) -> Callable[[Subject], Iterator[Finding]]:
    """Make a check for leaks that a rule exploits.

    :param check: the name of the check
    :param what: what leaked triples do, for messages
    :param cls: the rule
    :param find: the opposites that the rule answers with
    :param told: the opposites, in the other direction, of another check: a triple that leaks through them is its matter
    :returns: the check
    """
    swapped = cls.swapped

    def run(subject: Subject) -> Iterator[Finding]:
        opposite = find(subject)
        training = KnownTriplesFilterer(subject.training.mapped_triples)
        for name in subject.evaluated:
            triples = subject.triples[name]
            if not len(triples):
                continue
            found = _leaked(triples, opposite, training, swapped)
            if told is not None:
                found &= ~_leaked(triples, told(subject), training, swapped)
            count, share = int(found.sum()), float(found.float().mean())
            details: dict[str, Any] = {"split": name, "count": count, "share": share}
            if not count:
                continue
            message = f"{percent(count, len(triples))} {name} triples {what} in training"
            if name in ("testing", "validation"):
                rule = cls(subject.training)
                rule.opposite = opposite
                result = evaluate(rule, subject.dataset, "standard", split=name, use_tqdm=False)
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


def _leaked(
    triples: MappedTriples, opposite: torch.Tensor, training: KnownTriplesFilterer, swapped: bool
) -> torch.Tensor:
    """Return which triples training tells through the opposite of their relation, shape: ``(n,)``."""
    head, relation, tail = triples.unbind(dim=1)
    other = opposite[relation]
    image = torch.stack([tail, other, head] if swapped else [head, other, tail], dim=1)
    return training.contains(image) & (other >= 0)


def inverse_relations(subject: Subject) -> torch.Tensor:
    """Find the inverse of each relation that has another one; the leaks of symmetric ones are mirror images."""
    found = learned_relations(subject)
    return torch.where(found == same_relations(subject), -1, found)


def same_relations(subject: Subject) -> torch.Tensor:
    """Return each relation itself."""
    return torch.arange(subject.training.real_num_relations)


def learned_relations(subject: Subject, direction: Literal["inverse", "same"] = "inverse") -> torch.Tensor:
    """Find the opposite relations as the rules learn them from training triples."""
    factory = subject.training
    return opposite_relations(factory.mapped_triples, factory.real_num_relations, direction)[0]


def unseen_items(subject: Subject) -> Iterator[Finding]:
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
                    f"{percent(len(items), len(ids.unique()))} {kind} of the {name} split are not in training; "
                    f"{percent(affected, len(triples))} triples have one: only a model of text or images can tell "
                    f"them apart.",
                    {
                        "split": name,
                        "count": len(items),
                        "triples": affected,
                        "examples": [str(labels.get(i, i)) for i in items[:EXAMPLES].tolist()],
                    },
                )
