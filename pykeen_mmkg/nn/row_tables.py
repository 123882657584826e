"""Embeddings that say whether their gradients are sparse."""

from collections.abc import Mapping
from typing import Any

from pykeen.nn.representation import Embedding

from ..errors import MultimodalError

__all__ = ["set_sparse_option", "sparse_option", "split_sparse_option"]


def split_sparse_option(kwargs: Mapping[str, Any] | None) -> tuple[dict[str, Any], bool | None]:
    """Take the option ``sparse`` from the keyword arguments of an embedding.

    :param kwargs: the keyword arguments, or None
    :returns: the others, and whether gradients are sparse; None leaves that to the training
    :raises MultimodalError: if it is no truth value
    """
    rest = dict(kwargs or {})
    sparse = rest.pop("sparse", None)
    if sparse is not None and not isinstance(sparse, bool):
        raise MultimodalError(f"sparse={sparse!r} is no truth value: choose True, False or None (by size).")
    return rest, sparse


def set_sparse_option(embedding: Any, sparse: bool | None) -> None:
    """Note on an embedding whether its gradients are sparse.

    :param embedding: the embedding
    :param sparse: the option; None leaves that to the training
    :raises MultimodalError: if it is asked for of a representation that is no embedding
    """
    if sparse is None:
        return
    if not isinstance(embedding, Embedding):
        raise MultimodalError(f"Only an Embedding has sparse gradients, but this is a {type(embedding).__name__}.")
    embedding.sparse_gradients = sparse  # type: ignore[assignment]


def sparse_option(embedding: Embedding) -> bool | None:
    """Return whether the gradients of an embedding are to be sparse; None if that was left open."""
    return getattr(embedding, "sparse_gradients", None)
