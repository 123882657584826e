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

import logging
from collections import ChainMap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy
import torch
from docdata import parse_docdata
from pykeen.evaluation.rank_based_evaluator import RankBasedEvaluator, _iter_ranks
from pykeen.models.base import Model
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, FloatTensor, LongTensor, MappedTriples, Target
from tqdm.auto import tqdm

from ..errors import EvaluationError
from ..indexing import TargetIndex, query_columns
from .candidates import CandidateSets, entity_types, read_candidates
from .labels import LabelMaps, find_labels, load_dataset, read_triples
from .ranking import SideRanks, default_batch_size, rank_side, rank_side_on_gpu
from .results import ProtocolMetricResults, RankTable

__all__ = [
    "ProtocolEvaluator",
    "StandardEvaluator",
    "VLKGEAuthorEvaluator",
    "ZSLCandidatesEvaluator",
    "RelationPoolEvaluator",
]

logger = logging.getLogger(__name__)

_SIDES: tuple[Target, ...] = (LABEL_HEAD, LABEL_TAIL)


class ProtocolEvaluator(RankBasedEvaluator):
    """The common part of the protocols: PyKEEN's metrics over ranks that are found faster.

    It computes the ranks of :class:`pykeen.evaluation.RankBasedEvaluator`: each query is scored once, however many
    answers it has, and known answers come from a sorted index, in memory of batch size x number of entities. The batch
    size counts queries.
    """

    #: the name of the protocol, which results carry
    protocol: ClassVar[str]

    metric_result_cls = ProtocolMetricResults

    def __init__(
        self,
        *,
        filtered: bool = True,
        targets: Collection[Target] | None = None,
        exclude_relations: Sequence[str | int] | None = None,
        known_true: str | Path | Sequence[str | Path] | None = None,
        dataset: Any = None,
        dataset_kwargs: Mapping[str, Any] | None = None,
        entity_to_id: Mapping[str, int] | str | Path | None = None,
        relation_to_id: Mapping[str, int] | str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize the evaluator.

        :param filtered: whether known answers other than the one that is ranked are left out
        :param targets: the sides to predict, of ``"head"`` and ``"tail"``; default: both. PyKEEN's early stopper
            evaluates both sides unless this says otherwise.
        :param exclude_relations: relations (labels or ids) whose triples are not ranked; they still count as known
        :param known_true: tab-separated files of further true triples (labels), which are left out of rankings; rows
            with an unknown label are skipped
        :param dataset: where labels are looked up, only needed if the configuration holds any: what the pipeline takes
            as ``dataset``; see :func:`~pykeen_mmkg.evaluation.labels.find_labels`
        :param dataset_kwargs: keyword arguments of the dataset
        :param entity_to_id: in place of the dataset: entity ids by label, or a file of them
        :param relation_to_id: in place of the dataset: relation ids by label, or a file of them
        :param kwargs: further arguments of :class:`pykeen.evaluation.RankBasedEvaluator` (``metrics``, ``batch_size``,
            ...)
        :raises EvaluationError: if a target is no side
        """
        super().__init__(filtered=filtered, **kwargs)
        self.targets: tuple[Target, ...] = _SIDES if targets is None else tuple(targets)
        if not self.targets or not set(self.targets) <= set(_SIDES):
            raise EvaluationError(f"The targets are {list(self.targets)}; expected 'head', 'tail' or both.")
        self.exclude_relations = list(exclude_relations or [])
        self.known_true = [known_true] if isinstance(known_true, str | Path) else list(known_true or [])
        self._label_kwargs = {
            "dataset": dataset,
            "dataset_kwargs": dataset_kwargs,
            "entity_to_id": entity_to_id,
            "relation_to_id": relation_to_id,
        }
        self._labels: LabelMaps | None = None
        self._known: tuple[MappedTriples, int] | None = None
        self._true: MappedTriples | None = None
        self._filtered = filtered
        self._beside: dict[str, dict[Target, SideRanks]] = {}
        self._triples: dict[Target, list[numpy.ndarray]] = {}

    @property
    def name(self) -> str:
        """The protocol, with a remark if it is not filtered."""
        return self.protocol if self.filtered else f"{self.protocol} (unfiltered)"

    def labels(self, model: Model | None = None) -> LabelMaps:
        """Return the label maps.

        :raises EvaluationError: if they cannot be found or do not fit the model
        """
        if self._labels is None:
            self._labels = find_labels(model, **self._label_kwargs)
        return self._labels

    def relation_id(self, relation: str | int, model: Model | None = None) -> int:
        """Return the id of a relation given as label or id.

        :raises EvaluationError: if there is no such relation
        """
        if isinstance(relation, int):
            return relation
        mapping = self.labels(model).relation_to_id
        if relation not in mapping:
            raise EvaluationError(f"There is no relation {relation!r} in the dataset.")
        return mapping[relation]

    # what a protocol may change

    def filter_triples(self, triples: MappedTriples) -> MappedTriples:
        """Return the triples that are left out of rankings, given the true ones; shape: ``(n, 3)``."""
        return triples

    def candidates(
        self,
        target: Target,
        num_entities: int,
        model: Model | None = None,
        triples: MappedTriples | None = None,
        known: MappedTriples | None = None,
    ) -> CandidateSets | None:
        """Return who competes for one side; ``None`` for all entities.

        :param target: the predicted side
        :param num_entities: the number of entities
        :param model: the model
        :param triples: shape: ``(n, 3)``; the triples to rank
        :param known: shape: ``(m, 3)``; all true triples, those to rank included
        :raises EvaluationError: if the candidates depend on what is not given
        """
        return None

    @property
    def everything(self) -> bool:
        """Whether to rank among all entities beside the candidates."""
        return False

    # the machinery

    # docstr-coverage: inherited
    def evaluate(self, model: Model, mapped_triples: MappedTriples, *args: Any, **kwargs: Any) -> ProtocolMetricResults:
        # type: ignore[override]
        """Evaluate a model, see :meth:`pykeen.evaluation.Evaluator.evaluate`.

        :raises EvaluationError: if there is nothing to rank, or the protocol lacks what it needs
        :raises ScoreError: if the model gives NaN
        """
        targets = [target for target in kwargs.pop("targets", _SIDES) if target in self.targets]
        if not targets:
            raise EvaluationError(
                f"The protocol {self.name} ranks {list(self.targets)} only, but another side is asked for."
            )
        extra = kwargs.pop("additional_filter_triples", None)
        if extra is not None:
            extra = [extra] if torch.is_tensor(extra) else list(extra)
        if self.known_true and self.filtered:
            extra = [*(extra or []), self._read_known_true(model).to(mapped_triples.device)]
        if self.exclude_relations:
            excluded = torch.tensor(
                [self.relation_id(r, model) for r in self.exclude_relations], device=mapped_triples.device
            )
            extra = [*(extra or []), mapped_triples]
            mapped_triples = mapped_triples[~torch.isin(mapped_triples[:, 1], excluded)]
        if not len(mapped_triples):
            raise EvaluationError("There is no triple to evaluate.")
        if self.filtered and extra is None:
            logger.warning("Only the triples to rank are known to be true: give `additional_filter_triples`.")
        self._true = torch.cat([mapped_triples, *(extra or [])])
        # without filtered, PyKEEN does not sort the known triples as rows, which takes 12 times as long as our index
        self._filtered, self.filtered = self.filtered, False
        try:
            result = super().evaluate(model, mapped_triples, *args, **{**kwargs, "targets": targets})
        finally:
            self.filtered, self._true = self._filtered, None
        assert isinstance(result, ProtocolMetricResults)
        return result

    def _read_known_true(self, model: Model) -> MappedTriples:
        if self._known is None:
            parts, left_out = [], 0
            for path in self.known_true:
                triples, skipped = read_triples(path, self.labels(model))
                parts.append(triples)
                left_out += skipped
            self._known = torch.cat(parts), left_out
            logger.info("%d further true triples; %d rows with unknown labels skipped", len(self._known[0]), left_out)
        return self._known[0]

    # docstr-coverage: inherited
    def _evaluate_on_device(
        self,
        model: Model,
        mapped_triples: MappedTriples,
        batch_size: int | None,
        slice_size: int | None,
        device: torch.device,
        all_pos_triples: MappedTriples | None,
        targets: Collection[Target],
        tqdm_kwargs: Mapping[str, Any],
        restrict_entities_to: Collection[int] | None = None,
        **kwargs: Any,
    ) -> ProtocolMetricResults:
        model.eval()
        model = model.to(device)
        self.clear()
        assert self._true is not None
        self.filtered = self._filtered
        triples, true = mapped_triples.to(device), self._true.to(device)
        known = self.filter_triples(true)
        self.num_entities = model.num_entities
        with tqdm(
            **ChainMap(
                dict(tqdm_kwargs), {"desc": f"Ranking by {self.name} on {device}", "unit": "triple", "unit_scale": True}
            )
        ) as progress:
            for target in targets:
                candidates = self.candidates(target, model.num_entities, model, triples, true)
                main, beside = (rank_side_on_gpu if device.type == "cuda" else rank_side)(
                    evaluator=self,
                    model=model,
                    triples=triples,
                    target=target,
                    known=TargetIndex.from_triples(known, target) if self.filtered else None,
                    candidates=None if candidates is None else candidates.to(device),
                    everything=self.everything and candidates is not None,
                    restrict_to=restrict_entities_to,
                    batch_size=batch_size or default_batch_size(model, device, len(triples)),
                    slice_size=slice_size or model.num_entities,
                    mode=self.mode,
                    progress=progress,
                )
                self._keep(target, main)
                self._triples[target] = [triples.cpu().numpy()]
                if beside is not None:
                    self._beside.setdefault(StandardEvaluator.protocol, {})[target] = beside
        return self.finalize()

    def _keep(self, target: Target, ranks: SideRanks) -> None:
        """Store ranks where PyKEEN stores them, so that its bootstrap (``finalize_multi``) works."""
        self.ranks[target, "optimistic"].append(ranks.optimistic)
        self.ranks[target, "pessimistic"].append(ranks.pessimistic)
        # PyKEEN's realistic ranks are of single precision
        self.ranks[target, "realistic"].append(((ranks.optimistic + ranks.pessimistic) / 2).astype(numpy.float32))
        self.num_candidates[target].append(ranks.num_candidates)

    # docstr-coverage: inherited
    def process_scores_(
        self,
        hrt_batch: MappedTriples,
        target: Target,
        scores: FloatTensor,
        true_scores: FloatTensor | None = None,
        dense_positive_mask: FloatTensor | None = None,
    ) -> None:
        """Take filtered scores from elsewhere, such as PyKEEN's evaluation loop; :meth:`evaluate` ranks by itself."""
        candidates = self.candidates(target, scores.shape[1])
        if candidates is not None:
            known, answer = query_columns(target)
            allowed = torch.zeros_like(scores, dtype=torch.bool)
            batch = hrt_batch.cpu()
            row, entity = candidates.lists.rows(candidates.find(batch[:, known], batch[:, 1]))
            allowed[row.to(scores.device), entity.to(scores.device)] = True
            allowed[torch.arange(len(batch)), batch[:, answer]] = True
            scores = scores.masked_fill(~allowed, float("nan"))
            if true_scores is not None:
                # a rank of 0 would follow if the answer did not compete with the score that it is said to have
                scores[torch.arange(len(batch)), batch[:, answer]] = true_scores.view(-1)
        super().process_scores_(hrt_batch, target, scores, true_scores, dense_positive_mask)
        self._triples.setdefault(target, []).append(hrt_batch.detach().cpu().numpy())

    # docstr-coverage: inherited
    def clear(self) -> None:  # noqa: D102
        super().clear()
        self._beside = {}
        self._triples = {}

    # docstr-coverage: inherited
    def finalize(self) -> ProtocolMetricResults:  # noqa: D102
        if self.num_entities is None or not self.num_candidates:
            raise EvaluationError("Nothing has been evaluated yet.")
        beside = {}
        for name, sides in self._beside.items():
            inner = StandardEvaluator(filtered=self.filtered, clear_on_finalize=True)
            inner.metrics, inner.num_entities = self.metrics, self.num_entities
            for target, ranks in sides.items():
                inner._keep(target, ranks)
                inner._triples[target] = self._triples[target]
            beside[name] = inner.finalize()
        result = ProtocolMetricResults.from_ranks(
            metrics=self.metrics,
            rank_and_candidates=list(_iter_ranks(ranks=self.ranks, num_candidates=self.num_candidates)),
        )
        assert isinstance(result, ProtocolMetricResults)
        result.annotate(self.name, self._table(), beside)
        if self.clear_on_finalize:
            self.clear()
        return result

    def _table(self) -> RankTable:
        sides = [side for side in _SIDES if side in self.num_candidates]

        def join(arrays: Sequence[Sequence[numpy.ndarray]]) -> numpy.ndarray:
            return numpy.concatenate([part for parts in arrays for part in parts])

        return RankTable(
            triples=join([self._triples[side] for side in sides]),
            side=numpy.repeat(sides, [sum(map(len, self._triples[side])) for side in sides]),
            optimistic=join([self.ranks[side, "optimistic"] for side in sides]),
            pessimistic=join([self.ranks[side, "pessimistic"] for side in sides]),
            num_candidates=join([self.num_candidates[side] for side in sides]),
        )


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

    protocol = "standard"


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

    # docstr-coverage: inherited
    def filter_triples(self, triples: MappedTriples) -> MappedTriples:  # noqa: D102
        return torch.cat([triples, triples.flip(dims=[1])])


@parse_docdata
class ZSLCandidatesEvaluator(ProtocolEvaluator):
    """The ranking among candidate lists, as in zero-shot relation prediction [qin2020]_.

    The candidates of a query are the answer and those of the list that are not known as another answer. Lists may
    differ in length, and hold for a relation or for an (entity, relation) pair. Only candidates are scored, where the
    model can do that.

    .. [qin2020] Qin *et al.* (2020) `Generative Adversarial Zero-Shot Relational Learning for Knowledge Graphs
       <https://doi.org/10.1609/aaai.v34i05.6392>`_

    ---
    name: Zero-Shot Candidates
    citation:
        author: Qin
        year: 2020
        link: https://doi.org/10.1609/aaai.v34i05.6392
    """

    protocol = "zsl-candidates"

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
            factory = getattr(dataset, "training", dataset)
            pointers = (getattr(factory, "metadata", None) or {}).get("multimodal") or {}
            candidates = pointers.get("candidates")
            known_true = pointers.get("known_true") if known_true is None else known_true
        self._sources = {LABEL_HEAD: head_candidates, LABEL_TAIL: candidates}
        given = tuple(side for side in _SIDES if self._sources[side] is not None)
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

    @property
    def everything(self) -> bool:  # noqa: D102
        return self.full_ranking

    # docstr-coverage: inherited
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
                self._types = entity_types(self.labels(model), **self.candidates_kwargs)
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

    def __init__(
        self,
        *,
        split_relations: Sequence[str | int] | None = None,
        pool_triples: str | Path | Sequence[str | Path] | None = None,
        full_ranking: bool = False,
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
        :param targets: the sides to predict; default: tails, as in the paper
        :param kwargs: see :class:`ProtocolEvaluator`
        """
        super().__init__(targets=targets, **kwargs)
        self.split_relations = list(split_relations or [])
        self.pool_triples = [pool_triples] if isinstance(pool_triples, str | Path) else list(pool_triples or [])
        self.full_ranking = full_ranking
        self._pool: MappedTriples | None = None

    @property
    def everything(self) -> bool:  # noqa: D102
        return self.full_ranking

    # docstr-coverage: inherited
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
                self._pool = torch.cat([read_triples(path, self.labels(model))[0] for path in self.pool_triples])
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
