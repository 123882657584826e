"""The table of the baselines for unseen relations, ranked by one protocol."""

from collections.abc import Mapping
from typing import Any

import pandas

from ..baselines.rules import Baseline, DegreeRule
from ..baselines.unseen_relations import AdamicAdar, BlindMixture, DescriptionFrequency
from ..modalities import ModalitySources
from .evaluating import evaluate

__all__ = ["BASELINES", "relation_baselines"]

#: the rows of :func:`relation_baselines`
BASELINES: Mapping[str, type[Baseline]] = {
    "tail degree": DegreeRule,
    "Adamic-Adar + link bonus": AdamicAdar,
    "TF-IDF of descriptions": DescriptionFrequency,
    "both": BlindMixture,
}


def relation_baselines(
    dataset: Any, candidates: Any = None, split: str = "testing", protocol: str | None = None, **kwargs: Any
) -> pandas.DataFrame:
    """Rank a split with all baselines.

    :param dataset: a dataset of PyKEEN with a table of relations; rows that need one are left out where there is none
    :param candidates: the candidate lists, see :class:`~pykeen_mmkg.evaluation.protocols.ZSLCandidatesEvaluator`;
        without them the ranking is among all entities
    :param split: ``"testing"`` or ``"validation"``
    :param protocol: the protocol, by default ``zslcandidates`` with candidates and ``standard`` without
    :param kwargs: further arguments of the protocol, e.g. ``known_true``
    :returns: a row for each baseline, with the columns mrr, hits@1, hits@5 and hits@10, for tails
    """
    if candidates is not None:
        kwargs["candidates"] = candidates
    protocol = protocol or ("standard" if candidates is None else "zslcandidates")
    rows = {}
    for name, cls in BASELINES.items():
        if issubclass(cls, DescriptionFrequency) and ModalitySources.from_factory(dataset.training).relations is None:
            continue
        model = cls(triples_factory=dataset.training)
        result = evaluate(model, dataset, protocol, kwargs, split=split, targets=["tail"], use_tqdm=False)
        rows[name] = {
            "mrr": result.get_metric("tail.realistic.inverse_harmonic_mean_rank"),
            **{f"hits@{k}": result.get_metric(f"tail.realistic.hits_at_{k}") for k in (1, 5, 10)},
        }
    return pandas.DataFrame.from_dict(rows, orient="index")
