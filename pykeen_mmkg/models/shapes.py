"""Shapes: how many representations an interaction takes of an entity and a relation, and of which shapes.

PyKEEN's interactions name their shapes by symbols: TransR takes relations of the shapes ``("e", "de")``. Here the
symbols become numbers, and each shape says whether it is one that modalities can fill.
"""

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from class_resolver import OptionalKwargs
from pykeen.nn.modules import (
    BoxEInteraction,
    Interaction,
    KG2EInteraction,
    MuREInteraction,
    NTNInteraction,
    QuatEInteraction,
    TransHInteraction,
    interaction_resolver,
)
from pykeen.typing import HintOrType

from ..nn.modality_interaction import ModalityInteraction
from ..options import look_up

__all__ = [
    "Shape",
    "entity_shapes",
    "make_interaction",
    "relation_shapes",
    "resolve_dimensions",
    "takes_modalities",
]

#: parameters of PyKEEN's interactions that take the dimension of the vectors
_DIMENSION_PARAMETERS = frozenset({"dim", "embedding_dim", "input_dim", "head_dim", "tail_dim"})

#: the interactions for which PyKEEN's own models use the 2-norm by default; the others that need a norm use 1
_EUCLIDEAN = (MuREInteraction, TransHInteraction)

#: numbers of the symbols that do not follow the embedding dimension
_FIXED: Mapping[type[Interaction], Mapping[str, int]] = {
    BoxEInteraction: {"s": 1},
    NTNInteraction: {"k": 4},
    QuatEInteraction: {"k": 4},
}


@dataclasses.dataclass(frozen=True)
class Shape:
    """The shape of one representation of an entity or a relation.

    :param sizes: in numbers
    :param symbols: in symbols
    :param positive: whether its values must be positive (the variances of KG2E)
    """

    sizes: tuple[int, ...]
    symbols: str
    positive: bool = False

    @property
    def dim(self) -> int:
        """The number of values."""
        return math.prod(self.sizes)

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
    if isinstance(interaction, ModalityInteraction):
        numbers["m"] = interaction.num_modalities
    return {**numbers, **(dimensions or {})}


def _shapes(interaction: Interaction, shapes: Sequence[str], numbers: Mapping[str, int]) -> list[Shape]:
    variance = isinstance(interaction, KG2EInteraction)
    return [
        Shape(tuple(numbers[symbol] for symbol in shape), shape, positive=variance and index == 1)
        for index, shape in enumerate(shapes)
    ]


def entity_shapes(interaction: Interaction, numbers: Mapping[str, int]) -> list[Shape]:
    """Return the shapes of an entity."""
    return _shapes(interaction, interaction.entity_shape, numbers)


def relation_shapes(interaction: Interaction, numbers: Mapping[str, int]) -> list[Shape]:
    """Return the shapes of a relation."""
    return _shapes(interaction, interaction.relation_shape, numbers)


def takes_modalities(interaction: HintOrType[Interaction]) -> bool:
    """Return whether an interaction (name, class or instance) takes the vectors of all modalities as they are."""
    if isinstance(interaction, Interaction):
        return isinstance(interaction, ModalityInteraction)
    return issubclass(_lookup(interaction), ModalityInteraction)


def _lookup(interaction: HintOrType[Interaction]) -> type[Interaction]:
    """Return the class of an interaction."""
    return look_up("interaction", interaction_resolver, interaction)


def make_interaction(
    interaction: HintOrType[Interaction], interaction_kwargs: OptionalKwargs, dim: int, modalities: Sequence[str] = ()
) -> Interaction:
    """Make an interaction, filling in the dimensions (and the norm, and the modalities) that its constructor asks for.

    :param interaction: its name, class, or an instance
    :param interaction_kwargs: its keyword arguments
    :param dim: the dimension of the fused vectors
    :param modalities: the modalities of entities, for an interaction that takes the vectors of all of them
    :returns: the interaction
    """
    if isinstance(interaction, Interaction):
        return interaction
    cls = _lookup(interaction)
    parameters = inspect.signature(cls).parameters
    if issubclass(cls, ModalityInteraction):
        return interaction_resolver.make(cls, interaction_kwargs, modalities=modalities, dim=dim)
    # a default of PyKEEN's, as 200 for ConvE, is for its own model; here the fused vectors say how wide they are
    given: dict[str, Any] = dict.fromkeys(_DIMENSION_PARAMETERS & set(parameters), dim)
    if "p" in parameters and parameters["p"].default is inspect.Parameter.empty:
        given["p"] = 2 if issubclass(cls, _EUCLIDEAN) else 1
    given |= interaction_kwargs or {}
    if "coefficients" in given:  # AutoSF counts its blocks in a set, for which the lists of JSON will not do
        given["coefficients"] = [tuple(block) for block in given["coefficients"]]
    return interaction_resolver.make(cls, given)
