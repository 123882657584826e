"""Fusions: one vector out of the vectors of several modalities, of which any may be missing.

Every fusion takes the modalities' vectors and a mask that says which of them an item has. What the mask leaves out has
no influence whatsoever, neither on the output nor on a gradient; an item without any modality gets the zero vector.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from class_resolver import ClassResolver, HintOrType, OptionalKwargs
from docdata import parse_docdata
from pykeen.nn.combination import Combination
from pykeen.typing import BoolTensor, FloatTensor
from torch import nn

from ..errors import MultimodalError

__all__ = [
    "AttentionFusion",
    "AverageFusion",
    "ConcatFusion",
    "Fusion",
    "GatedFusion",
    "SumFusion",
    "WeightedFusion",
    "fused_dim",
    "fusion_resolver",
    "make_fusion",
    "masked_softmax",
]

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

    def __init__(self, modalities: Sequence[str], dim: int) -> None:
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

    # docstr-coverage: inherited
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

    # docstr-coverage: inherited
    def iter_extra_repr(self) -> Iterable[str]:  # noqa: D102
        yield from super().iter_extra_repr()
        yield f"modalities={self.modalities}"
        yield f"dim={self.dim}"


def _masked(xs: Sequence[FloatTensor], mask: BoolTensor | None) -> Sequence[FloatTensor]:
    """Zero what is missing."""
    if mask is None:
        return xs
    return [x.masked_fill(~mask[..., i, None], 0.0) for i, x in enumerate(xs)]


def _weighted_sum(xs: Sequence[FloatTensor], weights: FloatTensor) -> FloatTensor:
    """Sum the inputs with one weight per item and modality, without ever stacking them.

    :param xs: M tensors of shape ``(*b, d)``
    :param weights: shape ``(*b, M)``, or ``(M,)``
    :returns: shape ``(*b, d)``
    """
    total = xs[0] * weights[..., 0, None]
    for i, x in enumerate(xs[1:], start=1):
        total = torch.addcmul(total, x, weights[..., i, None])
    return total


@parse_docdata
class AverageFusion(Fusion):
    """The mean of the modalities: the fusion of VL-KGE.

    With `form`, it is

    - ``uneven`` (default): ``(seen * s + has_v * v + has_t * t) / (1 + has_v + has_t)``, the paper's form for graphs in
      which entities differ in their modalities: the structural slot is always counted, also where it is masked
      because the entity is unseen in training; another modality is counted where it is present. With a full mask this
      equals the dense form.
    - ``dense``: ``(s + v + t) / 3``, the paper's form for graphs in which every entity has every modality. Something
      that is missing nevertheless is a zero that counts.
    - ``masked``: the mean of what is present; a masked structural slot is not counted.

    Source of the formulas: Efthymiou et al., VL-KGE, WWW 2026, https://arxiv.org/abs/2603.02435, and its code.

    ---
    name: Average
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    def __init__(self, modalities: Sequence[str], dim: int, form: str = "uneven", structural: str = STRUCTURAL) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        :param form: ``uneven``, ``dense`` or ``masked``
        :param structural: the modality that the uneven form always counts
        :raises MultimodalError: if there is no such form
        """
        super().__init__(modalities=modalities, dim=dim)
        if form not in {"uneven", "dense", "masked"}:
            raise MultimodalError(f"Unknown form {form!r} of the average; choose one of uneven, dense, masked.")
        self.form = form
        self.always = [i for i, name in enumerate(self.modalities) if form == "uneven" and name == structural]

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        if mask is None:
            total = xs[0]
            for x in xs[1:]:
                total = total + x
            return total / len(xs)
        return _weighted_sum(xs, self.coefficients(mask).to(dtype=xs[0].dtype))

    # docstr-coverage: inherited
    def coefficients(self, mask: BoolTensor) -> FloatTensor:  # noqa: D102
        weights = mask.to(dtype=torch.get_default_dtype())
        if self.form == "dense":
            return weights / self.num_modalities
        counted = mask
        if self.always:
            counted = mask.clone()
            counted[..., self.always] = True
        # at least one: an item without any modality is 0 / 1
        return weights / counted.sum(dim=-1, keepdim=True).clamp(min=1)

    # docstr-coverage: inherited
    def iter_extra_repr(self) -> Iterable[str]:  # noqa: D102
        yield from super().iter_extra_repr()
        yield f"form={self.form}"


@parse_docdata
class SumFusion(Fusion):
    """The sum of the modalities that an item has ("addition" in VL-KGE).

    ---
    name: Sum
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        if mask is not None:
            return _weighted_sum(xs, mask.to(dtype=xs[0].dtype))
        total = xs[0]
        for x in xs[1:]:
            total = total + x
        return total

    # docstr-coverage: inherited
    def coefficients(self, mask: BoolTensor) -> FloatTensor:  # noqa: D102
        return mask.to(dtype=torch.get_default_dtype())


@parse_docdata
class ConcatFusion(Fusion):
    """The modalities side by side, with zeros for what is missing; the output has the dimension ``M * d``.

    ---
    name: Concatenation
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    # docstr-coverage: inherited
    @classmethod
    def fused_dim(cls, num_modalities: int, dim: int, **kwargs: Any) -> int:  # noqa: D102
        return num_modalities * dim

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        return torch.cat(list(_masked(xs, mask)), dim=-1)


@parse_docdata
class WeightedFusion(Fusion):
    """A weighted mean with one learned scalar per modality: softmax over the modalities that an item has.

    It starts as the mean of what is present.

    ---
    name: Weighted Average
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    def __init__(self, modalities: Sequence[str], dim: int) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        """
        super().__init__(modalities=modalities, dim=dim)
        self.logits = nn.Parameter(torch.zeros(self.num_modalities))

    # docstr-coverage: inherited
    def reset_parameters(self) -> None:  # noqa: D102
        nn.init.zeros_(self.logits)

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        return _weighted_sum(xs, masked_softmax(self.logits, mask))


@parse_docdata
class GatedFusion(Fusion):
    """A mean with a gate per modality and dimension, computed from all the modalities' vectors.

    ``z = softmax_i(W2 tanh(W1 [x_1; ...; x_M] + b1) + b2)`` over the modalities ``i`` that the item has, and
    ``e = sum_i z_i * x_i``. This is the gated multimodal unit (Arevalo et al., 2017, https://arxiv.org/abs/1702.01992)
    for any number of modalities, with the sigmoid of two gates replaced by its generalisation, a softmax that can be
    masked, and with a narrow hidden layer, which keeps the number of weights linear in the dimension.

    It starts as the mean of what is present, since W2 and b2 start at zero.

    ---
    name: Gated Average
    """

    def __init__(self, modalities: Sequence[str], dim: int, hidden_dim: int = 64) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        :param hidden_dim: the width of the hidden layer
        """
        super().__init__(modalities=modalities, dim=dim)
        self.hidden = nn.Linear(self.num_modalities * dim, hidden_dim)
        self.gate = nn.Linear(hidden_dim, self.num_modalities * dim)
        self.reset_parameters()

    # docstr-coverage: inherited
    def reset_parameters(self) -> None:  # noqa: D102
        nn.init.xavier_uniform_(self.hidden.weight)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        hidden = self.hidden(torch.cat(list(_masked(xs, mask)), dim=-1)).tanh()
        scores = self.gate(hidden).unflatten(-1, (self.num_modalities, self.dim))
        gates = masked_softmax(scores, None if mask is None else mask.unsqueeze(-1), dim=-2)
        total = xs[0] * gates[..., 0, :]
        for i, x in enumerate(xs[1:], start=1):
            total = torch.addcmul(total, x, gates[..., i, :])
        return total


@parse_docdata
class AttentionFusion(Fusion):
    """A weighted mean whose weights a learned query gives, from the modalities' vectors.

    ``a = softmax_i(q . tanh(W x_i + b) + c_i)`` over the modalities ``i`` that the item has, and
    ``e = sum_i a_i * x_i``: additive attention (Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473) with a query
    that is the same for all items, W shared by the modalities, and a bias ``c_i`` for each.

    It starts as the mean of what is present, since q and c start at zero.

    ---
    name: Attention
    """

    def __init__(self, modalities: Sequence[str], dim: int, hidden_dim: int = 64) -> None:
        """Initialize the fusion.

        :param modalities: the names of the modalities
        :param dim: the dimension of every modality's vectors
        :param hidden_dim: the dimension of the query
        """
        super().__init__(modalities=modalities, dim=dim)
        self.key = nn.Linear(dim, hidden_dim)
        self.query = nn.Parameter(torch.zeros(hidden_dim))
        self.bias = nn.Parameter(torch.zeros(self.num_modalities))
        self.reset_parameters()

    # docstr-coverage: inherited
    def reset_parameters(self) -> None:  # noqa: D102
        nn.init.xavier_uniform_(self.key.weight)
        nn.init.zeros_(self.key.bias)
        nn.init.zeros_(self.query)
        nn.init.zeros_(self.bias)

    def _fuse(self, xs: Sequence[FloatTensor], mask: BoolTensor | None) -> FloatTensor:
        scores = torch.stack([self.key(x).tanh() @ self.query for x in xs], dim=-1) + self.bias
        return _weighted_sum(xs, masked_softmax(scores, mask))


#: the fusions by name: average, sum, concat, weighted, gated, attention
fusion_resolver: ClassResolver[Fusion] = ClassResolver.from_subclasses(
    base=Fusion,  # type: ignore[type-abstract]
    default=AverageFusion,
    location="pykeen_mmkg.nn.fusion.fusion_resolver",
)


def _lookup(fusion: HintOrType[Fusion]) -> type[Fusion]:
    """Return the class of a fusion."""
    try:
        return fusion_resolver.lookup(fusion)
    except KeyError as error:
        options = ", ".join(sorted(fusion_resolver.options))
        raise MultimodalError(f"Unknown fusion {fusion!r}; choose one of {options}.") from error


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
