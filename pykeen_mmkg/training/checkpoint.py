"""Checkpoints of training loops: the message that refuses one says which file it is.

What is compared, and why, stands in :mod:`pykeen_mmkg.models.identity`. Delete it together with the guard there.
"""

import functools
import pathlib
from typing import Any

from pykeen.training.training_loop import TrainingLoop
from pykeen.triples import CoreTriplesFactory

from ..errors import RunError
from ..models.identity import remember

__all__ = ["guard"]


def guard() -> None:
    """Make all training loops of PyKEEN name a checkpoint of other labels or features; idempotent."""
    original = TrainingLoop._load_state
    if hasattr(original, "guarded"):
        return

    @functools.wraps(original)
    def named(self: TrainingLoop, path: str | pathlib.Path, triples_factory: CoreTriplesFactory | None = None) -> Any:
        # a model that comes from a pickle has not been made here
        remember(self.model, triples_factory)
        try:
            return original(self, path, triples_factory)
        except RunError as error:
            raise RunError(f"The checkpoint {path}: {error}") from error

    named.guarded = True  # type: ignore[attr-defined]
    TrainingLoop._load_state = named  # type: ignore[method-assign]
