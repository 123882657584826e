"""Results of evaluation that say which protocol they follow and keep the rank of every triple."""

import hashlib
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pandas
from pykeen.evaluation.rank_based_evaluator import RankBasedMetricResults
from pykeen.typing import RANK_OPTIMISTIC, RANK_PESSIMISTIC, RANK_REALISTIC, RankType

from ..io import write_text

__all__ = [
    "ProtocolMetricResults",
    "RankTable",
    "dataset_digest",
    "describe",
    "versions",
    "write_json",
]


@dataclass(frozen=True)
class RankTable:
    """The rank of each evaluated triple, in the order of the triples, one side after the other.

    :param triples: shape: ``(n, 3)``; ids of head, relation, tail
    :param side: shape: ``(n,)``; the predicted side, ``"head"`` or ``"tail"``
    :param optimistic: shape: ``(n,)``; 1 + the number of better candidates
    :param pessimistic: shape: ``(n,)``; the number of candidates that are at least as good, the answer included
    :param num_candidates: shape: ``(n,)``; the number of ranked candidates, the answer included
    """

    triples: numpy.ndarray
    side: numpy.ndarray
    optimistic: numpy.ndarray
    pessimistic: numpy.ndarray
    num_candidates: numpy.ndarray

    def __len__(self) -> int:
        return len(self.side)

    @property
    def realistic(self) -> numpy.ndarray:
        """The mean of the optimistic and the pessimistic rank; shape: ``(n,)``."""
        return (self.optimistic + self.pessimistic) / 2

    def ranks(self, rank_type: RankType = RANK_REALISTIC) -> numpy.ndarray:
        """Return the ranks of one type; shape: ``(n,)``."""
        return {
            RANK_REALISTIC: self.realistic,
            RANK_OPTIMISTIC: self.optimistic,
            RANK_PESSIMISTIC: self.pessimistic,
        }[rank_type]

    def to_frame(self) -> pandas.DataFrame:
        """Return one row per ranked triple: side, head, relation, tail, the three ranks, candidates."""
        return pandas.DataFrame(
            {
                "side": self.side,
                "head": self.triples[:, 0],
                "relation": self.triples[:, 1],
                "tail": self.triples[:, 2],
                "optimistic": self.optimistic,
                "realistic": self.realistic,
                "pessimistic": self.pessimistic,
                "candidates": self.num_candidates,
            }
        )


class ProtocolMetricResults(RankBasedMetricResults):
    """PyKEEN's results of ranking, with the name of the protocol.

    :ivar protocol: the name of the protocol, such as ``"standard"``
    :ivar ranks: the rank of each triple
    :ivar beside: further results from the same scores by name of protocol, for example the ranking among all entities
        beside the one among candidates
    """

    protocol: str = ""
    ranks: RankTable | None = None
    beside: Mapping[str, "ProtocolMetricResults"] = {}

    def annotate(
        self,
        protocol: str,
        ranks: RankTable | None = None,
        beside: Mapping[str, "ProtocolMetricResults"] | None = None,
    ) -> "ProtocolMetricResults":
        """Set protocol, ranks and results beside, and return the results themselves."""
        self.protocol, self.ranks, self.beside = protocol, ranks, dict(beside or {})
        return self

    def to_dict(self) -> Mapping[str, Any]:
        """Extract a nested dictionary as PyKEEN does, with ``protocol`` and, if any, ``beside``.

        The values stay numbers, as PyKEEN's result trackers take no others: ``{"protocol": {name: number of ranks}}``.
        """
        result = dict(super().to_dict())
        result["protocol"] = {self.protocol: 0 if self.ranks is None else len(self.ranks)}
        if self.beside:
            result["beside"] = {name: other.to_dict() for name, other in self.beside.items()}
        return result


def dataset_digest(dataset: Any) -> str:
    """Return what identifies the data in a result.

    :param dataset: a multimodal dataset, whose own ``digest`` covers its tables and images too; or any dataset of
        PyKEEN, whose labels and triples of all splits are digested
    :returns: a SHA-256, 64 hexadecimal digits
    """
    own = getattr(dataset, "digest", None)
    if isinstance(own, str):
        return own
    sha = hashlib.sha256()
    training = dataset.training
    for name in ("entity_to_id", "relation_to_id"):
        mapping = getattr(training, name, None) or {}
        sha.update(json.dumps(sorted(mapping.items(), key=lambda item: item[1])).encode())
    for name in ("training", "validation", "testing"):
        factory = getattr(dataset, name, None)
        if factory is not None:
            sha.update(name.encode() + factory.mapped_triples.cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


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


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON so that the file is either whole or not there.

    Numbers that JSON does not have (NaN, infinities) become null.
    """
    write_text(path, json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, numpy.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return os.fspath(value) if isinstance(value, os.PathLike) else value
