"""Entities that come after training: encoded as the others were, appended, and scored at once. Nothing is trained."""

import dataclasses
import functools
import json
import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pykeen.models.base import Model
from pykeen.models.nbase import ERModel
from pykeen.typing import FloatTensor
from torch import nn

from ..datasets.files import check_label
from ..datasets.metadata import FEATURE_KEYS
from ..encoders import VisionLanguageEncoder, encode_images, encode_texts, make_encoder
from ..errors import DataError, FeatureError, MultimodalError
from ..features.store import ADDED, FeatureStore
from ..modalities import TEXTUAL, VISUAL, ModalitySources, gathered, with_added
from ..nn.growth import check_growth, grow, shallow_copy
from ..options import check_keys
from .identity import relabel
from .scorers import lend_content

__all__ = ["NewEntitiesMixin", "NewEntity"]

logger = logging.getLogger(__name__)

#: what can be said of a new entity
KEYS = ("name", "text", "images", "vectors")


@dataclasses.dataclass(frozen=True)
class NewEntity:
    """What is known of an entity that comes after training.

    :param name: its name, empty if it has none
    :param text: its description, empty if it has none
    :param images: the files of its images
    :param vectors: modality -> its vector, in place of encoding the text or the images
    """

    name: str = ""
    text: str = ""
    images: tuple[pathlib.Path, ...] = ()
    vectors: Mapping[str, FloatTensor] = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, label: str, value: Mapping[str, Any] | str) -> "NewEntity":
        """Read what a user says of an entity.

        :param label: its label, for messages
        :param value: a mapping with any of the keys ``name``, ``text``, ``images`` (a path or a list of paths) and
            ``vectors`` (by ``textual`` and ``visual``); or a text
        :returns: the entity
        :raises MultimodalError: if a key is unknown or a value of the wrong type
        """
        if isinstance(value, str):
            value = {"text": value}
        if not isinstance(value, Mapping):
            raise MultimodalError(f"The entity {label!r} is a {type(value).__name__}; give a mapping of {list(KEYS)}.")
        check_keys(f"entity {label!r}", value, KEYS)
        for key in ("name", "text"):
            if not isinstance(value.get(key) or "", str):
                raise MultimodalError(f"The {key} of the entity {label!r} is no text, but {value[key]!r}.")
        images = value.get("images") or ()
        if isinstance(images, str | pathlib.PurePath):
            images = (images,)
        vectors = value.get("vectors") or {}
        check_keys(f"vectors of {label!r}", vectors, (TEXTUAL, VISUAL))
        return cls(
            # as in a table, where a line break would end the row
            " ".join((value.get("name") or "").split()),
            " ".join((value.get("text") or "").split()),
            tuple(pathlib.Path(image) for image in images),
            {modality: torch.as_tensor(vector).detach().float().cpu() for modality, vector in vectors.items()},
        )

    @property
    def row(self) -> dict[str, Any]:
        """Its row in the table of the entities, plain JSON."""
        row = {"name": self.name, "description": self.text, "images": [str(image) for image in self.images]}
        return {key: value for key, value in row.items() if value}

    def encodable(self, modality: str) -> Any:
        """Return what is encoded for a modality: the text as a table has it, or the images; empty if there is none."""
        if modality == VISUAL:
            return self.images
        return ": ".join(part for part in (self.name, self.text) if part)

    def has(self, modality: str) -> bool:
        """Return whether anything is known of a modality."""
        return modality in self.vectors or bool(self.encodable(modality))


class NewEntitiesMixin:
    """For models that score an entity which training never saw by its text and images."""

    #: the labels of the entities in the order of their ids
    entity_labels: list[str]

    def add_entities(
        self,
        entities: Mapping[str, Mapping[str, Any] | str],
        encoder: Any = None,
        encoder_kwargs: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Add entities to a trained model; nothing is trained again.

        They are scored at once, as heads and tails, like entities that were listed before training without a triple:
        their structural part is masked. Statistics of features (the mean of centering, the axes of whitening, the
        pairs from which a missing modality is estimated, the order of shuffled ones) stay those of the entities before,
        with which the model was trained. Evidence, which is not trained, is read off the graph and all texts anew, as
        if they had been listed: that takes as long as when the model was made. A scorer of late fusion that knows
        entities by their triples only estimates their scores as candidates, and has nothing to say about their own
        queries.

        They are part of the model from then on, also when it is saved. The factory of the training triples is not
        changed: :func:`~pykeen_mmkg.modalities.with_added` gives the one that has them, and
        :class:`~pykeen_mmkg.runs.Run`, :class:`~pykeen_mmkg.predict.Predictor` and their like do so by themselves.

        :param entities: label -> what is known of it, see :meth:`.NewEntity.parse`, for instance
            ``{"okapi": {"text": "a striped relative of the giraffe", "images": ["okapi.jpg"]}}``
        :param encoder: the encoder of the other entities' features, by default the one that the model was made with
        :param encoder_kwargs: keyword arguments of the encoder
        :returns: the ids of the entities
        :raises DataError: if there is an entity of this label, or nothing is known of one that the model reads
        :raises FeatureError: if the encoder is another than that of the other entities, or a vector does not fit
        :raises ImageError: if an image cannot be read
        :raises MultimodalError: if the model, or a scorer of late fusion, cannot take new entities
        """
        assert isinstance(self, Model)
        return _add(self, entities, encoder, encoder_kwargs)

    def with_entities(
        self,
        entities: Mapping[str, Mapping[str, Any] | str],
        encoder: Any = None,
        encoder_kwargs: Mapping[str, Any] | None = None,
    ) -> Model:
        """Return a model that has further entities, and shares all else with this one, which stays as it is.

        See :meth:`add_entities` for the arguments and errors.

        :returns: a model to ask, not to train: training would change the weights of both
        """
        assert isinstance(self, Model)
        twin = _twin(self, {})
        assert isinstance(twin, Model)
        _add(twin, entities, encoder, encoder_kwargs)
        return twin


def _twin(module: nn.Module, known: dict[int, nn.Module]) -> nn.Module:
    """Copy a module and its parts, but no tensor: to add entities replaces tensors, and changes none."""
    if id(module) in known:
        return known[id(module)]
    twin = known[id(module)] = shallow_copy(module)
    twin._parameters, twin._buffers = dict(module._parameters), dict(module._buffers)
    twin._modules = {name: None if part is None else _twin(part, known) for name, part in module._modules.items()}
    if isinstance(own := getattr(module, "sources", None), ModalitySources):
        twin.sources = shallow_copy(own)  # type: ignore[assignment]
    if scorers := _scorers(module):
        twin._scorers = [shallow_copy(scorer) for scorer in scorers]  # type: ignore[assignment]
        for scorer in twin._scorers:  # type: ignore[union-attr]
            scorer.model = known[id(scorer.model)]
    return twin


def _add(
    model: Model, entities: Mapping[str, Any], encoder: Any, encoder_kwargs: Mapping[str, Any] | None
) -> list[int]:
    labels = list(getattr(model, "entity_labels", ()))
    if len(labels) != model.num_entities:
        raise MultimodalError("The model does not know the labels of its entities; make it from triples with labels.")
    new = {label: NewEntity.parse(label, value) for label, value in entities.items()}
    for label in new:
        if not isinstance(label, str) or not label or check_label(label, "the new entities") != label:
            raise DataError(f"{label!r} is no label: give a text without spaces around it.")
    if taken := sorted(new.keys() & set(labels)):
        raise DataError(f"There is an entity {taken[0]!r} already; give the new one another label.")
    _check(model, type(model).__name__)
    sources = [own for own in gathered(model).values() if own.used or own.entities is not None]
    stores = {
        store.digest: (modality, store, own)
        for own in sources
        for (kind, modality), key in FEATURE_KEYS.items()
        if kind == "entity" and (store := own.used.get(key)) is not None
    }
    read = {modality for modality, _, _ in stores.values()}
    if any(getattr(module, "reads_words", False) for module in model.modules()):
        read.add(TEXTUAL)
    if not read:
        raise MultimodalError(
            f"{type(model).__name__} reads neither text nor images here: it knows entities by their triples only, and "
            "can say nothing of one that has none."
        )
    for label, entity in new.items():
        if not any(entity.has(modality) for modality in read):
            raise DataError(f"Nothing is known of {label!r} that the model reads, which is {sorted(read)}.")
        if unread := [modality for modality in (TEXTUAL, VISUAL) if entity.has(modality) and modality not in read]:
            logger.warning("The model reads no %s features: those of %r play no part.", unread[0], label)
    find = functools.cache(lambda: _find_encoder(sources, encoder, encoder_kwargs))
    extended = {digest: _extended(*found, new, find) for digest, found in stores.items()}
    rows = {label: entity.row for label, entity in new.items()}
    for own in gathered(model).values():
        own.extend(rows, extended)
    _grow(model, [*labels, *new], extended)
    return list(range(len(labels), model.num_entities))


def _find_encoder(
    sources: Sequence[ModalitySources], encoder: Any, encoder_kwargs: Mapping[str, Any] | None
) -> VisionLanguageEncoder:
    """Make the encoder of the model's features."""
    if encoder is None:
        made = [(own.encoder, own.encoder_kwargs) for own in sources if own.encoder is not None]
        made += [own.made_by for own in sources if own.made_by is not None]
        if not made:
            raise FeatureError(
                "The model was made from features and does not know where their encoder is; give `encoder`, or the "
                "`vectors` of the new entities."
            )
        encoder, encoder_kwargs = made[0][0], encoder_kwargs or made[0][1]
    return make_encoder(encoder, None if isinstance(encoder, VisionLanguageEncoder) else encoder_kwargs)


def _extended(
    modality: str,
    store: FeatureStore,
    sources: ModalitySources,
    new: Mapping[str, NewEntity],
    find: Callable[[], VisionLanguageEncoder],
) -> FeatureStore:
    """Return features with rows for new entities, marked as added."""
    # float32, so that new rows lose nothing to a store of smaller floats
    vectors = torch.zeros(len(new), store.dim)
    counts = torch.zeros(len(new), dtype=torch.long)
    left = {
        label: entity.encodable(modality)
        for label, entity in new.items()
        if modality not in entity.vectors and entity.encodable(modality)
    }
    encoded = None
    if left:
        encoder = find()
        store.require_encoder(encoder.fingerprint, encoder.name)
        if modality == VISUAL:
            encoded = encode_images(left, encoder, directory=sources.store, strict=True, progress=False)
        else:
            encoded = encode_texts(left, encoder, directory=sources.store, progress=False)
    for i, (label, entity) in enumerate(new.items()):
        if (vector := entity.vectors.get(modality)) is not None:
            if vector.shape != (store.dim,) or not bool(torch.isfinite(vector).all()):
                raise FeatureError(
                    f"The {modality} vector of {label!r} must be finite and of the shape ({store.dim},); its shape is "
                    f"{tuple(vector.shape)}."
                )
            vectors[i], counts[i] = vector, 1
        elif encoded is not None and label in encoded:
            row, _ = encoded.lookup([label])
            vectors[i], counts[i] = row[0], encoded.counts[encoded.labels.index(label)]
    index = {label: row for row, label in enumerate(store.labels)}
    fresh = [i for i, label in enumerate(new) if label not in index]
    columns = [(store.vectors, vectors), (store.mask, counts > 0), (store.counts, counts)]
    tensors = [torch.cat([old, more[fresh]]) for old, more in columns]
    for i, label in enumerate(new):
        # a store may hold labels that the graph has not had so far
        if label in index:
            for column, (_, more) in zip(tensors, columns, strict=True):
                column[index[label]] = more[i]
    return FeatureStore(
        (*store.labels, *(label for label in new if label not in index)),
        *(tensors[0], tensors[1], tensors[2]),
        store.modality,
        {**store.provenance, ADDED: json.dumps([*json.loads(store.provenance.get(ADDED, "[]")), *new])},
    )


def _scorers(model: nn.Module) -> Sequence[Any]:
    """Return the scorers of late fusion."""
    return getattr(model, "_scorers", ())


def _check(model: Model, name: str) -> None:
    """Check that a model can take new entities, before anything is changed."""
    for scorer in _scorers(model):
        if scorer.model.num_entities != model.num_entities:
            raise MultimodalError("The scorers have got entities through another model that shares them: use that one.")
        _check(scorer.model, f"the scorer {scorer.name!r} ({type(scorer.model).__name__})")
    if _scorers(model) or hasattr(model, "read_again"):
        return
    if not isinstance(model, ERModel):
        raise MultimodalError(f"New entities cannot be added to {name}, which depends on the graph as it was.")
    try:
        for representation in model.entity_representations:
            check_growth(representation)
    except MultimodalError as error:
        raise MultimodalError(f"New entities cannot be added to {name}: {error}") from error


def _grow(model: Model, labels: Sequence[str], stores: Mapping[str, FeatureStore]) -> None:
    """Make room for the last of some labels in a model and its parts."""
    for scorer in _scorers(model):
        _grow(scorer.model, labels, stores)
        scorer.grow()
    if any(scorer.content is not None for scorer in _scorers(model)):
        # a copy of the model has copies of its scorers, which must not read the content of the original
        lend_content(_scorers(model))
    if hasattr(model, "read_again"):
        model.read_again(labels)  # type: ignore[operator]
    elif isinstance(model, ERModel):
        for representation in model.entity_representations:
            grow(representation, labels, stores)
    model.num_entities = len(labels)
    relabel(model, labels)
    if hasattr(model, "entity_labels"):
        model.entity_labels = list(labels)  # type: ignore[assignment]
    if _scorers(model) and getattr(model, "_factory", None) is not None:
        model._factory = with_added(model._factory, model)  # type: ignore
