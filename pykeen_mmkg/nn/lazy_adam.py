"""Adam that updates a row of a table only when the row is in a batch."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from docdata import parse_docdata
from torch.optim import Adam

from ..errors import MultimodalError
from ..options import strict

__all__ = ["LazyAdam"]

#: options of Adam that a lazy row cannot honour
_REFUSED = ("weight_decay", "amsgrad", "capturable", "differentiable", "fused")


@parse_docdata
class LazyAdam(Adam):
    r"""Adam for tables of which a batch has few rows.

    A parameter with a dense gradient is updated as by :class:`torch.optim.Adam`. Of one with a sparse gradient, only
    the rows in it are: their moments, and the rows by

    .. math::

        \mathbf{w}_i \leftarrow \mathbf{w}_i - \eta \, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \,
        \frac{\mathbf{m}_i}{\sqrt{\mathbf{v}_i} + \epsilon}

    with t the number of all steps, as :class:`torch.optim.SparseAdam` does. This is not Adam: there, the moments of a
    row that is in no batch decay, and the row moves on by them. A step costs what the batch has, not the table.

    ---
    name: Lazy Adam
    """

    @strict(lr=0, eps=0)
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        **kwargs: Any,
    ) -> None:
        """Initialize the optimizer.

        :param params: the parameters, or groups of them
        :param lr: the learning rate
        :param betas: the decay rates of the two moments
        :param eps: added to the root of the second moment
        :param kwargs: keyword arguments of :class:`torch.optim.Adam`
        :raises MultimodalError: at weight decay, and at options that change how a dense step is made
        """
        if given := [name for name in _REFUSED if kwargs.get(name)]:
            raise MultimodalError(f"The lazy Adam has no {', '.join(given)}: a row that is in no batch stays as it is.")
        super().__init__(params, lr=lr, betas=(betas[0], betas[1]), eps=eps, **kwargs)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Make a step.

        :param closure: a function that computes the loss anew, with gradients
        :returns: its loss
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        lazy = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    lazy.append((parameter, parameter.grad))
                    self._rows_step(parameter, group)
                    parameter.grad = None
        super().step()
        for parameter, gradient in lazy:
            parameter.grad = gradient
        return loss

    def _rows_step(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        """Update the rows of a sparse gradient."""
        assert parameter.grad is not None
        gradient = parameter.grad.coalesce()
        rows, values = gradient.indices().squeeze(0), gradient.values()
        if group["maximize"]:
            values = -values
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        first = state["exp_avg"].index_select(0, rows).lerp_(values, 1 - beta1)
        second = state["exp_avg_sq"].index_select(0, rows).mul_(beta2).addcmul_(values, values, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, first)
        state["exp_avg_sq"].index_copy_(0, rows, second)
        step = float(state["step"])
        rate = group["lr"] * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
        parameter.index_add_(0, rows, first.div_(second.sqrt_().add_(group["eps"])), alpha=-rate)
