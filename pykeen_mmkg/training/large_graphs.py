"""PyKEEN's training loops on large graphs: a model of this package trains at the cost of its batches.

Delete :func:`guard` once PyKEEN's loops can be told to do this by a callback that sees the options of the training.
"""

import contextlib
import functools
from typing import Any

from pykeen.training.training_loop import TrainingLoop
from pykeen.triples import CoreTriplesFactory

from ..models.loss import OwnLossMixin
from ..models.scoring import IndexedScoringMixin
from .memory import frozen_garbage, kept_memory
from .sparse_gradients import sparse_gradients

__all__ = ["guard"]


def guard() -> None:
    """Make all training loops of PyKEEN spare what a model of this package does not need; idempotent."""
    original = TrainingLoop.train
    if hasattr(original, "guarded"):
        return

    @functools.wraps(original)
    def train(self: TrainingLoop, triples_factory: CoreTriplesFactory, *args: Any, **kwargs: Any) -> Any:
        with contextlib.ExitStack() as stack:
            if isinstance(self.model, OwnLossMixin | IndexedScoringMixin):
                stack.enter_context(sparse_gradients(self.model, self.optimizer, kwargs))
                stack.enter_context(frozen_garbage())
                stack.enter_context(kept_memory())
            return original(self, triples_factory, *args, **kwargs)

    train.guarded = True  # type: ignore[attr-defined]
    TrainingLoop.train = train  # type: ignore[method-assign]
