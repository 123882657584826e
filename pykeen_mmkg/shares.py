"""What each part of a model adds to the scores of answers."""

from collections.abc import Sequence

import pandas
import torch
from pykeen.models import ERModel, Model
from pykeen.typing import LABEL_TAIL, FloatTensor, Target

from .nn.masking import entity_modalities, without_modality

__all__ = ["explained"]


@torch.inference_mode()
def explained(
    model: Model, entity: int, relation: int, answers: Sequence[int], target: Target
) -> pandas.DataFrame | None:
    """Return what each part of a model adds to the scores of answers to a query.

    See :meth:`~pykeen_mmkg.predict.Predictor.explain` for what it means.

    :param model: the model, in evaluation mode
    :param entity: the known entity
    :param relation: the relation
    :param answers: the answers, n ids
    :param target: the side that is asked for, ``tail`` or ``head``
    :returns: a row for each answer, a column for each part; None for a model without parts
    """
    if hasattr(model, "explain"):  # late fusion
        return _of_scorers(model, entity, relation, answers, target)
    ids = torch.tensor(answers, dtype=torch.long, device=model.device)
    given = torch.tensor([entity], device=model.device), torch.tensor([relation], device=model.device)
    if hasattr(model, "score_parts"):
        parts = model.score_parts(*given, target, ids)[:, 0]  # type: ignore[operator]
        return _table(model.parts, parts, keep=False)  # type: ignore[arg-type]
    names = entity_modalities(model)
    if not names or not isinstance(model, ERModel):
        return None

    def scores(own: ERModel) -> FloatTensor:
        if target == LABEL_TAIL:
            return own.predict_t(torch.stack(given, dim=-1))[0, ids]
        return own.predict_h(torch.stack(given[::-1], dim=-1))[0, ids]

    whole = scores(model)
    return _table(names, torch.stack([whole - scores(without_modality(model, name)) for name in names]), keep=True)


def _of_scorers(model: Model, entity: int, relation: int, answers: Sequence[int], target: Target) -> pandas.DataFrame:
    """Return the weighted score of each scorer of late fusion, but of those whose weight is zero."""
    entities: Sequence[str] = model.entity_labels  # type: ignore[assignment]
    name = model.relation_labels[relation]  # type: ignore[index]
    shares = []
    for answer in answers:
        head, tail = (entity, answer) if target == LABEL_TAIL else (answer, entity)
        table = model.explain(entities[head], name, entities[tail], target=target)  # type: ignore[operator]
        shares.append(table.loc[table["weight"] != 0, "share"].to_dict())
    return pandas.DataFrame(shares, index=range(len(answers)))


def _table(names: Sequence[str], shares: FloatTensor, keep: bool) -> pandas.DataFrame:
    """Return a column for each part; of those that add nothing to any answer, none unless they are kept."""
    columns = {name: own.tolist() for name, own in zip(names, shares, strict=True) if keep or bool(own.any())}
    return pandas.DataFrame(columns, index=range(shares.shape[1]))
