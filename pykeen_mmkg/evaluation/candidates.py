"""Candidate lists: who competes with the answer to a query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pykeen.typing import LongTensor, MappedTriples, Target

from ..datasets import read_candidates, type_pools
from ..errors import EvaluationError
from ..indexing import Ragged, find_sorted, query_columns
from .label_maps import LabelMaps

__all__ = ["CandidateSets"]


@dataclass(frozen=True)
class CandidateSets:
    """The candidates of each query of one side: by relation, or by (entity, relation) where given.

    :param lists: the distinct lists of entity ids
    :param by_relation: shape: ``(number of relations,)``; the number of the relation's list, ``-1`` for none
    :param keys: shape: ``(m,)``; sorted codes of queries with a list of their own, ``entity * number of relations +
        relation``
    :param by_key: shape: ``(m,)``; the number of the query's list
    :param names: relation labels by id, for messages
    """

    lists: Ragged
    by_relation: LongTensor
    keys: LongTensor
    by_key: LongTensor
    names: Mapping[int, str]

    @classmethod
    def from_mapping(
        cls,
        mapping: Mapping[Any, Any],
        num_entities: int,
        labels: LabelMaps | None = None,
        origin: str = "the candidates",
    ) -> "CandidateSets":
        """Build from lists by relation, or by relation and entity.

        :param mapping: relation -> entities, or relation -> {entity -> entities}, as of
            :func:`~pykeen_mmkg.datasets.candidate_lists.read_candidates`. Relations and entities are labels, or ids if
            there are no labels.
        :param num_entities: the number of entities
        :param labels: the label maps; ``None`` if the mapping holds ids
        :param origin: where the mapping comes from, for messages
        :raises DataError: if a list is empty or repeats an entity
        :raises EvaluationError: if an entity or a relation is not of the dataset
        """
        mapping = read_candidates(mapping)

        def entity(name: Any, where: str) -> int:
            index = name if labels is None else labels.entity_to_id.get(name)
            if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < num_entities:
                raise EvaluationError(f"{name!r} in {where} of {origin} is no entity of the dataset.")
            return index

        def collect(names: Any, where: str) -> LongTensor:
            return torch.tensor([entity(name, where) for name in names], dtype=torch.long)

        def relation_id(name: Any) -> int:
            ids = {name: int(name)} if labels is None and str(name).isdecimal() else {}
            index = (ids if labels is None else labels.relation_to_id).get(name)
            if index is None:
                raise EvaluationError(f"{name!r} in {origin} is no relation of the dataset.")
            return index

        found = {relation_id(name): (name, value) for name, value in mapping.items()}
        num_relations = max(found, default=-1) + 1
        lists: list[LongTensor] = []
        by_relation = torch.full((num_relations,), -1, dtype=torch.long)
        keys: list[int] = []
        by_key: list[int] = []
        for relation, (name, value) in found.items():
            if isinstance(value, Mapping):
                for other, names in value.items():
                    where = f"the list of ({other!r}, {name!r})"
                    index = entity(int(other) if labels is None and str(other).isdecimal() else other, where)
                    keys.append(index * num_relations + relation)
                    by_key.append(len(lists))
                    lists.append(collect(names, where))
            else:
                by_relation[relation] = len(lists)
                lists.append(collect(value, f"the list of {name!r}"))
        codes, order = torch.tensor(keys, dtype=torch.long).sort()
        names = {} if labels is None else {index: label for label, index in labels.relation_to_id.items()}
        numbers = torch.tensor(by_key, dtype=torch.long)[order]
        return cls(Ragged.from_lists(lists), by_relation, codes, numbers, names)

    @classmethod
    def from_triples(cls, triples: MappedTriples, target: Target) -> "CandidateSets":
        """Take all entities that are seen on the predicted side of the relation in the triples."""
        _, answer = query_columns(target)
        return cls._from_pools(
            triples, {r: triples[triples[:, 1] == r, answer] for r in triples[:, 1].unique().tolist()}
        )

    @classmethod
    def from_types(cls, triples: MappedTriples, target: Target, types: LongTensor) -> "CandidateSets":
        """Take all entities of a type that is seen on the predicted side of the relation in the triples.

        :param types: shape: ``(number of entities,)``, see :func:`~pykeen_mmkg.datasets.types.entity_types`
        """
        _, answer = query_columns(target)
        return cls._from_pools(triples, type_pools(triples, types, answer))

    @classmethod
    def _from_pools(cls, triples: MappedTriples, pools: Mapping[int, LongTensor]) -> "CandidateSets":
        by_relation = torch.full((max(pools, default=-1) + 1,), -1, dtype=torch.long)
        by_relation[list(pools)] = torch.arange(len(pools))
        empty = torch.empty(0, dtype=torch.long)
        sets = cls(Ragged.from_lists([pool.cpu() for pool in pools.values()]), by_relation, empty, empty, {})
        return sets.to(triples.device)

    def override(self, other: "CandidateSets", relations: Sequence[int]) -> "CandidateSets":
        """Return these candidates with those of the other for the given relations (lists by relation only)."""
        lists = [self.lists[i] for i in range(len(self.lists))] + [other.lists[i] for i in range(len(other.lists))]
        by_relation = self.by_relation.clone()
        for relation in relations:
            if relation < len(by_relation):
                number = int(other.by_relation[relation]) if relation < len(other.by_relation) else -1
                by_relation[relation] = -1 if number < 0 else number + len(self.lists)
        lists = [part.cpu() for part in lists]
        return replace(self, lists=Ragged.from_lists(lists).to(by_relation.device), by_relation=by_relation)

    def to(self, device: torch.device) -> "CandidateSets":
        """Return a copy on the device."""
        return replace(
            self,
            lists=self.lists.to(device),
            by_relation=self.by_relation.to(device),
            keys=self.keys.to(device),
            by_key=self.by_key.to(device),
        )

    def find(self, entities: LongTensor, relations: LongTensor) -> LongTensor:
        """Return the number of each query's list; shape: ``(b,)``.

        :raises EvaluationError: if a query has no list. A missing list never means "all entities".
        """
        count = len(self.by_relation)
        result = torch.full_like(relations, -1)
        if count:
            result = torch.where(relations < count, self.by_relation[relations.clamp(max=count - 1)], result)
        if self.keys.numel():
            position = find_sorted(self.keys, entities * count + relations)
            result = torch.where((position >= 0) & (relations < count), self.by_key[position], result)
        missing = (result < 0).nonzero().view(-1)
        if missing.numel():
            relation = int(relations[missing[0]])
            name = self.names.get(relation)
            what = f"the relation {name!r}" if name else f"the relation with id {relation}"
            if self.keys.numel():
                what += f" and the entity with id {int(entities[missing[0]])}"
            kinds = relations[missing].unique().numel()
            raise EvaluationError(
                f"There is no candidate list for {what} ({missing.numel():_} queries of {kinds:_} relations lack one). "
                f"Add the list, or leave the relation out with `exclude_relations`."
            )
        return result
