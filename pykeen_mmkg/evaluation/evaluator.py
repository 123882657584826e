"""The common part of the protocols of evaluation: PyKEEN's metrics over ranks that are found faster."""

import logging
from collections import ChainMap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy
import torch
from pykeen.evaluation.rank_based_evaluator import RankBasedEvaluator
from pykeen.models.base import Model
from pykeen.typing import LABEL_HEAD, LABEL_TAIL, FloatTensor, MappedTriples, Target
from tqdm.auto import tqdm

from .._compat import iter_ranks
from ..datasets import GraphMetadata, load_dataset
from ..datasets.files import map_triples, read_triples
from ..errors import EvaluationError
from ..indexing import TargetIndex, query_columns
from ..options import strict
from ..processes import Division
from .candidates import CandidateSets
from .label_maps import LabelMaps, find_labels
from .listed_ranks import ListsAnswers, rank_listed
from .ranking import SideRanks, default_batch_size, rank_side, rank_side_on_gpu
from .results import ProtocolMetricResults, RankTable

__all__ = ["SIDES", "ProtocolEvaluator", "read_known"]

logger = logging.getLogger(__name__)

#: the sides that can be predicted
SIDES: tuple[Target, ...] = (LABEL_HEAD, LABEL_TAIL)

#: the protocol whose ranks stand beside those among candidates
FULL_RANKING = "standard"


def read_known(paths: Sequence[str | Path], labels: LabelMaps) -> MappedTriples:
    """Read triples that count as known from tab-separated files of labels, without header.

    :param paths: the files
    :param labels: the label maps
    :returns: the triples whose three labels are known, shape: ``(n, 3)``; the others can never be an answer of a
        ranking, and how many these are is logged
    :raises DataError: if a file is absent or a row has not three fields
    """
    triples = [triple for path in paths for triple in read_triples(Path(path), tuple(labels.relation_to_id))]
    known, left_out = map_triples(triples, labels.entity_to_id, labels.relation_to_id)
    logger.info("%d further known triples; %d rows with unknown labels skipped", len(known), left_out)
    return known


def _joined(ranks: SideRanks, division: Division, total: int) -> SideRanks:
    """Return the ranks of all triples, of which each process has found some."""
    return SideRanks(*(division.join(part, total) for part in ranks))


class ProtocolEvaluator(RankBasedEvaluator):
    """The common part of the protocols: PyKEEN's metrics over ranks that are found faster.

    It computes the ranks of :class:`pykeen.evaluation.RankBasedEvaluator`: each query is scored once, however many
    answers it has, and known answers come from a sorted index, in memory of batch size x number of entities. The batch
    size counts queries.
    """

    #: the name of the protocol, which results carry
    protocol: ClassVar[str]

    #: whether to rank among all entities beside the candidates
    full_ranking: bool = False

    metric_result_cls = ProtocolMetricResults

    @strict()
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
            with an unknown label are skipped. Default: the file ``known_true.tsv`` of the dataset, if one is given
        :param dataset: where labels are looked up, only needed if the configuration holds any: what the pipeline takes
            as ``dataset``; see :func:`~pykeen_mmkg.evaluation.label_maps.find_labels`
        :param dataset_kwargs: keyword arguments of the dataset
        :param entity_to_id: in place of the dataset: entity ids by label, or a file of them
        :param relation_to_id: in place of the dataset: relation ids by label, or a file of them
        :param kwargs: further arguments of :class:`pykeen.evaluation.RankBasedEvaluator` (``metrics``, ``batch_size``,
            ...)
        :raises EvaluationError: if a target is no side
        """
        super().__init__(filtered=filtered, **kwargs)
        self.targets: tuple[Target, ...] = SIDES if targets is None else tuple(targets)
        if not self.targets or not set(self.targets) <= set(SIDES):
            raise EvaluationError(f"The targets are {list(self.targets)}; expected 'head', 'tail' or both.")
        self.exclude_relations = list(exclude_relations or [])
        if known_true is None and dataset is not None:
            if isinstance(dataset, str | Path | type):  # anything else is a dataset, or stands for one
                dataset, dataset_kwargs = load_dataset(dataset, dataset_kwargs), None
            known_true = GraphMetadata.of(getattr(dataset, "training", dataset)).known_true
        self.known_true = [known_true] if isinstance(known_true, str | Path) else list(known_true or [])
        self._label_kwargs = dict(
            dataset=dataset, dataset_kwargs=dataset_kwargs, entity_to_id=entity_to_id, relation_to_id=relation_to_id
        )
        self._labels: LabelMaps | None = None
        self._known: MappedTriples | None = None
        self._true: MappedTriples | None = None
        self._filtered = filtered
        self._beside: dict[str, dict[Target, SideRanks]] = {}
        self._triples: dict[Target, list[numpy.ndarray]] = {}
        #: whether the processes of a distributed training share the triples out, so that all call :meth:`evaluate`
        self.shared = False

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
            if model is not None and not 0 <= relation < model.num_relations:
                raise EvaluationError(
                    f"There is no relation {relation}: the ids go from 0 to {model.num_relations - 1}."
                )
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

    # the machinery

    def evaluate(self, model: Model, mapped_triples: MappedTriples, *args: Any, **kwargs: Any) -> ProtocolMetricResults:
        # type: ignore[override]
        """Evaluate a model, see :meth:`pykeen.evaluation.Evaluator.evaluate`.

        :raises EvaluationError: if there is nothing to rank, or the protocol lacks what it needs
        :raises ScoreError: if the model gives NaN
        """
        targets = [target for target in kwargs.pop("targets", SIDES) if target in self.targets]
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
            self._known = read_known(self.known_true, self.labels(model))
        return self._known

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
        division = Division.current() if self.shared else Division()
        own = division.every(triples)
        with tqdm(
            **ChainMap(
                dict(tqdm_kwargs), {"desc": f"Ranking by {self.name} on {device}", "unit": "triple", "unit_scale": True}
            )
        ) as progress:
            for target in targets:
                candidates = self.candidates(target, model.num_entities, model, triples, true)
                self._triples[target] = [triples.cpu().numpy()]
                if candidates is None and restrict_entities_to is None and isinstance(model, ListsAnswers):
                    index = TargetIndex.from_triples(known.cpu(), target) if self.filtered else None
                    self._keep(target, _joined(rank_listed(model, own.cpu(), target, index), division, len(triples)))
                    continue
                main, beside = (rank_side_on_gpu if device.type == "cuda" else rank_side)(
                    evaluator=self,
                    model=model,
                    triples=own,
                    target=target,
                    known=TargetIndex.from_triples(known, target) if self.filtered else None,
                    candidates=None if candidates is None else candidates.to(device),
                    full_ranking=self.full_ranking and candidates is not None,
                    restrict_to=restrict_entities_to,
                    batch_size=batch_size or default_batch_size(model, device, len(own)),
                    slice_size=slice_size or model.num_entities,
                    mode=self.mode,
                    progress=progress,
                )
                self._keep(target, _joined(main, division, len(triples)))
                if beside is not None:
                    self._beside.setdefault(FULL_RANKING, {})[target] = _joined(beside, division, len(triples))
        return self.finalize()

    def _keep(self, target: Target, ranks: SideRanks) -> None:
        """Store ranks where PyKEEN stores them, so that its bootstrap (``finalize_multi``) works."""
        self.ranks[target, "optimistic"].append(ranks.optimistic)
        self.ranks[target, "pessimistic"].append(ranks.pessimistic)
        # PyKEEN's realistic ranks are of single precision
        self.ranks[target, "realistic"].append(((ranks.optimistic + ranks.pessimistic) / 2).astype(numpy.float32))
        self.num_candidates[target].append(ranks.num_candidates)

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

    def clear(self) -> None:  # noqa: D102
        super().clear()
        self._beside = {}
        self._triples = {}

    def finalize(self) -> ProtocolMetricResults:  # noqa: D102
        if self.num_entities is None or not self.num_candidates:
            raise EvaluationError("Nothing has been evaluated yet.")
        beside = {}
        for name, sides in self._beside.items():
            inner = ProtocolEvaluator(filtered=self.filtered, clear_on_finalize=True)
            inner.protocol = name  # type: ignore[misc]
            inner.metrics, inner.num_entities = self.metrics, self.num_entities
            for target, ranks in sides.items():
                inner._keep(target, ranks)
                inner._triples[target] = self._triples[target]
            beside[name] = inner.finalize()
        result = ProtocolMetricResults.from_ranks(
            metrics=self.metrics,
            rank_and_candidates=list(iter_ranks(ranks=self.ranks, num_candidates=self.num_candidates)),
        )
        assert isinstance(result, ProtocolMetricResults)
        result.annotate(self.name, self._table(), beside)
        if self.clear_on_finalize:
            self.clear()
        return result

    def _table(self) -> RankTable:
        sides = [side for side in SIDES if side in self.num_candidates]

        def join(arrays: Sequence[Sequence[numpy.ndarray]]) -> numpy.ndarray:
            return numpy.concatenate([part for parts in arrays for part in parts])

        return RankTable(
            triples=join([self._triples[side] for side in sides]),
            side=numpy.repeat(sides, [sum(map(len, self._triples[side])) for side in sides]),
            optimistic=join([self.ranks[side, "optimistic"] for side in sides]),
            pessimistic=join([self.ranks[side, "pessimistic"] for side in sides]),
            num_candidates=join([self.num_candidates[side] for side in sides]),
        )
