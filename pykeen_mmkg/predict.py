"""Ranked predictions with names: the tails, heads or relations that complete a query.

As :func:`pykeen.predict.predict_target`, but for batches, and with the names of entities in place of labels, in queries
and answers; what is known already is left out or marked.
"""

import copy
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
from .best_answers import best_answers
from .datasets import ModalityTable
from .datasets.delimited import read_rows
from .datasets.labels import Kind
from .datasets.metadata import GraphMetadata
from .errors import DataError, MultimodalError
from .indexing import TargetIndex, find_sorted, gather_rows, irreflexive_relations
from .kept import Kept, file_stamp
from .modalities import gathered, with_added
from .names import names_of, resolve
from .shares import explained

__all__ = ["Predictor", "predict", "read_queries"]


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


def _relations(model: Model) -> Sequence[Any]:
    """Return the labels of the relations that a model knows, also of those that were added to it after training."""
    return getattr(model, "relation_labels", None) or getattr(getattr(model, "described", None), "labels", None) or ()


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
        named = _relations(model)
        for index in range(triples_factory.real_num_relations, len(named)):
            self.ids["relation"].setdefault(str(named[index]), index)
        self.labels = {kind: {index: label for label, index in ids.items()} for kind, ids in self.ids.items()}
        self.names = {kind: names_of(triples_factory, kind) for kind in self.ids}
        self._indices: dict[str, TargetIndex] = {}
        #: the labels of names, without case, None for a name of several things; made at the first question by name
        self._called: dict[Kind, dict[str, str | None]] = {}
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

    def _label(self, kind: Kind, query: str) -> str:
        """Return the label that a query means, see :func:`resolve`, which looks at all names."""
        if query in self.ids[kind]:
            return query
        if kind not in self._called:
            owners: dict[str, str | None] = {}
            for label, name in self.names[kind].items():
                if label in self.ids[kind]:
                    owners[name.casefold()] = None if name.casefold() in owners else label
            self._called[kind] = owners
        return self._called[kind].get(query.casefold()) or resolve(query, self.ids[kind], self.names[kind], kind)

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
                    found[slot] = self.item(kind, self._label(kind, value))
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
            ids.append(self.ids[kind][self._label(kind, str(given[SLOTS[column]]))])
        return missing[0], ids

    def _index(self, target: str) -> TargetIndex:
        """Return the known answers; where relations are asked for, the tail takes the place of the relation."""
        if target not in self._indices:
            self._indices[target] = TargetIndex.from_triples(self.known[:, list(COLUMNS[target])], LABEL_TAIL)
        return self._indices[target]

    @torch.inference_mode()
    def score(self, target: str, given: LongTensor) -> tuple[FloatTensor, BoolTensor]:
        """Score all candidates of a batch of queries, and tell which are known.

        :param target: the open slot
        :param given: shape: ``(b, 2)``; the ids of the others
        :returns: the scores, minus infinity for what cannot be an answer, and which candidates are known to be
            answers; shape: ``(b, n)`` both
        """
        scores = self._scores(target, given)
        known = torch.zeros_like(scores, dtype=torch.bool)
        known[self._known_answers(target, given, scores.shape[1])] = True
        return scores, known

    def _known_answers(self, target: str, given: LongTensor, num: int) -> tuple[LongTensor, LongTensor]:
        """Return row in the batch and id of the known answers below a number."""
        row, column = self._index(target).rows(*given.unbind(dim=-1))
        return row[column < num], column[column < num]

    @torch.inference_mode()
    def _scores(self, target: str, given: LongTensor) -> FloatTensor:
        """Score all candidates of a batch of queries.

        :param target: the open slot
        :param given: shape: ``(b, 2)``; the ids of the others
        :returns: the scores, minus infinity for what cannot be an answer; shape: ``(b, n)``
        """
        first, second = given.unbind(dim=-1)
        if target == LABEL_TAIL:
            scores = self.model.predict_t(given)
        elif target == LABEL_HEAD:
            scores = self.model.predict_h(given.flip(-1))
        else:
            # PyKEEN scores the artificial inverse relations as well, each after its own
            scores = self.model.predict_r(given)[:, :: 2 if self.model.use_inverse_triples else 1]
        scores = scores.float().contiguous()
        if target != LABEL_RELATION:
            # nothing is its own hypernym: what no training triple of the relation does, no answer does
            inside = second < len(self.irreflexive)
            own = torch.where(inside, self.irreflexive[torch.where(inside, second, 0)], self.irreflexive.all())
            row = own.nonzero()[:, 0]
            scores[row, first[row]] = -torch.inf
            # who is only asked about is no answer
            scores = scores[:, : self._candidates]
        return scores

    @torch.inference_mode()
    def _answer(
        self, scorer: "Predictor", target: str, given: LongTensor, k: int | None, known: Known
    ) -> list[Answers]:
        """Answer a batch of queries with the same open slot.

        :param scorer: the predictor that scores them
        :param target: the open slot
        :param given: shape: ``(b, 2)``; the ids of the others
        :param k: how many answers each
        :param known: what happens to answers that are known already
        :returns: the answers to each
        """
        scores = scorer._scores(target, given)
        num = scores.shape[1]
        row, column = self._known_answers(target, given, num)
        if known == "drop":
            scores[row, column] = -torch.inf
        best = best_answers(scores, k)
        kind: Kind = "relation" if target == LABEL_RELATION else "entity"
        ids = best.ids.tolist()
        labels = list(map(self.labels[kind].__getitem__, ids))
        names = [self.names[kind].get(label, "") for label in labels]
        query, place = gather_rows(best.offsets, torch.arange(len(given)))
        columns = {"rank": (place - best.offsets[query] + 1).tolist(), "label": labels, "name": names}
        columns["score"] = best.scores.tolist()
        if self.calibration is not None:
            columns["probability"] = self.calibration(best.scores, target).tolist()
        if known == "mark":
            columns["known"] = (find_sorted((row * num + column).cpu(), query * num + best.ids) >= 0).tolist()
        # one frame is cut into those of the queries: to make one takes longer than to score a query
        frame = pandas.DataFrame(columns)
        answers = []
        bounds = best.offsets.tolist()
        totals = zip(bounds, bounds[1:], best.log_sum_exp.tolist(), best.candidates.tolist(), strict=False)
        for low, high, total, count in totals:
            answers.append(Answers.of(frame.iloc[low:high], partial(self.item, kind)))
            answers[-1].index = pandas.RangeIndex(high - low)
            answers[-1].attrs = {"log_sum_exp": total, "candidates": count}
        return answers

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
            answers: dict[int, Answers] = {}
            groups: dict[tuple[int, str], list[int]] = {}
            for i, ((predictor, _), (target, _)) in enumerate(zip(opened, batch, strict=True)):
                groups.setdefault((id(predictor), target), []).append(i)
            for (_, target), places in groups.items():
                given = torch.tensor([batch[i][1] for i in places], device=self.model.device)
                found = self._answer(opened[places[0]][0], target, given, k, known)
                answers |= dict(zip(places, found, strict=True))
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


#: the predictors of :func:`predict`, without their models
_KEPT = Kept()


def _predictor(model: Model, triples_factory: TriplesFactory, known: tuple[CoreTriplesFactory, ...]) -> Predictor:
    """Return a predictor, that of the last call if nothing that it was made of has changed."""

    def make() -> Predictor:
        made = Predictor(model, triples_factory, known)
        del made.model
        return made

    factories = (triples_factory, *known)
    record = GraphMetadata.of(triples_factory)
    added = tuple(label for sources in gathered(model).values() for label in sources.added)
    state = (model.device, added, tuple(_relations(model)), *map(file_stamp, (record.entities, record.relations)))
    parts = (*factories, *(factory.mapped_triples for factory in factories))
    predictor = copy.copy(_KEPT.get(model, parts, state, make))
    predictor.model = model
    return predictor


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

    What the last call for a model has read (names, known triples) serves the next one, unless something has changed.

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
    return next(_predictor(model, triples_factory, tuple(known)).predict([query], k=k))
