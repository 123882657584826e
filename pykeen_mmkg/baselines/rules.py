"""Trivial baselines that every table of results should show: what a model has to beat.

They are models of PyKEEN by name (``pipeline(model="inverserule")``) that read the training triples once and learn
nothing by gradient, so that the same evaluators rank them: ``inverserule``, ``symmetricrule``, ``duplicaterule``,
``degreerule`` and ``randomrule``.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from docdata import parse_docdata
from pykeen.models.baseline.models import EvaluationOnlyModel
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import LABEL_HEAD, LABEL_RELATION, LABEL_TAIL, FloatTensor, LongTensor, MappedTriples, Target
from torch import nn

from ..indexing import TargetIndex, degrees, distinct_triples, row_offsets, shared_pairs
from ..options import strict
from ..query_scoring import QueryScoringMixin

__all__ = [
    "BASELINES",
    "DegreeRule",
    "DuplicateRule",
    "InverseRule",
    "RandomRule",
    "Baseline",
    "LookupBaseline",
    "SymmetricRule",
    "opposite_relations",
]


class Baseline(QueryScoringMixin, EvaluationOnlyModel):
    """A baseline: a model without weights.

    PyKEEN's pipeline trains whatever it is given. A baseline goes along: it has one number as its only parameter, which
    takes no part in the scores, so that training changes nothing. ``epochs=0`` saves the time.
    """

    #: nothing to optimise
    hpo_default: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, triples_factory: CoreTriplesFactory, **kwargs) -> None:
        """Initialize the baseline.

        :param triples_factory: the training triples
        :param kwargs: taken as the pipeline gives them to every model (``random_seed``, ``loss``, ...), and unused
        """
        super().__init__(triples_factory=triples_factory)
        # the scores of heads come from the triples themselves, not from PyKEEN's artificial inverse relations
        self._doubled = self.use_inverse_triples
        self.use_inverse_triples = False
        self.num_relations = triples_factory.real_num_relations
        self.idle = nn.Parameter(torch.zeros(()))

    @abstractmethod
    def _scores(self, entities: LongTensor, relations: LongTensor, target: Target) -> FloatTensor:
        """Score all entities as answers to queries.

        :param entities: shape: ``(b,)``; the known entities, on the CPU
        :param relations: shape: ``(b,)``; the relations, on the CPU
        :param target: the predicted side
        :returns: shape: ``(b, num_entities)``
        """

    def _reset_parameters_(self) -> None:
        return

    def collect_regularization_term(self) -> FloatTensor:  # noqa: D102
        return torch.zeros((), device=self.idle.device)

    def score_hrt(self, hrt_batch: LongTensor, **kwargs) -> FloatTensor:  # noqa: D102
        scores = self.score_t(hrt_batch[:, :2])
        return scores.gather(1, hrt_batch[:, 2:].to(scores.device))

    def _score_queries(self, batch: LongTensor, target: Target, ids: LongTensor | None, **kwargs: Any) -> FloatTensor:
        if target == LABEL_RELATION:
            return super()._score_queries(batch, target, ids, **kwargs)
        entities, relations = batch.unbind(-1) if target == LABEL_TAIL else batch.flip(-1).unbind(-1)
        if self.training and self._doubled:
            # a training loop asks about inverse relations by ids that prediction never uses
            scores = torch.zeros(len(entities), self.num_entities)
        else:
            scores = self._scores(entities.cpu(), relations.cpu(), target)
        if ids is not None:
            ids = ids.cpu()
            scores = scores[:, ids] if ids.ndim == 1 else scores.gather(1, ids)
        return scores.to(self.idle.device) + 0 * self.idle


def opposite_relations(
    triples: MappedTriples, num_relations: int, direction: Literal["inverse", "same"] = "inverse"
) -> tuple[LongTensor, FloatTensor]:
    """Find the relation that best tells the triples of each relation.

    :param triples: shape: ``(n, 3)``; training triples, and no others
    :param num_relations: the number of relations, ``k``
    :param direction: ``"inverse"``: (t, r', h) tells (h, r, t), and r' may be r itself; ``"same"``: (h, r', t) does,
        and r' is another relation
    :returns: for each relation r the relation r' with the greatest share of triples of r that it tells, ``-1`` if there
        is none, shape: ``(k,)``; and this share, shape: ``(k,)``
    """
    triples = distinct_triples(triples.cpu())
    own, other, count = shared_pairs(triples, triples, inverse=direction == "inverse")
    shares = torch.zeros(num_relations, num_relations)
    shares[own, other] = count.float()
    shares /= torch.bincount(triples[:, 1], minlength=num_relations).clamp(min=1)[:, None]
    if direction == "same":
        shares.fill_diagonal_(0)
    share, opposite = shares.max(dim=1)
    return torch.where(share > 0, opposite, -1), share


class LookupBaseline(Baseline):
    """Rank first the entities that a relation of the training triples gives, usually in the opposite direction."""

    #: whether the other relation is read in the opposite direction
    swapped: ClassVar[bool] = True

    def __init__(self, triples_factory: CoreTriplesFactory, **kwargs) -> None:
        """Initialize the baseline.

        :param triples_factory: the training triples
        :param kwargs: unused
        """
        super().__init__(triples_factory, **kwargs)
        triples = triples_factory.mapped_triples
        self._index = {target: TargetIndex.from_triples(triples, target) for target in (LABEL_HEAD, LABEL_TAIL)}
        self.opposite = self._find_opposite(triples)

    @abstractmethod
    def _find_opposite(self, triples: MappedTriples) -> LongTensor:
        """Return the relation to look up for each relation, ``-1`` for none; shape: ``(num_relations,)``."""

    def listed(self, entities: LongTensor, relations: LongTensor, target: Target) -> tuple[LongTensor, LongTensor]:
        """Return the answers that the rule gives.

        :param entities: shape: ``(b,)``; the known entities, on the CPU
        :param relations: shape: ``(b,)``; the relations, on the CPU
        :param target: the predicted side
        :returns: two tensors of the same length: row in the batch, and entity
        """
        opposite = self.opposite[relations]
        # swapped, answers of (h, r, ?) are the x with (x, r', h), and those of (?, r, t) the x with (t, r', x)
        if self.swapped:
            target = LABEL_HEAD if target == LABEL_TAIL else LABEL_TAIL
        row, answer = self._index[target].rows(entities, opposite.clamp(min=0))
        keep = opposite[row] >= 0
        return row[keep], answer[keep]

    def _scores(self, entities: LongTensor, relations: LongTensor, target: Target) -> FloatTensor:
        scores = torch.zeros(len(entities), self.num_entities)
        scores[self.listed(entities, relations, target)] = 1.0
        return scores


@parse_docdata
class InverseRule(LookupBaseline):
    """Answer with the inverse: for (h, r, ?), first the x with (x, r', h) in training, where r' is the inverse of r.

    The inverse of each relation is learned from the training triples, see :func:`opposite_relations`; it may be the
    relation itself. All other entities share the last place.

    ---
    name: Inverse rule
    citation:
        author: Dettmers
        year: 2018
        link: https://arxiv.org/abs/1707.01476
    """

    def _find_opposite(self, triples: MappedTriples) -> LongTensor:
        return opposite_relations(triples, self.num_relations)[0]


@parse_docdata
class SymmetricRule(LookupBaseline):
    """Answer as if every relation were symmetric: for (h, r, ?), first the x with (x, r, h) in training.

    ---
    name: Symmetric rule
    citation:
        author: Toutanova
        year: 2015
        link: https://aclanthology.org/W15-4007
    """

    def _find_opposite(self, triples: MappedTriples) -> LongTensor:
        return torch.arange(self.num_relations)


@parse_docdata
class DuplicateRule(LookupBaseline):
    """Answer with a near-duplicate relation: for (h, r, ?), first the x with (h, r', x) in training.

    The other relation r' is learned from the training triples, see :func:`opposite_relations`.

    ---
    name: Duplicate rule
    citation:
        author: Toutanova
        year: 2015
        link: https://aclanthology.org/W15-4007
    """

    swapped = False

    def _find_opposite(self, triples: MappedTriples) -> LongTensor:
        return opposite_relations(triples, self.num_relations, "same")[0]


@parse_docdata
class DegreeRule(Baseline):
    """Answer with the most frequent entities in training.

    ---
    name: Degree rule
    citation:
        author: Berrendorf
        year: 2021
        link: https://github.com/pykeen/pykeen/pull/514
    """

    @strict()
    def __init__(self, triples_factory: CoreTriplesFactory, per_relation: bool = True, **kwargs) -> None:
        """Initialize the baseline.

        :param triples_factory: the training triples
        :param per_relation: whether to count the triples of the query's relation only. A relation without training
            triples is answered by the count over all relations.
        :param kwargs: unused
        """
        super().__init__(triples_factory, **kwargs)
        triples = triples_factory.mapped_triples
        self._degree = degrees(triples, self.num_entities).float()
        self._entities = {}
        for target, column in ((LABEL_HEAD, 0), (LABEL_TAIL, 2)):
            codes, counts = (triples[:, 1] * self.num_entities + triples[:, column]).unique(return_counts=True)
            bounds = row_offsets(codes // self.num_entities, self.num_relations).tolist()
            self._entities[target] = (codes % self.num_entities, counts.float(), bounds)
        self.per_relation = per_relation

    def _scores(self, entities: LongTensor, relations: LongTensor, target: Target) -> FloatTensor:
        if not self.per_relation:
            return self._degree.repeat(len(relations), 1)
        distinct, inverse = relations.unique(return_inverse=True)
        answer, counts, bounds = self._entities[target]
        table = torch.zeros(len(distinct), self.num_entities)
        for row, relation in enumerate(distinct.tolist()):
            low, high = bounds[relation], bounds[relation + 1]
            if low == high:
                table[row] = self._degree
            else:
                table[row, answer[low:high]] = counts[low:high]
        return table[inverse]


@parse_docdata
class RandomRule(Baseline):
    """Answer at random: every triple has a number that depends on nothing but the seed and the triple's ids.

    ---
    name: Random rule
    citation:
        author: Steele
        year: 2014
        link: https://doi.org/10.1145/2660193.2660195
    """

    @strict(seed=0)
    def __init__(self, triples_factory: CoreTriplesFactory, seed: int = 0, **kwargs) -> None:
        """Initialize the baseline.

        :param triples_factory: the training triples; only their numbers of entities and relations matter
        :param seed: the seed
        :param kwargs: unused
        """
        super().__init__(triples_factory, **kwargs)
        self.seed = seed

    def _scores(self, entities: LongTensor, relations: LongTensor, target: Target) -> FloatTensor:
        everyone = torch.arange(self.num_entities)
        known = entities[:, None].expand(-1, self.num_entities)
        every = everyone[None, :].expand(len(entities), -1)
        head, tail = (known, every) if target == LABEL_TAIL else (every, known)
        code = (head * self.num_relations + relations[:, None]) * self.num_entities + tail
        return _mix(code + self.seed * 0x632BE5AB).float()


def _mix(values: LongTensor) -> LongTensor:
    """Scramble integers: the finaliser of SplitMix64 (Steele et al., 2014), with wrap-around; 24 bits of the result."""

    def shift(x: LongTensor, bits: int) -> LongTensor:
        # a logical shift: torch's keeps the sign
        return (x >> bits) & ((1 << (64 - bits)) - 1)

    values = values * -7046029254386353131
    values = (values ^ shift(values, 30)) * -4658895280553007687
    values = (values ^ shift(values, 27)) * -7723592293110705685
    return shift(values ^ shift(values, 31), 40)


#: the baselines by name, in the order of a table
BASELINES: dict[str, type[Baseline]] = {
    "random": RandomRule,
    "degree": DegreeRule,
    "symmetric": SymmetricRule,
    "duplicate": DuplicateRule,
    "inverse": InverseRule,
}
