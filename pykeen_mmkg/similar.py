"""Entities like an entity, like a text, or like a picture: the nearest by the cosine of their vectors."""

import pathlib
from typing import Any

import pandas
import torch
from PIL import Image
from pykeen.models import Model
from pykeen.triples import TriplesFactory
from pykeen.typing import FloatTensor
from torch.nn import functional

from .encoders import make_encoder
from .encoders.images import load_image
from .errors import DataError
from .features import FeatureStore
from .modalities import TEXTUAL, VISUAL, with_added
from .names import names_of, resolve
from .vectors import modalities_of, vectors_of

__all__ = ["Neighbours", "similar"]


class Neighbours:
    """Finds the entities nearest to an entity, a text or a picture, one question or many.

    Names are read once, the vectors of each modality when they are first asked for, and the encoder is loaded once.
    """

    def __init__(self, model: Model, triples_factory: TriplesFactory, encoder: Any = None) -> None:
        """Initialize the finder.

        :param model: a trained model
        :param triples_factory: the factory that it was trained on
        :param encoder: for texts and pictures, the encoder that made the entities' features
        """
        self.model, self.triples_factory = model, with_added(triples_factory, model)
        self.encoder = None if encoder is None else make_encoder(encoder)
        self.names = names_of(self.triples_factory)
        self._stores: dict[str | None, tuple[FeatureStore, FloatTensor]] = {}

    def _vectors(self, modality: str | None) -> tuple[FeatureStore, FloatTensor]:
        """Return the vectors of a modality, as they are and of unit length."""
        if modality not in self._stores:
            store = vectors_of(self.model, self.triples_factory, modality)
            self._stores[modality] = store, functional.normalize(store.vectors.float(), dim=-1)
        return self._stores[modality]

    def find(
        self,
        *,
        entity: str | None = None,
        text: str | None = None,
        image: str | pathlib.Path | Image.Image | None = None,
        modality: str | None = None,
        k: int = 10,
    ) -> pandas.DataFrame:
        """Return the nearest entities, see :func:`similar`.

        :param entity: the label or name of an entity, which is left out of the answer
        :param text: a text
        :param image: a picture, decoded or as a file
        :param modality: by which vectors
        :param k: how many
        :returns: a data frame with the columns ``rank``, ``label``, ``name`` and ``similarity``, best first
        :raises DataError: if not exactly one thing is asked about, or the model has no such vectors
        """
        if sum(value is not None for value in (entity, text, image)) != 1:
            raise DataError("Give exactly one of an entity, a text and an image.")
        if k < 1:
            raise DataError(f"k={k} must be at least 1.")
        own = -1
        if entity is not None:
            store, vectors = self._vectors(modality)
            label = resolve(entity, self.triples_factory.entity_to_id, self.names)
            own = store.labels.index(label)
            if not store.mask[own]:
                raise DataError(f"{label!r} has no {store.modality} vector. Others are {modalities_of(self.model)}.")
            query = store.vectors[own].float()
        else:
            store, vectors = self._vectors(modality or (TEXTUAL if text is not None else VISUAL))
            query = self._encode(store, TEXTUAL if text is not None else VISUAL, text if text is not None else image)
        cosines = vectors @ functional.normalize(query.float(), dim=-1)
        able = store.mask.clone()
        if own >= 0:
            able[own] = False
        ids = able.nonzero()[:, 0]
        ids = ids[cosines[ids].argsort(descending=True, stable=True)][:k]
        labels = [store.labels[i] for i in ids.tolist()]
        return pandas.DataFrame(
            {
                "rank": range(1, len(ids) + 1),
                "label": labels,
                "name": [self.names.get(label, "") for label in labels],
                "similarity": cosines[ids].tolist(),
            }
        )

    def vector(self, modality: str, value: Any) -> FloatTensor:
        """Return the vector of a text or a picture, as the frozen features of the entities are.

        :param modality: ``textual`` or ``visual``
        :param value: a text, or a picture, decoded or as a file
        :returns: the vector
        :raises DataError: if the model reads no such features, or there is no encoder
        :raises FeatureError: if the features were made by another encoder
        """
        return self._encode(self._vectors(modality)[0], modality, value)

    def _encode(self, store: FeatureStore, modality: str, value: Any) -> FloatTensor:
        """Encode a query with the encoder of the features that it is compared with."""
        if self.encoder is None:
            raise DataError("Give the encoder that made the entities' features, to encode the query with.")
        store.require_encoder(self.encoder.fingerprint)
        with torch.inference_mode():
            if modality == TEXTUAL:
                return self.encoder.encode_texts([value])[0].cpu()
            picture = value if isinstance(value, Image.Image) else load_image(value)
            return self.encoder.encode_images([picture])[0].cpu()


def similar(
    model: Model,
    triples_factory: TriplesFactory,
    *,
    entity: str | None = None,
    text: str | None = None,
    image: str | pathlib.Path | Image.Image | None = None,
    modality: str | None = None,
    k: int = 10,
    encoder: Any = None,
) -> pandas.DataFrame:
    """Return the entities nearest to an entity, a text or a picture; for many questions, make one :class:`Neighbours`.

    :param model: a trained model
    :param triples_factory: the factory that it was trained on
    :param entity: the label or name of an entity, which is left out of the answer
    :param text: a text, which is encoded and compared with the entities' texts
    :param image: a picture, which is encoded and compared with the entities' pictures
    :param modality: one of :func:`~pykeen_mmkg.vectors.modalities_of`; by default the first for an entity, ``textual``
        for a text, ``visual`` for a picture. With an encoder of one space for both, as CLIP, a text can be compared
        with pictures, too
    :param k: how many
    :param encoder: for a text or a picture, the encoder that made the entities' features
    :returns: a data frame with the columns ``rank``, ``label``, ``name`` and ``similarity``, best first
    :raises DataError: if not exactly one thing is asked about, or the model has no such vectors
    """
    query = {"entity": entity, "text": text, "image": image}
    return Neighbours(model, triples_factory, encoder).find(modality=modality, k=k, **query)  # type: ignore[arg-type]
