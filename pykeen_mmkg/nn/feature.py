"""Frozen features as a representation."""

import json
import logging
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from docdata import parse_docdata
from pykeen.nn.representation import MaxIDMismatchError
from pykeen.typing import BoolTensor, FloatTensor, LongTensor
from torch import nn
from torch.nn import functional

from ..errors import FeatureError
from ..features.store import ADDED, FEATURE_PATH, FeatureStore, find_moved, first_infinite
from ..options import strict
from .adapter import ResidualAdapter
from .cached import CachedRepresentation
from .preprocessing import Imputation, preprocess

__all__ = ["FEATURE_PATH", "FeatureRepresentation"]

logger = logging.getLogger(__name__)

#: The bytes up to which a table of features is by itself a buffer of the model
DEVICE_BYTES = 1 << 30


class _Source:
    """Where rows come from: a store (by label) or a tensor (by position)."""

    def __init__(self, features: Any, mask: Any = None) -> None:
        if isinstance(features, str | os.PathLike):
            features = FeatureStore.load(pathlib.Path(features).expanduser().resolve())
        path = getattr(features, "path", None)
        self.path = None if path is None else str(pathlib.Path(path).expanduser().resolve())
        self.digest: str | None = None
        self.labels: Sequence[str] | None = None
        self.added: frozenset[str] = frozenset()
        if hasattr(features, "vectors"):
            if mask is not None:
                raise FeatureError("A feature store has a mask of its own; give `mask` with a plain tensor only.")
            self.vectors, self.mask = features.vectors, features.mask
            self.labels, self.digest = features.labels, features.digest
            self.added = frozenset(json.loads(features.provenance.get(ADDED, "[]")))
            return
        if features is None:
            raise FeatureError("No features: give a path to a .safetensors file, a FeatureStore or a tensor.")
        self.vectors = torch.as_tensor(features)
        if self.vectors.ndim == 2:
            size = len(self.vectors)
            self.mask = torch.ones(size, dtype=torch.bool) if mask is None else torch.as_tensor(mask, dtype=torch.bool)
            if self.mask.shape != (size,):
                raise FeatureError(f"The mask has the shape {tuple(self.mask.shape)} for {size} feature rows.")

    @property
    def name(self) -> str:
        return f"the feature store {self.path}" if self.path else "the features"

    def align(self, labels: Sequence[str] | None, max_id: int) -> LongTensor:
        """Return the row of each id, shape (max_id,); -1 where there is none."""
        if self.labels is None:
            if len(self.vectors) != max_id:
                raise FeatureError(
                    f"The feature tensor has {len(self.vectors)} rows for {max_id} ids; give one row for each id, in "
                    f"the order of the ids, and a mask for those that have none."
                )
            rows = torch.arange(max_id)
        elif labels is None:
            raise FeatureError(f"{self.name} is keyed by labels: give the `labels` of the {max_id} ids, in order.")
        else:
            position = {label: row for row, label in enumerate(self.labels)}
            rows = torch.as_tensor([position.get(label, -1) for label in labels], dtype=torch.long)
            if len(rows) and bool((rows < 0).all()):
                raise FeatureError(
                    f"None of the {max_id} labels is in {self.name}. They begin with {list(labels[:3])}, those of the "
                    f"store with {list(self.labels[:3])}: it was made for other data."
                )
        return torch.where((rows >= 0) & self.mask[rows.clamp(min=0)], rows, -1)

    def located(self, labels: Sequence[str] | None, max_id: int, shuffle: int | None = None) -> "_Located":
        """Return the row of each id, checked; with a seed, the rows are permuted among the ids that have one."""
        rows = self.align(labels, max_id)
        have = (rows >= 0).nonzero().squeeze(-1)
        for ids in have.split(16384):
            bad = first_infinite(self.vectors[rows[ids]])
            if bad is not None:
                index = int(ids[bad])
                name = f"the row of id {index}" if labels is None else f"the row of {labels[index]!r} (id {index})"
                raise FeatureError(
                    f"{self.name}: {name} holds NaN or infinity. Encode it again, or mask it if it has no such "
                    "modality."
                )
        added = None
        if self.added and labels is not None:
            added = torch.as_tensor([label in self.added for label in labels])
        if shuffle is not None and shuffle is not False:
            old = rows if added is None else rows.masked_fill(added, -1)
            shuffled = _shuffled(old, seed=int(shuffle))
            rows = shuffled if added is None else torch.where(added, rows, shuffled)
        return _Located(self.path, self.digest, rows.to(torch.int32), added)


def _shuffled(rows: LongTensor, seed: int) -> LongTensor:
    """Permute the rows among the ids that have one."""
    have = (rows >= 0).nonzero().squeeze(-1)
    order = torch.randperm(len(have), generator=torch.Generator().manual_seed(seed))
    rows = rows.clone()
    rows[have] = rows[have[order]]
    return rows


@parse_docdata
class FeatureRepresentation(CachedRepresentation):
    """Frozen features, with what is trained on top of them: a projection and a residual adapter, both optional.

    The rows of the features are neither parameters nor part of the state dict: they are kept in a non-persistent
    buffer, or in host memory. Nothing re-initialises them. A pickled model (``torch.save(model)``, as PyKEEN's pipeline
    writes it) has the path and the digest of the feature file instead of its rows and reads them again when it is
    loaded; a file that has been moved is looked for by its name in the folders of the environment variable
    ``PYKEEN_MMKG_FEATURES``, and a file with other content is refused. Only features that were given in memory,
    without a file, are pickled.

    An id without features has the zero vector, whatever is trained, and False in :attr:`mask`.

    ---
    name: Frozen Features
    """

    #: shape (max_id,): which ids have features
    mask: BoolTensor

    #: the features, shape (max_id, feature_dim), unless they stay in host memory
    features: FloatTensor | None

    #: the projection to the output dimension, shared with other representations if it was given
    projection: nn.Linear | None

    adapter: ResidualAdapter | None

    @strict(max_id=1)
    def __init__(
        self,
        max_id: int | None = None,
        shape: int | Sequence[int] | None = None,
        features: Any = None,
        mask: Any = None,
        labels: Sequence[str] | None = None,
        projection: bool | nn.Linear | None = None,
        adapter: bool = False,
        adapter_kwargs: Mapping[str, Any] | None = None,
        normalize_features: bool = False,
        center: bool = False,
        whiten: float | None = None,
        impute: Imputation | None = None,
        impute_kwargs: Mapping[str, Any] | None = None,
        l2_normalize: bool = False,
        storage: str = "auto",
        shuffle: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize the representation.

        :param max_id: the number of ids; by default that of the labels, or of the rows of a tensor
        :param shape: the output dimension ``d``; by default that of the features
        :param features: the path to a .safetensors file of :class:`~pykeen_mmkg.features.FeatureStore`, such a store,
            or an array of shape ``(max_id, feature_dim)`` in the order of the ids
        :param mask: shape ``(max_id,)``, for an array: False where an id has no features, whatever its row holds
        :param labels: the labels of the ids, in order. Needed for a store; for an array they only make errors readable
        :param projection: whether there is a bias-free linear projection (Xavier uniform), or the projection itself,
            to share it. By default there is one where the dimension of the features is not `shape`.
        :param adapter: whether to add a :class:`~pykeen_mmkg.nn.adapter.ResidualAdapter` after the projection
        :param adapter_kwargs: keyword arguments of the adapter
        :param normalize_features: whether to bring the features to unit length, first of all
        :param center: whether to subtract the mean of the unit vectors, see
            :func:`~pykeen_mmkg.nn.preprocessing.center`
        :param whiten: the power by which to even out the variances of the principal axes, see
            :func:`~pykeen_mmkg.nn.preprocessing.whiten`
        :param impute: how to estimate the vectors of ids that have only another modality: ``kernel`` or ``ridge``, see
            :func:`~pykeen_mmkg.nn.preprocessing.impute`. Such an id counts as one that has features
        :param impute_kwargs: the other modality, by ``features`` and, for an array, ``mask``, as for this one; and
            ``shuffle``, ``temperature``, ``ridge``
        :param l2_normalize: whether to bring each vector to unit length, last of all
        :param storage: ``device``: a buffer, which follows the model; ``cpu``: host memory, from which the rows that
            are needed go to the model's device. With a feature file these are memory-mapped, in the file's own type.
            By default a table of up to :data:`DEVICE_BYTES` is a buffer, a larger one stays in host memory. A larger
            one that fits into a GPU is faster there, with ``device``
        :param shuffle: a seed, for the shuffled-features control: the rows change places at random among the ids
            that have one, so that the distribution is kept and the meaning is lost. ``None`` leaves them in place.
        :param kwargs: further keyword arguments of :class:`~pykeen_mmkg.nn.cached.CachedRepresentation`; the cache is
            in use by default where something is computed
        :raises FeatureError: if the features cannot be read or aligned, are not finite (the message names the label),
            or are of a dimension that does not fit
        """
        source = _Source(features, mask)
        if source.vectors.ndim != 2 or not source.vectors.dtype.is_floating_point:
            raise FeatureError(
                f"{source.name} must be floating point vectors in a matrix, one row for each id; got the shape "
                f"{tuple(source.vectors.shape)} and {source.vectors.dtype}."
            )
        if max_id is None:
            max_id = len(source.vectors) if labels is None else len(labels)
        if labels is not None and len(labels) != max_id:
            raise MaxIDMismatchError(f"There are {len(labels)} labels for {max_id} ids.")
        if storage not in {"auto", "device", "cpu"}:
            raise FeatureError(f"Unknown storage {storage!r}; choose one of auto, device, cpu.")
        processed = center or whiten is not None or impute is not None
        if storage == "auto":
            size = max_id * source.vectors.shape[-1] * torch.get_default_dtype().itemsize
            storage = "device" if processed or size <= DEVICE_BYTES else "cpu"
        own = source.located(labels, max_id, shuffle)
        own_dim = source.vectors.shape[-1]
        dim = _only(shape, default=own_dim)
        if projection is None:
            projection = dim != own_dim
        if projection is False and dim != own_dim:
            raise FeatureError(f"{source.name} has the dimension {own_dim}; without a projection it cannot be {dim}.")
        if isinstance(projection, nn.Linear) and (projection.in_features, projection.out_features) != (own_dim, dim):
            raise FeatureError(
                f"{source.name} has the dimension {own_dim}, but the shared projection is from "
                f"{projection.in_features} to {projection.out_features}, and the representation has {dim}."
            )
        kwargs.setdefault("eval_cache", bool(projection) or adapter)
        super().__init__(max_id=max_id, shape=dim, **kwargs)
        self.feature_dim = own_dim
        self.storage = storage
        self.normalize_features = normalize_features
        self.l2_normalize = l2_normalize
        self._options: dict[str, Any] | None = None
        if processed:
            self._options = dict(centered=center, whitening=whiten, imputation=impute)
        self._other: _Located | None = None
        vectors = [source.vectors]
        if impute is not None:
            other, self._other, options = _other_modality(impute_kwargs or {}, labels, max_id)
            vectors.append(other)
            self._options = {**(self._options or {}), **options}
        # plain attributes, on purpose: as buffers they would move along to the GPU, or make the device ambiguous
        self._own = own
        self._host: FloatTensor | None = None
        self._host_rows = self._own.rows
        self.register_buffer("mask", own.rows >= 0, persistent=False)
        self.register_buffer("features", None, persistent=False)
        self._attach(*vectors)
        if isinstance(projection, nn.Linear):
            self.projection = projection
        else:
            self.projection = nn.Linear(own_dim, dim, bias=False) if projection else None
        self.adapter = ResidualAdapter(dim, **(adapter_kwargs or {})) if adapter else None
        self.reset_parameters()

    def _attach(self, vectors: FloatTensor, other: FloatTensor | None = None) -> None:
        """Take the rows out of sources that have been checked."""
        if self.storage == "cpu" and self._options is None:
            self._host = vectors
            return
        aligned, mask = self._own.align(vectors)
        if self.normalize_features:
            aligned = functional.normalize(aligned, dim=-1)
        if self._options is not None:
            more = self._other.align(other) if self._other is not None and other is not None else ()
            base = None if self._own.added is None else ~self._own.added
            aligned, mask = preprocess(aligned, mask, *more, base=base, **self._options)
            self.mask = mask.to(self.mask.device)
        if self.storage == "cpu":
            self._host = aligned
            self._host_rows = torch.where(mask, torch.arange(self.max_id), -1).to(torch.int32)
        else:
            self.features = aligned.to(device=self.mask.device)

    def reset_parameters(self) -> None:  # noqa: D102
        super().reset_parameters()
        if self.projection is not None:
            nn.init.xavier_uniform_(self.projection.weight)
        if self.adapter is not None:
            self.adapter.reset_parameters()

    def lookup(self, indices: LongTensor | None = None) -> FloatTensor:
        """Return the frozen rows.

        :param indices: shape ``s``, or None for all
        :returns: shape ``(*s, feature_dim)``, on the device of the representation; zero where there are no features
        """
        if self.features is not None:
            return self.features if indices is None else self.features[indices.to(self.mask.device)]
        assert self._host is not None
        rows = (self._host_rows if indices is None else self._host_rows[indices.cpu()]).long()
        x = self._host.index_select(0, rows.clamp(min=0).flatten()).view(*rows.shape, -1).to(device=self.mask.device)
        x = x.to(dtype=torch.get_default_dtype() if self.projection is None else self.projection.weight.dtype)
        absent = rows < 0
        if bool(absent.any()):
            x = x.masked_fill(absent.unsqueeze(-1).to(x.device), 0.0)
        return functional.normalize(x, dim=-1) if self.normalize_features and self._options is None else x

    def _plain_forward(self, indices: LongTensor | None = None) -> FloatTensor:
        x = self.lookup(indices)
        if self.projection is not None:
            x = self.projection(x)
        if self.adapter is not None:
            mask = self.mask if indices is None else self.mask[indices.to(self.mask.device)]
            x = self.adapter(x).masked_fill(~mask.unsqueeze(-1), 0.0)
        if self.l2_normalize:
            x = functional.normalize(x, dim=-1)
        return x

    @property
    def frozen(self) -> bool:
        """Return whether nothing at all is trained or random, so that a row is always the same."""
        extras = (self.projection, self.adapter, self.dropout, self.regularizer, self.normalizer)
        return all(extra is None for extra in extras)

    @property
    def coverage(self) -> float:
        """Return the share of ids that have features."""
        return self.mask.float().mean().item()

    @property
    def path(self) -> str | None:
        """Return the file of the features, if there is one."""
        return self._own.path

    @property
    def _reloadable(self) -> bool:
        """Return whether the features can be read again instead of being pickled."""
        return all(source.path is not None for source in (self._own, self._other) if source is not None)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if self._reloadable:
            state["_host"] = None
            state["_buffers"] = {**self._buffers, "features": None}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._reloadable:
            self._attach(*(source.load() for source in (self._own, self._other) if source is not None))

    @property
    def digests(self) -> tuple[str | None, ...]:
        """Return the digests of the features, and of those from which missing ones are estimated."""
        return tuple(source.digest for source in (self._own, self._other) if source is not None)

    def extend(self, labels: Sequence[str], stores: Mapping[str, FeatureStore]) -> None:
        """Make room for further ids; all statistics stay those of the ids before.

        :param labels: the labels of all ids, those before first
        :param stores: for each of :attr:`digests` the same features with further rows; a row that has been there is
            where it was
        """
        located = [source for source in (self._own, self._other) if source is not None]
        features = [stores[str(source.digest)] for source in located]
        moved = [source.extended(labels, store) for source, store in zip(located, features, strict=True)]
        self.max_id = len(labels)
        self._own, self._other = moved[0], (moved[1] if len(moved) > 1 else None)
        self._host_rows = self._own.rows
        self.mask = (self._own.rows >= 0).to(self.mask.device)
        self._attach(*(store.vectors for store in features))
        self.drop_cache()

    def iter_extra_repr(self) -> Iterable[str]:  # noqa: D102
        yield from super().iter_extra_repr()
        yield f"feature_dim={self.feature_dim}"
        yield f"storage={self.storage}"
        if self.path is not None:
            yield f"path={self.path}"


class _Located(NamedTuple):
    """Which row of which source an id has."""

    path: str | None
    digest: str | None
    #: shape (max_id,), -1 for none
    rows: LongTensor
    #: shape (max_id,), which ids were added after training, so that no statistics are of them; None if none was
    added: BoolTensor | None = None

    def extended(self, labels: Sequence[str], features: FeatureStore) -> "_Located":
        """Return the rows of the same ids and of those that come after them, in features with further rows."""
        row = {label: i for i, label in enumerate(features.labels)}
        new = torch.as_tensor([row.get(label, -1) for label in labels[len(self.rows) :]], dtype=torch.long)
        new = torch.where((new >= 0) & features.mask[new.clamp(min=0)], new, -1)
        before = torch.zeros(len(self.rows), dtype=torch.bool) if self.added is None else self.added
        return _Located(
            None if features.path is None else str(features.path),
            features.digest,
            torch.cat([self.rows, new.to(self.rows)]),
            torch.cat([before, torch.ones(len(new), dtype=torch.bool)]),
        )

    def align(self, vectors: FloatTensor) -> tuple[FloatTensor, BoolTensor]:
        """Return a row for each id, and which of them are features."""
        rows = self.rows.long()
        aligned = vectors[rows.clamp(min=0)].to(dtype=torch.get_default_dtype())
        return aligned.masked_fill_(rows.lt(0).unsqueeze(-1), 0.0), rows >= 0

    def load(self) -> FloatTensor:
        """Read the file again, and refuse another one."""
        assert self.path is not None
        source = _Source(find_moved(self.path))
        if source.digest != self.digest:
            raise FeatureError(
                f"{source.name} is not the one that the model was saved with: its digest is {source.digest}, expected "
                f"{self.digest}. Restore the file, or train the model again."
            )
        return source.vectors


def _other_modality(
    options: Mapping[str, Any], labels: Sequence[str] | None, max_id: int
) -> tuple[FloatTensor, _Located, dict[str, Any]]:
    """Read the modality to impute from; return its vectors, where they are, and what is left of the options."""
    rest = dict(options)
    if "features" not in rest:
        raise FeatureError("Imputation needs another modality: give impute_kwargs={'features': ...}.")
    source = _Source(rest.pop("features"), rest.pop("mask", None))
    return source.vectors, source.located(labels, max_id, rest.pop("shuffle", None)), rest


def _only(shape: int | Sequence[int] | None, default: int) -> int:
    """Return the single dimension of a shape."""
    if shape is None:
        return default
    dims = (shape,) if isinstance(shape, int) else tuple(shape)
    if len(dims) != 1:
        raise FeatureError(f"Features are vectors; the shape {dims} is not one of a vector.")
    return dims[0]
