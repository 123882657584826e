"""Batches of which each process makes its own rows, such that all together are those of one process."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy
import torch
from pykeen.triples.instances import BaseBatchedSLCWAInstances, BatchedSLCWAInstances, Instances
from pykeen.typing import LongTensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, get_worker_info

from ..errors import MultimodalError
from ..processes import Division
from .sampled_softmax import PooledInstances

__all__ = ["BLOCK", "ShardedBatch", "ShardedBatches"]

#: How many triples draw their negatives together. The blocks of a batch are the same for any number of processes
BLOCK = 128


class ShardedBatch(NamedTuple):
    """The rows of a batch that a process has."""

    #: what the training loop makes of these rows
    rows: Any
    #: the number of these rows
    num_rows: int
    #: how much the mean over them counts in the mean over the processes, for it to be that over the batch
    weight: float


def _is_shared(instances: Any) -> bool:
    """Return whether instances are rows, or triples of which each is in one batch of an epoch, in any order."""
    if isinstance(instances, BaseBatchedSLCWAInstances):
        return type(instances) in (BatchedSLCWAInstances, PooledInstances)
    return isinstance(instances, Instances | TensorDataset)


class ShardedBatches(IterableDataset):
    """The batches of an epoch, for one of several processes.

    Order and negatives are drawn by seeds that are made of the seed, the epoch, the number of the batch and that of a
    block of :data:`BLOCK` rows in it. So they do not depend on the number of processes, nor on that of workers, nor on
    what was drawn before: a process draws for its own rows only, and a training that goes on draws what it would have.
    """

    def __init__(
        self,
        loader: DataLoader,
        *,
        batch_size: int,
        drop_last: bool = False,
        seed: int = 0,
        division: Division | None = None,
    ) -> None:
        """Initialize the batches.

        :param loader: the loader that a training loop has made of all triples, of which instances and collation are
            used
        :param batch_size: the number of rows that all processes have of a batch
        :param drop_last: whether to leave out a last batch that is smaller
        :param seed: the seed
        :param division: the part of this process
        :raises MultimodalError: if the loader draws its batches in a way of its own
        """
        instances: Any = loader.dataset
        if not _is_shared(instances):
            raise MultimodalError(
                f"{type(instances).__name__} draws its batches in a way of its own, which is not shared out among "
                "processes. Use the loops slcwa, lcwa or sampledsoftmax, without `sampler`."
            )
        self.instances, self.collate = instances, loader.collate_fn
        self.sampled = isinstance(instances, BatchedSLCWAInstances)
        self.total = len(instances.mapped_triples) if self.sampled else len(instances)
        self.batch_size, self.drop_last, self.seed = batch_size, drop_last, seed
        self.division = division or Division()
        #: the number of the epoch, from 0
        self.epoch = 0

    def __len__(self) -> int:
        full, rest = divmod(self.total, self.batch_size)
        return full + bool(rest and not self.drop_last)

    def _generate(self, *where: int) -> int:
        state = numpy.random.SeedSequence([self.seed, self.epoch, *where]).generate_state(1, numpy.uint64)
        return int(state[0] >> numpy.uint64(1))

    def __iter__(self) -> Iterator[ShardedBatch]:
        order = torch.randperm(self.total, generator=torch.Generator().manual_seed(self._generate()))
        worker = get_worker_info()
        first, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in range(first, len(self), stride):
            yield self._batch(step, order[step * self.batch_size : (step + 1) * self.batch_size])

    def _batch(self, step: int, items: LongTensor) -> ShardedBatch:
        start, stop = self.division.bounds(len(items))
        weight = (stop - start) * self.division.size / len(items)
        if start == stop:  # fewer rows than processes: one is computed, as all have to take part, and counts nothing
            start, stop = (start, start + 1) if start < len(items) else (start - 1, start)
        if isinstance(self.instances, PooledInstances):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self._generate(step, 0))
                rows: Any = self.instances.part(items, slice(start, stop))
        elif self.sampled:
            rows = self._drawn(step, items, start, stop)
        else:
            rows = self.collate([self.instances[i] for i in items[start:stop].tolist()])
        return ShardedBatch(rows, stop - start, weight)

    def _drawn(self, step: int, items: LongTensor, start: int, stop: int) -> Mapping[str, torch.Tensor]:
        """Draw the blocks in which the rows are, and return the rows."""
        first, last = start // BLOCK, (stop - 1) // BLOCK
        blocks = []
        with torch.random.fork_rng(devices=[]):
            for block in range(first, last + 1):
                torch.manual_seed(self._generate(step, block))
                blocks.append(self.instances[items[block * BLOCK : (block + 1) * BLOCK].tolist()])
        rows = slice(start - first * BLOCK, stop - first * BLOCK)
        return {key: torch.cat([block[key] for block in blocks])[rows] for key in blocks[0]}
