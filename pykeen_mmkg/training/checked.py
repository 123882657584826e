"""Checks at the start of training, which PyKEEN's loops leave to whatever fails later."""

from typing import Any

from pykeen.triples import CoreTriplesFactory

from ..errors import DataError
from ..options import NO_VALIDATION, check_training

__all__ = ["CheckedTrainingMixin"]


class CheckedTrainingMixin:
    """A training loop that refuses what it cannot train on, before it starts."""

    def train(self, triples_factory: CoreTriplesFactory, num_epochs: int = 1, **kwargs: Any) -> list[float] | None:
        """Train the model.

        :param triples_factory: the training triples
        :param num_epochs: the number of epochs
        :param kwargs: further arguments of :meth:`pykeen.training.TrainingLoop.train`
        :returns: the losses per epoch
        :raises DataError: if there are no training triples
        :raises MultimodalError: if the number of epochs is none, or a stopper has no triples to evaluate on
        """
        check_training(type(self).__name__, {"num_epochs": num_epochs, "batch_size": kwargs.get("batch_size")})
        if not triples_factory.num_triples:
            raise DataError("There are no training triples.")
        # only a stopper that evaluates has this attribute
        held_out = getattr(kwargs.get("stopper"), "evaluation_triples_factory", triples_factory)
        if held_out is None or not held_out.num_triples:
            raise DataError(NO_VALIDATION)
        return super().train(triples_factory, num_epochs=num_epochs, **kwargs)  # type: ignore[misc]
