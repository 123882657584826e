"""A slow, plain statement of what a rank is, and a model whose scores are given."""

import torch
from pykeen.models.baseline.models import EvaluationOnlyModel
from pykeen.triples import CoreTriplesFactory


class TableModel(EvaluationOnlyModel):
    """A model whose scores are a given table of all triples.

    ---
    name: Score table
    citation:
        author: None
        year: 2026
        link: https://example.org
    """

    def __init__(self, table: torch.Tensor, obeys_ids: bool = True):
        entities, relations, _ = table.shape
        triples = torch.tensor([[0, 0, 0]])
        super().__init__(triples_factory=CoreTriplesFactory(triples, num_entities=entities, num_relations=relations))
        self.register_buffer("table", table)
        self.obeys_ids = obeys_ids
        self.asked: list[int] = []

    def score_t(self, hr_batch, tails=None, **kwargs):
        scores = self.table[hr_batch[:, 0], hr_batch[:, 1]]
        return self._restrict(scores, tails)

    def score_h(self, rt_batch, heads=None, **kwargs):
        scores = self.table[:, rt_batch[:, 0], rt_batch[:, 1]].T
        return self._restrict(scores, heads)

    def _restrict(self, scores, ids):
        if ids is not None and self.obeys_ids:
            scores = scores[:, ids]
        self.asked.append(scores.shape[1])
        return scores.clone()


def slow_rank(table, triple, side, known, candidates=None):
    """Rank one triple by loops.

    :param table: scores of all triples, as nested indexing [head][relation][tail]
    :param triple: the triple
    :param side: "head" or "tail"
    :param known: the set of triples whose entities do not compete (but the answer itself)
    :param candidates: who competes besides the answer; None for all
    :returns: optimistic rank, pessimistic rank, number of candidates
    """
    h, r, t = triple
    answer = t if side == "tail" else h
    own = float(table[h, r, t])
    better = equal = 0
    options = 1
    for entity in range(table.shape[0]):
        if entity == answer or (candidates is not None and entity not in candidates):
            continue
        other = (h, r, entity) if side == "tail" else (entity, r, t)
        if other in known:
            continue
        options += 1
        score = float(table[other])
        better += score > own
        equal += score == own
    return better + 1, better + equal + 1, options


LONG = torch.long


def evaluate_table(evaluator, table, test, train, **kwargs):
    model = TableModel(table, obeys_ids=kwargs.pop("obeys_ids", True))
    evaluator.metrics = evaluator.metrics[:1]  # only the ranks are looked at
    result = evaluator.evaluate(
        model,
        torch.tensor(test, dtype=LONG),
        additional_filter_triples=[torch.tensor(train, dtype=LONG).view(-1, 3)],
        use_tqdm=False,
        **kwargs,
    )
    return result, model
