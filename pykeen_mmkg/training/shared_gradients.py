"""Sparse gradients of several processes: the rows of all batches together, whatever the size of the table.

``DistributedDataParallel`` adds up sparse gradients by some of its backends only, and never takes a dense one where it
expects a sparse one, as from a batch that needs all rows. So tables with sparse gradients are kept from it, and their
rows are exchanged here.
"""

from typing import cast

import torch
from pykeen.nn.representation import Embedding
from pykeen.typing import LongTensor
from torch import distributed, nn

from ..processes import Division

__all__ = ["add_up_rows", "sparse_parameters"]


def sparse_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the tables with sparse gradients in a module, by the names of their parameters."""
    return {
        f"{name}._embeddings.weight".lstrip("."): cast(nn.Parameter, part._embeddings.weight)
        for name, part in module.named_modules()
        if isinstance(part, Embedding) and part._embeddings.sparse
    }


def _gathered(own: torch.Tensor, longest: int, counts: LongTensor) -> torch.Tensor:
    """Return the rows of all processes, of which each has another number."""
    padded = own.new_zeros(longest, *own.shape[1:])
    padded[: len(own)] = own
    parts = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts.tolist(), strict=True)])


def add_up_rows(parameter: nn.Parameter, division: Division) -> None:
    """Replace the gradient of a table by the mean of those of all processes, which all have to call it.

    :param parameter: the table, shape: ``(n, d)``; its gradient is sparse, dense or none
    :param division: the part of this process
    """
    if division.size == 1:
        return
    gradient = parameter.grad
    if gradient is None:
        ids, rows = parameter.new_zeros(0, dtype=torch.long), parameter.detach()[:0]
    else:
        gradient = (gradient if gradient.is_sparse else gradient.to_sparse(1)).coalesce()
        ids, rows = gradient.indices()[0], gradient.values()
    sizes = [ids.new_zeros(1) for _ in range(division.size)]
    distributed.all_gather(sizes, ids.new_full((1,), len(ids)))
    counts = torch.cat(sizes)
    longest = int(counts.max())
    ids, rows = _gathered(ids, longest, counts), _gathered(rows, longest, counts)
    parameter.grad = torch.sparse_coo_tensor(ids[None], rows / division.size, parameter.shape).coalesce()
