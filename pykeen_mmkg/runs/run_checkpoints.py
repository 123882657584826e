"""Runs that are saved while a model trains, each of which can be loaded as it is."""

import pathlib
from collections.abc import Mapping
from typing import Any

from pykeen.training.callbacks import TrainingCallback
from pykeen.triples import TriplesFactory

from ..errors import RunError
from ..processes import Division
from .run import Run

__all__ = ["RunCheckpoints"]


class RunCheckpoints(TrainingCallback):
    """A callback of PyKEEN's training loops that saves a run each so many epochs, in a folder named after the epoch.

    :func:`~pykeen_mmkg.runs.load_run` and all commands read these runs. They link their features, have no metrics, and
    say what they are: the entry ``epoch`` of their document. Of several processes, the first one writes.
    """

    def __init__(
        self, folder: str | pathlib.Path, training: TriplesFactory, document: Mapping[str, Any], every: int = 1
    ) -> None:
        """Initialize the callback.

        :param folder: the folder of all these runs
        :param training: the training triples
        :param document: what the runs say of themselves: ``model`` and ``model_kwargs``, and whatever else
        :param every: the number of epochs between two runs
        :raises RunError: if this number is less than 1
        """
        super().__init__()
        if every < 1:
            raise RunError(f"A run is to be saved each {every} epochs; give 1 or more.")
        self.folder, self.training, self.document, self.every = pathlib.Path(folder), training, dict(document), every

    def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:
        """Save a run, if it is time."""
        if epoch % self.every or Division.current().rank:
            return
        found = {"losses": [float(loss) for loss in self.training_loop.losses_per_epochs], "epoch": epoch}
        run = Run(self.model, self.training, {**self.document, **found}, features="link")
        run.save_pretrained(self.folder / f"epoch-{epoch}")
