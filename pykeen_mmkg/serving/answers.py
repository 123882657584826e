"""Answers that are kept as they were sent: what was asked lately is not computed again, nor twice at the same time."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["AnswerCache", "BusyError"]

#: what an entry takes besides its bytes
OVERHEAD = 500


class BusyError(RuntimeError):
    """Too many different questions wait for an answer."""


class AnswerCache:
    """Keeps the answers that were asked for last, within a number of bytes; for one event loop.

    What is not there is computed in a thread of its own, one after another; who asks the same meanwhile waits for the
    same answer.
    """

    def __init__(self, max_bytes: int, max_waiting: int = 64) -> None:
        """Initialize the cache.

        :param max_bytes: how much is kept
        :param max_waiting: how many different answers may be waited for
        """
        self.max_bytes, self.max_waiting = max_bytes, max_waiting
        self._answers: OrderedDict[Hashable, bytes] = OrderedDict()
        self._pending: dict[Hashable, asyncio.Future[bytes]] = {}
        self._size = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="answers")

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._answers)

    async def get(self, key: Hashable, compute: Callable[[], bytes]) -> bytes:
        """Return an answer.

        :param key: what is asked
        :param compute: gives the answer; what it raises is not kept
        :returns: the answer
        :raises BusyError: if it is not kept, and too many others are waited for
        """
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
            return found
        future = self._pending.get(key)
        if future is None:
            if len(self._pending) >= self.max_waiting:
                raise BusyError(f"{self.max_waiting} other questions wait for an answer: ask again later.")
            future = asyncio.get_running_loop().run_in_executor(self._worker, compute)
            self._pending[key] = future
            future.add_done_callback(lambda done: self._keep(key, done))
        # who goes away does not take the answer from the others
        return await asyncio.shield(future)

    def _keep(self, key: Hashable, done: "asyncio.Future[bytes]") -> None:
        del self._pending[key]
        if done.cancelled() or done.exception() is not None or len(done.result()) + OVERHEAD > self.max_bytes:
            return
        self._answers[key] = done.result()
        self._size += len(done.result()) + OVERHEAD
        while self._size > self.max_bytes:
            _, oldest = self._answers.popitem(last=False)
            self._size -= len(oldest) + OVERHEAD
