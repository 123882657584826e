"""The named protocols of evaluation.

Each is an evaluator of PyKEEN, chosen by its name in ``pipeline(evaluator=..., evaluator_kwargs=...)``, in early
stopping (which uses the evaluator of the pipeline) and in HPO, and writes its name into the results. All rank with the
realistic rank: the mean rank over all orders of the entities with equal scores (the mean of the optimistic and the
pessimistic rank).

======================  ===============================================================================================
``standard``            all entities compete, known answers are left out; leads every table
``vlkge-author``        as ``standard``, but every x with (x, r, h) known is left out for (h, r, ?) as well
``zsl-candidates``      the entities of a candidate list compete, known answers are left out
``relation-pool``       the entities seen with the relation compete, known answers are left out
======================  ===============================================================================================
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from docdata import parse_docdata
from pykeen.models.base import Model
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, LongTensor, MappedTriples, Target

from ..datasets import GraphMetadata, entity_types, load_dataset, read_candidates
from ..errors import EvaluationError
from ..options import strict
from .candidates import CandidateSets
from .evaluator import FULL_RANKING, SIDES, ProtocolEvaluator, read_known

__all__ = ["RelationPoolEvaluator", "StandardEvaluator", "VLKGEAuthorEvaluator", "ZSLCandidatesEvaluator"]


def with_swapped(triples: MappedTriples) -> MappedTriples:
    """Return triples, and (t, r, h) for each (h, r, t): the filter of the code of VL-KGE."""
    return torch.cat([triples, triples.flip(dims=[1])])


@parse_docdata
class StandardEvaluator(ProtocolEvaluator):
    """The filtered ranking among all entities of both sides [bordes2013]_ with realistic ranks.

    The same ranks as :class:`pykeen.evaluation.RankBasedEvaluator`, found faster.

    ---
    name: Standard
    citation:
        author: Bordes
        year: 2013
        link: https://papers.nips.cc/paper/5071-translating-embeddings-for-modeling-multi-relational-data
    """

    protocol = FULL_RANKING


@parse_docdata
class VLKGEAuthorEvaluator(ProtocolEvaluator):
    """The ranking of the official code of VL-KGE (https://arxiv.org/abs/2603.02435) on WN9-IMG, with realistic ranks.

    That code keeps the known tails of (head, relation) and the known heads of (tail, relation) in one dictionary, so
    that it leaves out too much: for (h, r, ?) also each x with (x, r, h) known. Here the head/tail-swapped copy of each
    triple joins the filter, which has the same effect. For symmetric relations it hides an inverse triple's entities
    from the ranking, so figures are higher than those of ``standard``: use it to compare with the published ones, and
    show ``standard`` beside it.

    The official filter is made of all splits. So is this one when the pipeline evaluates the test triples; in early
    stopping PyKEEN hands over training and validation only.

    Where scores tie, the official code takes the position after sorting, which depends on the sorting algorithm; the
    realistic rank here is its mean over all orders of the tied entities.

    ---
    name: VL-KGE Author
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    protocol = "vlkge-author"

    def filter_triples(self, triples: MappedTriples) -> MappedTriples:  # noqa: D102
        return with_swapped(triples)


@parse_docdata
class ZSLCandidatesEvaluator(ProtocolEvaluator):
    """The ranking among candidate lists, as in zero-shot relation prediction [qin2020]_.

    The candidates of a query are the answer and those of the list that are not known as another answer. Lists may
    differ in length, and hold for a relation or for an (entity, relation) pair. Only candidates are scored, where the
    model can do that.

    ---
    name: Zero-Shot Candidates
    citation:
        author: Qin
        year: 2020
        link: https://doi.org/10.1609/aaai.v34i05.6392
    """

    protocol = "zsl-candidates"

    @strict()
    def __init__(
        self,
        *,
        candidates: Mapping[Any, Any] | str | Path | None = None,
        head_candidates: Mapping[Any, Any] | str | Path | None = None,
        candidates_kwargs: Mapping[str, Any] | None = None,
        ids: bool = False,
        full_ranking: bool = False,
        targets: Collection[Target] | None = None,
        known_true: str | Path | Sequence[str | Path] | None = None,
        dataset: Any = None,
        dataset_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize the evaluator.

        :param candidates: the candidate tails: relation -> list of entities, or relation -> {head -> list of entities};
            as a mapping, or the path of a JSON file; or the name of a rule. The rule ``"types"`` takes all entities of
            a type that the known tails of the relation have (the NELL-ZS protocol).
        :param head_candidates: the candidate heads, in the same forms
        :param candidates_kwargs: for the rule ``"types"``: ``types`` (a mapping or file from entity to type), or
            ``separator`` and ``field`` to read the type off the label; default: NELL's ``concept:TYPE:name``
        :param ids: whether lists hold ids in place of labels
        :param full_ranking: whether to rank among all entities too; the results then have it as ``beside["standard"]``.
            It costs the scores of all entities.
        :param targets: the sides to predict; default: those that have candidates
        :param known_true: files of further true triples, see :class:`ProtocolEvaluator`
        :param dataset: where labels are looked up. A multimodal dataset whose folder holds ``candidates.json`` and
            ``known_true.tsv`` also provides these, unless candidates are given.
        :param dataset_kwargs: keyword arguments of the dataset
        :param kwargs: see :class:`ProtocolEvaluator`
        :raises EvaluationError: if there are no candidates for a side
        """
        if candidates is None and head_candidates is None and dataset is not None:
            dataset, dataset_kwargs = load_dataset(dataset, dataset_kwargs), None
            candidates = GraphMetadata.of(getattr(dataset, "training", dataset)).candidates
            if candidates is None:  # a dataset can also know them without a file
                candidates = getattr(dataset, "candidates", None)
        elif known_true is None:
            known_true = ()
        self._sources = {LABEL_HEAD: head_candidates, LABEL_TAIL: candidates}
        given = tuple(side for side in SIDES if self._sources[side] is not None)
        if not given:
            raise EvaluationError(
                "The protocol zsl-candidates needs `candidates`: a mapping or JSON file from relation to entities, or "
                "a rule ('types'); or a `dataset` whose folder holds candidates.json."
            )
        if targets is None:
            targets = given
        for side in targets:
            if side in self._sources and side not in given:
                missing = "candidates" if side == LABEL_TAIL else "head_candidates"
                raise EvaluationError(f"The {side}s are to be predicted, but `{missing}` gives no candidates for them.")
        super().__init__(
            targets=targets, known_true=known_true, dataset=dataset, dataset_kwargs=dataset_kwargs, **kwargs
        )
        self.candidates_kwargs = dict(candidates_kwargs or {})
        self.ids = ids
        self.full_ranking = full_ranking
        # a missing file or a JSON error shows up before training, not after
        self._contents = {
            side: source if source is None or source == "types" else read_candidates(source)
            for side, source in self._sources.items()
        }
        self._sets: dict[tuple[Target, int], CandidateSets] = {}
        self._types: LongTensor | None = None

    def candidates(  # noqa: D102
        self,
        target: Target,
        num_entities: int,
        model: Model | None = None,
        triples: MappedTriples | None = None,
        known: MappedTriples | None = None,
    ) -> CandidateSets | None:
        content = self._contents[target]
        assert content is not None
        if isinstance(content, str):
            if known is None:
                raise EvaluationError("The rule 'types' needs the known triples, which only `evaluate` has.")
            if self._types is None:
                self._types = entity_types(self.labels(model).entity_to_id, **self.candidates_kwargs)
            return CandidateSets.from_types(known, target, self._types)
        if (target, num_entities) not in self._sets:
            source = self._sources[target]
            self._sets[target, num_entities] = CandidateSets.from_mapping(
                content,
                num_entities=num_entities,
                labels=None if self.ids else self.labels(model),
                origin="the candidates" if isinstance(source, Mapping) else str(source),
            )
        return self._sets[target, num_entities]


@parse_docdata
class RelationPoolEvaluator(ProtocolEvaluator):
    """The ranking among the entities seen with the relation, as on WikiArt-MKG (https://arxiv.org/abs/2603.02435).

    The candidates of (h, r, ?) are the tails of r in the known triples, without the other known tails of (h, r). Known
    triples are those to rank and those that PyKEEN passes for filtering: in a pipeline, training, validation and test.

    ---
    name: Relation Pool
    citation:
        author: Efthymiou
        year: 2026
        link: https://arxiv.org/abs/2603.02435
        github: thefth/vl-kge
    """

    protocol = "relation-pool"

    @strict()
    def __init__(
        self,
        *,
        split_relations: Sequence[str | int] | None = None,
        pool_triples: str | Path | Sequence[str | Path] | None = None,
        full_ranking: bool = False,
        merged: bool = False,
        targets: Collection[Target] | None = (LABEL_TAIL,),
        **kwargs: Any,
    ) -> None:
        """Initialize the evaluator.

        :param split_relations: relations (labels or ids) whose pool comes from the evaluated triples alone.
            WikiArt-MKG-v2 does this for the relations between artists (isInfluencedBy, isInfluencedOn, isPupilOf,
            isTeacherOf).
        :param pool_triples: tab-separated files of triples (labels) from which the pools come, in place of all known
            triples
        :param full_ranking: whether to rank among all entities too; the results then have it as ``beside["standard"]``
        :param merged: whether the answers to leave out come from one map for both directions, as in ``vlkge-author``
            and in the code of VL-KGE: for (h, r, ?) also each x with (x, r, h) known. The pools are the same
        :param targets: the sides to predict; default: tails, as in the paper
        :param kwargs: see :class:`ProtocolEvaluator`
        """
        if merged and full_ranking:
            raise EvaluationError("full_ranking is by the standard filter: leave it or `merged` out.")
        super().__init__(targets=targets, **kwargs)
        self.split_relations = list(split_relations or [])
        self.pool_triples = [pool_triples] if isinstance(pool_triples, str | Path) else list(pool_triples or [])
        self.full_ranking = full_ranking
        self.merged = merged
        if merged:
            self.protocol = "relation-pool (merged filter)"  # type: ignore[misc]
        self._pool: MappedTriples | None = None

    def filter_triples(self, triples: MappedTriples) -> MappedTriples:  # noqa: D102
        return with_swapped(triples) if self.merged else triples

    def candidates(  # noqa: D102
        self,
        target: Target,
        num_entities: int,
        model: Model | None = None,
        triples: MappedTriples | None = None,
        known: MappedTriples | None = None,
    ) -> CandidateSets | None:
        if self.pool_triples:
            if self._pool is None:
                self._pool = read_known(self.pool_triples, self.labels(model))
            known = self._pool
        if known is None or (triples is None and self.split_relations):
            raise EvaluationError(
                "The pools come from the known triples, which only `evaluate` has: give `pool_triples`."
            )
        sets = CandidateSets.from_triples(known, target)
        if self.split_relations and triples is not None:
            own = CandidateSets.from_triples(triples, target)
            sets = sets.override(own, [self.relation_id(relation, model) for relation in self.split_relations])
        return sets
