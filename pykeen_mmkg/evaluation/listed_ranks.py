"""Ranks by models that list the answers to a query and know no more: they follow from counts.

All listed entities share one score, and all others a lower one. So an answer that is listed ties with the listed ones
that are not known, and any other answer stands behind them, tied with the rest: nothing needs to be scored.
"""

from typing import Protocol, runtime_checkable

import torch
from pykeen.typing import LongTensor, MappedTriples, Target

from ..indexing import TargetIndex, find_sorted, query_columns
from .ranking import SideRanks

__all__ = ["ListsAnswers", "rank_listed"]

#: how many queries are answered at a time
CHUNK = 1 << 14


@runtime_checkable
class ListsAnswers(Protocol):
    """A model whose scores say which entities answer a query, and no more."""

    num_entities: int

    def listed(self, entities: LongTensor, relations: LongTensor, target: Target) -> tuple[LongTensor, LongTensor]:
        """Return the entities with the higher score.

        :param entities: shape: ``(b,)``; the known entities of queries, on the CPU
        :param relations: shape: ``(b,)``; their relations, on the CPU
        :param target: the predicted side
        :returns: two tensors of the same length: row in the batch, and entity, which comes once a row
        """


def rank_listed(model: ListsAnswers, triples: MappedTriples, target: Target, known: TargetIndex | None) -> SideRanks:
    """Rank the answers of one side among all entities, as :func:`~pykeen_mmkg.evaluation.ranking.rank_side` does.

    :param model: the model
    :param triples: shape: ``(n, 3)``, on the CPU
    :param target: the predicted side
    :param known: the known answers, which do not compete; ``None`` for unfiltered ranks
    :returns: the ranks
    """
    column, answer = query_columns(target)
    num_relations = int(triples[:, 1].max()) + 1
    codes, query = (triples[:, column] * num_relations + triples[:, 1]).unique(return_inverse=True)
    queries = torch.stack([codes // num_relations, codes % num_relations], dim=-1)
    ranks = torch.empty(3, len(triples), dtype=torch.long)
    order = query.argsort(stable=True)
    for low in range(0, len(queries), CHUNK):
        part = queries[low : low + CHUNK]
        place = order[slice(*torch.searchsorted(query[order], torch.tensor([low, low + len(part)])).tolist())]
        ranks[:, place] = _ranks(model, part, query[place] - low, triples[place, answer], target, known)
    return SideRanks(*ranks.numpy())


def _ranks(
    model: ListsAnswers,
    queries: LongTensor,
    row: LongTensor,
    answer: LongTensor,
    target: Target,
    known: TargetIndex | None,
) -> LongTensor:
    """Return optimistic rank, pessimistic rank and number of candidates of answers to queries; shape: ``(3, m)``."""
    num = model.num_entities
    entities, relations = queries.unbind(dim=-1)
    nothing = queries.new_empty(0)
    known_row, known_entity = (nothing, nothing) if known is None else known.rows(entities, relations)
    known_code = known_row * num + known_entity
    listed_row, listed_entity = model.listed(entities, relations, target)
    listed_code = (listed_row * num + listed_entity).sort().values
    competing = find_sorted(known_code, listed_code) < 0
    better = torch.bincount(listed_code[competing] // num, minlength=len(queries))[row]
    options = num - torch.bincount(known_row, minlength=len(queries))[row]
    # an answer that is known competes with the others all the same
    own = (find_sorted(known_code, row * num + answer) >= 0).long()
    is_listed = find_sorted(listed_code, row * num + answer) >= 0
    return torch.stack(
        [
            torch.where(is_listed, 1, better + 1),
            torch.where(is_listed, better, options) + own,
            options + own,
        ]
    )
