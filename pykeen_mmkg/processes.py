"""Processes that share a piece of work: who is which, what is whose, and how the parts come together again.

The processes are those of :mod:`torch.distributed`, whoever started them (Lightning, torchrun). Where there are none,
the only process has everything.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy
import torch
from torch import distributed

from .errors import MultimodalError

__all__ = ["Division"]


@dataclasses.dataclass(frozen=True)
class Division:
    """The part that a process has in a piece of work."""

    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise MultimodalError(f"There is no process {self.rank} of {self.size}; the first one is 0.")

    @classmethod
    def current(cls) -> "Division":
        """Return the part of this process."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def bounds(self, total: int) -> tuple[int, int]:
        """Return where the contiguous part of this process begins and ends, of so many items.

        The parts differ by one item at most, and those of all processes follow upon each other.
        """
        return self.rank * total // self.size, (self.rank + 1) * total // self.size

    def every(self, items: Any) -> Any:
        """Return each ``size``-th item, from the ``rank``-th on; all, where there are fewer items than processes."""
        return items if self._whole(len(items)) else items[self.rank :: self.size]

    def _whole(self, total: int) -> bool:
        return self.size == 1 or total < self.size

    def join(self, part: numpy.ndarray, total: int) -> numpy.ndarray:
        """Put together what all processes have made of :meth:`every`, in the order of the items.

        All processes have to call it.

        :param part: what this process has made of its items, one row for each
        :param total: the number of all items
        :returns: a row for each item
        """
        if self._whole(total):
            return part
        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, part)
        result = numpy.empty((total, *part.shape[1:]), dtype=part.dtype)
        for rank, own in enumerate(parts):
            result[rank :: self.size] = own
        return result

    def mean(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Return the mean of numbers over the processes, all of which have to call it.

        :param values: the numbers
        :param device: the device that the processes talk by
        """
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
        distributed.all_reduce(total)
        return (total / self.size).tolist()
