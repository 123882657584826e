"""What is trained and what is encoded, fused into one vector."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from class_resolver import HintOrType, OptionalKwargs
from docdata import parse_docdata
from pykeen.nn.representation import Embedding, MaxIDMismatchError, Representation, TransformedRepresentation
from pykeen.nn.utils import ShapeError
from pykeen.typing import BoolTensor, FloatTensor, LongTensor
from torch import nn
from torch.nn import functional

from ..errors import FeatureError, MultimodalError
from ..options import check_keys, strict
from .cached import CachedRepresentation, take_rows
from .feature import FeatureRepresentation
from .fusion import STRUCTURAL, Fusion, make_fusion
from .row_tables import set_sparse_option, split_sparse_option

__all__ = ["MultimodalRepresentation"]


class _FrozenSum(NamedTuple):
    """What does not change in training."""

    #: the weighted sum of the frozen modalities, shape (max_id, d)
    total: FloatTensor
    #: the weights of all modalities, shape (max_id, M)
    weights: FloatTensor
    #: the columns of those modalities that are trained
    columns: tuple[int, ...]


@parse_docdata
class MultimodalRepresentation(CachedRepresentation):
    """A trained embedding and frozen features of any number of modalities, fused into one vector.

    For an id that never occurs in training (``seen`` is False) the structural part is masked, so that its vector comes
    from its features alone; an id lacking a modality has it masked likewise. See
    :mod:`pykeen_mmkg.nn.fusion` for what a mask does to each fusion.

    The vectors are fused once per evaluation, see :class:`~pykeen_mmkg.nn.cached.CachedRepresentation`. In training,
    the average and the sum add up what is frozen once and for all (features that are neither projected nor adapted),
    which costs one more table of the output's size.

    With ``fusion="average"`` this is the entity representation of VL-KGE.

    ---
    name: Multimodal
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    #: the names of the modalities, in the order of the fusion's inputs
    modalities: tuple[str, ...]

    #: shape (max_id, M): which id has which modality; the structural column is `seen`
    mask: BoolTensor

    fusion: Fusion

    @strict(max_id=1, embedding_dim=1)
    def __init__(
        self,
        max_id: int | None = None,
        embedding_dim: int | None = None,
        features: Mapping[str, Any] | None = None,
        labels: Sequence[str] | None = None,
        modalities: str | Sequence[str] | None = None,
        seen: Any = None,
        fusion: HintOrType[Fusion] = None,
        fusion_kwargs: OptionalKwargs = None,
        structural: HintOrType[Representation] = None,
        structural_kwargs: OptionalKwargs = None,
        feature_kwargs: OptionalKwargs = None,
        shared_projection: bool | Sequence[str] = False,
        l2_normalize: bool = False,
        shuffle: int | Mapping[str, int] | None = None,
        structural_dropout: float = 0.0,
        modality_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Initialize the representation.

        :param max_id: the number of ids; by default that of the labels or of a part that exists already
        :param embedding_dim: the dimension ``d`` of every modality before the fusion; by default that of the first
            features
        :param features: modality -> features. A value is whatever
            :class:`~pykeen_mmkg.nn.feature.FeatureRepresentation` takes as `features`, a pair (array, mask), a mapping
            of its keyword arguments, or such a representation
        :param labels: the labels of the ids, in order; needed for features in a store
        :param modalities: the modalities to use, of ``structural`` and those that have features; by default all of
            them. ``["structural"]`` is a plain embedding
        :param seen: shape ``(max_id,)``, False for an id that does not occur in training; by default all do. See
            :func:`~pykeen_mmkg.indexing.seen_entities`
        :param fusion: the fusion, its class or its name: average (default), sum, concat, weighted, gated, attention
        :param fusion_kwargs: keyword arguments of the fusion
        :param structural: the structural representation of shape ``(d,)``, or a hint; by default an embedding with
            :func:`torch.nn.init.xavier_uniform_` over the whole matrix (PyKEEN's own initializer of that name uses
            another scale)
        :param structural_kwargs: keyword arguments of the structural representation, and ``sparse``: whether an
            embedding has sparse gradients, by default by its size and the optimizer, see
            :mod:`pykeen_mmkg.training.sparse_gradients`
        :param feature_kwargs: further keyword arguments of each modality's
            :class:`~pykeen_mmkg.nn.feature.FeatureRepresentation`: projection, adapter, scaling, where the features are
            kept, ...
        :param shared_projection: whether all modalities that need a projection share one; their features need to be of
            the same dimension then. Or the modalities that share a linear map whatever their dimension, possibly
            ``structural`` among them, as in the code of VL-KGE
        :param l2_normalize: whether to bring each modality's vectors, also the structural ones, to unit length
        :param shuffle: the seed of the shuffled-features control for all modalities (ids that have the same modalities
            then get them from one and the same other id), or modality -> seed
        :param structural_dropout: the probability with which an id is treated as unseen in a training step, so that the
            fusion and the interaction learn to work without structure
        :param modality_dropout: the same for each other modality. No dropout ever takes the last thing an id has.
        :param kwargs: further keyword arguments of :class:`~pykeen_mmkg.nn.cached.CachedRepresentation`. A ``shape`` is
            verified: it is that of the fusion, which is `embedding_dim` for all but ``concat``
        :raises MultimodalError: if a modality is unknown, or a mask, a probability, or a fusion does not fit
        :raises FeatureError: if features cannot be used
        :raises MaxIDMismatchError: if the parts are for different numbers of ids
        """
        features = dict(features or {})
        names = _names(modalities, features)
        structure = structural if isinstance(structural, Representation) else None
        max_id = _number_of_ids(max_id, labels, structure, *(features.get(name) for name in names))
        options = {**(feature_kwargs or {}), "labels": labels}
        dim = embedding_dim or (structure.shape[-1] if structure is not None else None)
        sharing = names if isinstance(shared_projection, bool) else tuple(shared_projection)
        if not set(sharing) <= set(names):
            raise MultimodalError(f"Projections can be shared by {list(names)}; got {list(sharing)}.")
        if isinstance(shuffle, Mapping):
            check_keys("shuffle", shuffle, [name for name in names if name != STRUCTURAL])
        parts: dict[str, Representation] = {}
        shared: nn.Linear | None = None
        for name in (name for name in names if name != STRUCTURAL):
            seed = shuffle.get(name) if isinstance(shuffle, Mapping) else shuffle
            own = {**options, "max_id": max_id, "shape": dim, "shuffle": seed}
            if sharing is not names and name in sharing:
                own["projection"] = True
            part = _feature_part(name, features[name], own)
            dim = dim or part.shape[0]
            if shared_projection and name in sharing and part.projection is not None:
                shared = part.projection = _same(name, part.projection, shared or part.projection)
            parts[name] = part
        if STRUCTURAL in names:
            if structure is None:
                structure = _structural_part(structural, structural_kwargs, max_id=max_id, shape=dim)
            if sharing is not names and STRUCTURAL in sharing:
                if shared is None or shared.in_features != dim:
                    raise FeatureError(f"Structure can share the projection of features of the dimension {dim} only.")
                structure = TransformedRepresentation(
                    transformation=shared, base=structure, max_id=max_id, shape=structure.shape
                )
            parts[STRUCTURAL] = structure
        for name, part_ in parts.items():
            if part_.max_id != max_id:
                raise MaxIDMismatchError(f"The modality {name!r} has {part_.max_id} ids, but there are {max_id}.")
            if part_.shape != (dim,):
                raise FeatureError(f"The modality {name!r} has the shape {part_.shape}, expected ({dim},).")
        assert dim is not None
        module = make_fusion(fusion, fusion_kwargs, modalities=names, dim=dim)
        kwargs["shape"] = ShapeError.verify(shape=(module.output_dim,), reference=kwargs.get("shape"))
        super().__init__(max_id=max_id, **kwargs)
        self.modalities = names
        self.parts = nn.ModuleDict({name: parts[name] for name in names})
        self.fusion = module
        self.l2_normalize = l2_normalize
        self.structural_column = names.index(STRUCTURAL) if STRUCTURAL in names else None
        self.dropouts = tuple(structural_dropout if name == STRUCTURAL else modality_dropout for name in names)
        if not all(0 <= p <= 1 for p in self.dropouts):
            raise MultimodalError(f"Dropouts are probabilities; got {structural_dropout=} and {modality_dropout=}.")
        mask = torch.stack([_part_mask(parts[name], max_id, seen) for name in names], dim=-1)
        self.register_buffer("mask", mask, persistent=False)
        #: whether nothing is ever missing, which saves all masking
        self.complete = bool(mask.all())
        self._sum: _FrozenSum | None = None
        self.reset_parameters()

    def _parts(self) -> list[Representation]:
        """Return the modalities' representations, in order."""
        return [cast(Representation, self.parts[name]) for name in self.modalities]

    def reset_parameters(self) -> None:  # noqa: D102
        super().reset_parameters()
        for part in self._parts():
            part.reset_parameters()
        self.fusion.reset_parameters()

    def _presence(self, indices: LongTensor | None) -> BoolTensor | None:
        """Return the mask of the ids, shape (*s, M), without what training drops; None if nothing is missing."""
        drop = self.training and any(self.dropouts)
        if self.complete and not drop:
            return None
        mask = self.mask if indices is None else self.mask[indices]
        if not drop:
            return mask
        kept = mask & (torch.rand(mask.shape, device=mask.device) >= torch.tensor(self.dropouts, device=mask.device))
        # an id that would be left with nothing keeps all: a zero vector teaches nothing
        return torch.where(kept.any(dim=-1, keepdim=True), kept, mask)

    def _inputs(self, indices: LongTensor | None) -> list[FloatTensor]:
        """Return the vectors of each modality, shape (*s, d) each."""
        # the parts' own forward: it honours their normalizers, regularizers and dropouts
        xs = [part(indices) for part in self._parts()]
        return [functional.normalize(x, dim=-1) for x in xs] if self.l2_normalize else xs

    def _frozen_sum(self) -> _FrozenSum | None:
        """Return what the frozen modalities contribute to each id, if that is the same in every training step."""
        if not self.training or any(self.dropouts):
            return None
        if self._sum is None:
            parts = self._parts()
            frozen = [isinstance(p, FeatureRepresentation) and p.frozen and p.storage == "device" for p in parts]
            if not any(frozen):
                return None
            with torch.inference_mode(False), torch.no_grad():
                weights = self.fusion.coefficients(self.mask)
                if weights is None:
                    return None
                total = torch.zeros((), device=weights.device)
                for i in (i for i, is_frozen in enumerate(frozen) if is_frozen):
                    x = parts[i]()
                    x = functional.normalize(x, dim=-1) if self.l2_normalize else x
                    total = torch.addcmul(total, x, weights[:, i, None].to(dtype=x.dtype))
            self._sum = _FrozenSum(total, weights, tuple(i for i, is_frozen in enumerate(frozen) if not is_frozen))
        return self._sum

    def _fused(self, indices: LongTensor | None) -> tuple[FloatTensor, BoolTensor | None]:
        """Fuse, the short way if there is one; return the vectors, and the mask that has been used."""
        known, mask = self._frozen_sum(), self._presence(indices)
        if known is None:
            return self.fusion(self._inputs(indices), mask), mask
        total, weights, columns = known
        if indices is not None:
            total, weights = take_rows(total, indices), take_rows(weights, indices)
        for i in columns:
            x = self._parts()[i](indices)
            x = functional.normalize(x, dim=-1) if self.l2_normalize else x
            total = torch.addcmul(total, x, weights[..., i, None])
        return total, mask

    def _plain_forward(self, indices: LongTensor | None = None) -> FloatTensor:
        return self._fused(None if indices is None else indices.to(self.mask.device))[0]

    def extend_mask(self, max_id: int) -> None:
        """Take note of the masks of parts that have got further ids, which count as unseen: they have no structure."""
        masks = [part.mask if isinstance(part, FeatureRepresentation) else None for part in self._parts()]
        new = [mask if mask is None else mask[self.max_id :] for mask in masks]
        none = torch.zeros(max_id - self.max_id, dtype=torch.bool, device=self.mask.device)
        rows = torch.stack([none if mask is None else mask.to(none.device) for mask in new], dim=-1)
        self.mask = torch.cat([self.mask, rows])
        self.max_id, self.complete, self._sum = max_id, bool(self.mask.all()), None
        self.drop_cache()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "MultimodalRepresentation":
        self._sum = None
        super()._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_sum": None}

    def iter_extra_repr(self) -> Iterable[str]:  # noqa: D102
        yield from super().iter_extra_repr()
        yield f"modalities={self.modalities}"
        if any(self.dropouts):
            yield f"dropouts={self.dropouts}"


def _names(modalities: Sequence[str] | None, features: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modalities to use."""
    if STRUCTURAL in features:
        raise MultimodalError(f"The modality {STRUCTURAL!r} is trained; name your features otherwise.")
    known = (STRUCTURAL, *features)
    if modalities is None:
        return known
    names = (modalities,) if isinstance(modalities, str) else tuple(modalities)
    unknown = [name for name in names if name not in known]
    if unknown or not names or len(set(names)) != len(names):
        raise MultimodalError(f"Modalities are to be chosen, each once, from {list(known)}; got {list(names)}.")
    return names


def _number_of_ids(max_id: int | None, labels: Sequence[str] | None, structure: Any, *features: Any) -> int:
    """Return the number of ids, by default that of the structure if it exists already, the labels, or a feature."""
    if max_id is not None:
        return max_id
    if structure is None and labels is not None:
        return len(labels)
    sizes = [part.max_id for part in (structure, *features) if isinstance(part, Representation)]
    if not sizes:
        raise MultimodalError("The number of ids is unknown: give `max_id` or `labels`.")
    return sizes[0]


def _feature_part(name: str, value: Any, options: Mapping[str, Any]) -> FeatureRepresentation:
    """Make the representation of a modality."""
    if isinstance(value, FeatureRepresentation):
        part = value
    else:
        if isinstance(value, Mapping):
            given = dict(value)
        elif isinstance(value, tuple) and len(value) == 2:
            given = {"features": value[0], "mask": value[1]}
        else:
            given = {"features": value}
        try:
            part = FeatureRepresentation(**{**options, **given})
        except FeatureError as error:
            raise FeatureError(f"Modality {name!r}: {error}") from error
    # the fused table is what is kept; a second one for each modality would be a waste
    part.eval_cache = False
    return part


def _same(name: str, own: nn.Linear, shared: nn.Linear) -> nn.Linear:
    """Return the shared projection if it can take the place of a modality's own."""
    if own.in_features != shared.in_features:
        raise FeatureError(
            f"Modality {name!r}: its features have the dimension {own.in_features}, but the shared projection is for "
            f"{shared.in_features}. Share projections between features of the same dimension only."
        )
    return shared


def _structural_part(
    structural: HintOrType[Representation], structural_kwargs: OptionalKwargs, max_id: int, shape: int | None
) -> Representation:
    """Make the structural representation."""
    from pykeen.nn import representation_resolver  # late: PyKEEN may be importing us from there

    if shape is None:
        raise MultimodalError("The dimension is unknown: give `embedding_dim`.")
    kwargs, sparse = split_sparse_option(structural_kwargs)
    if structural is None:
        structural = Embedding
    if structural is Embedding:
        kwargs.setdefault("initializer", nn.init.xavier_uniform_)
    part = representation_resolver.make(structural, kwargs, max_id=max_id, shape=shape)
    set_sparse_option(part, sparse)
    return part


def _part_mask(part: Representation, max_id: int, seen: Any) -> BoolTensor:
    """Return which ids have a modality."""
    if isinstance(part, FeatureRepresentation):
        return part.mask.cpu()
    if seen is None:
        return torch.ones(max_id, dtype=torch.bool)
    seen = torch.as_tensor(seen)
    if seen.shape != (max_id,) or seen.dtype != torch.bool:
        raise MultimodalError(
            f"`seen` has to be {max_id} truth values, one for each id; got the shape {tuple(seen.shape)} of "
            f"{seen.dtype}."
        )
    return seen.cpu()
