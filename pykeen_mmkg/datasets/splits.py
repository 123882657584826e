"""Making splits with unseen relations or unseen entities from any dataset."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pykeen.datasets.base import Dataset, EagerDataset
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.typing import BoolTensor, MappedTriples
from tabulate import tabulate

from ..errors import DataError
from ..indexing import occurring
from .drawing import draw_entities, draw_relations
from .labels import labels_in_order
from .metadata import GraphMetadata
from .overlap import RelationOverlap, leaking_triples, relation_overlaps

__all__ = ["SplitDataset", "SplitReport", "split_unseen_entities", "split_unseen_relations"]


@dataclasses.dataclass(frozen=True)
class SplitReport:
    """The report of a split maker."""

    #: the labels of the relations or entities that are in testing only
    unseen: tuple[str, ...]
    #: the labels of those that are in validation only
    dev: tuple[str, ...]
    #: the overlaps of held-out relations with training relations, as of before anything was removed
    overlaps: tuple[RelationOverlap, ...] = ()
    #: how many training triples were removed because of them
    removed_leaks: int = 0
    #: how many held-out triples were removed for an entity without training triple
    removed_unseen_entities: int = 0
    #: how many held-out triples have an entity without training triple, in testing and validation
    with_unseen_entities: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return dataclasses.asdict(self)

    def summary(self) -> str:
        """Return a readable text."""
        lines = [f"unseen: {len(self.unseen)}, dev: {len(self.dev)}"]
        if self.overlaps:
            rows = [dataclasses.astuple(overlap) for overlap in self.overlaps]
            headers = ["held out", "in training", "kind", "shared pairs", "share", "share of other"]
            lines += ["overlaps:", tabulate(rows, headers=headers, floatfmt=".3f")]
        lines.append(f"training triples removed as leaks: {self.removed_leaks}")
        lines.append(
            f"held-out triples with an entity that is not in training: {self.with_unseen_entities} kept, "
            f"{self.removed_unseen_entities} removed"
        )
        return "\n".join(lines)


class SplitDataset(EagerDataset):
    """A dataset made by a split maker; all its factories share the ids of the source."""

    #: what the split maker did
    report: SplitReport
    #: further test splits by name
    extra: Mapping[str, TriplesFactory]
    #: true triples in no split, for filtering; they are not to be trained on
    removed: TriplesFactory

    def __init__(
        self,
        *,
        report: SplitReport,
        removed: TriplesFactory,
        extra: Mapping[str, TriplesFactory] | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize the dataset.

        :param report: what the split maker did
        :param removed: true triples in no split
        :param extra: further test splits by name
        :param kwargs: arguments of :class:`pykeen.datasets.base.EagerDataset`
        """
        super().__init__(**kwargs)
        self.report = report
        self.removed = removed
        self.extra = dict(extra or {})

    def _summary_rows(self) -> list[tuple[str, int, int, int]]:
        named = {**self.factory_dict, **self.extra, "removed": self.removed}
        return [(name, f.num_entities, f.num_relations, f.num_triples) for name, f in named.items()]

    def summary_str(self, title: str | None = None, show_examples: int | None = 5, end: str = "\n") -> str:  # noqa: D102
        summary = super().summary_str(title=title, show_examples=show_examples, end="\n")
        return f"{summary}{self.report.summary()}{end}"


@dataclasses.dataclass(frozen=True)
class _Source:
    """All triples of a graph, by split, and a factory that knows its labels."""

    training: TriplesFactory
    splits: dict[str, MappedTriples]

    @classmethod
    def of(cls, source: Dataset | CoreTriplesFactory) -> "_Source":
        if isinstance(source, Dataset):
            training, factories = source.training, dict(source.factory_dict)
            # further splits are true triples, too: none may end up as an unseen one's leak or be forgotten
            factories.update(getattr(source, "extra", None) or {})
        else:
            training, factories = source, {"training": source}
        if not isinstance(training, TriplesFactory):
            raise DataError(f"a split needs labels, but {type(training).__name__} has none; use a TriplesFactory")
        return cls(training=training, splits={name: f.mapped_triples for name, f in factories.items()})

    @property
    def triples(self) -> MappedTriples:
        """All distinct triples, sorted, so that the result depends on the facts and not on the order of the files."""
        return torch.cat(list(self.splits.values())).unique(dim=0)

    def factory(self, triples: MappedTriples, training: bool = False, **metadata: Any) -> TriplesFactory:
        return TriplesFactory(
            mapped_triples=triples,
            entity_to_id=self.training.entity_to_id,
            relation_to_id=self.training.relation_to_id,
            create_inverse_triples=training and self.training.create_inverse_triples,
            metadata={**(self.training.metadata or {}), **metadata},
        )

    def dataset(
        self,
        report: SplitReport,
        training: MappedTriples,
        testing: MappedTriples,
        validation: MappedTriples,
        removed: MappedTriples,
        extra: Mapping[str, MappedTriples] | None = None,
    ) -> SplitDataset:
        record = GraphMetadata.of(self.training)
        sha = hashlib.sha256(str(record.digest).encode())
        for triples in (training, testing, validation, removed):
            sha.update(triples.shape[0].to_bytes(8, "little") + triples.numpy().tobytes())
        record = dataclasses.replace(record, digest=sha.hexdigest(), dev_relations=None)

        def make(triples: MappedTriples, **kwargs: Any) -> TriplesFactory:
            return self.factory(triples, **record.to_metadata(), **kwargs)

        return SplitDataset(
            training=make(training, training=True),
            testing=make(testing),
            validation=make(validation) if len(validation) else None,
            removed=make(removed),
            extra={name: make(triples) for name, triples in (extra or {}).items() if len(triples)},
            report=report,
            metadata=record.to_metadata(),
        )


def split_unseen_relations(
    source: Dataset | CoreTriplesFactory,
    unseen: int | Sequence[str],
    dev: int | Sequence[str] = 0,
    *,
    leaks: Literal["report", "remove-pairs", "remove-relations"] = "report",
    threshold: float = 0.5,
    min_triples: int = 1,
    min_seen: float = 0.9,
    drop_unseen_entities: bool = False,
    random_state: int = 0,
) -> SplitDataset:
    """Turn a graph into one with unseen relations: zero-shot relational learning.

    The triples of all splits are taken together. Those of the unseen relations become testing, those of the dev
    relations validation, all others training. Relations in training with the same or the inverse pairs give unseen ones
    away: they are found, see :func:`~pykeen_mmkg.datasets.overlap.relation_overlaps`, and reported.

    :param source: a dataset or a factory with labels
    :param unseen: the labels of the unseen relations, or how many to draw
    :param dev: the labels of the dev relations, or how many to draw
    :param leaks: "report" overlapping relations only; "remove-pairs" also removes their overlapping triples from
        training, "remove-relations" all their triples
    :param threshold: the share of a held-out relation's pairs from which on another relation overlaps, in (0, 1]
    :param min_triples: draw only relations with at least as many triples
    :param min_seen: draw only relations of whose triples at least this share has both entities in what remains for
        training; a relation whose entities never occur there tells nothing
    :param drop_unseen_entities: whether held-out triples with an entity that is not in training are removed
    :param random_state: the seed of the draw
    :returns: the dataset, with the report and whatever was removed
    :raises DataError: if a relation is unknown, in both sets or without triple, there are too few to draw from, or an
        option is unknown
    """
    if leaks not in ("report", "remove-pairs", "remove-relations"):
        raise DataError(f"leaks={leaks!r} must be 'report', 'remove-pairs' or 'remove-relations'")
    src = _Source.of(source)
    triples = src.triples
    labels = labels_in_order(src.training.relation_to_id)
    given = _given(unseen, dev, src.training.relation_to_id, "relation")
    counts = torch.bincount(triples[:, 1], minlength=len(labels))
    for i in (i for ids in given for i in ids or ()):
        if not counts[i]:
            raise DataError(f"the relation {labels[i]!r} has no triple, so that it cannot be held out")
    chosen = draw_relations(
        triples,
        given,
        [number if isinstance(number, int) else 0 for number in (unseen, dev)],
        num_relations=len(labels),
        min_triples=min_triples,
        min_seen=min_seen,
        seed=random_state,
    )
    unseen_ids, dev_ids = chosen
    is_unseen, is_dev = (torch.isin(triples[:, 1], torch.as_tensor(ids, dtype=torch.long)) for ids in chosen)
    training, testing, validation = triples[~(is_unseen | is_dev)], triples[is_unseen], triples[is_dev]

    held_out = torch.cat([testing, validation])
    overlaps = relation_overlaps(held_out, training, labels, threshold=threshold)
    leak = leaking_triples(training, held_out, overlaps, src.training.relation_to_id, whole=leaks == "remove-relations")
    if leaks == "report":
        leak = torch.zeros_like(leak)
    removed = [training[leak]]
    training = training[~leak]
    if not len(training):
        raise DataError("no training triple is left: hold out fewer relations or do not remove leaks")

    seen = occurring(training[:, [0, 2]], src.training.num_entities)
    foreign = [~(seen[part[:, 0]] & seen[part[:, 2]]) for part in (testing, validation)]
    lost = int(torch.cat(foreign).sum())
    if drop_unseen_entities:
        removed += [testing[foreign[0]], validation[foreign[1]]]
        testing, validation, lost = testing[~foreign[0]], validation[~foreign[1]], 0
    if not len(testing):
        raise DataError("no test triple is left: the entities of the unseen relations do not occur in training")
    report = SplitReport(
        unseen=tuple(labels[i] for i in sorted(unseen_ids)),
        dev=tuple(labels[i] for i in sorted(dev_ids)),
        overlaps=tuple(overlaps),
        removed_leaks=len(removed[0]),
        removed_unseen_entities=sum(map(len, removed[1:])),
        with_unseen_entities=lost,
    )
    return src.dataset(report, training, testing, validation, torch.cat(removed))


def _given(
    unseen: int | float | Sequence[str], dev: int | float | Sequence[str], label_to_id: Mapping[str, int], kind: str
) -> tuple[list[int] | None, list[int] | None]:
    """Look up the labels of both sets, which are disjoint; None where a number was given instead."""

    def ids(given: int | float | Sequence[str]) -> list[int] | None:
        if isinstance(given, (int, float)):
            if given < 0:
                raise DataError(f"cannot draw {given} {kind} labels")
            return None
        if isinstance(given, str):
            raise DataError(f"expected a list of {kind} labels or a number, got the single string {given!r}")
        if unknown := [label for label in given if label not in label_to_id]:
            raise DataError(f"{unknown[0]!r} is no {kind} of the dataset")
        return sorted({label_to_id[label] for label in given})

    result = ids(unseen), ids(dev)
    if both := set(result[0] or ()) & set(result[1] or ()):
        label = labels_in_order(label_to_id)[min(both)]
        raise DataError(f"the {kind} {label!r} is to be unseen and dev; it can be one of them")
    return result


def split_unseen_entities(
    source: Dataset | CoreTriplesFactory,
    unseen: int | float | Sequence[str],
    dev: int | float | Sequence[str] = 0,
    *,
    random_state: int = 0,
) -> SplitDataset:
    """Turn a graph into one with unseen entities: inductive link prediction with known relations.

    Every triple with an unseen entity becomes testing, every other one with a dev entity validation. What remains of
    the source's training is training; what remains of its other splits is kept as ``extra["seen-<split>"]``, or as
    validation if there are no dev entities. Drawn entities leave every other entity and every relation of training at
    least one training triple.

    :param source: a dataset or a factory with labels
    :param unseen: the labels of the unseen entities, or how many to draw, as a number or as a share in (0, 1)
    :param dev: the same for the entities of validation
    :param random_state: the seed of the draw
    :returns: the dataset with its report
    :raises DataError: if an entity is unknown or in both sets, too few can be drawn, or no triple is left
    """
    src = _Source.of(source)
    labels = labels_in_order(src.training.entity_to_id)
    num = len(labels)
    given = _given(unseen, dev, src.training.entity_to_id, "entity")
    numbers = [_number(number, num) for number in (unseen, dev)]
    training = src.splits["training"].unique(dim=0)
    num_relations = src.training.num_relations
    chosen = draw_entities(training, given, numbers, num_entities=num, num_relations=num_relations, seed=random_state)

    flags = torch.zeros(2, num, dtype=torch.bool)
    for flag, ids in zip(flags, chosen, strict=True):
        flag[torch.as_tensor(ids, dtype=torch.long)] = True

    def touches(triples: MappedTriples, flag: BoolTensor) -> BoolTensor:
        return flag[triples[:, 0]] | flag[triples[:, 2]]

    triples = src.triples
    is_unseen = touches(triples, flags[0])
    is_dev = touches(triples, flags[1]) & ~is_unseen
    rest = {name: part[~touches(part, flags.any(dim=0))] for name, part in src.splits.items()}
    extra = {f"seen-{name}": part for name, part in rest.items() if name != "training"}
    validation = triples[is_dev] if chosen[1] else extra.pop("seen-validation", triples[:0])
    training, testing = rest["training"], triples[is_unseen]
    for name, part in (("training", training), ("testing", testing)):
        if not len(part):
            raise DataError(f"no {name} triple is left: hold out other entities")
    seen = occurring(training[:, [0, 2]], num)
    held_out = torch.cat([testing, validation])
    report = SplitReport(
        unseen=tuple(labels[i] for i in sorted(chosen[0])),
        dev=tuple(labels[i] for i in sorted(chosen[1])),
        with_unseen_entities=int((~(seen[held_out[:, 0]] & seen[held_out[:, 2]])).sum()),
    )
    return src.dataset(report, training, testing, validation, triples[:0], extra=extra)


def _number(number: int | float | Sequence[str], total: int) -> int:
    """Turn a share into a number."""
    if isinstance(number, float):
        if not 0 <= number < 1:
            raise DataError(f"the share {number} of held-out entities must be in [0, 1)")
        return round(number * total)
    return number if isinstance(number, int) else 0
