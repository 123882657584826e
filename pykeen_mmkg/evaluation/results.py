"""Results of evaluation that say which protocol they follow and keep the rank of every triple."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import pandas
from pykeen.evaluation.rank_based_evaluator import RankBasedMetricResults
from pykeen.typing import RANK_OPTIMISTIC, RANK_PESSIMISTIC, RANK_REALISTIC, RankType

__all__ = ["ProtocolMetricResults", "RankTable"]


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
