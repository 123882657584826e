"""The entities with the nearest texts."""

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor

__all__ = ["nearest"]


def nearest(
    vectors: FloatTensor, mask: BoolTensor, k: int, chunk: int = 512
) -> tuple[LongTensor, LongTensor, FloatTensor]:
    """Find for each vector the k others with the greatest cosine.

    :param vectors: shape: ``(n, d)``; of unit length
    :param mask: shape: ``(n,)``; which of them exist; the others have no neighbours and are none
    :param k: the number of neighbours; less where there are not so many
    :param chunk: how many rows of similarities are held at a time
    :returns: which have neighbours, shape: ``(m,)``; their neighbours, nearest first, shape: ``(m, k)``; and the
        cosines, shape: ``(m, k)``
    """
    ids = mask.nonzero().view(-1)
    k = max(min(k, len(ids) - 1), 0)
    x = vectors[ids]
    places, cosines = [ids.new_empty(0, k)], [x.new_empty(0, k)]
    for start in range(0, len(x) if k else 0, chunk):
        similarity = x[start : start + chunk] @ x.T
        rows = torch.arange(len(similarity), device=x.device)
        similarity[rows, rows + start] = -torch.inf
        best = similarity.topk(k, dim=-1)
        places.append(best.indices)
        cosines.append(best.values)
    return ids[: len(torch.cat(places))], ids[torch.cat(places)], torch.cat(cosines)
