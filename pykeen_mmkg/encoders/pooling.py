"""Pooling of token vectors: from one vector for each token of a text to one for the text, over attended tokens only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

__all__ = ["POOLINGS", "pool"]


def _first(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.long().argmax(dim=1)]


def _last(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return _first(hidden.flip(dims=[1]), mask.flip(dims=[1]))


def _sum(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (hidden * weights.unsqueeze(-1)).sum(dim=1)


def _mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    mask = mask.to(hidden.dtype)
    return _sum(hidden, mask) / mask.sum(dim=1, keepdim=True)


def _mean_of_root(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    mask = mask.to(hidden.dtype)
    return _sum(hidden, mask) / mask.sum(dim=1, keepdim=True).sqrt()


def _weighted_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    # token k of a text, counted from one, weighs k: later tokens of a causal model have seen more
    weights = (mask.long().cumsum(dim=1) * mask).to(hidden.dtype)
    return _sum(hidden, weights) / weights.sum(dim=1, keepdim=True)


def _max(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden.masked_fill(~mask.unsqueeze(-1), torch.finfo(hidden.dtype).min).amax(dim=1)


#: name -> token vectors, shape: ``(n, k, d)``, and which tokens are attended to, ``(n, k)`` -> vectors, ``(n, d)``
POOLINGS: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "cls": _first,
    "last": _last,
    "mean": _mean,
    "max": _max,
    "mean_sqrt_len": _mean_of_root,
    "weighted_mean": _weighted_mean,
}


def pool(hidden: torch.Tensor, mask: torch.Tensor | None, pooling: str) -> torch.Tensor:
    """Pool the token vectors of each text.

    :param hidden: the token vectors, shape: ``(n, k, d)``
    :param mask: which tokens are attended to, at least one of each text, shape: ``(n, k)``; None means all
    :param pooling: a key of :data:`POOLINGS`
    :returns: the vectors, shape: ``(n, d)``
    """
    mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device) if mask is None else mask.bool()
    return POOLINGS[pooling](hidden, mask)
