"""Results in parts: by relation, by side, by the modalities that the entities have, by what training has of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import pandas
from pykeen.models.base import Model
from pykeen.triples import TriplesFactory
from pykeen.typing import RANK_REALISTIC, RankType

from ..datasets import GraphMetadata, labels_of
from ..errors import EvaluationError
from ..features import FeatureStore
from ..indexing import seen_entities
from .evaluating import make_evaluator
from .results import ProtocolMetricResults, RankTable
from .strata import entities_seen, half_links, relation_kinds

__all__ = ["BY", "STRATA", "breakdown", "means_by_stratum", "modality_masks", "strata"]

#: what results can be divided by
BY = ("side", "relation", "query", "target", "seen", "kind", "entities", "halflinks")
#: what a table should say beside its means: by coverage, kind of relation, and what training has of a triple
STRATA = ("query", "target", "kind", "entities", "halflinks")
KS = (1, 3, 10)


def modality_masks(factory: Any) -> dict[str, numpy.ndarray]:
    """Return which entities have which modality.

    Feature stores that the factory's metadata names decide; for a modality without one, the entity table and the images
    do.

    :param factory: a factory of a multimodal dataset
    :returns: ``"visual"`` and ``"textual"``, each of shape ``(num_entities,)``, in the order of the ids
    :raises EvaluationError: if the factory says nothing about modalities
    """
    record = GraphMetadata.of(factory)
    if not record or not isinstance(factory, TriplesFactory):
        raise EvaluationError(
            "The factory says nothing about text and images: give one of a MultimodalDataset, or `masks` (modality -> "
            "which entities have it)."
        )
    labels = labels_of(factory, "entity")
    features = record.features
    result = {}
    for modality in ("visual", "textual"):
        if modality in features:
            result[modality] = FeatureStore.load(features[modality]).lookup(labels)[1].numpy()
    if len(result) < 2:
        entities = record.table(factory, "entity")
        result.setdefault("visual", numpy.array([bool(paths) for paths in entities.images]))
        result.setdefault("textual", numpy.array([bool(text) for text in entities.texts().values()]))
    return {name: result[name] for name in ("visual", "textual")}


def breakdown(
    results: ProtocolMetricResults | RankTable | Model,
    factory: Any,
    by: str | Sequence[str] = "relation",
    *,
    triples: Any = None,
    protocol: str = "standard",
    protocol_kwargs: Mapping[str, Any] | None = None,
    masks: Mapping[str, Any] | None = None,
    rank_type: RankType = RANK_REALISTIC,
    ks: Sequence[int] = KS,
    **kwargs: Any,
) -> pandas.DataFrame:
    """Divide results into groups.

    :param results: results of a named protocol, their ranks, or a model, which is evaluated then
    :param factory: the training triples, with labels
    :param by: one or more of

        - ``"side"``: the predicted side
        - ``"relation"``: the relation
        - ``"query"``: the modalities of the entity that the query names
        - ``"target"``: the modalities of the entity that is to be found
        - ``"seen"``: whether training has the entity that is to be found
        - ``"kind"``: whether the relation is 1-1, 1-n, n-1 or n-n in training, see :func:`.strata.relation_kinds`
        - ``"entities"``: whether training has both entities, one, or neither
        - ``"halflinks"``: whether training has the query's entity, and the answer, with this relation on that side
    :param triples: for a model: the factory, or the triples of shape ``(n, 3)``, to evaluate on
    :param protocol: for a model: the protocol
    :param protocol_kwargs: for a model: its arguments
    :param masks: modality -> which entities have it, shape: ``(num_entities,)``; default: :func:`modality_masks`
    :param rank_type: the type of rank
    :param ks: the k of Hits@k
    :param kwargs: for a model: further arguments of ``evaluate``, such as ``additional_filter_triples``, by default the
        training triples
    :returns: one row per group: the columns of `by`, ``count``, ``share`` (of all ranks), ``mrr``, ``mean_rank``,
        ``candidates`` (their mean number), ``hits@k``; the largest group first
    :raises EvaluationError: if `by` is unknown, or what it needs is not there
    """
    names = [by] if isinstance(by, str) else list(by)
    table = _ranks(results, factory, triples, protocol, protocol_kwargs, kwargs)
    frame = pandas.DataFrame({"rank": table.ranks(rank_type), "candidates": table.num_candidates})
    for name, values in strata(table, factory, names, masks).items():
        frame[name] = values
    frame["mrr"] = 1 / frame["rank"]
    for k in ks:
        frame[f"hits@{k}"] = (frame["rank"] <= k).astype(float)
    grouped = frame.groupby(names, sort=True)
    result = grouped[["mrr", "rank", "candidates", *(f"hits@{k}" for k in ks)]].mean()
    result = result.rename(columns={"rank": "mean_rank"})
    result.insert(0, "count", grouped.size())
    result.insert(1, "share", result["count"] / len(frame))
    return result.reset_index().sort_values("count", ascending=False, kind="stable", ignore_index=True)


def strata(table: RankTable, factory: Any, by: Sequence[str], masks: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the group of each ranked triple.

    :param table: the ranks
    :param factory: the training triples, with labels
    :param by: some of :data:`BY`
    :param masks: modality -> which entities have it, shape: ``(num_entities,)``; default: :func:`modality_masks`
    :returns: name -> the group of each rank, shape: ``(n,)``
    :raises EvaluationError: if a name is unknown, or what it needs is not there
    """
    for name in by:
        if name not in BY:
            raise EvaluationError(f"by={name!r} is none of {BY}.")
    tail = table.side == "tail"
    query = numpy.where(tail, table.triples[:, 0], table.triples[:, 2])
    target = numpy.where(tail, table.triples[:, 2], table.triples[:, 0])
    if {"query", "target"} & set(by):
        masks = {k: numpy.asarray(v, dtype=bool) for k, v in (masks or modality_masks(factory)).items()}
    result: dict[str, Any] = {}
    relations, training = table.triples[:, 1], factory.mapped_triples
    for name in by:
        if name == "side":
            result[name] = table.side
        elif name == "relation":
            labels = {index: label for label, index in (getattr(factory, "relation_to_id", None) or {}).items()}
            result[name] = [labels.get(r, r) for r in relations.tolist()]
        elif name == "seen":
            result[name] = seen_entities(factory).numpy()[target]
        elif name == "kind":
            result[name] = relation_kinds(training, 1 + max(int(relations.max(initial=0)), factory.num_relations))[
                relations
            ]
        elif name == "entities":
            result[name] = entities_seen(training, table.triples, factory.num_entities)
        elif name == "halflinks":
            result[name] = half_links(training, table.triples, table.side)
        else:
            assert masks is not None
            result[name] = _coverage(masks, query if name == "query" else target)
    return result


def means_by_stratum(table: RankTable, factory: Any) -> dict[str, dict[str, dict[str, float]]]:
    """Return the mean reciprocal rank of each group of :data:`STRATA`, in plain JSON.

    :param table: the ranks
    :param factory: the training triples
    :returns: name of the stratum -> group -> ``count`` and ``mrr``. Those by modality are there if the factory says
        which entities have which
    """
    names = [name for name in STRATA if name not in ("query", "target") or GraphMetadata.of(factory)]
    reciprocal = pandas.Series(1 / table.realistic)
    result: dict[str, dict[str, dict[str, float]]] = {}
    for name, groups in strata(table, factory, names).items():
        found = reciprocal.groupby(numpy.asarray(groups)).agg(["size", "mean"])
        result[name] = {str(group): {"count": int(n), "mrr": float(mrr)} for group, n, mrr in found.itertuples()}
    return result


def _coverage(masks: Mapping[str, numpy.ndarray], entities: numpy.ndarray) -> list[str]:
    """Name the modalities of each entity: ``"textual"``, ``"visual + textual"``, ``"none"``, ..."""
    rows = numpy.stack([mask[entities] for mask in masks.values()], axis=1).tolist()
    return [" + ".join(name for name, has in zip(masks, row, strict=True) if has) or "none" for row in rows]


def _ranks(
    results: ProtocolMetricResults | RankTable | Model,
    factory: Any,
    triples: Any,
    protocol: str,
    protocol_kwargs: Mapping[str, Any] | None,
    kwargs: dict[str, Any],
) -> RankTable:
    if isinstance(results, RankTable):
        return results
    if isinstance(results, Model):
        if triples is None:
            raise EvaluationError("To divide the results of a model, give the `triples` to evaluate it on.")
        kwargs.setdefault("additional_filter_triples", [factory.mapped_triples])
        kwargs.setdefault("use_tqdm", False)
        evaluator = make_evaluator(protocol, protocol_kwargs, factory)
        results = evaluator.evaluate(results, getattr(triples, "mapped_triples", triples), **kwargs)  # type: ignore
    if not isinstance(results, ProtocolMetricResults) or results.ranks is None:
        raise EvaluationError(
            f"{type(results).__name__} does not keep the rank of each triple: evaluate by a named protocol, such as "
            f"evaluator='standard'."
        )
    return results.ranks
