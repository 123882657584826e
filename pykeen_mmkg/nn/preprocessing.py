"""Preprocessing of frozen features: centering, whitening, and regression of one modality on another.

Sentence and image encoders put all their vectors into a narrow cone (Ethayarajh, 2019, https://arxiv.org/abs/1909.00512):
cosines become informative once the mean is gone. A vector that is missing can be estimated from another modality, by
kernel regression (Nadaraya, 1964, https://doi.org/10.1137/1109020) or ridge regression. All statistics are of the
entities that have features.
"""

from typing import Literal, get_args

import torch
from pykeen.typing import BoolTensor, FloatTensor
from torch.nn.functional import normalize

from ..errors import FeatureError

__all__ = ["Imputation", "center", "impute", "preprocess", "whiten"]

#: how a missing vector is estimated
Imputation = Literal["kernel", "ridge"]

#: the share of the mean variance that is added to each variance, so that whitening does not blow up noise
SHRINKAGE = 0.01


def center(x: FloatTensor, mask: BoolTensor) -> FloatTensor:
    r"""Scale vectors to unit length, subtract their mean, and scale again: $u(u(x) - \mathrm{mean}(u(x)))$.

    :param x: shape: ``(n, d)``
    :param mask: shape: ``(n,)``; which rows are features. The others are zero afterwards
    :returns: shape: ``(n, d)``
    """
    x = normalize(x, dim=-1)
    mean = x[mask].mean(dim=0) if mask.any() else x.new_zeros(x.shape[-1])
    return normalize(x - mean, dim=-1).masked_fill(~mask.unsqueeze(-1), 0.0)


def whiten(x: FloatTensor, mask: BoolTensor, power: float = 0.5) -> FloatTensor:
    r"""Scale the principal axes of unit vectors by their variances, $u((u(x) - \mu)\, U (\Lambda + \epsilon)^{-p})$.

    $U \Lambda U^\top$ is the covariance, $\epsilon$ a hundredth of the mean variance (Su et al., 2021,
    https://arxiv.org/abs/2103.15316).

    :param x: shape: ``(n, d)``
    :param mask: shape: ``(n,)``; which rows are features. The others are zero afterwards
    :param power: $p$; 0.5 makes all variances equal, 0 only rotates
    :returns: shape: ``(n, d)``
    """
    if not mask.any():
        return torch.zeros_like(x)
    x = normalize(x, dim=-1)
    x = x - x[mask].mean(dim=0)
    variances, axes = torch.linalg.eigh(x[mask].T @ x[mask] / mask.sum())
    scale = (variances.clamp(min=0) + SHRINKAGE * variances.mean().clamp(min=torch.finfo(x.dtype).tiny)) ** -power
    return normalize(x @ axes * scale, dim=-1).masked_fill(~mask.unsqueeze(-1), 0.0)


def impute(
    x: FloatTensor,
    mask: BoolTensor,
    other: FloatTensor,
    other_mask: BoolTensor,
    method: Imputation = "kernel",
    temperature: float = 0.05,
    ridge: float = 1.0,
    chunk_size: int = 1024,
) -> tuple[FloatTensor, BoolTensor]:
    r"""Estimate the vectors of entities that have only another modality from the entities that have both.

    With ``kernel``, $x_e = u(\sum_j \mathrm{softmax}_j(v_e^\top v_j / \tau)\, x_j)$; with ``ridge``, $x_e = u(v_e W)$
    with $W = (V^\top V + \lambda I)^{-1} V^\top X$, where $u$ scales to unit length and $j$, $V$, $X$ run over the
    entities that have both.

    :param x: shape: ``(n, d)``
    :param mask: shape: ``(n,)``; which rows of `x` are features
    :param other: shape: ``(n, k)``; the other modality, best with unit length
    :param other_mask: shape: ``(n,)``; which rows of `other` are features
    :param method: ``kernel`` or ``ridge``
    :param temperature: $\tau$ of the kernel
    :param ridge: $\lambda$ of the ridge regression
    :param chunk_size: how many vectors are estimated at a time
    :returns: the vectors, shape ``(n, d)``, and which rows are vectors now, shape ``(n,)``. Nothing changes if no
        entity has both
    :raises FeatureError: if the method is unknown
    """
    if method not in get_args(Imputation):
        raise FeatureError(f"Unknown imputation {method!r}; choose one of {', '.join(get_args(Imputation))}, or None.")
    both, only = mask & other_mask, other_mask & ~mask
    if not both.any() or not only.any():
        return x, mask
    x = x.clone()
    source, target = other[both], x[both]
    if method == "ridge":
        gram = source.T @ source
        gram.diagonal().add_(ridge)
        weight = torch.linalg.solve(gram, source.T @ target)
    for ids in only.nonzero().squeeze(-1).split(chunk_size):
        if method == "ridge":
            estimate = other[ids] @ weight
        else:
            estimate = torch.softmax(other[ids] @ source.T / temperature, dim=-1) @ target
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
    temperature: float = 0.05,
    ridge: float = 1.0,
) -> tuple[FloatTensor, BoolTensor]:
    """Center or whiten features, and estimate the missing ones from those of another modality, treated alike.

    :param x: shape: ``(n, d)``; the features
    :param mask: shape: ``(n,)``; which entities have them
    :param other: shape: ``(n, k)``; the features of the other modality
    :param other_mask: shape: ``(n,)``; which entities have these
    :param centered: see :func:`center`; of no effect with `whitening`, which centers, too
    :param whitening: the power of :func:`whiten`, or None
    :param imputation: how to estimate missing vectors, see :func:`impute`, or None
    :param temperature: see :func:`impute`
    :param ridge: see :func:`impute`
    :returns: the vectors, shape ``(n, d)``, zero where there is none; and which rows are vectors, shape ``(n,)``
    """

    def prepared(y: FloatTensor, has: BoolTensor) -> FloatTensor:
        if whitening is not None:
            return whiten(y, has, power=whitening)
        return center(y, has) if centered else y.masked_fill(~has.unsqueeze(-1), 0.0)

    x = prepared(x, mask)
    if imputation is None or other is None or other_mask is None:
        return x, mask
    # without centering, a cosine at least
    other = prepared(other, other_mask) if centered or whitening is not None else normalize(other, dim=-1)
    return impute(x, mask, other, other_mask, method=imputation, temperature=temperature, ridge=ridge)
