"""What a trained run answers, as plain JSON and without HTTP: predictions, what is alike, names, pictures."""

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas
import torch
from PIL import Image
from pykeen.models import Model
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from pykeen.typing import LongTensor, MappedTriples

from ..answer_table import items_table
from ..datasets.labels import Kind
from ..errors import DataError
from ..html_parts import thumbnail
from ..modalities import with_added
from ..predict import SLOTS, Predictor
from ..runs import AlignedDataset
from ..similar import Neighbours
from ..vectors import modalities_of
from .completion import NameIndex

__all__ = ["QueryService"]

#: what an answer says of how sure it is
SOFTMAX = "softmax of the scores over {} candidates, not calibrated"
CALIBRATED = "calibrated on validation triples"

#: how many example queries an overview has
EXAMPLES = 6


class QueryService:
    """Answers questions about the graph of a run; several threads may ask, one at a time is answered."""

    def __init__(
        self, model: Model, training: TriplesFactory, dataset: Any = None, encoder: Any = None, title: str = "a run"
    ) -> None:
        """Initialize the service.

        :param model: a trained model
        :param training: the triples that it was trained on
        :param dataset: the dataset, which brings the pictures, and the triples besides those of training
        :param encoder: the encoder that made the entities' features, for texts and pictures that are brought along
        :param title: what to call it
        :raises DataError: if the dataset's tables are wrong
        :raises RunError: if the dataset is of another graph
        """
        self.model, self.title = model.eval(), title
        splits: dict[str, CoreTriplesFactory] = {"training": training}
        if dataset is not None:
            aligned = AlignedDataset(dataset, training)
            further = {"validation": aligned.validation, "testing": aligned.testing, **aligned.extra}
            splits |= {name: factory for name, factory in further.items() if factory is not None}
        self.predictor = Predictor(model, training, [splits[name] for name in splits if name != "training"])
        self.neighbours = Neighbours(model, training, encoder)
        source = with_added(training if dataset is None else dataset.training, model)
        self.tables = {kind: items_table(source, kind, ids) for kind, ids in self.predictor.ids.items()}
        names = {kind: dict(zip(table.labels, table.names, strict=True)) for kind, table in self.tables.items()}
        self.names = {kind: NameIndex(ids, names[kind], kind) for kind, ids in self.predictor.ids.items()}
        self._known = {name: self._keys(factory.mapped_triples.cpu()).sort().values for name, factory in splits.items()}
        self._lock = threading.Lock()
        self._examples = self._pick_examples(training.mapped_triples.cpu())

    def _keys(self, triples: MappedTriples) -> LongTensor:
        """Return one number for each triple."""
        heads, relations, tails = triples.unbind(dim=-1)
        return (heads * len(self.predictor.ids["relation"]) + relations) * len(self.predictor.ids["entity"]) + tails

    def _pick_examples(self, triples: MappedTriples) -> list[list[int]]:
        """Return some training triples from all over the graph, of heads with pictures if there are any."""
        table, labels = self.tables["entity"], self.names["entity"].labels
        shown = {index for index, label in labels.items() if table.images[table.index[label]]}
        if shown:
            kept = triples[torch.isin(triples[:, 0], torch.tensor(sorted(shown)))]
            triples = kept if len(kept) else triples
        return triples[:: max(1, len(triples) // EXAMPLES)][:EXAMPLES].tolist()

    def _split(self, triple: Sequence[int]) -> str | None:
        """Return the first split that has a triple."""
        key = self._keys(torch.tensor([triple]))
        for name, keys in self._known.items():
            place = int(torch.searchsorted(keys, key))
            if place < len(keys) and bool(keys[place] == key):
                return name
        return None

    def item(self, kind: Kind, index: int) -> dict[str, Any]:
        """Describe an entity or a relation.

        :param kind: which of both
        :param index: its id
        :returns: its id, label, name, description, and how many pictures it has
        """
        label = self.names[kind].labels[index]
        table = self.tables[kind]
        row = table.index[label]
        return {
            "id": index,
            "label": label,
            "name": table.names[row],
            "description": table.descriptions[row],
            "images": len(table.images[row]),
        }

    def overview(self) -> dict[str, Any]:
        """Say what there is to ask about: sizes, what the model can do, and some queries to begin with."""
        entities, relations = self.names["entity"], self.names["relation"]
        return {
            "title": self.title,
            "model": type(self.model).__name__,
            "entities": len(entities.ids),
            "relations": len(relations.ids),
            "triples": {name: len(keys) for name, keys in self._known.items()},
            "pictures": sum(map(len, self.tables["entity"].images)),
            "modalities": modalities_of(self.model),
            "encoder": None if self.neighbours.encoder is None else self.neighbours.encoder.name,
            "examples": [
                {"head": self.item("entity", head), "relation": self.item("relation", relation)}
                for head, relation, _ in self._examples
            ],
        }

    def complete(self, kind: Kind, prefix: str, limit: int) -> dict[str, Any]:
        """Return what has a name that begins so, see :meth:`.NameIndex.complete`.

        :param kind: entities or relations
        :param prefix: how the name begins
        :param limit: how many at most
        :returns: ``{"items": [...]}``
        """
        return {"items": [self.item(kind, index) for index in self.names[kind].complete(prefix, limit)]}

    def predict(
        self,
        query: Mapping[str, str | None],
        k: int = 10,
        known: Literal["drop", "mark"] = "mark",
        explain: bool = False,
    ) -> dict[str, Any]:
        """Answer a query with one open slot.

        :param query: head, relation and tail by label or name; the open one is None or missing
        :param k: how many answers
        :param known: whether answers that are known are left out or marked by the split that has them
        :param explain: whether to say what each part of the model adds to a score, if it can
        :returns: the query, the answers, best first, and what their probabilities are
        :raises DataError: if not exactly one slot is open, or a name is unknown or ambiguous
        """
        given: dict[str, int | None] = {}
        if sum(query.get(slot) is None for slot in SLOTS) != 1:
            named = [slot for slot in SLOTS if query.get(slot) is not None]
            raise DataError(f"Leave exactly one of head, relation and tail out; given are {named}.")
        for slot in SLOTS:
            value, kind = query.get(slot), _kind(slot)
            given[slot] = None if value is None else self.names[kind].resolve(value)
        labels = {slot: None if i is None else self.names[_kind(slot)].labels[i] for slot, i in given.items()}
        with self._lock:
            frame = next(self.predictor.predict([labels], k=k, known=known))
            shares = self._shares(labels, frame) if explain else None
        (target,) = (slot for slot, index in given.items() if index is None)
        probabilities, meaning = _probabilities(frame)
        answers = []
        for place, (label, score) in enumerate(zip(frame["label"], frame["score"], strict=True)):
            item = self.item(_kind(target), self.predictor.ids[_kind(target)][label])
            triple = [item["id"] if slot == target else int(given[slot]) for slot in SLOTS]  # type: ignore[arg-type]
            answer = {"rank": place + 1, **item, "score": _number(score), "probability": probabilities[place]}
            answer["known"] = self._split(triple) if known == "mark" else None
            if shares is not None:
                answer["shares"] = {
                    name: _number(value) for name, value in shares[place].items() if pandas.notna(value)
                }
            answers.append(answer)
        return {
            "query": {slot: None if i is None else self.item(_kind(slot), i) for slot, i in given.items()},
            "target": target,
            "probability": meaning,
            "answers": answers,
        }

    def _shares(self, query: Mapping[str, str | None], frame: pandas.DataFrame) -> list[dict[str, float]] | None:
        """Return what each part adds to the score of each answer, or None where the model cannot tell."""
        try:
            explained = self.predictor.explain(query, frame)
        except DataError:
            return None
        return explained.drop(columns=frame.columns).to_dict(orient="records")  # type: ignore[return-value]

    def similar(
        self,
        *,
        entity: str | None = None,
        text: str | None = None,
        image: Image.Image | None = None,
        modality: str | None = None,
        k: int = 10,
    ) -> dict[str, Any]:
        """Return the entities like an entity, a text or a picture, see :class:`.Neighbours`.

        :param entity: an entity by label or name
        :param text: a text
        :param image: a picture
        :param modality: by which vectors
        :param k: how many
        :returns: the answers, best first, with their similarity
        :raises DataError: if not exactly one is given, a name is unknown, or the model has no such vectors
        """
        asked = None if entity is None else self.names["entity"].resolve(entity)
        label = None if asked is None else self.names["entity"].labels[asked]
        with self._lock:
            frame = self.neighbours.find(entity=label, text=text, image=image, modality=modality, k=k)
        answers = [
            {
                "rank": place + 1,
                **self.item("entity", self.predictor.ids["entity"][label]),
                "similarity": _number(value),
            }
            for place, (label, value) in enumerate(zip(frame["label"], frame["similarity"], strict=True))
        ]
        return {"query": {"entity": None if asked is None else self.item("entity", asked)}, "answers": answers}

    def picture(self, index: int, number: int) -> bytes | None:
        """Return the thumbnail of an entity's picture as a JPEG, or None if there is no such one.

        :param index: the id of the entity
        :param number: which of its pictures, from zero
        :raises ImageError: if the picture cannot be decoded
        """
        label = self.names["entity"].labels.get(index)
        table = self.tables["entity"]
        images = () if label is None else table.images[table.index[label]]
        return thumbnail(images[number]) if 0 <= number < len(images) else None


def _kind(slot: str) -> Kind:
    return "relation" if slot == "relation" else "entity"


def _number(value: float) -> float | None:
    """Return a number that JSON has."""
    return float(value) if math.isfinite(value) else None


def _probabilities(frame: pandas.DataFrame) -> tuple[list[float | None], str]:
    """Return how probable each answer is, and by what."""
    if "probability" in frame.columns:
        return [_number(value) for value in frame["probability"]], CALIBRATED
    total = frame.attrs["log_sum_exp"]
    return [_number(math.exp(score - total)) for score in frame["score"]], SOFTMAX.format(
        format(frame.attrs["candidates"], ",")
    )
