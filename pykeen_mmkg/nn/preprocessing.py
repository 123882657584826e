"""Preprocessing of frozen features: centering, whitening, and regression of one modality on another.

Sentence and image encoders put all their vectors into a narrow cone (Ethayarajh, 2019, https://arxiv.org/abs/1909.00512):
cosines become informative once the mean is gone. A vector that is missing can be estimated from another modality, by
kernel regression (Nadaraya, 1964, https://doi.org/10.1137/1109020) or ridge regression. All statistics are of the
entities that have features; where some were added after training, of those before (`base`).
"""

from typing import Literal, NamedTuple, get_args

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor
from torch.nn.functional import normalize

from ..errors import FeatureError

__all__ = ["Imputation", "StandIns", "aligned", "center", "impute", "preprocess", "stand_ins", "unit_mean", "whiten"]

#: how a missing vector is estimated
Imputation = Literal["kernel", "ridge"]

#: the share of the mean variance that is added to each variance, so that whitening does not blow up noise
SHRINKAGE = 0.01

#: from this mean cosine of an entity's two vectors on, two modalities share a space
ALIGNED = 0.1


def unit_mean(x: FloatTensor, mask: BoolTensor) -> FloatTensor:
    """Return the mean of vectors scaled to unit length, of which `mask` says which exist; shape: ``(d,)``."""
    return normalize(x, dim=-1)[mask].mean(dim=0) if mask.any() else x.new_zeros(x.shape[-1])


def center(x: FloatTensor, mask: BoolTensor, base: BoolTensor | None = None) -> FloatTensor:
    r"""Scale vectors to unit length, subtract their mean, and scale again: $u(u(x) - \mathrm{mean}(u(x)))$.

    :param x: shape: ``(n, d)``
    :param mask: shape: ``(n,)``; which rows are features. The others are zero afterwards
    :param base: shape: ``(n,)``; of which rows the mean is taken, as far as they are features; by default of all
    :returns: shape: ``(n, d)``
    """
    mean = unit_mean(x, mask if base is None else mask & base)
    return normalize(normalize(x, dim=-1) - mean, dim=-1).masked_fill(~mask.unsqueeze(-1), 0.0)


def whiten(x: FloatTensor, mask: BoolTensor, power: float = 0.5, base: BoolTensor | None = None) -> FloatTensor:
    r"""Scale the principal axes of unit vectors by their variances, $u((u(x) - \mu)\, U (\Lambda + \epsilon)^{-p})$.

    $U \Lambda U^\top$ is the covariance, $\epsilon$ a hundredth of the mean variance (Su et al., 2021,
    https://arxiv.org/abs/2103.15316).

    :param x: shape: ``(n, d)``
    :param mask: shape: ``(n,)``; which rows are features. The others are zero afterwards
    :param power: $p$; 0.5 makes all variances equal, 0 only rotates
    :param base: shape: ``(n,)``; of which rows mean and covariance are taken; by default of all that are features
    :returns: shape: ``(n, d)``
    """
    used = mask if base is None else mask & base
    if not used.any():
        return torch.zeros_like(x)
    x = normalize(x, dim=-1)
    x = x - x[used].mean(dim=0)
    variances, axes = torch.linalg.eigh(x[used].T @ x[used] / used.sum())
    scale = (variances.clamp(min=0) + SHRINKAGE * variances.mean().clamp(min=torch.finfo(x.dtype).tiny)) ** -power
    return normalize(x @ axes * scale, dim=-1).masked_fill(~mask.unsqueeze(-1), 0.0)


def aligned(x: FloatTensor, y: FloatTensor) -> bool:
    """Return whether two modalities of the same entities share a space, so that their vectors can be compared.

    :param x: shape: ``(n, d)``; one modality, at unit length
    :param y: shape: ``(n, k)``; the other one, of the same entities
    :returns: whether the dimensions agree and the mean cosine of the pairs is above :data:`ALIGNED`; for centered
        vectors of encoders that have nothing to do with each other it is about zero
    """
    return x.shape == y.shape and len(x) > 0 and float((x * y).sum(dim=-1).mean()) > ALIGNED


class _Kernel:
    """The weights of the entities that have both modalities, for entities that have one."""

    def __init__(self, source: FloatTensor, target: FloatTensor, temperature: float, cross_temperature: float) -> None:
        self.source, self.target = source, target
        self.temperature, self.cross_temperature = temperature, cross_temperature
        self.aligned = aligned(source, target)

    def __call__(self, other: FloatTensor) -> FloatTensor:
        """Return the weights, shape ``(m, n)``; each row adds up to one."""
        nearness = other @ self.source.T / self.temperature
        if self.aligned:
            nearness = nearness + other @ self.target.T / self.cross_temperature
        return torch.softmax(nearness, dim=-1)


class StandIns(NamedTuple):
    """By which entities one that lacks a modality is represented, and with which weights."""

    #: shape (m,), the entities that lack it
    ids: LongTensor
    #: shape (m, k), the entities in their place
    others: LongTensor
    #: shape (m, k), not more than one in a row
    weights: FloatTensor


def stand_ins(
    x: FloatTensor,
    mask: BoolTensor,
    other: FloatTensor,
    other_mask: BoolTensor,
    best: int = 64,
    temperature: float = 0.07,
    cross_temperature: float = 0.15,
    chunk_size: int = 1024,
) -> StandIns:
    """Return the weights by which :func:`impute` averages with its kernel, the greatest of each row.

    See :func:`impute` for the other arguments.

    :param best: how many entities stand in for one at most
    :returns: the entities that have only the other modality, and those in their place
    """
    both, only = (mask & other_mask).nonzero()[:, 0], (other_mask & ~mask).nonzero()[:, 0]
    best = min(best, len(both))
    if not best:
        return StandIns(only[:0], only.new_zeros(0, 0), x.new_zeros(0, 0))
    kernel = _Kernel(other[both], x[both], temperature, cross_temperature)
    tops = [kernel(other[ids]).topk(best, dim=-1) for ids in only.split(chunk_size)]
    if not tops:
        return StandIns(only, only.new_zeros(0, best), x.new_zeros(0, best))
    return StandIns(only, both[torch.cat([top.indices for top in tops])], torch.cat([top.values for top in tops]))


def impute(
    x: FloatTensor,
    mask: BoolTensor,
    other: FloatTensor,
    other_mask: BoolTensor,
    method: Imputation = "kernel",
    temperature: float = 0.07,
    cross_temperature: float = 0.15,
    ridge: float = 1.0,
    chunk_size: int = 1024,
    base: BoolTensor | None = None,
) -> tuple[FloatTensor, BoolTensor]:
    r"""Estimate the vectors of entities that have only another modality from the entities that have both.

    With ``kernel``, $x_e = u(\sum_j \mathrm{softmax}_j(v_e^\top v_j / \tau + v_e^\top x_j / \sigma)\, x_j)$, where the
    second term is there if both modalities come from an aligned encoder (see :func:`aligned`): entity $j$ is near if
    its picture is like that of $e$, or its text is. With ``ridge``, $x_e = u(v_e W)$ with
    $W = (V^\top V + \lambda I)^{-1} V^\top X$. Here $u$ scales to unit length, and $j$, $V$, $X$ run over the entities
    that have both.

    :param x: shape: ``(n, d)``
    :param mask: shape: ``(n,)``; which rows of `x` are features
    :param other: shape: ``(n, k)``; the other modality, best with unit length
    :param other_mask: shape: ``(n,)``; which rows of `other` are features
    :param method: ``kernel`` or ``ridge``
    :param temperature: $\tau$ of the kernel
    :param cross_temperature: $\sigma$ of the kernel
    :param ridge: $\lambda$ of the ridge regression
    :param chunk_size: how many vectors are estimated at a time
    :param base: shape: ``(n,)``; from which entities the others are estimated; by default from all that have both
    :returns: the vectors, shape ``(n, d)``, and which rows are vectors now, shape ``(n,)``. Nothing changes if no
        entity has both
    :raises FeatureError: if the method is unknown
    """
    if method not in get_args(Imputation):
        raise FeatureError(f"Unknown imputation {method!r}; choose one of {', '.join(get_args(Imputation))}, or None.")
    both, only = mask & other_mask, other_mask & ~mask
    if base is not None:
        both = both & base
    if not both.any() or not only.any():
        return x, mask
    x = x.clone()
    source, target = other[both], x[both]
    if method == "ridge":
        gram = source.T @ source
        gram.diagonal().add_(ridge)
        weight = torch.linalg.solve(gram, source.T @ target)
    else:
        kernel = _Kernel(source, target, temperature, cross_temperature)
    for ids in only.nonzero().squeeze(-1).split(chunk_size):
        estimate = other[ids] @ weight if method == "ridge" else kernel(other[ids]) @ target
        x[ids] = normalize(estimate, dim=-1)
    return x, mask | only


def preprocess(
    x: FloatTensor,
    mask: BoolTensor,
    other: FloatTensor | None = None,
    other_mask: BoolTensor | None = None,
    *,
    centered: bool = True,
    whitening: float | None = None,
    imputation: Imputation | None = "kernel",
    base: BoolTensor | None = None,
    **kwargs: float,
) -> tuple[FloatTensor, BoolTensor]:
    """Center or whiten features, and estimate the missing ones from those of another modality, treated alike.

    :param x: shape: ``(n, d)``; the features
    :param mask: shape: ``(n,)``; which entities have them
    :param other: shape: ``(n, k)``; the features of the other modality
    :param other_mask: shape: ``(n,)``; which entities have these
    :param centered: see :func:`center`; of no effect with `whitening`, which centers, too
    :param whitening: the power of :func:`whiten`, or None
    :param imputation: how to estimate missing vectors, see :func:`impute`, or None
    :param base: shape: ``(n,)``; of which entities all statistics are taken; by default of all
    :param kwargs: further arguments of :func:`impute`
    :returns: the vectors, shape ``(n, d)``, zero where there is none; and which rows are vectors, shape ``(n,)``
    """

    def prepared(y: FloatTensor, has: BoolTensor) -> FloatTensor:
        if whitening is not None:
            return whiten(y, has, power=whitening, base=base)
        return center(y, has, base) if centered else y.masked_fill(~has.unsqueeze(-1), 0.0)

    x = prepared(x, mask)
    if imputation is None or other is None or other_mask is None:
        return x, mask
    # without centering, a cosine at least
    other = prepared(other, other_mask) if centered or whitening is not None else normalize(other, dim=-1)
    return impute(x, mask, other, other_mask, method=imputation, base=base, **kwargs)  # type: ignore[arg-type]
