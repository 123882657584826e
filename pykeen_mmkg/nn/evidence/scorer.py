"""All kinds of evidence as one table per part, or as their weighted sum."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

import torch
from pykeen.typing import BoolTensor, FloatTensor, LongTensor, MappedTriples

from ...errors import MultimodalError
from ..preprocessing import StandIns
from .copying import Copying, Profile
from .counts import Loops, Prior
from .horn_rules import LinkRules, PathRules
from .neighbours import nearest
from .queries import DirectedTriples, Queries
from .reasons import Reason
from .words import WORDS, CommonWords

__all__ = ["PARTS", "EvidenceScorer"]

#: the parts that read the training triples and nothing else
GRAPH_PARTS = ("link", "path", "loop")
#: the parts that need text vectors
TEXT_PARTS = ("copy", "profile_max", "profile_mean")
#: all parts; the prior is kept apart, since it tells how a benchmark was made rather than what is true
PARTS = (*GRAPH_PARTS, *TEXT_PARTS, *WORDS, "prior")


class _Kind(Protocol):
    @property
    def names(self) -> tuple[str, ...]:
        """The parts."""

    def __call__(self, queries: Queries) -> FloatTensor:
        """Return the scores of each part, shape: ``(k, b, n)``."""


class EvidenceScorer:
    """Scores of candidates by each part of the evidence; 0 is "nothing to say".

    Everything follows from the training triples and the texts; nothing is trained.
    """

    def __init__(
        self,
        triples: MappedTriples,
        num_entities: int,
        num_relations: int,
        vectors: FloatTensor | None = None,
        mask: BoolTensor | None = None,
        names: Sequence[str] | None = None,
        descriptions: Sequence[str] | None = None,
        stand_ins: StandIns | None = None,
        parts: Collection[str] | None = None,
        prior: bool = False,
        neighbours: int = 10,
        copy_neighbours: int = 64,
        temperature: float = 0.05,
        max_known: int = 16,
        **rules: Any,
    ) -> None:
        """Read the evidence off the training triples.

        :param triples: shape: ``(n, 3)``; training triples, and no others
        :param num_entities: the number of entities, ``N``
        :param num_relations: the number of relations, ``R``, without inverse ones
        :param vectors: shape: ``(N, d)``; the texts, of unit length, zero where there is none
        :param mask: shape: ``(N,)``; which entities have a text
        :param names: the names of the entities, empty where there is none
        :param descriptions: their descriptions
        :param stand_ins: entities without a text, and those whose words are taken in its place
        :param parts: some of :data:`PARTS`; by default all for which there are texts, but for the prior
        :param prior: whether the prior is one of those that are there by default
        :param neighbours: how many nearest texts are a link "~" of path rules
        :param copy_neighbours: how many nearest texts are copied from
        :param temperature: the temperature of copying, see :class:`~.copying.Copying`
        :param max_known: see :class:`~.copying.Profile`
        :param rules: arguments of :class:`~.horn_rules.PathRules`
        :raises MultimodalError: if a part is unknown, or lacks the texts that it reads
        """
        lacking: tuple[str, ...] = () if vectors is not None else TEXT_PARTS
        lacking += () if names is not None else WORDS
        default = [part for part in PARTS if part not in lacking and (prior or part != "prior")]
        asked = default if parts is None else list(parts)
        for part in asked:
            if part not in PARTS:
                raise MultimodalError(f"Unknown part {part!r} of the evidence; choose some of {', '.join(PARTS)}.")
            if part in lacking:
                needed = "text vectors" if part in TEXT_PARTS else "a table with names and descriptions"
                raise MultimodalError(f"The part {part!r} of the evidence needs {needed} of the entities.")
        self.num_entities, self.num_relations = num_entities, num_relations
        graph = DirectedTriples(triples, num_entities, num_relations)
        near = similar = None
        if vectors is not None and mask is not None and {"path", "copy"} & set(asked):
            near = nearest(vectors, mask, max(neighbours if "path" in asked else 0, copy_neighbours))
            links = near[1][:, :neighbours]
            similar = torch.stack([near[0].repeat_interleave(links.shape[1]), links.flatten()], dim=-1)
        kinds: list[_Kind] = []
        if "link" in asked:
            kinds.append(LinkRules(graph))
        if "path" in asked:
            kinds.append(PathRules(graph, similar, **rules))
        if "loop" in asked:
            kinds.append(Loops(graph))
        if "copy" in asked and near is not None:
            ids, others, cosines = near
            kinds.append(Copying(graph, ids, others[:, :copy_neighbours], cosines[:, :copy_neighbours], temperature))
        if {"profile_max", "profile_mean"} & set(asked) and vectors is not None and mask is not None:
            kinds.append(Profile(graph, vectors, mask, max_known=max_known))
        if (words := [part for part in WORDS if part in asked]) and names is not None and descriptions is not None:
            kinds.append(CommonWords(names, descriptions, words, stand_ins))
        if "prior" in asked:
            kinds.append(Prior(graph))
        self.kinds = kinds
        #: the parts in the order of the scores
        self.parts = tuple(part for kind in kinds for part in kind.names if part in asked)

    def _tables(self, queries: Queries) -> Iterator[tuple[int, FloatTensor]]:
        for kind in self.kinds:
            if any(part in self.parts for part in kind.names):
                for part, table in zip(kind.names, kind(queries), strict=True):
                    if part in self.parts:
                        yield self.parts.index(part), table

    def queries(
        self,
        heads: LongTensor,
        relations: LongTensor,
        own: LongTensor | None = None,
        ids: LongTensor | None = None,
    ) -> Queries:
        """Make a batch of queries; see :class:`~.queries.Queries` for the arguments."""
        return Queries(heads, relations, self.num_entities, self.num_relations, own=own, ids=ids)

    def features(self, queries: Queries) -> FloatTensor:
        """Return the scores of each part, shape: ``(K, b, n)``."""
        result = torch.zeros(len(self.parts), *queries.shape)
        for i, table in self._tables(queries):
            result[i] = table
        return result

    def weighted(self, queries: Queries, weights: FloatTensor) -> FloatTensor:
        """Return the weighted sum of the parts without holding them all.

        :param queries: the queries
        :param weights: shape: ``(b, K)``
        :returns: shape: ``(b, n)``
        """
        result = torch.zeros(*queries.shape)
        for i, table in self._tables(queries):
            result.addcmul_(table, weights[:, i, None])
        return result

    def reasons(self, head: int, relation: int, tail: int) -> list[Reason]:
        """Return what speaks for an answer, the strongest of each part first.

        :param head: the known entity
        :param relation: the directed relation
        :param tail: the answer
        :returns: the reasons, part by part
        """
        result: list[Reason] = []
        for kind in self.kinds:
            find = getattr(kind, "reasons", None)
            found = [] if find is None else find(head, relation, tail)
            result += sorted(found, key=lambda reason: (reason.part, -reason.strength))
        return result
