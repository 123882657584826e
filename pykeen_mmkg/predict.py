"""Ranked predictions with names: the tails, heads or relations that complete a query.

As :func:`pykeen.predict.predict_target`, but for batches, and with the names of entities in place of labels, in queries
and answers; what is known already is left out or marked.
"""

import copy
import dataclasses
import difflib
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import Any, Literal, get_args

import pandas
import torch
from pykeen.models.base import Model
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.typing import (
    LABEL_HEAD,
    LABEL_RELATION,
    LABEL_TAIL,
    BoolTensor,
    FloatTensor,
    LongTensor,
    MappedTriples,
)

from .answer_table import Answers, Item, items_table
from .datasets import ModalityTable
from .datasets.delimited import read_rows
from .datasets.labels import Kind
from .datasets.metadata import GraphMetadata
from .errors import DataError, MultimodalError
from .indexing import TargetIndex, irreflexive_relations
from .modalities import with_added
from .shares import explained

__all__ = ["Predictor", "names_of", "predict", "read_queries", "resolve"]


def names_of(triples_factory: CoreTriplesFactory, kind: Kind = "entity") -> dict[str, str]:
    """Return label -> name, from the table that the factory's metadata points to.

    :param triples_factory: the factory
    :param kind: ``"entity"`` or ``"relation"``
    :returns: the names; empty if there is no table. A label without a name is left out
    """
    record = dataclasses.replace(GraphMetadata.of(triples_factory), images=None)
    path = record.entities if kind == "entity" else record.relations
    if path is None or not pathlib.Path(path).is_file():
        added = record.added if kind == "entity" else {}
        return {label: name for label, row in added.items() if (name := row.get("name"))}
    table = record.table(triples_factory, kind)
    return {label: name for label, name in zip(table.labels, table.names, strict=True) if name}


def resolve(query: str, label_to_id: Mapping[str, int], names: Mapping[str, str], kind: str = "entity") -> str:
    """Return the label that a query means: a label itself, or the name of exactly one label.

    :param query: a label or a name; names are compared without case
    :param label_to_id: the labels of the graph
    :param names: label -> name
    :param kind: what to call it in an error message
    :returns: the label
    :raises DataError: if nothing or more than one thing has this name, with what comes near
    """
    if query in label_to_id:
        return query
    folded = query.casefold()
    matches = [label for label, name in names.items() if name.casefold() == folded and label in label_to_id]
    if not matches:  # a table may hold several names of one thing, as WordNet's lemmas, separated by commas
        matches = [
            label
            for label, name in names.items()
            if label in label_to_id and folded in (part.strip().casefold() for part in name.split(","))
        ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise DataError(f"{len(matches)} labels have the name {query!r}: {sorted(matches)[:10]}. Give one of them.")
    near = difflib.get_close_matches(query, [*label_to_id, *names.values()], n=5)
    raise DataError(f"No {kind} is called {query!r}" + (f"; near it are {near}." if near else "."))


#: what happens to answers that are known already
Known = Literal["drop", "mark", "keep"]

#: the target of a query -> the columns of what is given and of what is asked for, in (head, relation, tail)
COLUMNS: dict[str, tuple[int, int, int]] = {LABEL_HEAD: (2, 1, 0), LABEL_RELATION: (0, 2, 1), LABEL_TAIL: (0, 1, 2)}
SLOTS = (LABEL_HEAD, LABEL_RELATION, LABEL_TAIL)

#: by slot: a label or a name, None for what is asked, or what is known of an entity that the graph does not have
Query = Mapping[str, str | Mapping[str, Any] | None]


def read_queries(path: str | pathlib.Path) -> list[Query]:
    """Read queries from a file: head, relation and tail a row, the open slot empty or ``?``.

    :param path: a file of rows, see :mod:`~pykeen_mmkg.datasets.delimited`; a first row ``head relation tail`` is a
        header
    :returns: the queries
    :raises DataError: if the file cannot be read, or a row has not three columns of which one is open
    """
    rows = read_rows(pathlib.Path(path))
    if tuple(cell.strip().lower() for cell in rows[0][1]) == SLOTS:
        rows = rows[1:]
    queries: list[Query] = []
    for number, cells in rows:
        # editors cut what is empty at the end of a line
        given = [None if cell.strip() in ("", "?") else cell.strip() for cell in [*cells, ""][:3]]
        if len(cells) not in (2, 3) or given.count(None) != 1:
            raise DataError(
                f"{path}, line {number}: expected head, relation and tail, one of them empty or '?', "
                f"found {' | '.join(cells)[:200]!r}"
            )
        queries.append(dict(zip(SLOTS, given, strict=True)))
    return queries


class Predictor:
    """Answers queries with one open slot, one or many at a time.

    Names and known triples are read once, when it is made.
    """

    def __init__(
        self,
        model: Model,
        triples_factory: TriplesFactory,
        known: Iterable[CoreTriplesFactory | MappedTriples] = (),
        described_by: TriplesFactory | None = None,
        encoder: Any = None,
        calibration: Callable[[FloatTensor, str], FloatTensor] | None = None,
    ) -> None:
        """Initialize the predictor.

        :param model: a trained model
        :param triples_factory: the factory that it was trained on (for the labels, and the first known triples)
        :param known: further factories, or triples of ids, that are known besides the training triples
        :param described_by: a factory of a dataset, whose texts and pictures are shown; by default that of training. A
            saved run has no pictures
        :param encoder: for entities that the graph does not have, the encoder of the features of those that it has; by
            default the one that the model was made with
        :param calibration: gives the probabilities of answers by their scores, see
            :class:`~pykeen_mmkg.calibration.Calibration`; answers then have a column ``probability``
        """
        self.calibration = calibration
        self.model, self.encoder = model, encoder
        triples_factory = with_added(triples_factory, model)
        self._described_by = triples_factory if described_by is None else with_added(described_by, model)
        training = triples_factory.mapped_triples
        others = [part.mapped_triples if isinstance(part, CoreTriplesFactory) else part for part in known]
        #: shape (n, 3), on the device of the model
        self.known = torch.cat([training, *others]).to(model.device)
        self.irreflexive = irreflexive_relations(training, triples_factory.real_num_relations).to(model.device)
        self.ids: dict[Kind, dict[str, int]] = {
            "entity": dict(triples_factory.entity_to_id),
            "relation": dict(triples_factory.relation_to_id),
        }
        # relations that were added to the model after training
        described = getattr(model, "described", None)
        named: Sequence[Any] = getattr(model, "relation_labels", None) or getattr(described, "labels", None) or ()
        for index in range(triples_factory.real_num_relations, len(named)):
            self.ids["relation"].setdefault(str(named[index]), index)
        self.labels = {kind: {index: label for label, index in ids.items()} for kind, ids in self.ids.items()}
        self.names = {kind: names_of(triples_factory, kind) for kind in self.ids}
        self._indices: dict[str, TargetIndex] = {}
        #: the number of entities that can be answers
        self._candidates = len(self.ids["entity"])

    def opened(self, query: Query) -> tuple["Predictor", Query]:
        """Return a predictor that knows the entities which a query only describes, and the query with their labels.

        :param query: the query, see :meth:`predict`
        :returns: the predictor, which has a model of its own, and the query for it; this one where nothing is described
        :raises MultimodalError: if the model cannot score entities that are not in the graph
        """
        outside = {f"the {slot} of the query": value for slot, value in query.items() if isinstance(value, Mapping)}
        if not outside:
            return self, query
        while outside.keys() & self.ids["entity"].keys():
            outside = {f"{label}'": value for label, value in outside.items()}
        labels = iter(outside)
        query = {slot: next(labels) if isinstance(value, Mapping) else value for slot, value in query.items()}
        if not hasattr(self.model, "with_entities"):
            raise MultimodalError(
                f"{type(self.model).__name__} cannot score an entity that is not in the graph: it reads no text and no "
                "image of entities."
            )
        other = copy.copy(self)
        other.model = self.model.with_entities(outside, encoder=self.encoder)  # type: ignore[operator]
        ids = {label: len(self.ids["entity"]) + i for i, label in enumerate(outside)}
        other.ids = {**self.ids, "entity": {**self.ids["entity"], **ids}}
        other.labels = {kind: {index: label for label, index in own.items()} for kind, own in other.ids.items()}
        return other, query

    @cached_property
    def _tables(self) -> dict[Kind, ModalityTable]:
        """Names, texts and pictures, which are read when answers are first shown."""
        return {kind: items_table(self._described_by, kind, self.ids[kind]) for kind in self.ids}

    def item(self, kind: Kind, label: str) -> Item:
        """Return what is shown of an entity or a relation.

        :param kind: which of both
        :param label: its label
        :returns: its name, description and pictures
        """
        table = self._tables[kind]
        row = table.index.get(label)
        if row is None:  # it was added since
            return Item(self.names[kind].get(label) or label, "", ())
        return Item(table.names[row] or label, table.descriptions[row], table.images[row])

    def shown(self, query: Query) -> dict[str, Item | None]:
        """Return what is shown of a query, by slot.

        :param query: the query, see :meth:`resolve`
        :returns: the items of head, relation and tail, None for the open one
        """
        found: dict[str, Item | None] = {}
        for slot in SLOTS:
            kind: Kind = "relation" if slot == LABEL_RELATION else "entity"
            value = query.get(slot)
            if isinstance(value, Mapping):
                text, images = value.get("text") or "", value.get("images") or ()
                images = (images,) if isinstance(images, str | pathlib.PurePath) else images
                found[slot] = Item(value.get("name") or "?", text, tuple(map(pathlib.Path, images)))
            else:
                found[slot] = None
                if value is not None:
                    found[slot] = self.item(kind, resolve(value, self.ids[kind], self.names[kind], kind))
        return found

    def resolve(self, query: Query) -> tuple[str, list[int]]:
        """Return the slot that a query leaves open, and the ids of the others in the order of :data:`COLUMNS`.

        :param query: head, relation and tail, by label or name; the open one is None or missing
        :returns: the target, and two ids
        :raises DataError: if not exactly one slot is open, or a name is unknown or ambiguous
        """
        given = {slot: query.get(slot) for slot in SLOTS}
        missing = [slot for slot, value in given.items() if value is None]
        if len(missing) != 1 or set(query) - set(SLOTS):
            raise DataError(f"Leave exactly one of head, relation and tail open; given are {dict(query)}.")
        ids = []
        for column in COLUMNS[missing[0]][:2]:
            kind: Kind = "relation" if SLOTS[column] == LABEL_RELATION else "entity"
            label = resolve(str(given[SLOTS[column]]), self.ids[kind], self.names[kind], kind)
            ids.append(self.ids[kind][label])
        return missing[0], ids

    def _index(self, target: str) -> TargetIndex:
        """Return the known answers; where relations are asked for, the tail takes the place of the relation."""
        if target not in self._indices:
            self._indices[target] = TargetIndex.from_triples(self.known[:, list(COLUMNS[target])], LABEL_TAIL)
        return self._indices[target]

    @torch.inference_mode()
    def score(self, target: str, given: LongTensor) -> tuple[FloatTensor, BoolTensor]:
        """Score all candidates of a batch of queries.

        :param target: the open slot
        :param given: shape: ``(b, 2)``; the ids of the others
        :returns: the scores, minus infinity for what cannot be an answer, and which candidates are known to be
            answers; shape: ``(b, n)`` both
        """
        first, second = given.unbind(dim=-1)
        if target == LABEL_TAIL:
            scores = self.model.predict_t(given)
        elif target == LABEL_HEAD:
            scores = self.model.predict_h(given.flip(-1))
        else:
            # PyKEEN scores the artificial inverse relations as well, each after its own
            scores = self.model.predict_r(given)[:, :: 2 if self.model.use_inverse_triples else 1]
        known = torch.zeros_like(scores, dtype=torch.bool)
        known[self._index(target).rows(first, second)] = True
        scores = scores.float().clone()
        if target != LABEL_RELATION:
            # nothing is its own hypernym: what no training triple of the relation does, no answer does
            inside = second < len(self.irreflexive)
            own = torch.where(inside, self.irreflexive[torch.where(inside, second, 0)], self.irreflexive.all())
            row = own.nonzero()[:, 0]
            scores[row, first[row]] = -torch.inf
            # who is only asked about is no answer
            scores, known = scores[:, : self._candidates], known[:, : self._candidates]
        return scores, known

    def predict(
        self, queries: Iterable[Query], k: int | None = 10, known: Known = "drop", batch_size: int = 256
    ) -> Iterator[pandas.DataFrame]:
        """Answer queries, in their order.

        :param queries: the queries, see :meth:`resolve`. For an entity that the graph does not have, what is known of
            it stands in place of its label, such as ``{"text": "...", "images": ["okapi.jpg"]}``; see
            :meth:`~pykeen_mmkg.models.new_entities.NewEntity.parse`. Each such query is scored on its own
        :param k: how many answers each, or None for all
        :param known: what happens to answers that are known already: "drop" leaves them out, "mark" tells them by a
            column ``known``, "keep" does nothing
        :param batch_size: how many queries are scored at a time
        :returns: a data frame for each query, with the columns ``rank``, ``label``, ``name`` and ``score``, best first,
            which a notebook shows with pictures.
            An entity is no answer to its own query, unless a training triple of the relation relates an entity to
            itself. Its ``attrs`` tell of how many ``candidates`` these are the best, and the ``log_sum_exp`` of the
            scores of all: ``exp(score - log_sum_exp)`` is the softmax
        :raises DataError: if an option is unknown, or see :meth:`resolve`
        """
        if known not in get_args(Known):
            raise DataError(f"known={known!r} must be one of {get_args(Known)}.")
        if batch_size < 1 or (k is not None and k < 1):
            raise DataError(f"k={k} and batch_size={batch_size} must be at least 1.")
        rest = iter(queries)
        while asked := list(islice(rest, batch_size)):
            opened = [self.opened(query) for query in asked]
            batch = [predictor.resolve(query) for predictor, query in opened]
            answers: dict[int, pandas.DataFrame] = {}
            groups: dict[tuple[int, str], list[int]] = {}
            for i, ((predictor, _), (target, _)) in enumerate(zip(opened, batch, strict=True)):
                groups.setdefault((id(predictor), target), []).append(i)
            for (_, target), places in groups.items():
                given = torch.tensor([batch[i][1] for i in places], device=self.model.device)
                scores, is_known = opened[places[0]][0].score(target, given)
                if known == "drop":
                    scores = scores.masked_fill(is_known, -torch.inf)
                for i, row, flags in zip(places, scores.cpu(), is_known.cpu(), strict=True):
                    kind: Kind = "relation" if target == LABEL_RELATION else "entity"
                    ids = self._best(row, k)
                    answers[i] = self._frame(kind, ids, row)
                    answers[i].attrs = {"log_sum_exp": row.logsumexp(0).item(), "candidates": int(row.isfinite().sum())}
                    if self.calibration is not None:
                        answers[i]["probability"] = self.calibration(row[ids], target).tolist()
                    if known == "mark":
                        answers[i]["known"] = flags[ids].tolist()
            yield from (answers[i] for i in range(len(batch)))

    def explain(self, query: Query, answers: pandas.DataFrame) -> pandas.DataFrame:
        """Add to the answers of a query what each part of the model adds to their scores, a column each.

        - Late fusion: the weighted score of each scorer; those whose weight is zero are left out. They add up to the
          score.
        - Evidence: the score of each of its parts that says something. They add up to the score.
        - A model that fuses modalities of entities (VL-KGE): by how much the score falls if the modality is masked, for
          the known entity and for the answer, as if neither had it; all else is as it is. That is an exact difference
          of two scores, and says what would be missing: the columns do not add up to the score, as a fusion weighs
          what is left anew, and a product of two entities has terms of two modalities.

        :param query: the query
        :param answers: its answers, as :meth:`predict` gives them
        :returns: the answers, with further columns
        :raises DataError: if the model has no such parts, or relations are asked for
        """
        predictor, query = self.opened(query)
        target, (entity, relation) = predictor.resolve(query)
        if target == LABEL_RELATION:
            raise DataError("Answers can be explained where heads or tails are asked for, not relations.")
        ids = [self.ids["entity"][label] for label in answers["label"]]
        shares = explained(predictor.model, entity, relation, ids, target)  # type: ignore[arg-type]
        if shares is None:
            raise DataError(
                f"{type(self.model).__name__} has no parts to explain its answers by: it joins no scorers, no kinds of "
                "evidence and no modalities."
            )
        shares.index = answers.index
        return Answers.of(pandas.concat([answers, shares], axis=1), partial(self.item, "entity"))

    @staticmethod
    def _best(scores: FloatTensor, k: int | None) -> LongTensor:
        """Return the ids of the best candidates; among equal scores, lower ids come first."""
        ids = scores.isfinite().nonzero()[:, 0]
        if k is not None and len(ids) > k:
            ids = (scores >= scores.topk(k).values[-1]).nonzero()[:, 0]
        return ids[scores[ids].argsort(descending=True, stable=True)][:k]

    def _frame(self, kind: Kind, ids: LongTensor, scores: FloatTensor) -> pandas.DataFrame:
        labels = [self.labels[kind][index] for index in ids.tolist()]
        names = [self.names[kind].get(label, "") for label in labels]
        columns = {"rank": range(1, len(ids) + 1), "label": labels, "name": names, "score": scores[ids].tolist()}
        return Answers.of(columns, partial(self.item, kind))


def predict(
    model: Model,
    triples_factory: TriplesFactory,
    *,
    head: str | None = None,
    relation: str | None = None,
    tail: str | None = None,
    k: int | None = 10,
    known: Iterable[CoreTriplesFactory] = (),
) -> pandas.DataFrame:
    """Return the best answers to a query with one open slot; for many queries, make one :class:`Predictor`.

    :param model: a trained model
    :param triples_factory: the factory that it was trained on (for the labels, and the first known triples)
    :param head: the head, by label or name, or None to predict it
    :param relation: the relation, by label or name, or None to predict it
    :param tail: the tail, by label or name, or None to predict it
    :param k: how many answers, or None for all
    :param known: further factories whose triples are left out of the answer, besides the training triples
    :returns: a data frame, see :meth:`Predictor.predict`
    :raises DataError: if not exactly one slot is open, or a name is unknown or ambiguous
    """
    query = dict(head=head, relation=relation, tail=tail)
    return next(Predictor(model, triples_factory, known).predict([query], k=k))
