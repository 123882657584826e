"""The slots of an interaction: how many representations it takes, and of which shapes.

PyKEEN's interactions name their shapes by symbols: TransR takes relations of the shapes ``("e", "de")``. Here the
symbols become numbers, and each slot says whether it is a vector that modalities can fill.
"""

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from class_resolver import OptionalKwargs
from pykeen.nn.init import init_phases
from pykeen.nn.modules import (
    BoxEInteraction,
    Interaction,
    KG2EInteraction,
    MuREInteraction,
    NTNInteraction,
    QuatEInteraction,
    RotatEInteraction,
    TransHInteraction,
    interaction_resolver,
)
from pykeen.nn.representation import Embedding
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import BoolTensor, FloatTensor, HintOrType
from pykeen.utils import complex_normalize
from torch import nn

from ..errors import MultimodalError
from ..nn.interaction import VLRotatEInteraction

__all__ = [
    "Slot",
    "entity_slots",
    "make_interaction",
    "plain_embedding",
    "relation_embedding",
    "relation_slots",
    "resolve_dimensions",
    "seen_relations",
]

#: parameters of PyKEEN's interactions that take the dimension of the vectors
_DIMENSION_PARAMETERS = frozenset({"embedding_dim", "input_dim", "head_dim", "tail_dim"})

#: the interactions for which PyKEEN's own models use the 2-norm by default; the others that need a norm use 1
_EUCLIDEAN = (MuREInteraction, TransHInteraction)

#: numbers of the symbols that do not follow the embedding dimension
_FIXED: Mapping[type[Interaction], Mapping[str, int]] = {
    BoxEInteraction: {"s": 1},
    NTNInteraction: {"k": 4},
    QuatEInteraction: {"k": 4},
}


@dataclasses.dataclass(frozen=True)
class Slot:
    """One representation of an entity or a relation.

    :param shape: its shape in numbers
    :param symbols: its shape in symbols
    :param positive: whether its values must be positive (the variances of KG2E)
    """

    shape: tuple[int, ...]
    symbols: str
    positive: bool = False

    @property
    def dim(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def multimodal(self) -> bool:
        """Whether modalities can fill it: anything of the entity's dimension that is no variance."""
        return "d" in self.symbols and not self.positive


def resolve_dimensions(
    interaction: Interaction, dim: int, dimensions: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return symbol -> number for an interaction.

    :param interaction: the interaction
    :param dim: the number of ``d``, the dimension of the fused vector
    :param dimensions: numbers of other symbols; by default those of the interaction's own model in PyKEEN where it has
        fixed ones, 2 for ``k``, and `dim` for the rest
    :returns: the numbers of all its symbols
    :raises ValueError: if `dimensions` names a symbol that the interaction does not have, or ``d``
    """
    symbols = {symbol for shape in (*interaction.entity_shape, *interaction.relation_shape) for symbol in shape}
    unknown = set(dimensions or {}) - (symbols - {"d"})
    if unknown:
        raise ValueError(
            f"dimensions={dict(dimensions or {})}: {type(interaction).__name__} has no such symbol as "
            f"{sorted(unknown)}; it has {sorted(symbols - {'d'})} (d follows embedding_dim and the fusion)."
        )
    numbers = {symbol: 2 if symbol == "k" else dim for symbol in symbols}
    for cls, fixed in _FIXED.items():
        if isinstance(interaction, cls):
            numbers.update(fixed)
    return {**numbers, **(dimensions or {})}


def _slots(interaction: Interaction, shapes: Sequence[str], numbers: Mapping[str, int]) -> list[Slot]:
    variance = isinstance(interaction, KG2EInteraction)
    return [
        Slot(tuple(numbers[symbol] for symbol in shape), shape, positive=variance and index == 1)
        for index, shape in enumerate(shapes)
    ]


def entity_slots(interaction: Interaction, numbers: Mapping[str, int]) -> list[Slot]:
    """Return the slots of an entity."""
    return _slots(interaction, interaction.entity_shape, numbers)


def relation_slots(interaction: Interaction, numbers: Mapping[str, int]) -> list[Slot]:
    """Return the slots of a relation."""
    return _slots(interaction, interaction.relation_shape, numbers)


def make_interaction(interaction: HintOrType[Interaction], interaction_kwargs: OptionalKwargs, dim: int) -> Interaction:
    """Make an interaction, filling in the dimensions (and the norm) that its constructor asks for.

    :param interaction: its name, class, or an instance
    :param interaction_kwargs: its keyword arguments
    :param dim: the dimension of the fused vectors
    :returns: the interaction
    """
    if isinstance(interaction, Interaction):
        return interaction
    try:
        cls = interaction_resolver.lookup(interaction)
    except KeyError as error:
        options = ", ".join(sorted(interaction_resolver.lookup_dict))
        raise MultimodalError(f"Unknown interaction {interaction!r}; choose one of {options}.") from error
    parameters = inspect.signature(cls).parameters
    # a default of PyKEEN's, as 200 for ConvE, is for its own model; here the fused vectors say how wide they are
    given: dict[str, Any] = dict.fromkeys(_DIMENSION_PARAMETERS & set(parameters), dim)
    if "p" in parameters and parameters["p"].default is inspect.Parameter.empty:
        given["p"] = 2 if issubclass(cls, _EUCLIDEAN) else 1
    given |= interaction_kwargs or {}
    if "coefficients" in given:  # AutoSF counts its blocks in a set, for which the lists of JSON will not do
        given["coefficients"] = [tuple(block) for block in given["coefficients"]]
    return interaction_resolver.make(cls, given)


def seen_relations(triples_factory: CoreTriplesFactory) -> BoolTensor:
    """Return which relations occur in a factory's triples, shape ``(num_relations,)``, inverse ones with theirs."""
    seen = torch.zeros(triples_factory.num_relations, dtype=torch.bool)
    relations = triples_factory.mapped_triples[:, 1].unique()
    if triples_factory.create_inverse_triples:
        seen[2 * relations] = seen[2 * relations + 1] = True
    else:
        seen[relations] = True
    return seen


def complex_xavier_uniform_(x: FloatTensor) -> FloatTensor:
    """Fill the real and the imaginary part each with torch's Xavier uniform over the whole matrix.

    :param x: shape: ``(n, d, 2)``, the complex numbers as PyKEEN's embedding stores them
    :returns: the tensor itself
    """
    with torch.no_grad():
        for part in x.unbind(dim=-1):
            part.copy_(nn.init.xavier_uniform_(torch.empty_like(part)))
    return x


def plain_embedding(slot: Slot, max_id: int) -> Embedding:
    """Return the trained table of a slot that no modality fills: biases (zero at first), variances (one), matrices."""
    if slot.positive:  # the bounds of PyKEEN's own KG2E
        bounds = dict(min=0.05, max=5.0)
        return Embedding(
            max_id, shape=slot.shape, initializer=nn.init.ones_, constrainer=torch.clamp, constrainer_kwargs=bounds
        )
    initializer = nn.init.xavier_uniform_ if slot.shape else nn.init.zeros_
    return Embedding(max_id, shape=slot.shape, initializer=initializer)


def relation_embedding(slot: Slot, max_id: int, interaction: Interaction) -> Embedding:
    """Return the trained table of the relations as VL-KGE initialises it for an interaction.

    Real and complex vectors by torch's Xavier uniform, the angles of VL-RotatE uniformly over the circle, the rotations
    of PyKEEN's RotatE as PyKEEN does.
    """
    if isinstance(interaction, VLRotatEInteraction):
        bounds = dict(a=0.0, b=2 * math.pi)
        return Embedding(max_id, shape=slot.shape, initializer=nn.init.uniform_, initializer_kwargs=bounds)
    if isinstance(interaction, RotatEInteraction):
        return Embedding(
            max_id, shape=slot.shape, initializer=init_phases, dtype=torch.cfloat, constrainer=complex_normalize
        )
    if interaction.is_complex:
        return Embedding(max_id, shape=slot.shape, initializer=complex_xavier_uniform_, dtype=torch.cfloat)
    return plain_embedding(slot, max_id)
