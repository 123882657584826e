"""The entities with the nearest texts."""

import logging
import os

import numpy
import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor

from ...errors import MultimodalError
from ...vector_index import has_index, kept_neighbours, neighbours_by_index

__all__ = ["MANY", "NEIGHBOURS", "nearest"]

logger = logging.getLogger(__name__)

#: vectors from which on an index takes less time than comparing all with all, with some room for the processor
MANY = 100_000

#: the environment variable that says how neighbours are found: ``exact``, ``approximate`` or ``auto``
NEIGHBOURS = "PYKEEN_MMKG_NEIGHBOURS"


def nearest(
    vectors: FloatTensor, mask: BoolTensor, k: int, chunk: int = 512, method: str | None = None
) -> tuple[LongTensor, LongTensor, FloatTensor]:
    """Find for each vector the k others with the greatest cosine.

    Comparing all with all takes time that grows with the square of their number. For more than :data:`MANY` vectors,
    an approximate index is asked if usearch is installed, and what was found is kept below PyKEEN's home, by content.

    :param vectors: shape: ``(n, d)``; of unit length
    :param mask: shape: ``(n,)``; which of them exist; the others have no neighbours and are none
    :param k: the number of neighbours; less where there are not so many
    :param chunk: how many rows of similarities are held at a time
    :param method: ``exact``, ``approximate``, or ``auto``, as above; by default what :data:`NEIGHBOURS` says, else
        ``auto``
    :returns: which have neighbours, shape: ``(m,)``; their neighbours, nearest first, shape: ``(m, k)``; and the
        cosines, shape: ``(m, k)``
    :raises MultimodalError: if there is no such method, or usearch is asked for and not installed
    """
    method = method or os.environ.get(NEIGHBOURS) or "auto"
    if method not in ("exact", "approximate", "auto"):
        raise MultimodalError(f"Neighbours ({NEIGHBOURS}) are found by exact, approximate or auto, not by {method!r}.")
    ids = mask.nonzero().view(-1)
    k = max(min(k, len(ids) - 1), 0)
    x = vectors[ids]
    if not k:
        return ids[:0], ids.new_empty(0, 0), x.new_empty(0, 0)
    large = len(x) > MANY
    approximate = method == "approximate" or (method == "auto" and large and has_index())
    if not (approximate or large):
        places, cosines = _exact(x, k, chunk)
        return ids, ids[places], cosines
    matrix = x.detach().cpu().numpy()

    def find() -> tuple[numpy.ndarray, numpy.ndarray]:
        logger.info("%d nearest of %d vectors: %s", k, len(x), "by an index" if approximate else "all by all")
        if approximate:
            return neighbours_by_index(matrix, k)
        places, cosines = _exact(x, k, chunk)
        return places.cpu().numpy(), cosines.detach().cpu().float().numpy()

    found = kept_neighbours(matrix, k, "usearch" if approximate else "exact", find) if large else find()
    places, cosines = (torch.from_numpy(part).to(x.device) for part in found)
    return ids, ids[places], cosines.to(x.dtype)


def _exact(x: FloatTensor, k: int, chunk: int) -> tuple[LongTensor, FloatTensor]:
    """Compare all with all; return places and cosines, shape: ``(n, k)`` each."""
    places, cosines = [], []
    for start in range(0, len(x), chunk):
        similarity = x[start : start + chunk] @ x.T
        rows = torch.arange(len(similarity), device=x.device)
        similarity[rows, rows + start] = -torch.inf
        best = similarity.topk(k, dim=-1)
        places.append(best.indices)
        cosines.append(best.values)
    return torch.cat(places), torch.cat(cosines)
