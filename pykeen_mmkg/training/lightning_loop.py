"""PyKEEN's pipeline on several devices: a training loop that lets Lightning do the steps of another one."""

import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from class_resolver import HintOrType, OptionalKwargs
from docdata import parse_docdata
from pykeen.datasets import EagerDataset
from pykeen.stoppers import EarlyStopper, Stopper
from pykeen.training import TrainingLoop
from pykeen.training.callbacks import MultiTrainingCallback
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import FloatTensor
from pykeen.utils import get_batchnorm_modules
from torch.utils.data import DataLoader

from .._compat import lr_scheduler_kwargs, optimizer_kwargs
from ..errors import MultimodalError
from ..options import strict
from .checked import CheckedTrainingMixin

__all__ = ["LightningTrainingLoop"]

#: arguments of `train` that are no matter of this loop's, and what does the same
_ELSEWHERE = {
    "slice_size": "more devices, or a smaller batch_size",
    "sub_batch_size": "more devices, or a smaller batch_size",
    "sampler": "a loop without it",
    "continue_training": "checkpoint among training_loop_kwargs",
    "save_checkpoints": "checkpoint among training_loop_kwargs",
    "gradient_clipping_norm_type": "gradient_clipping_max_norm, which is the Euclidean norm",
}

#: what Lightning warns about, and is as it should be here: the length of the batches, no loader for validation
_HARMLESS = (".*`IterableDataset` has `__len__` defined", ".*Total length of `list` across ranks is zero", ".*treespec")

#: what `train` calls an argument of `_train`
_CALLED = {"save_checkpoints": "checkpoint_name"}


def _lightning() -> Any:
    try:
        import pytorch_lightning
    except ImportError as error:
        raise MultimodalError(
            f"Training by Lightning needs a library that cannot be imported ({error}): pip install pytorch-lightning."
        ) from error
    return pytorch_lightning


@parse_docdata
class LightningTrainingLoop(CheckedTrainingMixin, TrainingLoop):  # type: ignore[misc]
    """Another training loop, whose steps are done by PyTorch Lightning, on one or several devices or machines.

    Each process has its part of each batch, and of the triples that a stopper evaluates; the batch size is that of all
    together. For a seed, the result is the same for any number of processes up to the order of summation, see
    :class:`~pykeen_mmkg.training.lightning_module.LitTrainingLoop` for where it is not. It is not that of the other
    loop by itself, which draws by another order of seeds.

    With several devices, each process runs the whole program: Lightning starts the others at the first step with the
    same command, or ``torchrun`` has started them. After the training they are still connected.

    ---
    name: Lightning
    citation:
        author: Falcon
        year: 2019
        link: https://doi.org/10.5281/zenodo.3828935
    """

    @strict(num_nodes=1)
    def __init__(
        self,
        *,
        training_loop: HintOrType[TrainingLoop] = None,
        training_loop_kwargs: OptionalKwargs = None,
        devices: int | str | list = "auto",
        num_nodes: int = 1,
        accelerator: str = "auto",
        strategy: str = "auto",
        precision: str | int = 32,
        compile: bool = False,
        checkpoint: str | pathlib.Path | None = None,
        seed: int = 0,
        trainer_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize the training loop.

        :param training_loop: the loop whose steps are done: ``slcwa``, ``lcwa``, ``symmetriclcwa`` or
            ``sampledsoftmax``
        :param training_loop_kwargs: its keyword arguments, a negative sampler among them
        :param devices: how many devices of a machine, or which ones, as Lightning takes it
        :param num_nodes: how many machines
        :param accelerator: what kind of device; ``auto`` takes a GPU where there is one
        :param strategy: how several devices work together, as Lightning takes it; by default by ``ddp``
        :param precision: as Lightning takes it: ``32``, ``"bf16-mixed"``, ``"16-mixed"``, ...
        :param compile: whether to compile the loss of a batch by :func:`torch.compile`
        :param checkpoint: a file in which the state of the training is kept after each epoch, and from which it goes
            on if the file is there. It holds no code
        :param seed: the seed of order, negatives and dropout
        :param trainer_kwargs: further keyword arguments of :class:`pytorch_lightning.Trainer`
        :param kwargs: keyword arguments of :class:`pykeen.training.TrainingLoop`
        :raises MultimodalError: if Lightning is missing, or the loop is not one of those above
        """
        _lightning()
        super().__init__(**kwargs)
        if hasattr(self.model, "idle"):
            raise MultimodalError(
                f"{type(self.model).__name__} fits itself at its first step, whatever the training loop, so that "
                "several devices are of no use to it. Train it without Lightning."
            )
        # PyKEEN makes its resolver after it has imported the loops
        from pykeen.training import training_loop_resolver

        self.inner: TrainingLoop = training_loop_resolver.make(
            training_loop,
            training_loop_kwargs,
            model=self.model,
            triples_factory=kwargs["triples_factory"],
            optimizer=self.optimizer,
            result_tracker=self.result_tracker,
        )
        several = devices not in ("auto", 1, "1") or num_nodes > 1
        # a model may have parameters that a batch does not reach, such as those of a modality that no row has
        self.strategy = "ddp_find_unused_parameters_true" if strategy == "auto" and several else strategy
        self.trainer_kwargs = {
            "devices": devices,
            "num_nodes": num_nodes,
            "accelerator": accelerator,
            "precision": precision,
            "logger": False,
            "enable_checkpointing": False,
            "limit_val_batches": 0,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "use_distributed_sampler": False,
            **(trainer_kwargs or {}),
        }
        self.compile, self.seed = compile, seed
        self.checkpoint = None if checkpoint is None else pathlib.Path(checkpoint)

    def _train(  # type: ignore[override]
        self,
        triples_factory: CoreTriplesFactory,
        num_epochs: int = 1,
        batch_size: int | None = None,
        label_smoothing: float = 0.0,
        use_tqdm: bool = True,
        stopper: Stopper | None = None,
        num_workers: int | None = None,
        drop_last: bool | None = None,
        callbacks: Any = None,
        callbacks_kwargs: Any = None,
        gradient_clipping_max_norm: float | None = None,
        gradient_clipping_max_abs_value: float | None = None,
        **kwargs: Any,
    ) -> list[float]:
        """Train the model by Lightning, in place of PyKEEN's loop.

        Of PyKEEN's callbacks, what they do after an epoch and after the training is done, in each process.

        :returns: the losses per epoch
        :raises MultimodalError: if an argument is given that Lightning has another way for
        """
        for name, instead in _ELSEWHERE.items():
            if kwargs.get(name):
                raise MultimodalError(f"Training by Lightning takes no {_CALLED.get(name, name)}; use {instead}.")
        from .lightning_module import LitTrainingLoop

        self.model.reset_parameters_()
        self._renew_optimizer()
        clipping: dict[str, Any] = {}
        if gradient_clipping_max_norm is not None:
            clipping = {"gradient_clip_val": gradient_clipping_max_norm, "gradient_clip_algorithm": "norm"}
        if gradient_clipping_max_abs_value is not None:
            if clipping:
                raise MultimodalError("Lightning clips gradients by their norm or by their values, not by both.")
            clipping = {"gradient_clip_val": gradient_clipping_max_abs_value, "gradient_clip_algorithm": "value"}
        self._callbacks = MultiTrainingCallback(callbacks=callbacks, callbacks_kwargs=callbacks_kwargs)
        self._callbacks.register_training_loop(self)
        trainer = _lightning().Trainer(
            max_epochs=num_epochs,
            enable_progress_bar=use_tqdm,
            **clipping,
            strategy=self.strategy,
            **self.trainer_kwargs,
        )
        _own_file(stopper, trainer.global_rank)
        module = LitTrainingLoop(
            dataset=EagerDataset(training=triples_factory, testing=triples_factory),
            model=self.model,
            training_loop=self.inner,
            batch_size=batch_size or 256,
            label_smoothing=label_smoothing,
            drop_last=bool(get_batchnorm_modules(self.model)) if drop_last is None else drop_last,
            num_workers=num_workers or 0,
            seed=self.seed,
            stopper=stopper,
            lr_scheduler=self.lr_scheduler,
            compile=self.compile,
            on_epoch=self._after_epoch,
        )
        device = trainer.strategy.root_device
        resumed = self.checkpoint if self.checkpoint is not None and self.checkpoint.is_file() else None
        with warnings.catch_warnings():
            for message in _HARMLESS:
                warnings.filterwarnings("ignore", message)
            trainer.fit(module, ckpt_path=resumed, weights_only=True if resumed else None)
        self.model.to(device)
        self.losses_per_epochs = module.losses
        if isinstance(stopper, EarlyStopper) and not stopper.stopped and stopper.best_epoch is not None:
            _restore_best(stopper)
        self._callbacks.post_train(losses=self.losses_per_epochs)
        return self.losses_per_epochs

    def _renew_optimizer(self) -> None:
        """Make the optimizer and the scheduler anew, for the parameters as they are now."""
        options = optimizer_kwargs(self.optimizer)
        self.optimizer = type(self.optimizer)(params=self.model.get_grad_params(), **options)
        self.inner.optimizer = self.optimizer
        if self.lr_scheduler is not None:
            options = lr_scheduler_kwargs(self.lr_scheduler)
            self.lr_scheduler = type(self.lr_scheduler)(optimizer=self.optimizer, **options)

    def _after_epoch(self, module: Any, epoch: int) -> None:
        self._epoch = epoch
        if self.checkpoint is not None:
            module.trainer.save_checkpoint(self.checkpoint)
        self.losses_per_epochs = module.losses
        self._callbacks.post_epoch(epoch=epoch, epoch_loss=module.losses[-1])
        if self._should_stop:
            module.trainer.should_stop = True

    # what PyKEEN's loop asks of a loop, which the inner one does

    def _create_training_data_loader(self, triples_factory: CoreTriplesFactory, **kwargs: Any) -> DataLoader:
        return self.inner._create_training_data_loader(triples_factory, **kwargs)

    def _process_batch(self, *args: Any, **kwargs: Any) -> FloatTensor:
        return self.inner._process_batch(*args, **kwargs)

    def _get_batch_size(self, batch: Any) -> int:  # type: ignore[override]
        return self.inner._get_batch_size(batch)

    def _slice_size_search(self, **kwargs: Any) -> int:
        return self.inner._slice_size_search(**kwargs)


def _own_file(stopper: Any, rank: int) -> None:
    """Let each process keep the weights of the best epoch in a file of its own."""
    if rank and isinstance(stopper, EarlyStopper) and stopper.best_model_path is not None:
        path = pathlib.Path(stopper.best_model_path)
        stopper.best_model_path = path.with_name(f"{path.stem}-{rank}{path.suffix}")


def _restore_best(stopper: EarlyStopper) -> None:
    """Go back to the best epoch, where training ended before the stopper's patience."""
    path = stopper.best_model_path
    if path is not None and path.is_file():
        stopper.model.load_state_dict(torch.load(path, weights_only=True))
        if stopper.clean_up_checkpoint:
            path.unlink()
