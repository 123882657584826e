"""Modules that train themselves, beside the training loop."""

from collections.abc import Iterable
from typing import Any

import torch
from pykeen.typing import FloatTensor
from torch import nn

__all__ = ["SelfTrained"]


class SelfTrained(nn.Module):
    """A module that trains its parameters itself, out of the reach of the training loop's optimizer.

    A step is taken in :meth:`post_parameter_update`, which every loop of PyKEEN calls after its own step. The
    optimizers' states are part of the state dict, so that a run that was interrupted goes on bit by bit.
    """

    #: whether a step of the loop is followed by one of this module; a two-phase loop switches it off in between
    joint: bool = True

    #: whether the parameters are drawn and nothing has been trained since
    _fresh: bool = False

    def __init__(self) -> None:
        """Initialize the module."""
        super().__init__()
        self._optimizers: dict[str, torch.optim.Optimizer] = {}
        self._pending: dict[str, Any] = {}

    def optimizer(self, name: str, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float]) -> Any:
        """Return an Adam optimizer, made at its first use."""
        if name not in self._optimizers:
            # the tensors are small: fused, a step takes a quarter of the time
            self._optimizers[name] = torch.optim.Adam(list(parameters), lr=lr, betas=betas, fused=True)
            if name in self._pending:
                self._optimizers[name].load_state_dict(self._pending.pop(name))
        return self._optimizers[name]

    def descend(self, optimizer: torch.optim.Optimizer, loss: FloatTensor) -> None:
        """Take a step, and leave no gradient behind that another optimizer could take for its own."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True
        ):
            parameter.grad = gradient
        optimizer.step()
        for parameter in parameters:
            parameter.grad = None

    def own_step(self) -> float:
        """Take one step; return the loss."""
        raise NotImplementedError

    def post_parameter_update(self) -> None:
        """Take one step, in training."""
        if self._fresh:
            # PyKEEN ends a reset of the model with this call: there is nothing to learn from yet
            self._fresh = False
        elif self.training and self.joint:
            with torch.inference_mode(False), torch.enable_grad():
                self.own_step()

    def forget(self) -> None:
        """Drop the optimizers' states, at a reset."""
        self._optimizers.clear()
        self._pending.clear()
        self._fresh = True

    def forget_optimizer(self, name: str) -> None:
        """Drop the state of one optimizer, for another round of training."""
        self._optimizers.pop(name, None)
        self._pending.pop(name, None)

    def get_extra_state(self) -> Any:
        """Return the optimizers' states."""
        return {**self._pending, **{name: optimizer.state_dict() for name, optimizer in self._optimizers.items()}}

    def set_extra_state(self, state: Any) -> None:
        """Restore the optimizers' states."""
        self._optimizers.clear()
        self._pending = dict(state)
