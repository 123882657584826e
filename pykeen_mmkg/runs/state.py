"""State dicts as tensors and one JSON document, so that safetensors can hold what torch would pickle.

A state dict maps names to tensors, but the extra state of a module can be anything; those of ours and of PyKEEN are
nested mappings and lists of tensors, numbers and strings. A tensor within is replaced by a reference to its name.
"""

from collections.abc import Mapping
from typing import Any

import torch

from ..errors import RunError

__all__ = ["flatten_state", "restore_state"]

#: the key of a reference; no mapping of an extra state may have it
TENSOR = "__tensor__"
#: a mapping with keys other than strings, as an optimizer's state has, as a list of pairs
PAIRS = "__pairs__"
TUPLE = "__tuple__"


def flatten_state(state: Mapping[str, Any]) -> tuple[Any, dict[str, torch.Tensor]]:
    """Split a state dict into a JSON document and tensors.

    :param state: the state dict of a module, extra states included
    :returns: the document, and the tensors by name; they are contiguous copies on the CPU, none shares memory
    :raises RunError: if it holds something other than tensors, numbers, strings, None, mappings, lists and tuples
    """
    tensors: dict[str, torch.Tensor] = {}

    def flatten(value: Any, name: str) -> Any:
        if isinstance(value, torch.Tensor):
            tensors[name] = value.detach().to("cpu", copy=True).contiguous()
            return {TENSOR: name}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Mapping):
            if all(isinstance(key, str) for key in value) and not value.keys() & {TENSOR, PAIRS, TUPLE}:
                return {key: flatten(entry, f"{name}/{key}" if name else key) for key, entry in value.items()}
            pairs = [
                [flatten(key, f"{name}/{i}.key"), flatten(entry, f"{name}/{i}")]
                for i, (key, entry) in enumerate(value.items())
            ]
            return {PAIRS: pairs}
        if isinstance(value, tuple | list):
            entries = [flatten(entry, f"{name}/{i}") for i, entry in enumerate(value)]
            return {TUPLE: entries} if isinstance(value, tuple) else entries
        raise RunError(
            f"The state {name!r} is of the type {type(value).__name__}, which cannot be saved without a pickle."
        )

    return flatten(state, ""), tensors


def restore_state(document: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """Put together again what :func:`flatten_state` has split.

    :param document: the document
    :param tensors: the tensors by name
    :returns: the state dict
    :raises RunError: if a tensor is missing
    """
    if isinstance(document, list):
        return [restore_state(entry, tensors) for entry in document]
    if not isinstance(document, Mapping):
        return document
    if TENSOR in document:
        try:
            return tensors[document[TENSOR]]
        except KeyError:
            raise RunError(f"The weights lack the tensor {document[TENSOR]!r}: the file is not the run's.") from None
    if PAIRS in document:
        return {restore_state(key, tensors): restore_state(entry, tensors) for key, entry in document[PAIRS]}
    if TUPLE in document:
        return tuple(restore_state(entry, tensors) for entry in document[TUPLE])
    return {key: restore_state(entry, tensors) for key, entry in document.items()}
