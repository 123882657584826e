"""Dot products and distances between the rows of two matrices, without a row per pair in memory.

*Cross* kernels compare all rows of ``x`` with all rows of ``y`` (1-vs-all scoring); *pair* kernels compare only listed
pairs (scores of sampled triples). A straightforward broadcast or gather needs memory for pairs times dimensions; these
need it for pairs plus rows times dimensions, in the forward and in the backward pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pykeen.typing import FloatTensor, LongTensor
from torch.autograd.function import once_differentiable

from .._compat import cdist_backward
from ..indexing import row_offsets

__all__ = ["cross_distance", "cross_dot", "pair_distance", "pair_dot", "pair_euclidean"]

#: The matrix form of a squared distance is a difference of squared lengths. Where the distance is below this share of
#: them, the difference has lost too many digits, and the pair is computed again from the difference of the vectors.
CANCELLATION = 0.1

#: Above this share of such pairs, the vectors are first shifted to have a mean of zero, which leaves fewer of them.
CENTER_ABOVE = 0.01

#: Up to this ratio of all pairs to the listed ones, the dot products of all of them take less time. (At least one: a
#: sparse matrix cannot list more entries than it has.)
DENSE_BELOW = 4

#: Numbers in a block of vector differences: small enough for the second-level cache of a CPU core ...
CPU_BLOCK = 1 << 17
#: ... and large enough to keep a GPU busy.
GPU_BLOCK = 1 << 25


def _csr(crow: LongTensor, cols: LongTensor, values: FloatTensor, num_columns: int) -> torch.Tensor:
    """Build a CSR matrix; torch's note that they are in beta would reach the user on each first call."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Ss]parse.*")
        return torch.sparse_csr_tensor(crow, cols, values, size=(crow.numel() - 1, num_columns))


class _PairDot(torch.autograd.Function):
    """Sampled dense-dense matrix product; its gradients are two sparse-dense products."""

    @staticmethod
    def forward(ctx: Any, x: FloatTensor, y: FloatTensor, rows: LongTensor, cols: LongTensor) -> FloatTensor:
        ctx.save_for_backward(x, y, rows, cols)
        crow = row_offsets(rows, x.shape[0])
        pattern = _csr(crow, cols, x.new_zeros(cols.shape[0]), y.shape[0])
        return torch.sparse.sampled_addmm(pattern, x, y.T, beta=0.0).values()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: FloatTensor) -> tuple[FloatTensor | None, FloatTensor | None, None, None]:
        x, y, rows, cols = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x = grad_y = None
        if ctx.needs_input_grad[0]:
            grad_x = _csr(row_offsets(rows, x.shape[0]), cols, grad, y.shape[0]) @ y
        if ctx.needs_input_grad[1]:
            by_column, order = cols.sort()
            grad_y = _csr(row_offsets(by_column, y.shape[0]), rows[order], grad[order], x.shape[0]) @ x
        return grad_x, grad_y, None, None


def pair_dot(x: FloatTensor, y: FloatTensor, rows: LongTensor, cols: LongTensor) -> FloatTensor:
    """Calculate the dot products of listed pairs of rows.

    :param x: shape: (n, d), dtype: float32 or float64; the left vectors
    :param y: shape: (m, d); the right vectors
    :param rows: shape: (k,), sorted; for each pair, the row of ``x``
    :param cols: shape: (k,); for each pair, the row of ``y``
    :returns: shape: (k,); the dot products. They can be differentiated once.
    """
    num_columns = y.shape[0]
    if x.shape[0] * num_columns <= DENSE_BELOW * rows.shape[0]:
        return cross_dot(x, y).flatten().index_select(0, rows * num_columns + cols)
    return _PairDot.apply(x, y, rows, cols)


def _differences(
    x: FloatTensor, y: FloatTensor, rows: LongTensor, cols: LongTensor
) -> Iterator[tuple[slice, FloatTensor]]:
    """Yield the differences of pairs of rows in blocks, in memory that the next block takes over."""
    size = max(1, (CPU_BLOCK if x.device.type == "cpu" else GPU_BLOCK) // max(1, x.shape[1]))
    num_pairs = rows.shape[0]
    left = x.new_empty(min(size, num_pairs), x.shape[1])
    right = torch.empty_like(left)
    for start in range(0, num_pairs, size):
        part = slice(start, min(start + size, num_pairs))
        n = part.stop - start
        delta = torch.index_select(x, 0, rows[part], out=left[:n])
        yield part, delta.sub_(torch.index_select(y, 0, cols[part], out=right[:n]))


class _PairDistance(torch.autograd.Function):
    """Distances of pairs in blocks that stay in the cache; the differences are built again for the gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: FloatTensor, y: FloatTensor, rows: LongTensor, cols: LongTensor, p: int, power_norm: bool
    ) -> FloatTensor:
        out = x.new_empty(rows.shape[0])
        for part, delta in _differences(x, y, rows, cols):
            torch.linalg.vector_norm(delta, ord=p, dim=-1, out=out[part])
        if power_norm and p == 2:
            out = out.square_()
        ctx.save_for_backward(x, y, rows, cols, out)
        ctx.p, ctx.power_norm = p, power_norm
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: FloatTensor) -> tuple[FloatTensor | None, FloatTensor | None, None, None, None, None]:
        x, y, rows, cols, out = ctx.saved_tensors
        if ctx.p == 2:
            # the gradient of the norm at zero is taken as zero, as by torch
            grad = 2 * grad if ctx.power_norm else torch.where(out > 0, grad / out, 0.0)
        grad_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        grad_y = torch.zeros_like(y) if ctx.needs_input_grad[1] else None
        for part, delta in _differences(x, y, rows, cols):
            if ctx.p == 1:
                delta.sign_()
            delta.mul_(grad[part].unsqueeze(-1))
            if grad_x is not None:
                grad_x.index_add_(0, rows[part], delta)
            if grad_y is not None:
                grad_y.index_add_(0, cols[part], delta, alpha=-1)
        return grad_x, grad_y, None, None, None, None


def pair_distance(
    x: FloatTensor, y: FloatTensor, rows: LongTensor, cols: LongTensor, p: int, power_norm: bool = False
) -> FloatTensor:
    r"""Calculate $\|x_i - y_j\|_p$ for listed pairs of rows, from the differences of the vectors.

    :param x: shape: (n, d); the left vectors
    :param y: shape: (m, d); the right vectors
    :param rows: shape: (k,); for each pair, the row of ``x``
    :param cols: shape: (k,); for each pair, the row of ``y``
    :param p: the norm, 1 or 2
    :param power_norm: whether to return the $p$-th power of the norm
    :returns: shape: (k,); the distances. They can be differentiated once; the gradient at a zero distance is zero.
    """
    return _PairDistance.apply(x, y, rows, cols, p, power_norm)


def cross_dot(x: FloatTensor, y: FloatTensor) -> FloatTensor:
    """Calculate the dot products of all pairs of rows.

    Equal rows of ``y`` give equal numbers, but for the last digit with some libraries' products in several threads.

    :param x: shape: (n, d); the left vectors
    :param y: shape: (m, d); the right vectors
    :returns: shape: (n, m); the dot products
    """
    # A product with a single vector adds up in an order that depends on the row of y: fewer equal entities are tied.
    return x @ y.T if x.shape[0] != 1 else (x.repeat(2, 1) @ y.T)[:1]


class _CrossL1(torch.autograd.Function):
    """torch's 1-norm distances; their gradient in blocks, since on a GPU torch's own needs memory for n * m * d."""

    @staticmethod
    def forward(ctx: Any, x: FloatTensor, y: FloatTensor) -> FloatTensor:
        out = torch.cdist(x, y, p=1.0)
        ctx.save_for_backward(x, y, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: FloatTensor) -> tuple[FloatTensor | None, FloatTensor | None]:
        x, y, out = ctx.saved_tensors
        size = x.shape[0] if x.device.type == "cpu" else max(1, GPU_BLOCK // max(1, y.numel()))
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        grad_y = torch.zeros_like(y) if ctx.needs_input_grad[1] else None
        for start in range(0, x.shape[0], size):
            part = slice(start, start + size)
            g, o = grad[part].contiguous(), out[part].contiguous()
            if grad_x is not None:
                grad_x[part] = cdist_backward(g, x[part].contiguous(), y, 1.0, o)
            if grad_y is not None:
                grad_y += cdist_backward(g.T.contiguous(), y, x[part].contiguous(), 1.0, o.T.contiguous())
        return grad_x, grad_y


def _squared_length(x: FloatTensor) -> FloatTensor:
    """Return the squared 2-norms of the rows without a copy of the matrix."""
    return torch.linalg.vector_norm(x, dim=-1).square()


def _squared(
    form: Callable[[FloatTensor, FloatTensor], tuple[FloatTensor, torch.Tensor]], x: FloatTensor, y: FloatTensor
) -> tuple[FloatTensor, torch.Tensor]:
    """Return squared distances by a product, and which of them have lost digits; of centred vectors if many have."""
    squared, close = form(x, y)
    if int(close.sum()) > CENTER_ABOVE * close.numel():
        center = y.detach().mean(dim=0)
        return form(x - center, y - center)
    return squared, close


def _root(squared: FloatTensor, power_norm: bool) -> FloatTensor:
    return squared if power_norm else squared.sqrt()


def cross_distance(x: FloatTensor, y: FloatTensor, p: int, power_norm: bool = False) -> FloatTensor:
    r"""Calculate $\|x_i - y_j\|_p$ for all pairs of rows.

    Equal rows of ``y`` are tied as in :func:`cross_dot`.

    The 2-norm takes the matrix form $\|x\|^2 + \|y\|^2 - 2 x y^T$; pairs for which that loses digits are computed again
    from the difference of the vectors, cf. :data:`CANCELLATION`.

    :param x: shape: (n, d); the left vectors
    :param y: shape: (m, d); the right vectors
    :param p: the norm, 1 or 2
    :param power_norm: whether to return the $p$-th power of the norm
    :returns: shape: (n, m); the distances. They can be differentiated once; the gradient at a zero distance is zero.
    """
    if p == 1:
        return _CrossL1.apply(x.contiguous(), y.contiguous())
    if x.dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
        # the user allows matrix products to drop digits; a difference of squares has none to spare
        return cross_distance(x.double(), y.double(), p=p, power_norm=power_norm).to(x.dtype)
    if x.shape[0] == 1:  # cf. cross_dot
        return cross_distance(x.repeat(2, 1), y, p=p, power_norm=power_norm)[:1]

    def matrix_form(x: FloatTensor, y: FloatTensor) -> tuple[FloatTensor, torch.Tensor]:
        xx, yy = _squared_length(x).unsqueeze(-1), _squared_length(y)
        with torch.autocast(x.device.type, enabled=False):
            squared = torch.addmm(yy.unsqueeze(0), x, y.T, alpha=-2).add_(xx)
        with torch.no_grad():
            return squared, squared <= (xx + yy).mul_(CANCELLATION)

    squared, close = _squared(matrix_form, x, y)
    rows, cols = close.nonzero(as_tuple=True)
    if not rows.shape[0]:
        return _root(squared, power_norm)
    exact = pair_distance(x, y, rows, cols, p=2, power_norm=power_norm)
    # a one in place of the pairs that are replaced keeps the gradient of the root finite
    return _root(squared.masked_fill(close, 1.0), power_norm).index_put((rows, cols), exact)


def pair_euclidean(
    x: FloatTensor, y: FloatTensor, rows: LongTensor, cols: LongTensor, power_norm: bool = False
) -> FloatTensor:
    r"""Calculate $\|x_i - y_j\|_2$ for listed pairs of rows by their dot products.

    The same numbers as :func:`pair_distance`, for large dimensions and repeated rows several times faster; pairs for
    which the dot product loses digits are computed again from the difference of the vectors. The arguments are the same
    as well, but ``rows`` are sorted, and the vectors are float32 or float64.
    """

    def dot_form(x: FloatTensor, y: FloatTensor) -> tuple[FloatTensor, torch.Tensor]:
        lengths = _squared_length(x).index_select(0, rows) + _squared_length(y).index_select(0, cols)
        squared = lengths - 2 * pair_dot(x, y, rows, cols)
        return squared, squared.detach() <= CANCELLATION * lengths.detach()

    squared, close = _squared(dot_form, x, y)
    (index,) = close.nonzero(as_tuple=True)
    if not index.shape[0]:
        return _root(squared, power_norm)
    exact = pair_distance(x, y, rows[index], cols[index], p=2, power_norm=power_norm)
    return _root(squared.masked_fill(close, 1.0), power_norm).index_copy(0, index, exact)
