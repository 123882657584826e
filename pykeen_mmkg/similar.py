"""Entities like an entity, like a text, or like a picture: the nearest by the cosine of their vectors."""

import pathlib
from typing import Any

import pandas
import torch
from pykeen.models import Model
from pykeen.triples import TriplesFactory
from pykeen.typing import FloatTensor
from torch.nn import functional

from .encoders import make_encoder
from .encoders.images import load_image
from .errors import DataError
from .features import FeatureStore
from .modalities import TEXTUAL, VISUAL
from .predict import names_of, resolve
from .vectors import modalities_of, vectors_of

__all__ = ["similar"]


def similar(
    model: Model,
    triples_factory: TriplesFactory,
    *,
    entity: str | None = None,
    text: str | None = None,
    image: str | pathlib.Path | None = None,
    modality: str | None = None,
    k: int = 10,
    encoder: Any = None,
) -> pandas.DataFrame:
    """Return the entities nearest to an entity, a text or a picture.

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
    if sum(value is not None for value in (entity, text, image)) != 1:
        raise DataError("Give exactly one of an entity, a text and an image.")
    if k < 1:
        raise DataError(f"k={k} must be at least 1.")
    names = names_of(triples_factory)
    if entity is not None:
        store = vectors_of(model, triples_factory, modality)
        label = resolve(entity, triples_factory.entity_to_id, names)
        own = store.labels.index(label)
        if not store.mask[own]:
            raise DataError(f"{label!r} has no {store.modality} vector. Others are {modalities_of(model)}.")
        query = store.vectors[own]
    else:
        store = vectors_of(model, triples_factory, modality or (TEXTUAL if text is not None else VISUAL))
        query, own = _encode(store, text, image, encoder), -1
    cosines = functional.normalize(store.vectors.float(), dim=-1) @ functional.normalize(query.float(), dim=-1)
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
            "name": [names.get(label, "") for label in labels],
            "similarity": cosines[ids].tolist(),
        }
    )


def _encode(store: FeatureStore, text: str | None, image: Any, encoder: Any) -> FloatTensor:
    """Encode a query with the encoder of the features that it is compared with."""
    if encoder is None:
        raise DataError("Give the encoder that made the entities' features, to encode the query with.")
    loaded = make_encoder(encoder)
    store.require_encoder(loaded.fingerprint)
    with torch.inference_mode():
        vectors = loaded.encode_texts([text]) if text is not None else loaded.encode_images([load_image(image)])
    return vectors[0].cpu()
