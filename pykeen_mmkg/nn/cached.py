"""Representations whose whole table is computed once per evaluation, and by unique rows in training.

PyKEEN asks for the representations of all entities anew for each batch of an evaluation. For a plain embedding this is
free; for one that is computed it is most of the work.
"""

from abc import ABC
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from pykeen.nn.representation import Representation
from pykeen.typing import FloatTensor, LongTensor, OneOrSequence
from torch.nn import functional

from .._compat import tensor_version
from ..options import strict

__all__ = ["CachedRepresentation", "needed_rows", "take_rows"]

#: from this share of all rows on, all are computed: that saves looking them up
WHOLE_TABLE_SHARE = 0.75

#: with so many times as many rows as indices, sorting the indices takes less time than marking the rows
SORT_BELOW = 2


class _Table(NamedTuple):
    key: tuple[Any, ...]
    values: FloatTensor
    version: int


def _state(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Return what changes whenever a tensor is replaced, or is changed in place through autograd's eyes."""
    return tensor.data_ptr(), tensor.device, tensor.dtype, -1 if tensor.is_inference() else tensor_version(tensor)


def needed_rows(
    indices: LongTensor, max_id: int, share: float = WHOLE_TABLE_SHARE
) -> tuple[LongTensor | None, LongTensor]:
    """Find the rows that have to be computed for indices with repetitions.

    :param indices: shape: ``s``
    :param max_id: the number of all rows
    :param share: the share of unique rows from which on the whole table is to be computed
    :returns: the unique indices, shape: ``(u,)``, or None for the whole table; and the position of each index among
        these rows, shape: ``s``
    """
    if indices.numel() * SORT_BELOW < max_id:
        return indices.unique(return_inverse=True)
    present = torch.zeros(max_id, dtype=torch.bool, device=indices.device)
    present[indices] = True
    rows = present.nonzero().squeeze(dim=-1)
    if rows.numel() >= share * max_id:
        return None, indices
    return rows, (present.cumsum(dim=0) - 1)[indices]


def _ascending(indices: LongTensor) -> bool:
    """Return whether indices are sorted and without repetition, as those of a batch that has been looked through."""
    return indices.ndim == 1 and bool((indices[1:] > indices[:-1]).all())


def take_rows(table: FloatTensor, indices: LongTensor) -> FloatTensor:
    """Look rows up, the fast way where autograd has one.

    :param table: shape: ``(n, *d)``
    :param indices: shape: ``s``
    :returns: shape: ``(*s, *d)``
    """
    indices = indices.to(table.device)
    return table[indices] if table.is_complex() or table.ndim != 2 else functional.embedding(indices, table)


class CachedRepresentation(Representation, ABC):
    """A representation that is computed as rarely as possible.

    In evaluation mode, while gradients are off, the table of all rows is computed at the first request, in chunks, and
    kept. It is dropped by :meth:`train` (into training mode), :meth:`post_parameter_update`, :meth:`reset_parameters`,
    :meth:`load_state_dict` and a :meth:`to` that changes something; moreover the version counters of all parameters and
    buffers are compared at each request, so that an optimizer step or another in-place change in evaluation mode is
    noticed, too. A change through ``parameter.data`` in evaluation mode is the one that escapes: call
    :meth:`drop_cache` after it.

    The table is never pickled and is no part of the state dict.

    In training mode the rows of a batch are computed once each (``unique``), and the whole table where a batch needs
    nearly all of it, which saves gathering the rows.
    """

    #: whether the table is kept in evaluation
    eval_cache: bool

    #: the number of rows computed at a time in evaluation
    chunk_size: int

    #: from this share of unique rows on, the whole table is computed in training
    whole_table_share: float

    _table: _Table | None

    @strict(max_id=1, chunk_size=1, whole_table_share=0)
    def __init__(
        self,
        max_id: int,
        shape: OneOrSequence[int] = 64,
        eval_cache: bool = True,
        chunk_size: int = 8192,
        whole_table_share: float = WHOLE_TABLE_SHARE,
        unique: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize the representation.

        :param max_id: the number of ids
        :param shape: the shape of an individual representation
        :param eval_cache: whether to keep the table in evaluation
        :param chunk_size: the number of rows computed at a time in evaluation, which bounds the peak memory
        :param whole_table_share: the share of unique rows from which on the whole table is computed in training
        :param unique: whether to compute the rows of repeated indices once; by default yes
        :param kwargs: keyword parameters of :class:`~pykeen.nn.representation.Representation`
        """
        super().__init__(max_id=max_id, shape=shape, unique=True if unique is None else unique, **kwargs)
        self.eval_cache = eval_cache
        self.chunk_size = chunk_size
        self.whole_table_share = whole_table_share
        self._table = None

    def forward(self, indices: LongTensor | None = None) -> FloatTensor:  # noqa: D102
        if self.eval_cache and not self.training and not torch.is_grad_enabled():
            # dropout and regularizer do nothing here
            table = self._cached()
            return table if indices is None else take_rows(table, indices)
        x = self._rows(indices) if indices is None or not self.unique else self._unique_rows(indices)
        if self.regularizer is not None:
            self.regularizer.update(x)
        if self.dropout is not None:
            # torch drops no complex numbers: drop them whole
            x = x * self.dropout(torch.ones_like(x.real)) if x.is_complex() else self.dropout(x)
        return x

    def _unique_rows(self, indices: LongTensor) -> FloatTensor:
        """Return rows, each computed once."""
        if _ascending(indices) and indices.numel() < self.whole_table_share * self.max_id:
            return self._rows(indices)
        rows, positions = needed_rows(indices, self.max_id, self.whole_table_share)
        return take_rows(self._rows(rows), positions)

    def _rows(self, indices: LongTensor | None) -> FloatTensor:
        """Return normalized rows, without regularization or dropout."""
        x = self._plain_forward(indices)
        return x if self.normalizer is None else self.normalizer(x)

    def _key(self) -> tuple[Any, ...]:
        """Return a value that differs once the table would."""
        states = [_state(tensor) for tensor in self.parameters()] + [_state(tensor) for tensor in self.buffers()]
        return (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda"), *states)

    def _cached(self) -> FloatTensor:
        key = self._key()
        table = self._table
        if table is None or table.key != key or table.version != tensor_version(table.values):
            self._table = None
            # a table built under inference mode would be useless to training, and to autograd altogether
            with torch.inference_mode(False), torch.no_grad():
                values = self._build()
                table = self._table = _Table(key=key, values=values, version=tensor_version(values))
        return table.values

    def _build(self) -> FloatTensor:
        """Compute all rows, in chunks."""
        if self.max_id <= self.chunk_size:
            return self._rows(None)
        values: FloatTensor | None = None
        for start in range(0, self.max_id, self.chunk_size):
            rows = self._rows(torch.arange(start, min(start + self.chunk_size, self.max_id), device=self.device))
            if values is None:
                values = rows.new_empty(self.max_id, *rows.shape[1:])
            values[start : start + len(rows)] = rows
        assert values is not None
        return values

    def drop_cache(self) -> None:
        """Forget the table."""
        self._table = None

    def train(self, mode: bool = True) -> "CachedRepresentation":  # noqa: D102
        # not in `eval()`: PyKEEN's predict methods call it for every batch
        if mode:
            self.drop_cache()
        return super().train(mode)

    def post_parameter_update(self) -> None:  # noqa: D102
        self.drop_cache()
        super().post_parameter_update()

    def reset_parameters(self) -> None:  # noqa: D102
        self.drop_cache()
        super().reset_parameters()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "CachedRepresentation":
        super()._apply(fn, recurse)
        # PyKEEN's evaluators move the model to where it is: that changes nothing
        if self._table is not None and self._table.key != self._key():
            self.drop_cache()
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.drop_cache()
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None}
