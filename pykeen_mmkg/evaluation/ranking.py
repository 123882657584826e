"""Ranks of many triples from few scores.

Three savings over PyKEEN 1.11, with equal ranks: each query is scored once, however many answers it has; known answers
come from a sorted index; where only candidates compete, only they are scored.
"""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy
import torch
from pykeen.evaluation.evaluator import Evaluator
from pykeen.models.base import Model
from pykeen.typing import FloatTensor, InductiveMode, LongTensor, MappedTriples, Target
from torch_max_mem import maximize_memory_utilization

from ..errors import ScoreError
from ..indexing import Ragged, TargetIndex, find_sorted, query_columns
from .candidates import CandidateSets

__all__ = ["SideRanks", "default_batch_size", "rank_side", "rank_side_on_gpu"]


class SideRanks(NamedTuple):
    """The ranks of one side, in the order of the triples; each of shape ``(n,)``."""

    optimistic: numpy.ndarray
    pessimistic: numpy.ndarray
    num_candidates: numpy.ndarray


class _Queries:
    """The distinct queries of a set of triples, and which triples ask each of them."""

    def __init__(self, triples: MappedTriples, target: Target) -> None:
        known, answer = query_columns(target)
        num_relations = int(triples[:, 1].max()) + 1
        codes, inverse = torch.unique(triples[:, known] * num_relations + triples[:, 1], return_inverse=True)
        self.entities = torch.div(codes, num_relations, rounding_mode="floor")
        self.relations = codes % num_relations
        self.target = target
        self.arrange(torch.arange(len(codes), device=codes.device), inverse, triples[:, answer])

    def arrange(self, order: LongTensor, inverse: LongTensor, answers: LongTensor) -> None:
        """Put the queries in the given order, and the triples in the order of their queries."""
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        self.entities, self.relations = self.entities[order], self.relations[order]
        self.query = place[inverse]
        by_query = Ragged.group(self.query, len(order))
        self.triple = by_query.values
        self.inverse = self.query
        self.query = self.query[self.triple]
        self.all_answers = answers
        self.answers = answers[self.triple]
        self.bounds = by_query.offsets.tolist()

    def sort_by(self, group: LongTensor) -> None:
        """Put queries of the same group beside each other."""
        self.arrange(group.argsort(stable=True), self.inverse, self.all_answers)

    def hrt(self, low: int, high: int) -> MappedTriples:
        """Return the queries as :meth:`pykeen.models.Model.predict` takes them; the predicted column is unused."""
        known, answer = query_columns(self.target)
        batch = self.entities.new_zeros(high - low, 3)
        batch[:, known], batch[:, 1] = self.entities[low:high], self.relations[low:high]
        return batch


def _batches(queries: _Queries, groups: LongTensor | None, batch_size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of queries; if there are groups, no range crosses the border of one."""
    total = len(queries.entities)
    borders = [0, total]
    if groups is not None:
        borders = [0, *(groups.diff().nonzero().view(-1) + 1).tolist(), total]
    for start, stop in zip(borders[:-1], borders[1:], strict=True):
        for low in range(start, stop, batch_size):
            yield low, min(low + batch_size, stop)


def _predict(
    model: Model,
    hrt: MappedTriples,
    target: Target,
    ids: LongTensor | None,
    slice_size: int,
    mode: InductiveMode | None,
) -> FloatTensor:
    """Score the queries against the given entities, or against all of them.

    :returns: shape: ``(b, k)``; safe to write to
    """
    scores = model.predict(hrt_batch=hrt, target=target, ids=ids, slice_size=slice_size, mode=mode)
    if ids is not None and scores.shape[1] != len(ids):
        # a model such as PyKEEN's non-parametric baselines may ignore the ids and score all entities
        scores = scores[:, ids.to(scores.device)]
    return scores.contiguous() if scores.is_floating_point() else scores.float()


def _refuse_nan(scores: FloatTensor, hrt: MappedTriples, target: Target) -> None:
    """Raise if a score is NaN: PyKEEN would leave the entity out of the ranking, which makes the answer look better."""
    # one pass that is much cheaper than isnan; infinities of both signs give NaN too, hence the second look
    if not scores.sum().isnan():
        return
    bad = scores.isnan().any(dim=1)
    if bad.any():
        head, relation, tail = hrt[int(bad.nonzero()[0])].tolist()
        query = f"({head}, {relation}, ?)" if query_columns(target)[1] == 2 else f"(?, {relation}, {tail})"
        raise ScoreError(
            f"The model scores the query {query} (ids) with NaN, as it does {int(bad.sum()):_} of {len(bad):_} queries "
            f"of the batch. Has the training diverged? NaN cannot be ranked."
        )


class _Counter:
    """Counts of better and of at-least-as-good scores."""

    def __init__(self) -> None:
        self.buffer: torch.Tensor | None = None

    def _sum(self, compare: Any, scores: FloatTensor, true: FloatTensor) -> torch.Tensor:
        # writing 0.0 and 1.0 and summing floats is 15 times as fast on a CPU as summing Booleans; exact below 2^24
        # entities
        if self.buffer is None or self.buffer.shape != scores.shape:
            self.buffer = torch.empty(scores.shape, dtype=torch.float32, device=scores.device)
        return compare(scores, true, out=self.buffer).sum(dim=1)

    def options(self, scores: FloatTensor) -> LongTensor:
        """Count the scores of each row that are not masked."""
        return self._sum(torch.eq, scores, scores).long()

    def __call__(self, scores: FloatTensor, row: LongTensor, true: FloatTensor) -> tuple[LongTensor, LongTensor]:
        """Count, for each answer, the scores of its row that are greater, and those that are not smaller."""
        better, as_good = torch.empty_like(row), torch.empty_like(row)
        size = scores.shape[0]
        single = len(row) == size  # each query of the batch has exactly one answer: no copy needed
        for part in torch.arange(len(row), device=row.device).split(size):
            candidates = scores if single else scores[row[part]]
            value = true[part].unsqueeze(dim=-1)
            better[part] = self._sum(torch.gt, candidates, value).long()
            as_good[part] = self._sum(torch.ge, candidates, value).long()
        return better, as_good


def _ranks(
    count: _Counter, scores: FloatTensor, row: LongTensor, column: LongTensor, true: FloatTensor
) -> torch.Tensor:
    """Return optimistic rank, pessimistic rank and number of candidates of each answer; shape: ``(3, m)``."""
    # an answer that is masked (as known, or as no candidate of its own list) still competes with the others
    masked = scores[row, column].isnan().long()
    better, as_good = count(scores, row, true)
    return torch.stack([better + 1, as_good + masked, count.options(scores)[row] + masked])


def default_batch_size(model: Model, device: torch.device, num_triples: int) -> int:
    """Return how many queries to score at once if the user does not say.

    On a GPU: all of them, since the size is halved until it fits. On a CPU nothing catches a lack of memory: at least
    32, as in PyKEEN, and 2^18 scores, since most interactions take memory for batch size x number of entities x
    dimension; 2^20 scores for those of :mod:`pykeen_mmkg.nn.interaction`, which do not.
    """
    if device.type == "cuda":
        return num_triples
    lean = getattr(getattr(model, "interaction", None), "comparison", None) is not None
    return max(32, (2**20 if lean else 2**18) // model.num_entities)


@torch.inference_mode()
def rank_side(
    *,
    evaluator: Evaluator,
    model: Model,
    triples: MappedTriples,
    target: Target,
    known: TargetIndex | None,
    candidates: CandidateSets | None,
    full_ranking: bool,
    restrict_to: Collection[int] | None,
    batch_size: int,
    slice_size: int,
    mode: InductiveMode | None,
    progress: Any,
) -> tuple[SideRanks, SideRanks | None]:
    """Rank the answers of one side.

    :param evaluator: the evaluator; only tells apart whose batch size has been found already
    :param model: the model, in evaluation mode
    :param triples: shape: ``(n, 3)``
    :param target: the predicted side
    :param known: the known answers, which do not compete; ``None`` for unfiltered ranks
    :param candidates: who competes; ``None`` for all entities
    :param full_ranking: whether to rank among all entities too; otherwise only candidates are scored
    :param restrict_to: entities that may compete at all, as in PyKEEN's ``restrict_entities_to``
    :param batch_size: the greatest number of queries in a batch
    :param slice_size: the greatest number of entities that are scored at once
    :param mode: the inductive mode
    :param progress: a tqdm bar, advanced by triples
    :returns: the ranks by protocol, and those among all entities if both are wanted
    :raises ScoreError: if a score is NaN
    """
    device = triples.device
    queries = _Queries(triples, target)
    groups = None
    if candidates is not None and not full_ranking:
        groups = candidates.find(queries.entities, queries.relations)
        queries.sort_by(groups)
        groups = groups.sort(stable=True).values
    allowed_only = None
    if restrict_to is not None:
        allowed_only = torch.as_tensor(sorted(restrict_to), device=device)
    count = _Counter()
    outputs = [torch.empty(3, len(triples), dtype=torch.long, device=device) for _ in range(1 + full_ranking)]
    progress.reset(total=len(triples))
    for low, high in _batches(queries, groups, batch_size):
        entities, relations = queries.entities[low:high], queries.relations[low:high]
        first, last = queries.bounds[low], queries.bounds[high]
        row, answer = queries.query[first:last] - low, queries.answers[first:last]
        place = queries.triple[first:last]
        hrt = queries.hrt(low, high)
        ids = None
        if groups is not None and candidates is not None:
            listed = candidates.lists[int(groups[low])]
            ids = torch.cat([listed, answer]).unique()
        scores = _predict(model, hrt, target, ids, slice_size, mode)
        _refuse_nan(scores, hrt, target)
        column = answer if ids is None else torch.searchsorted(ids, answer)
        true = scores[row, column]
        if allowed_only is not None:
            competes = torch.zeros(scores.shape[1], dtype=torch.bool, device=device)
            competes[allowed_only if ids is None else torch.isin(ids, allowed_only)] = True
            scores[:, ~competes] = float("nan")
        if known is not None:
            known_row, known_entity = known.rows(entities, relations)
            if ids is not None:
                position = find_sorted(ids, known_entity)
                known_row, known_entity = known_row[position >= 0], position[position >= 0]
            scores[known_row, known_entity] = float("nan")

        if full_ranking:
            outputs[1][:, place] = _ranks(count, scores, row, column, true)
        if candidates is not None:
            mask = torch.ones_like(scores, dtype=torch.bool)
            if ids is None:
                list_row, list_entity = candidates.lists.rows(candidates.find(entities, relations))
                mask[list_row, list_entity] = False
            else:
                mask[:, torch.searchsorted(ids, listed)] = False
            scores.masked_fill_(mask, float("nan"))
        outputs[0][:, place] = _ranks(count, scores, row, column, true)
        progress.update(last - first)
    results = [SideRanks(*output.cpu().numpy()) for output in outputs]
    return results[0], results[1] if full_ranking else None


#: :func:`rank_side`, with batch and slice size halved until they fit into the memory of the GPU
rank_side_on_gpu = maximize_memory_utilization(
    parameter_name=("batch_size", "slice_size"),
    hasher=lambda kwargs: hash(
        (id(kwargs["evaluator"]), id(kwargs["model"]), kwargs["target"], len(kwargs["triples"]))
    ),
)(rank_side)
