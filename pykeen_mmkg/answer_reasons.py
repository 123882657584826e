"""Why an answer: the training triples and the common words that speak for it, in words."""

import pandas

from .errors import DataError
from .predict import Predictor, Query

__all__ = ["reasons"]


def reasons(predictor: Predictor, query: Query, label: str, best: int = 3) -> pandas.DataFrame | None:
    """Return what speaks for an answer: links, paths, similar entities, like answers, and words.

    :param predictor: the predictor, of a model of evidence, or of late fusion that has it as a scorer
    :param query: the query for a head or a tail
    :param label: the label of the answer
    :param best: how many reasons of each part of the evidence, the strongest
    :returns: a row for each reason: ``part``, ``strength`` (see :class:`~pykeen_mmkg.nn.evidence.reasons.Reason`) and
        ``reason``; None for a model without evidence
    :raises DataError: if the answer is no entity of the graph, or relations are asked for
    """
    predictor, query = predictor.opened(query)
    target, (entity, relation) = predictor.resolve(query)
    if target == "relation":
        raise DataError("There are reasons for heads and tails, not for relations.")
    if label not in predictor.ids["entity"]:
        raise DataError(f"{label!r} is not a label of an entity.")
    model = predictor.model
    models = [model, *(scorer.model for scorer in getattr(model, "_scorers", ()))]
    source = next((own for own in models if hasattr(own, "reasons")), None)
    if source is None:
        return None
    labels, names = predictor.labels, predictor.names

    def step(h: int, r: int, t: int) -> str:
        head, tail = (names["entity"].get(labels["entity"][i]) or labels["entity"][i] for i in (h, t))
        if r >= source.num_relations:
            return f"{head} is like {tail}"
        return f"{head} | {names['relation'].get(labels['relation'][r]) or labels['relation'][r]} | {tail}"

    rows = []
    for reason in source.reasons(entity, relation, predictor.ids["entity"][label], target, best=best):
        text = " and ".join(step(*triple) for triple in reason.triples) or "common word: " + ", ".join(reason.words)
        rows.append({"part": reason.part, "strength": reason.strength, "reason": text})
    return pandas.DataFrame(rows, columns=["part", "strength", "reason"])
