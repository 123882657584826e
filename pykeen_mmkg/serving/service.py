"""What a trained run answers, as plain JSON and without HTTP: predictions, what is alike, names, pictures."""

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

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
from ..modalities import TEXTUAL, VISUAL, with_added
from ..predict import SLOTS, Predictor
from ..runs import AlignedDataset
from ..similar import Neighbours
from ..vectors import modalities_of
from .completion import NameIndex

__all__ = ["NewItem", "QueryService"]

#: what an answer says of how sure it is
SOFTMAX = "softmax of the scores over {} candidates, not calibrated"
CALIBRATED = "of a true answer among {:g} false ones to each, calibrated by the method {}"

#: how many example queries an overview has
EXAMPLES = 6


class NewItem(NamedTuple):
    """What is known of an entity that the graph does not have."""

    text: str | None = None
    image: Image.Image | None = None


class QueryService:
    """Answers questions about the graph of a run; several threads may ask, one at a time is answered."""

    def __init__(
        self,
        model: Model,
        training: TriplesFactory,
        dataset: Any = None,
        encoder: Any = None,
        title: str = "a run",
        calibration: Any = None,
    ) -> None:
        """Initialize the service.

        :param model: a trained model
        :param training: the triples that it was trained on
        :param dataset: the dataset, which brings the pictures, and the triples besides those of training
        :param encoder: the encoder that made the entities' features, for texts and pictures that are brought along
        :param title: what to call it
        :param calibration: gives probabilities of heads and tails by their scores, see ``pykeen-mmkg calibrate``;
            without it, they are the softmax of the scores
        :raises DataError: if the dataset's tables are wrong
        :raises RunError: if the dataset is of another graph
        """
        self.model, self.title, self.calibration = model.eval(), title, calibration
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
        query: Mapping[str, str | NewItem | None],
        k: int = 10,
        known: Literal["drop", "mark"] = "mark",
        explain: bool = False,
    ) -> dict[str, Any]:
        """Answer a query with one open slot.

        :param query: head, relation and tail by label or name, or what is known of an entity that the graph does not
            have; the open one is None or missing
        :param k: how many answers
        :param known: whether answers that are known are left out or marked by the split that has them
        :param explain: whether to say what each part of the model adds to a score, if it can
        :returns: the query, the answers, best first, and what their probabilities are
        :raises DataError: if not exactly one slot is open, or a name is unknown or ambiguous
        """
        given: dict[str, str | NewItem] = {slot: value for slot in SLOTS if (value := query.get(slot)) is not None}
        if len(given) != 2:
            raise DataError(f"Leave exactly one of head, relation and tail out; given are {list(given)}.")
        ids = {slot: self.names[_kind(slot)].resolve(value) for slot, value in given.items() if isinstance(value, str)}
        asked: dict[str, Any] = {slot: self.names[_kind(slot)].labels[index] for slot, index in ids.items()}
        with self._lock:
            asked |= {slot: self._described(value) for slot, value in given.items() if isinstance(value, NewItem)}
            # once for the answers and what explains them: the graph is read anew with what is described
            predictor, labelled = self.predictor.opened(asked)
            frame = next(predictor.predict([labelled], k=k, known=known))
            shares = _shares(predictor, labelled, frame) if explain else None
        target = next(slot for slot in SLOTS if slot not in given)
        probabilities, meaning = self._probabilities(frame, target)
        answers = []
        for place, (label, score) in enumerate(zip(frame["label"], frame["score"], strict=True)):
            item = self.item(_kind(target), self.predictor.ids[_kind(target)][label])
            triple = [item["id"] if slot == target else ids.get(slot, -1) for slot in SLOTS]
            answer = {"rank": place + 1, **item, "score": _number(score), "probability": probabilities[place]}
            answer["known"] = self._split(triple) if known == "mark" and min(triple) >= 0 else None
            if shares is not None:
                answer["shares"] = {
                    name: _number(value) for name, value in shares[place].items() if pandas.notna(value)
                }
            answers.append(answer)
        return {
            "query": {slot: self._shown(slot, given, ids) for slot in SLOTS},
            "target": target,
            "probability": meaning,
            "answers": answers,
        }

    def _shown(self, slot: str, given: Mapping[str, str | NewItem], ids: Mapping[str, int]) -> dict[str, Any] | None:
        """Describe what a query gives, or None for what it asks."""
        if slot in ids:
            return self.item(_kind(slot), ids[slot])
        value = given.get(slot)
        if not isinstance(value, NewItem):
            return None
        return {"id": None, "label": "", "name": "not in the graph", "description": value.text or "", "images": 0}

    def _probabilities(self, frame: pandas.DataFrame, target: str) -> tuple[list[float | None], str]:
        """Return how probable each answer is, and by what."""
        if self.calibration is not None and target != "relation":
            found = self.calibration(torch.tensor(frame["score"].tolist(), dtype=torch.float), target).tolist()
            return list(map(_number, found)), CALIBRATED.format(self.calibration.ratio, self.calibration.method)
        total, candidates = frame.attrs["log_sum_exp"], frame.attrs["candidates"]
        return [_number(math.exp(score - total)) for score in frame["score"]], SOFTMAX.format(f"{candidates:,}")

    def _described(self, new: NewItem) -> dict[str, Any]:
        """Encode what is known of an entity that the graph does not have; nothing of it is kept on disk."""
        own, readable = {TEXTUAL: new.text, VISUAL: new.image}, modalities_of(self.model)
        given = {modality: value for modality, value in own.items() if value is not None}
        if not given:
            raise DataError("Give a text or a picture of the entity.")
        if VISUAL in given and VISUAL not in readable:
            raise DataError("The model reads no pictures: give a text.")
        vectors = {name: self.neighbours.vector(name, value) for name, value in given.items() if name in readable}
        return {"vectors": vectors} | ({} if new.text is None else {"text": new.text})

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


def _shares(predictor: Predictor, query: Any, frame: pandas.DataFrame) -> list[dict[str, float]] | None:
    """Return what each part adds to the score of each answer, or None where the model cannot tell."""
    try:
        explained = predictor.explain(query, frame)
    except DataError:
        return None
    return explained.drop(columns=frame.columns).to_dict(orient="records")  # type: ignore[return-value]


def _number(value: float) -> float | None:
    """Return a number that JSON has."""
    return float(value) if math.isfinite(value) else None
