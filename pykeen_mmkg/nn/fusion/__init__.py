"""Fusions: one vector out of the vectors of several modalities, of which any may be missing.

Every fusion takes the modalities' vectors and a mask that says which of them an item has. What the mask leaves out has
no influence whatsoever, neither on the output nor on a gradient; an item without any modality gets the zero vector.
"""

from collections.abc import Sequence

from class_resolver import ClassResolver, HintOrType, OptionalKwargs

from ...errors import MultimodalError
from ...options import look_up
from .abstract import STRUCTURAL, FormFusion, Fusion, masked_softmax
from .autoencoder import AutoencoderFusion
from .fixed import AverageFusion, ConcatFusion, SumFusion
from .instances import InstanceAttentionFusion
from .learned import AdaptiveFusion, AttentionFusion, GatedFusion, WeightedFusion
from .tokens import TransformerFusion
from .transport import TransportFusion

__all__ = [
    "STRUCTURAL",
    "AdaptiveFusion",
    "AttentionFusion",
    "AutoencoderFusion",
    "AverageFusion",
    "ConcatFusion",
    "Fusion",
    "GatedFusion",
    "InstanceAttentionFusion",
    "SumFusion",
    "TransformerFusion",
    "TransportFusion",
    "WeightedFusion",
    "fused_dim",
    "fusion_resolver",
    "make_fusion",
    "masked_softmax",
]

#: the fusions by name: average, sum, concat, weighted, gated, attention, and those of others (docs/peers.md)
fusion_resolver: ClassResolver[Fusion] = ClassResolver.from_subclasses(
    base=Fusion,  # type: ignore[type-abstract]
    default=AverageFusion,
    skip={FormFusion},  # type: ignore[type-abstract]
    location="pykeen_mmkg.nn.fusion.fusion_resolver",
)


def _lookup(fusion: HintOrType[Fusion]) -> type[Fusion]:
    """Return the class of a fusion."""
    return look_up("fusion", fusion_resolver, fusion)


def fused_dim(fusion: HintOrType[Fusion], fusion_kwargs: OptionalKwargs, num_modalities: int, dim: int) -> int:
    """Return the dimension of fused vectors, without building the fusion.

    :param fusion: the name of a fusion, its class, an instance, or None for the average
    :param fusion_kwargs: keyword arguments of the fusion
    :param num_modalities: the number of modalities
    :param dim: the dimension of every modality's vectors
    :returns: the dimension
    :raises MultimodalError: if there is no fusion of this name (the message lists them)
    """
    if isinstance(fusion, Fusion):
        return fusion.output_dim
    return _lookup(fusion).fused_dim(num_modalities, dim, **(fusion_kwargs or {}))


def make_fusion(
    fusion: HintOrType[Fusion], fusion_kwargs: OptionalKwargs, modalities: Sequence[str], dim: int
) -> Fusion:
    """Make a fusion, and check one that exists.

    :param fusion: the name of a fusion, its class, an instance, or None for the average
    :param fusion_kwargs: keyword arguments of the fusion
    :param modalities: the names of the modalities
    :param dim: the dimension of every modality's vectors
    :returns: the fusion
    :raises MultimodalError: if there is no fusion of this name (the message lists them), if it does not take the
        keyword arguments, or if an instance was made for other modalities or another dimension
    """
    choice = fusion if isinstance(fusion, Fusion) else _lookup(fusion)
    try:
        module = fusion_resolver.make(choice, fusion_kwargs, modalities=modalities, dim=dim)
    except TypeError as error:
        raise MultimodalError(f"Cannot make the fusion {fusion!r} with {dict(fusion_kwargs or {})}: {error}") from error
    if module.modalities != tuple(modalities) or module.dim != dim:
        raise MultimodalError(
            f"The fusion was made for {list(module.modalities)} of dimension {module.dim}, but the representation has "
            f"{list(modalities)} of dimension {dim}."
        )
    return module
