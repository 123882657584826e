"""A model without one of its modalities: what each modality is worth for a score."""

from pykeen.models import ERModel, Model
from pykeen.nn.representation import Representation, TransformedRepresentation
from torch import nn

from .growth import shallow_copy
from .multimodal import MultimodalRepresentation

__all__ = ["entity_modalities", "without_modality"]


def _multimodal(representation: Representation) -> MultimodalRepresentation | None:
    while isinstance(representation, TransformedRepresentation):
        representation = representation.base
    return representation if isinstance(representation, MultimodalRepresentation) else None


def entity_modalities(model: Model) -> tuple[str, ...]:
    """Return the modalities of which a model fuses the vectors of entities; none of a model that fuses nothing."""
    if not isinstance(model, ERModel):
        return ()
    found = [part for own in model.entity_representations if (part := _multimodal(own)) is not None]
    return tuple(dict.fromkeys(name for part in found for name in part.modalities))


def without_modality(model: ERModel, modality: str) -> ERModel:
    """Return a model that is the same, but for a modality which no entity has.

    An entity that has nothing else has the zero vector then, as one without any modality. Relations stay as they are.

    :param model: a model whose entities have several modalities
    :param modality: one of :func:`entity_modalities`
    :returns: a model that shares all weights with the first, which is not changed
    """
    twin = shallow_copy(model)
    twin._modules = dict(model._modules)
    representations = [_without(own, modality) for own in model.entity_representations]
    twin.entity_representations = nn.ModuleList(representations)  # type: ignore[assignment]
    return twin


def _without(representation: Representation, modality: str) -> Representation:
    if isinstance(representation, TransformedRepresentation):
        inner = _without(representation.base, modality)
        if inner is not representation.base:
            representation = shallow_copy(representation)
            representation._modules = {**representation._modules, "base": inner}
        return representation
    if not isinstance(representation, MultimodalRepresentation) or modality not in representation.modalities:
        return representation
    masked = shallow_copy(representation)
    mask = representation.mask.clone()
    mask[:, representation.modalities.index(modality)] = False
    masked._buffers = {**representation._buffers, "mask": mask}
    masked.complete, masked._sum, masked._table = False, None, None
    return masked
