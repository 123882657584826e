"""Descriptions of results: the protocol, the data, the seeds and the versions that they depend on, as plain JSON."""

import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Any

from ..datasets.loading import dataset_digest
from .results import ProtocolMetricResults

__all__ = ["describe", "versions"]


def versions() -> dict[str, str]:
    """Return the versions of what results depend on: Python, this package, and the libraries below it."""
    result = {"python": platform.python_version()}
    for name in ("pykeen-mmkg", "pykeen", "torch", "transformers", "class-resolver", "numpy"):
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            result[name] = "unknown"
    return result


def describe(
    results: ProtocolMetricResults,
    dataset: Any = None,
    seeds: Sequence[int] = (),
    **extra: Any,
) -> dict[str, Any]:
    """Describe results so that a reader knows how they were obtained.

    :param results: the results
    :param dataset: the dataset
    :param seeds: the seeds of all runs that the results depend on
    :param extra: further entries, such as the configuration
    :returns: plain JSON: ``protocol``, ``dataset`` (name and digest), ``seeds``, ``versions``, ``metrics``, ``beside``,
        and `extra`
    """
    return {
        "protocol": results.protocol,
        "dataset": None if dataset is None else {"name": type(dataset).__name__, "digest": dataset_digest(dataset)},
        "seeds": list(seeds),
        "versions": versions(),
        "metrics": dict(results.to_flat_dict()),
        "beside": {name: dict(other.to_flat_dict()) for name, other in results.beside.items()},
        **extra,
    }
