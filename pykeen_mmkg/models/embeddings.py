"""Embeddings: the trained tables of entities and relations, initialised as VL-KGE does."""

import functools
import math
from typing import Any

import torch
from pykeen.nn.init import init_phases
from pykeen.nn.modules import Interaction, RotatEInteraction
from pykeen.nn.representation import Embedding
from pykeen.typing import FloatTensor
from pykeen.utils import complex_normalize
from torch import nn

from ..nn.interaction import VLRotatEInteraction
from .shapes import Shape

__all__ = ["plain_embedding", "relation_embedding"]


def complex_xavier_uniform_(x: FloatTensor) -> FloatTensor:
    """Fill the real and the imaginary part each with torch's Xavier uniform over the whole matrix.

    :param x: shape: ``(n, d, 2)``, the complex numbers as PyKEEN's embedding stores them
    :returns: the tensor itself
    """
    with torch.no_grad():
        for part in x.unbind(dim=-1):
            part.copy_(nn.init.xavier_uniform_(torch.empty_like(part)))
    return x


def plain_embedding(shape: Shape, max_id: int) -> Embedding:
    """Return the table of a shape that no modality fills: biases (zero at first), variances (one), matrices."""
    if shape.positive:  # the bounds of PyKEEN's own KG2E
        bounds = dict(min=0.05, max=5.0)
        return Embedding(
            max_id, shape=shape.sizes, initializer=nn.init.ones_, constrainer=torch.clamp, constrainer_kwargs=bounds
        )
    initializer = nn.init.xavier_uniform_ if shape.sizes else nn.init.zeros_
    return Embedding(max_id, shape=shape.sizes, initializer=initializer)


def relation_embedding(shape: Shape, max_id: int, interaction: Interaction, **kwargs: Any) -> Embedding:
    """Return the table of the relations as VL-KGE initialises it for an interaction.

    Real and complex vectors by torch's Xavier uniform, the angles of VL-RotatE uniformly over the circle, the rotations
    of PyKEEN's RotatE as PyKEEN does.

    :param shape: the shape of a relation
    :param max_id: the number of relations
    :param interaction: the interaction
    :param kwargs: keyword arguments of :class:`~pykeen.nn.representation.Embedding`, which win. Biases and variances
        (:func:`plain_embedding`) do not take them
    :returns: the table
    """
    if shape.positive or not shape.sizes:
        return plain_embedding(shape, max_id)
    options: dict[str, Any] = dict(initializer=nn.init.xavier_uniform_)
    if isinstance(interaction, VLRotatEInteraction):
        options = dict(initializer=functools.partial(nn.init.uniform_, a=0.0, b=2 * math.pi))
    elif isinstance(interaction, RotatEInteraction):
        options = dict(initializer=init_phases, dtype=torch.cfloat, constrainer=complex_normalize)
    elif interaction.is_complex:
        options = dict(initializer=complex_xavier_uniform_, dtype=torch.cfloat)
    return Embedding(max_id, shape=shape.sizes, **{**options, **kwargs})
