"""Splitting labeled triples into training, validation and testing: at random, by pairs, or with unseen items."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from ..errors import DataError
from .files import LabeledTriple
from .splits import split_unseen_entities, split_unseen_relations

__all__ = ["SPLIT_KINDS", "SplitRule"]

#: the kinds of splits, and what each does
SPLIT_KINDS: Mapping[str, str] = {
    "random": "at random; every entity and relation has a training triple",
    "leak-aware": "at random; all triples of two entities, inverses and duplicates, are on one side",
    "unseen-entities": "the triples of held-out entities, which have no training triple",
    "unseen-relations": "the triples of held-out relations, which have no training triple",
}

Parts = dict[str, list[LabeledTriple]]


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """How triples are split.

    :param kind: one of :data:`SPLIT_KINDS`
    :param ratios: the shares of training, validation and testing: of the triples, or, of a kind with unseen items, of
        the entities or relations. Validation can be 0
    :param seed: of the draw; the same triples, rule and seed give the same split, in whatever order they come
    """

    kind: str = "random"
    ratios: Sequence[float] = (0.8, 0.1, 0.1)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the options."""
        if self.kind not in SPLIT_KINDS:
            raise DataError(f"split={self.kind!r} must be one of {list(SPLIT_KINDS)}")
        numbers = list(self.ratios) if isinstance(self.ratios, Sequence) else []
        good = len(numbers) == 3 and all(isinstance(n, float | int) and not isinstance(n, bool) for n in numbers)
        if not good or min(numbers[::2]) <= 0 or numbers[1] < 0 or abs(sum(numbers) - 1) > 1e-6:
            raise DataError(f"ratios={self.ratios} must be three positive shares of 1: training, validation, testing")
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise DataError(f"seed={self.seed!r} must be a number from 0 on")

    @classmethod
    def of(cls, given: "str | Mapping[str, Any] | SplitRule") -> "SplitRule":
        """Make a rule from the name of a kind, or from a mapping with the keys ``kind``, ``ratios`` and ``seed``.

        :param given: the name, the mapping, or a rule
        :returns: the rule
        :raises DataError: if something in it is unknown
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, str):
            return cls(given)
        if not isinstance(given, Mapping):
            raise DataError(f"split={given!r} must be the name of a kind or a mapping: {list(SPLIT_KINDS)}")
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(set(map(str, given)) - set(known)):
            raise DataError(f"split has the unknown key {unknown[0]!r}; it can have {known}")
        return cls(**given)

    def __str__(self) -> str:
        """Say it in words."""
        shares = "/".join(f"{100 * share:g}" for share in self.ratios)
        return f"{self.kind}, {shares} %, seed {self.seed}"

    def split(self, triples: Iterable[LabeledTriple]) -> Parts:
        """Split triples.

        :param triples: the triples; repeated ones are taken once
        :returns: the triples of "training", "validation" (if there are any) and "testing"; of a kind with unseen items
            also those of "seen-validation" and "seen-testing", where the source has them
        :raises DataError: if there are too few triples
        """
        unique = sorted(set(triples))
        if self.kind == "leak-aware":
            return self._by_pairs(unique)
        entities = {label: i for i, label in enumerate(sorted({label for h, _, t in unique for label in (h, t)}))}
        relations = {label: i for i, label in enumerate(sorted({r for _, r, _ in unique}))}
        ids = torch.as_tensor([(entities[h], relations[r], entities[t]) for h, r, t in unique])
        factory = TriplesFactory(ids, entity_to_id=entities, relation_to_id=relations)
        if self.kind == "random":
            ratios = list(self.ratios) if self.ratios[1] else [self.ratios[0], self.ratios[2]]
            names = ("training", "validation", "testing") if self.ratios[1] else ("training", "testing")
            try:
                parts = factory.split(ratios, random_state=self.seed)
            except ValueError as error:
                raise DataError(f"ratios={tuple(self.ratios)}: {error} Give training a larger share") from error
            return _named(dict(zip(names, parts, strict=True)))
        count = len(entities) if self.kind == "unseen-entities" else len(relations)
        dev, unseen = (round(share * count) for share in self.ratios[1:])
        make = split_unseen_entities if self.kind == "unseen-entities" else split_unseen_relations
        made = make(factory, max(unseen, 1), max(dev, 1) if self.ratios[1] else 0, random_state=self.seed)
        return _named({"training": made.training, "validation": made.validation, "testing": made.testing, **made.extra})

    def _by_pairs(self, triples: Sequence[LabeledTriple]) -> Parts:
        """Split so that no two splits have the same two entities, in whatever direction."""
        pairs: dict[frozenset[str], list[LabeledTriple]] = defaultdict(list)
        for triple in triples:
            pairs[frozenset((triple[0], triple[2]))].append(triple)
        groups = list(pairs.values())
        order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(self.seed)).tolist()
        left = Counter(item for triple in triples for item in _items(triple))
        wanted = {"testing": self.ratios[2] * len(triples), "validation": self.ratios[1] * len(triples)}
        parts: Parts = {"training": [], "validation": [], "testing": []}
        for group in (groups[i] for i in order):
            taken = Counter(item for triple in group for item in _items(triple))
            free = all(left[item] > count for item, count in taken.items())
            name = next((name for name, size in wanted.items() if free and len(parts[name]) + len(group) <= size), None)
            parts[name or "training"] += group
            if name is not None:
                left -= taken
        if not parts["testing"]:
            raise DataError(
                f"ratios={tuple(self.ratios)}: of {len(triples)} triples, none can be held out so that every entity "
                f"and relation keeps a training triple"
            )
        return {name: sorted(rows) for name, rows in parts.items() if rows}


def _items(triple: LabeledTriple) -> set[tuple[str, str]]:
    """Return the entities and the relation of a triple; an entity may be called like a relation."""
    return {("entity", triple[0]), ("entity", triple[2]), ("relation", triple[1])}


def _named(factories: Mapping[str, CoreTriplesFactory | None]) -> Parts:
    return {
        name: [(str(h), str(r), str(t)) for h, r, t in factory.label_triples(factory.mapped_triples).tolist()]
        for name, factory in factories.items()
        if isinstance(factory, TriplesFactory) and factory.num_triples
    }


def split_anew(
    triples: Mapping[str, Sequence[LabeledTriple]], rule: SplitRule | None, notes: list[str]
) -> dict[str, Sequence[LabeledTriple]]:
    """Split the triples of a dataset by a rule, or, without a rule, only if it has none for testing.

    :param triples: the triples by split
    :param rule: the rule, by which the triples of all splits are split together
    :param notes: gets a sentence if there was no rule and no test split
    :returns: the triples by split
    """
    if rule is not None:
        return {**rule.split(triple for rows in triples.values() for triple in rows)}
    if "testing" in triples:
        return dict(triples)
    rule = SplitRule() if "validation" not in triples else SplitRule(ratios=(0.9, 0.0, 0.1))
    notes.append(
        f"there is no test split: the training triples are split ({rule}); `split` of the dataset takes another rule"
    )
    return {**triples, **rule.split(triples["training"])}
