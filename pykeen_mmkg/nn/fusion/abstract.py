"""The base of the fusions, and what they share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from pykeen.nn.combination import Combination
from pykeen.typing import BoolTensor, FloatTensor

from ...errors import MultimodalError
from ...options import strict

__all__ = ["STRUCTURAL", "FormFusion", "Fusion", "masked", "masked_softmax", "weighted_sum"]

#: the name of the modality that is trained rather than encoded
STRUCTURAL = "structural"


def masked_softmax(scores: FloatTensor, mask: BoolTensor | None, dim: int = -1) -> FloatTensor:
    """Normalise scores over those entries that the mask leaves in.

    :param scores: shape: ``(*b, M)``, the scores; any other dimension than the last can be named with `dim`
    :param mask: broadcastable with `scores`; False = leave out. ``None`` means that nothing is left out
    :param dim: the dimension over which the weights sum to one
    :returns: the weights, of the shape of `scores`; exactly zero where the mask is False, all zero where it is False
        throughout. Neither value nor gradient is ever NaN for finite scores.
    """
    if mask is None:
        return scores.softmax(dim=dim)
    # the lowest finite number instead of -inf: a row without any entry becomes uniform rather than NaN, then zero
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, lowest).softmax(dim=dim).masked_fill(~mask, 0.0)


class Fusion(Combination, ABC):
    """The base of the fusions.

    As a :class:`~pykeen.nn.combination.Combination`, a fusion also works in PyKEEN's ``CombinedRepresentation``, which
    knows no masks.
    """

    #: the names of the modalities, in the order of the inputs
    modalities: tuple[str, ...]

    #: the dimension of each input
    dim: int

    @strict(dim=1)
    def __init__(self, modalities: str | Sequence[str], dim: int) -> None:
        """Initialize the fusion.

        :param modalities: the names of the M modalities, in the order in which their vectors will be given
        :param dim: the dimension ``d`` of every modality's vectors
        :raises MultimodalError: if there is no modality, or one is named twice
        """
        super().__init__()
        names = (modalities,) if isinstance(modalities, str) else tuple(modalities)
        if not names or len(set(names)) != len(names):
            raise MultimodalError(f"A fusion needs at least one modality, and each once; got {list(names)}.")
        self.modalities = names
        self.dim = dim

    @property
    def num_modalities(self) -> int:
        """Return the number ``M`` of modalities."""
        return len(self.modalities)

    @classmethod
    def fused_dim(cls, num_modalities: int, dim: int, **kwargs: Any) -> int:
        """Return the dimension of the fused vectors, without building the fusion.

        :param num_modalities: the number ``M`` of modalities
        :param dim: the dimension ``d`` of every modality's vectors
        :param kwargs: the other keyword arguments of the constructor
        :returns: the dimension; ``d`` unless a fusion says otherwise
        """
        return dim

    @property
    def output_dim(self) -> int:
        """Return the dimension of the fused vectors."""
        return self.fused_dim(self.num_modalities, self.dim)

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:  # noqa: D102
        self._check_number(len(input_shapes))
        return (*input_shapes[0][:-1], self.output_dim)

    def forward(self, xs: Sequence[FloatTensor], mask: BoolTensor | None = None) -> FloatTensor:
        """Fuse.

        :param xs: M tensors of shape ``(*b, d)``, in the order of the modalities. What they hold where the mask is
            False is ignored, but has to be finite
        :param mask: shape ``(*b, M)``, True where the item has the modality; ``None`` means that nothing is missing
        :returns: shape ``(*b, output_dim)``
        :raises MultimodalError: if the number of inputs or a shape is wrong
        """
        self._check_number(len(xs))
        shape = xs[0].shape
        for name, x in zip(self.modalities, xs, strict=True):
            if x.shape != shape or x.shape[-1] != self.dim:
                raise MultimodalError(
                    f"The modality {name!r} has the shape {tuple(x.shape)}; {type(self).__name__} expects vectors of "
                    f"dimension {self.dim} in the batch shape {tuple(shape[:-1])} for {list(self.modalities)}."
                )
        if mask is not None and mask.shape != (*shape[:-1], len(xs)):
            raise MultimodalError(
                f"The mask has the shape {tuple(mask.shape)}, expected {(*shape[:-1], len(xs))}: one column for "
                f"each of {list(self.modalities)}."
            )
        return self._fuse(xs, mask)

    def coefficients(self, mask: BoolTensor) -> FloatTensor | None:
        """Return the weights of the modalities, if the fusion is a weighted sum in which nothing is learned.

        :param mask: shape ``(*b, M)``
        :returns: shape ``(*b, M)``, zero where the mask is False; None for any other fusion
        """
        return None

    @abstractmethod
    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        """Fuse inputs that have been checked."""

    def reset_parameters(self) -> None:
        """Reset what is trained."""

    def _check_number(self, number: int) -> None:
        if number != self.num_modalities:
            raise MultimodalError(
                f"{type(self).__name__} was made for the {self.num_modalities} modalities {list(self.modalities)}, "
                f"but got {number} inputs."
            )

    def iter_extra_repr(self) -> Iterable[str]:  # noqa: D102
        yield from super().iter_extra_repr()
        yield f"modalities={self.modalities}"
        yield f"dim={self.dim}"


def masked(xs: Sequence[FloatTensor], mask: BoolTensor | None) -> Sequence[FloatTensor]:
    """Zero what is missing."""
    if mask is None:
        return xs
    return [x.masked_fill(~mask[..., i, None], 0.0) for i, x in enumerate(xs)]


def weighted_sum(xs: Sequence[FloatTensor], weights: FloatTensor) -> FloatTensor:
    """Sum the inputs with one weight per item and modality, without ever stacking them.

    :param xs: M tensors of shape ``(*b, d)``
    :param weights: shape ``(*b, M)``, or ``(M,)``
    :returns: shape ``(*b, d)``
    """
    total = xs[0] * weights[..., 0, None]
    for i, x in enumerate(xs[1:], start=1):
        total = torch.addcmul(total, x, weights[..., i, None])
    return total


class FormFusion(Fusion, ABC):
    """The base of weighted means that come in several forms, which differ in the modalities that they count."""

    #: the forms, the default first; ``dense`` counts all modalities, ``masked`` those that an item has
    forms: ClassVar[tuple[str, ...]]

    #: the form that counts those that an item has, and the structural one always
    structured: ClassVar[str]

    @strict()
    def __init__(
        self, modalities: str | Sequence[str], dim: int, form: str | None = None, structural: str = STRUCTURAL
    ) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        :param form: one of :attr:`forms`, by default the first
        :param structural: the modality that the form :attr:`structured` always counts
        :raises MultimodalError: if there is no such form
        """
        super().__init__(modalities=modalities, dim=dim)
        self.form = self.forms[0] if form is None else form
        if self.form not in self.forms:
            raise MultimodalError(
                f"Unknown form {form!r} of {type(self).__name__}; choose one of {', '.join(self.forms)}."
            )
        always = self.modalities if self.form == "dense" else [structural] if self.form == self.structured else ()
        self.always = [i for i, name in enumerate(self.modalities) if name in always]

    def counted(self, mask: BoolTensor) -> BoolTensor:
        """Return which modalities count in the mean; shape: ``(*b, M)``, as that of the mask."""
        counted = mask.clone()
        counted[..., self.always] = True
        return counted

    def iter_extra_repr(self) -> Iterable[str]:  # noqa: D102
        yield from super().iter_extra_repr()
        yield f"form={self.form}"
