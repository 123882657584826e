"""First the loop trains, then the modules that train themselves."""

from typing import Any

from docdata import parse_docdata
from pykeen.training.slcwa import SLCWATrainingLoop

from ..errors import MultimodalError
from ..nn.zero_shot.generator import GenerativeLearner
from ..nn.zero_shot.self_trained import SelfTrained
from ..options import strict
from .checked import CheckedTrainingMixin

__all__ = ["TwoPhaseTrainingLoop"]


@parse_docdata
class TwoPhaseTrainingLoop(CheckedTrainingMixin, SLCWATrainingLoop):  # type: ignore[misc]
    """The sLCWA loop for some epochs, then epochs in which only generators and the like learn.

    For models with a :class:`.SelfTrained` module, such as ``mre``, ``zsgan`` and ``devise``.
    The phase follows from the number of the epoch, so that a run resumes where it was. Both phases have epochs, so the
    stopper, checkpoints and callbacks work in both.

    MRE [cai2024]_ goes back and forth (``alternate``): after every tenth epoch of the loop come 10,000 steps of its
    extractor and 1,000 of its generator.

    ---
    name: Two-Phase
    """

    @strict(structure_epochs=0, steps_per_epoch=1)
    def __init__(
        self, *, structure_epochs: int = 5, steps_per_epoch: int = 1000, alternate: bool = False, **kwargs: Any
    ) -> None:
        """Initialize the training loop.

        :param structure_epochs: the number of epochs of the first phase
        :param steps_per_epoch: the number of steps in an epoch of the second phase
        :param alternate: whether all epochs are the loop's, and the steps of the second phase follow, within it, each
            epoch whose number is a multiple of `structure_epochs`
        :param kwargs: keyword arguments of :class:`pykeen.training.SLCWATrainingLoop`
        :raises MultimodalError: if the model has nothing that trains itself, or there is nothing to alternate with
        """
        super().__init__(**kwargs)
        if alternate and not structure_epochs:
            raise MultimodalError("With alternate=True there must be at least one epoch in structure_epochs.")
        self.structure_epochs, self.steps_per_epoch, self.alternate = structure_epochs, steps_per_epoch, alternate
        modules = [m for m in self.model.modules() if isinstance(m, SelfTrained)]
        self.self_trained = [m for m in modules if not isinstance(m, GenerativeLearner)]
        if not self.self_trained:
            raise MultimodalError(
                f"{type(self.model).__name__} has no generator, so there is no second phase. Use the sLCWA loop."
            )

    def _train_epoch(self, batches: Any, *args: Any, **kwargs: Any) -> float:
        epoch, probing = kwargs.get("epoch", 0), kwargs.get("only_size_probing", False)
        before = [module.joint for module in self.self_trained]
        for module in self.self_trained:
            module.joint = False
        try:
            if self.alternate:
                loss = super()._train_epoch(batches, *args, **kwargs)
                if not probing and epoch % self.structure_epochs == 0:
                    self._own_steps()
                return loss
            if probing or epoch <= self.structure_epochs:
                return super()._train_epoch(batches, *args, **kwargs)
            return self._own_steps()
        finally:
            for module, joint in zip(self.self_trained, before, strict=True):
                module.joint = joint

    def _own_steps(self) -> float:
        """Let the modules that train themselves take the steps of an epoch; return their mean loss."""
        total = 0.0
        for _ in range(self.steps_per_epoch):
            total += sum(module.own_step() for module in self.self_trained)
        return total / self.steps_per_epoch
