"""The best of many candidates, for a batch of queries at once."""

from typing import NamedTuple

import torch
from pykeen.typing import FloatTensor, LongTensor

from .indexing import offsets_of

__all__ = ["BestAnswers", "best_answers"]


class BestAnswers(NamedTuple):
    """The best candidates of each query, one query after the other."""

    #: shape: ``(m,)``; of each query best first, and of equal scores the lower id first
    ids: LongTensor
    #: shape: ``(m,)``
    scores: FloatTensor
    #: shape: ``(b + 1,)``; those of query i are at ``offsets[i]:offsets[i + 1]``
    offsets: LongTensor
    #: shape: ``(b,)``; of how many candidates these are the best
    candidates: LongTensor
    #: shape: ``(b,)``; the logarithm of the sum of the exponentials of all scores
    log_sum_exp: FloatTensor


def best_answers(scores: FloatTensor, k: int | None) -> BestAnswers:
    """Find the candidates with the highest scores.

    :param scores: shape: ``(b, n)``; what is not finite is no candidate
    :param k: how many of each query, or None for all
    :returns: the best ones, on the CPU
    """
    # beyond a tenth of a row, finding the best is sorting
    num = scores.shape[1]
    if k is None or k > num // 10:
        parts = [_sorted(row, k) for row in scores]
    else:
        values, ids = scores.topk(k + 1, dim=1)
        # the highest scores are known unless one of them equals the next: which of these to take, their ids decide
        clear = (values[:, k - 1] > values[:, k]) & (values[:, 0] < torch.inf)
        ids = ids[:, :k].sort(dim=1).values
        values, order = scores.gather(1, ids).sort(dim=1, descending=True, stable=True)
        ids = ids.gather(1, order)
        parts = [
            own if is_clear else _sorted(scores[row], k)
            for row, (own, is_clear) in enumerate(zip(ids.unbind(), clear.tolist(), strict=True))
        ]
    offsets = offsets_of(torch.tensor([len(part) for part in parts], dtype=torch.long))
    rows = torch.repeat_interleave(torch.arange(len(parts)), offsets.diff()).to(scores.device)
    ids = torch.cat(parts) if parts else rows
    sums, counts = _totals(scores)
    return BestAnswers(ids.cpu(), scores[rows, ids].cpu(), offsets, counts.cpu(), sums.cpu())


def _totals(scores: FloatTensor) -> tuple[FloatTensor, LongTensor]:
    """Return the logarithm of the sum of the exponentials, and the number of finite scores, of each row."""
    if scores.device.type != "cpu":
        return scores.logsumexp(dim=1), scores.isfinite().sum(dim=1)
    # row by row, for one fits into the processor's cache; and floats are counted in a tenth of the time of Booleans
    sums, counts = scores.new_empty(len(scores)), scores.new_empty(len(scores), dtype=torch.double)
    buffer = scores.new_empty(scores.shape[1])
    for i, row in enumerate(scores.unbind()):
        sums[i] = row.logsumexp(dim=0)
        counts[i] = torch.gt(row, -torch.inf, out=buffer).sum(dtype=torch.double)
    # a sum tells of infinity and NaN
    total = scores.sum(dim=1)
    for i in (total.isnan() | (total == torch.inf)).nonzero()[:, 0].tolist():
        counts[i] = scores[i].isfinite().sum()
    return sums, counts.long()


def _sorted(scores: FloatTensor, k: int | None) -> LongTensor:
    """Return the ids of the best candidates of one query; shape of the scores: ``(n,)``."""
    ids = scores.isfinite().nonzero()[:, 0]
    return ids[scores[ids].argsort(descending=True, stable=True)][:k]
