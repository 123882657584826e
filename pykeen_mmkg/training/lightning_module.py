"""A module of PyTorch Lightning that trains by the loops of PyKEEN and of this package; needs ``pytorch_lightning``."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from class_resolver import HintOrType, OptionalKwargs
from pykeen.contrib.lightning import LitModule
from pykeen.lr_schedulers import LRScheduler
from pykeen.optimizers import optimizer_resolver
from pykeen.stoppers import NopStopper, Stopper
from pykeen.training import TrainingLoop, training_loop_resolver
from pykeen.training.training_loop import NonFiniteLossError
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import FloatTensor
from torch import distributed
from torch.utils.data import DataLoader

from ..errors import MultimodalError
from ..processes import Division
from .sharded_batches import ShardedBatch, ShardedBatches
from .shared_gradients import add_up_rows, sparse_parameters

__all__ = ["LitTrainingLoop"]


class LitTrainingLoop(LitModule):
    """A training loop as a Lightning module, whose batches are shared out among the processes.

    It takes the loops ``slcwa``, ``lcwa``, ``symmetriclcwa`` and ``sampledsoftmax``, and does in a step what these do.
    The batch size is that of all processes together, and their number changes nothing but the order of summation, as
    long as the model has neither dropout nor batch normalization (of the latter, see Lightning's ``sync_batchnorm``)
    and the loss is a mean or sum over the rows of a batch. Where a sampler leaves negatives out, some losses are a mean
    over those that remain; then the number of rows weighs the parts, as in PyKEEN's sub-batches.

    .. code-block:: python

        module = LitTrainingLoop(
            dataset="wordnetemoji", model="vlkge", training_loop="sampledsoftmax", optimizer="adagrad",
            learning_rate=0.1, batch_size=512,
        )
        pytorch_lightning.Trainer(max_epochs=30, devices=2, strategy="ddp").fit(module)
    """

    def __init__(
        self,
        *,
        training_loop: HintOrType[TrainingLoop] = None,
        training_loop_kwargs: OptionalKwargs = None,
        drop_last: bool = False,
        num_workers: int = 0,
        seed: int = 0,
        stopper: Stopper | None = None,
        lr_scheduler: LRScheduler | None = None,
        compile: bool = False,
        on_epoch: Callable[["LitTrainingLoop", int], None] | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize the module.

        :param training_loop: the loop, or a hint thereof; by default PyKEEN's for the sLCWA
        :param training_loop_kwargs: keyword arguments of the loop
        :param drop_last: whether to leave out a last batch that is smaller
        :param num_workers: the number of processes that draw batches, for each process that trains
        :param seed: the seed of order, negatives and dropout
        :param stopper: what is asked after each epoch. A stopper that evaluates shares its triples out
        :param lr_scheduler: the scheduler of learning rates, of the optimizer of the loop; stepped after each epoch
        :param compile: whether to compile the loss of a batch by :func:`torch.compile`
        :param on_epoch: called with the module and the number of each finished epoch, from 1 on, in each process
        :param kwargs: keyword arguments of :class:`pykeen.contrib.lightning.LitModule`
        :raises MultimodalError: if the loop is not one of those above
        """
        super().__init__(**kwargs)
        if not isinstance(training_loop, TrainingLoop):
            optimizer = optimizer_resolver.make(
                self.optimizer, self.optimizer_kwargs, params=self.model.get_grad_params(), lr=self.learning_rate
            )
            training_loop = training_loop_resolver.make(
                training_loop,
                training_loop_kwargs,
                model=self.model,
                triples_factory=self.dataset.training,
                optimizer=optimizer,
                **({} if self.mode is None else {"mode": self.mode}),
            )
        self.loop = training_loop
        self.drop_last, self.num_workers, self.seed = drop_last, num_workers, seed
        self.stopper, self.scheduler, self.on_epoch = stopper or NopStopper(), lr_scheduler, on_epoch
        self.losses: list[float] = []
        self._sum: FloatTensor | None = None
        self._loss = torch.compile(self._loss_of, dynamic=True) if compile else self._loss_of
        #: tables that Lightning's processes leave to :func:`.add_up_rows`
        self._sparse = sparse_parameters(self)
        self._ddp_params_and_buffers_to_ignore = list(self._sparse)
        # refuse at once what cannot be shared out
        self._batches: ShardedBatches = self._dataloader(self.dataset.training).dataset  # type: ignore[assignment]

    @property
    def division(self) -> Division:
        """The part of this process."""
        if self._trainer is None:
            return Division()
        return Division(self.trainer.global_rank, self.trainer.world_size)

    def _dataloader(self, triples_factory: CoreTriplesFactory, shuffle: bool = False) -> DataLoader:
        loader = self.loop._create_training_data_loader(
            triples_factory, sampler=None, batch_size=self.batch_size, drop_last=self.drop_last
        )
        batches = ShardedBatches(
            loader,
            batch_size=self.batch_size,
            drop_last=self.drop_last,
            seed=self.seed,
            division=self.division,
        )
        if not len(batches):
            raise MultimodalError("There is no batch to train on: fewer triples than batch_size, and drop_last is set.")
        return DataLoader(batches, batch_size=None, num_workers=self.num_workers)

    def train_dataloader(self) -> DataLoader:
        """Create the loader of this process's part of the training triples."""
        loader = self._dataloader(self.dataset.training)
        self._batches = loader.dataset  # type: ignore[assignment]
        self._batches.epoch = self.current_epoch
        return loader

    def val_dataloader(self) -> list[Any]:
        """Return no loader: the stopper evaluates, by ranks among all entities."""
        return []

    def configure_optimizers(self) -> Any:
        """Return the optimizer of the loop, and its scheduler."""
        if self.scheduler is None:
            return self.loop.optimizer
        return {"optimizer": self.loop.optimizer, "lr_scheduler": {"scheduler": self.scheduler, "interval": "epoch"}}

    def on_fit_start(self) -> None:
        """Let all processes have the weights of the first one, and draw different dropout."""
        if self.division.size > 1:
            for parameter in self._sparse.values():
                distributed.broadcast(parameter.data, src=0)
        if self.division.rank:
            torch.manual_seed(self.seed + self.division.rank)

    def on_train_epoch_start(self) -> None:
        """Draw the batches of this epoch."""
        self._batches.epoch = self.current_epoch
        self._sum = None

    def on_train_batch_start(self, batch: ShardedBatch, batch_idx: int) -> None:
        """Set the learning rate, where the loop says it step by step."""
        loop: Any = self.loop
        if hasattr(loop, "rate") and (loop.warmup_steps or loop.decay):
            steps = len(self._batches)
            factor = loop.rate(self.current_epoch * steps + batch_idx, (self.trainer.max_epochs or 1) * steps)
            for group in self.loop.optimizer.param_groups:
                group["lr"] = factor * self.loop.optimizer.defaults["lr"]

    def _loss_of(self, batch: ShardedBatch) -> FloatTensor:
        return self.loop._process_batch(
            batch=batch.rows, start=0, stop=batch.num_rows, label_smoothing=self.label_smoothing, slice_size=None
        )

    def _step(self, batch: ShardedBatch, prefix: str) -> FloatTensor:
        loss = self._loss(batch)
        # the processes are averaged: of a sum over the batch, each has to count as often as there are processes
        whole = float(self.division.size) if self.model.loss.reduction == "sum" else batch.weight
        if not batch.weight:
            whole = 0.0
        loss = loss * whole
        detached = loss.detach().double() if loss.device.type != "mps" else loss.detach()
        self._sum = detached if self._sum is None else self._sum + detached
        return loss

    def on_after_backward(self) -> None:
        """Add up sparse gradients, and let the model forget the forward pass."""
        for parameter in self._sparse.values():
            add_up_rows(parameter, self.division)
        self.model.post_forward_pass()

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing: Lightning calls this between forward and backward pass, when parameters must not change."""

    def on_train_batch_end(self, outputs: Any, batch: ShardedBatch, batch_idx: int) -> None:
        """Apply the model's constraints, as PyKEEN does after each step."""
        self.model.post_parameter_update()

    def on_train_epoch_end(self) -> None:
        """Take note of the loss, evaluate, and stop where the stopper says so."""
        epoch = self.current_epoch + 1
        assert self._sum is not None
        (loss,) = self.division.mean([float(self._sum) / len(self._batches)], self.device)
        if loss != loss or loss in (float("inf"), float("-inf")):
            raise NonFiniteLossError("Loss is non-finite.")
        self.losses.append(loss)
        self.log("train_loss", loss, sync_dist=True)
        if self.division.rank == 0 and self.loop.result_tracker is not None:
            self.loop.result_tracker.log_metrics({"loss": loss}, step=epoch)
        if self.stopper.should_evaluate(epoch):
            self._evaluate(epoch)
        if self.on_epoch is not None:
            self.on_epoch(self, epoch)

    def _evaluate(self, epoch: int) -> None:
        evaluator: Any = getattr(self.stopper, "evaluator", None)
        if hasattr(evaluator, "shared"):
            evaluator.shared = True
        if self.stopper.should_stop(epoch):
            self.trainer.should_stop = True
        for result in getattr(self.stopper, "results", ())[-1:]:
            self.log(f"val_{getattr(self.stopper, 'metric', 'metric')}", result, sync_dist=True)
        self.model.train()

    # what a checkpoint holds beside the weights: plain values

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses and what the stopper has seen."""
        checkpoint["losses"] = list(self.losses)
        if hasattr(self.stopper, "get_summary_dict"):
            checkpoint["stopper"] = _plain(self.stopper.get_summary_dict())

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Go on with these."""
        self.losses[:] = checkpoint.get("losses", [])
        if checkpoint.get("stopper"):
            self.stopper._write_from_summary_dict(**checkpoint["stopper"])


def _plain(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers of numpy as Python's, which a checkpoint without pickles holds."""
    return {
        key: [float(entry) for entry in value]
        if isinstance(value, list)
        else value.item()
        if hasattr(value, "item")
        else value
        for key, value in summary.items()
    }
