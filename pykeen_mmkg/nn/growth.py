"""Representations that get further ids after training, without being trained again.

A new id has its features, as the others have, and no structural part, as an id that never occurs in training. It has a
row of a trained table, since tables have one for each id: what the table's initializer gives, masked wherever structure
is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from pykeen.nn.init import PretrainedInitializer
from pykeen.nn.representation import Embedding, Representation, TransformedRepresentation
from torch import nn

from .._compat import embedding_table
from ..errors import MultimodalError
from ..features.store import FeatureStore
from .feature import FeatureRepresentation
from .imaginary import ComplexMultimodalRepresentation
from .multimodal import MultimodalRepresentation

__all__ = ["check_growth", "feature_parts", "grow", "shallow_copy", "tables"]

X = TypeVar("X")


def shallow_copy(thing: X) -> X:
    """Copy a thing but nothing of what it holds, as :func:`copy.copy` does where no pickle has another form.

    :param thing: a module, whose parameters, buffers and parts are then those of both, or another plain object
    """
    twin = object.__new__(type(thing))
    twin.__dict__.update(thing.__dict__)
    return twin


def _parts(representation: Representation) -> list[Representation]:
    """Return what a representation is made of, as far as it has a row for each id."""
    if isinstance(representation, MultimodalRepresentation):
        table = getattr(representation, "table", None)
        parts = [part for part in representation.parts.values() if isinstance(part, Representation)]
        return parts if table is None else [*parts, table]
    if isinstance(representation, TransformedRepresentation):
        return [representation.base]
    return []


def feature_parts(representation: Representation) -> Iterator[FeatureRepresentation]:
    """Give the frozen features that a representation is made of."""
    if isinstance(representation, FeatureRepresentation):
        yield representation
    for part in _parts(representation):
        yield from feature_parts(part)


def tables(representation: Representation) -> Iterator[Embedding]:
    """Give the trained tables, with a row for each id, that a representation is made of."""
    if isinstance(representation, Embedding):
        yield representation
    for part in _parts(representation):
        yield from tables(part)


def check_growth(representation: Representation) -> None:
    """Check that a representation can get further ids.

    :param representation: the representation
    :raises MultimodalError: if it, or a part of it, is none of those that can
    """
    known = Embedding | FeatureRepresentation | MultimodalRepresentation | TransformedRepresentation
    if not isinstance(representation, known):
        raise MultimodalError(f"{type(representation).__name__} has no rows for entities that come after training.")
    if isinstance(representation, FeatureRepresentation) and None in representation.digests:
        raise MultimodalError("Features that were given as tensors, by position, have no room for further entities.")
    if isinstance(representation, Embedding) and isinstance(representation.initializer, PretrainedInitializer):
        raise MultimodalError("A table that was given its first values has none for entities that come after training.")
    for part in _parts(representation):
        check_growth(part)


def grow(representation: Representation, labels: Sequence[str], stores: Mapping[str, FeatureStore]) -> None:
    """Make room for further ids.

    :param representation: a representation of which :func:`check_growth` is true
    :param labels: the labels of all ids, those that have been there first
    :param stores: the digest of the features that a part reads -> the same features with further rows
    """
    if isinstance(representation, FeatureRepresentation):
        representation.extend(labels, stores)
        return
    if isinstance(representation, Embedding):
        _grow_table(representation, len(labels))
        return
    for part in _parts(representation):
        grow(part, labels, stores)
    if isinstance(representation, MultimodalRepresentation):
        representation.extend_mask(len(labels))
    if isinstance(representation, ComplexMultimodalRepresentation):
        representation.derive_unseen()
    representation.max_id = len(labels)


def _grow_table(embedding: Embedding, max_id: int) -> None:
    """Append what the initializer gives for a table of the new size; the state of random numbers stays as it was."""
    table = embedding_table(embedding)
    old = table.weight
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(max_id)
        sizes = (*embedding.shape, 2) if embedding.is_complex else embedding.shape
        fresh = torch.empty(max_id, *sizes, dtype=old.dtype)
        fresh = embedding.initializer(fresh).reshape(max_id, -1)[len(old) :].to(old)
        weight = nn.Parameter(torch.cat([old, fresh]), requires_grad=old.requires_grad)
    table.weight, table.num_embeddings = weight, max_id
    embedding.max_id = max_id
