"""Sparse gradients: a step of the optimizer touches the rows of a batch, not the whole table of entities.

The gradient of a table of entities is zero but for the rows of a batch. As a dense matrix it is filled, added and
looked at anew in each step, so that a step costs what the graph is large; as a sparse one it costs what the batch is.

While one of PyKEEN's loops trains a model of this package, a table of at least :data:`MIN_ROWS` rows has sparse
gradients if the optimizer makes the same of them as of dense ones: Adagrad and SGD, without momentum, weight decay and
the option ``fused``. The results are those of dense gradients up to rounding. Adam is none of these, since it moves
rows by what it remembers of them; :class:`~pykeen_mmkg.nn.lazy_adam.LazyAdam` does not. Gradient clipping asks
for dense gradients.

``sparse=True`` or ``False`` among the keyword arguments of a structural embedding decides instead of the size::

    model_kwargs={"representation_kwargs": {"structural_kwargs": {"sparse": True}}}
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from pykeen.models.base import Model
from pykeen.nn.representation import Embedding
from pykeen.training.callbacks import (
    GradientAbsClippingTrainingCallback,
    GradientNormClippingTrainingCallback,
    TrainingCallback,
    callback_resolver,
)
from torch.optim import SGD, Adagrad, Optimizer

from ..errors import MultimodalError
from ..nn.lazy_adam import LazyAdam
from ..nn.row_tables import sparse_option

__all__ = ["MIN_ROWS", "sparse_gradients", "takes_sparse"]

#: The number of rows from which on a table has sparse gradients by itself
MIN_ROWS = 50_000

#: optimizer -> the options with which it makes the same of sparse and dense gradients only if they are off
_EXACT: Mapping[type[Optimizer], Sequence[str]] = {
    Adagrad: ("weight_decay", "fused", "differentiable"),
    SGD: ("weight_decay", "momentum", "fused", "differentiable"),
}

_CLIPPING = (GradientAbsClippingTrainingCallback, GradientNormClippingTrainingCallback)


def takes_sparse(optimizer: Optimizer) -> bool:
    """Return whether an optimizer is to have sparse gradients by itself.

    :param optimizer: the optimizer
    :returns: whether it makes the same of them as of dense ones, or was chosen for what it makes of them
    """
    if isinstance(optimizer, LazyAdam):
        return True
    off = _EXACT.get(type(optimizer))
    return off is not None and not any(group.get(name) for group in optimizer.param_groups for name in off)


def _clips(options: Mapping[str, Any]) -> bool:
    """Return whether the options of a training clip gradients."""
    if any(options.get(f"gradient_clipping_max_{name}") is not None for name in ("norm", "abs_value")):
        return True
    callbacks = options.get("callbacks")
    if callbacks is None or isinstance(callbacks, str | type | TrainingCallback):
        callbacks = [callbacks]
    return any(_is_clipping(callback) for callback in _flat(callbacks) if callback is not None)


def _flat(callbacks: Iterable[Any]) -> Iterator[Any]:
    for callback in callbacks:
        yield from _flat(callback) if isinstance(callback, list | tuple) else (callback,)


def _is_clipping(callback: Any) -> bool:
    if isinstance(callback, str):
        try:
            callback = callback_resolver.lookup(callback)
        except KeyError:  # PyKEEN names it in its own error
            return False
    return issubclass(callback, _CLIPPING) if isinstance(callback, type) else isinstance(callback, _CLIPPING)


def _explain(optimizer: Optimizer | None, clips: bool) -> str:
    if clips:
        return "Gradient clipping needs dense gradients. Leave sparse=True out of the structural embedding's options."
    return (
        f"{type(optimizer).__name__} with these options takes no sparse gradients. Train with 'adagrad', 'sgd' or "
        "'lazyadam' (without weight decay, momentum and fused), or leave sparse=True out."
    )


@contextlib.contextmanager
def sparse_gradients(
    model: Model, optimizer: Optimizer | None, options: Mapping[str, Any]
) -> Iterator[list[Embedding]]:
    """Let the large tables of a model have sparse gradients for the time of a training.

    :param model: the model
    :param optimizer: its optimizer
    :param options: keyword arguments of :meth:`pykeen.training.TrainingLoop.train`
    :yields: the tables that have
    :raises MultimodalError: if a table is to have sparse gradients with an optimizer, or a clipping, that cannot
    """
    clips = _clips(options)
    able = optimizer is not None and takes_sparse(optimizer) and not clips
    tables = []
    for table in (module for module in model.modules() if isinstance(module, Embedding)):
        asked = sparse_option(table)
        if asked and not able:
            raise MultimodalError(_explain(optimizer, clips))
        if able and (table.max_id >= MIN_ROWS if asked is None else asked):
            tables.append(table)
    before = [table._embeddings.sparse for table in tables]
    # saying so at once keeps torch from telling each user that it does not check the invariants of sparse tensors
    checked = torch.sparse.check_sparse_tensor_invariants.is_enabled()
    try:
        for table in tables:
            table._embeddings.sparse = True
        with torch.sparse.check_sparse_tensor_invariants(enable=checked):
            yield tables
    finally:
        for table, value in zip(tables, before, strict=True):
            table._embeddings.sparse = value
