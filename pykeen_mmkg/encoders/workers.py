"""Encoding in other processes, on this machine or on many: batches go out, vectors come back in order.

What is to be encoded, how it is cut into batches, and what is written stays with the process that asks: the shards are
those of an encoding without workers, and an interrupted one resumes in the same way.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..errors import EncoderError
from ..options import strict
from .encoder import VisionLanguageEncoder

__all__ = ["RayWorkers", "make_workers"]


class _Worker:
    """A process that has the encoder: the class of Ray's actors."""

    def __init__(self, encoder: VisionLanguageEncoder, num_threads: int) -> None:
        import torch

        torch.set_num_threads(num_threads)
        self.encoder = encoder

    def apply(self, function: Callable[..., Any], item: Any) -> tuple[bool, Any]:
        """Return what a function makes of an item, or its error, which keeps its class and text that way."""
        try:
            return True, function(self.encoder, item)
        except Exception as error:
            return False, error


class RayWorkers:
    """Processes of Ray, each of which has loaded the encoder [moritz2018]_.

    Without an address they are on this machine, and end with the encoding. In a cluster of Ray, they are wherever it
    has room; the package has to be installed there, and folders of encoders and images to be found under the same path.
    """

    @strict(workers=1, num_cpus=0, num_gpus=0)
    def __init__(self, workers: int = 2, num_cpus: float = 1, num_gpus: float = 0, address: str | None = None) -> None:
        """Initialize the workers; nothing is started yet.

        :param workers: their number
        :param num_cpus: how many processor cores each has
        :param num_gpus: how many GPUs each has
        :param address: the address of a running cluster, as :func:`ray.init` takes it (``"auto"`` on a machine of it)
        :raises EncoderError: if Ray is not installed
        """
        try:
            import ray
        except ImportError as error:
            raise EncoderError(f"This needs a library that cannot be imported ({error}): pip install ray.") from error
        self.ray, self.workers, self.address = ray, workers, address
        self.resources = {"num_cpus": num_cpus, "num_gpus": num_gpus}

    def map(
        self,
        function: Callable[[VisionLanguageEncoder, Any], Any],
        encoder: VisionLanguageEncoder,
        items: Iterable[Any],
    ) -> Iterator[Any]:
        """Apply a function to the encoder and each item, in order, with a bounded number of items under way.

        :param function: a function of this package
        :param encoder: the encoder, whose weights are loaded by the workers
        :param items: the items
        :yields: what the function returns
        :raises MultimodalError: what the function raises
        """
        own = not self.ray.is_initialized()
        if own:
            local: dict[str, Any] = {} if self.address else {"num_cpus": self._cores(), "include_dashboard": False}
            try:
                self.ray.init(address=self.address, log_to_driver=False, logging_level=logging.WARNING, **local)
            except Exception as error:  # Ray has no single error for what keeps it from starting
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise EncoderError(f"Ray does not start, or is not found: {reason}") from error
        try:
            shared = self.ray.put(encoder)
            threads = max(1, int(self.resources["num_cpus"]))
            kind = self.ray.remote(_Worker).options(**self.resources)
            actors: list[Any] = [kind.remote(shared, threads) for _ in range(self.workers)]
            waiting: deque[Any] = deque()
            for number, item in enumerate(items):
                waiting.append(actors[number % len(actors)].apply.remote(function, item))
                if len(waiting) >= 2 * len(actors):
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            if own:
                self.ray.shutdown()

    def _cores(self) -> int:
        # Ray counts what is asked for, and would wait for cores that this machine does not have
        return max(1, round(self.workers * self.resources["num_cpus"]))

    def _result(self, reference: Any) -> Any:
        try:
            good, value = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EncoderError(f"A worker of Ray failed: {reason}. What is encoded is kept; run again.") from error
        if good:
            return value
        raise value


def make_workers(engine: str | None, engine_kwargs: Mapping[str, Any] | None = None) -> RayWorkers | None:
    """Make the workers of an engine.

    :param engine: ``ray``; None: there are none, and this process encodes
    :param engine_kwargs: keyword arguments of :class:`RayWorkers`
    :returns: the workers
    :raises EncoderError: if there is no such engine, or it is not installed
    """
    if engine is None:
        if engine_kwargs:
            raise EncoderError(f"engine_kwargs={dict(engine_kwargs)} are given, but no engine; name engine='ray'.")
        return None
    if engine != "ray":
        raise EncoderError(f"There is no engine {engine!r}; there is 'ray'.")
    return RayWorkers(**(engine_kwargs or {}))
