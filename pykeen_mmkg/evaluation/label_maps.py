"""The label maps that a protocol needs when its configuration names entities and relations by label.

PyKEEN hands an evaluator the model and triples of ids, never the labels. They are found, in this order, in maps given
to the evaluator, in a dataset given to it, in the model itself (attributes ``entity_to_id`` and ``relation_to_id``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets import load_dataset
from ..datasets.delimited import read_rows
from ..errors import EvaluationError

__all__ = ["LabelMaps", "find_labels", "read_label_map"]


@dataclass(frozen=True)
class LabelMaps:
    """The ids of entities and of relations by label."""

    entity_to_id: Mapping[str, int]
    relation_to_id: Mapping[str, int]


def read_label_map(source: Mapping[str, int] | str | Path, kind: str) -> dict[str, int]:
    """Read a map from label to id.

    :param source: the map itself, or a tab-separated file with a label and an id in each row (either order, with or
        without a header, also compressed by gzip, such as the ``entity_to_id.tsv.gz`` in a folder saved by PyKEEN's
        pipeline); quoted as pandas writes it, where needed
    :param kind: ``"entity"`` or ``"relation"``, for messages
    :raises EvaluationError: if the file is absent or a row has no id
    """
    if isinstance(source, Mapping):
        return {str(label): int(index) for label, index in source.items()}
    path = Path(source)
    if not path.is_file():
        raise EvaluationError(f"There is no {kind} map at {path}; expected rows of label, tab, id.")
    rows = read_rows(path)
    # a label can be called "id": a header is a row without a number
    header = [] if any(cell.isdecimal() for cell in rows[0][1]) else rows[0][1]
    swapped = header == ["id", "label"]
    result = {}
    for number, row in rows[bool(header) :]:
        label, index = (row[1], row[0]) if swapped and len(row) == 2 else (row[0], row[-1])
        if len(row) != 2 or not index.isdecimal():
            raise EvaluationError(f"{path}, line {number}: {row!r} is not a label, a tab and an id.")
        if label in result:
            raise EvaluationError(f"{path}, line {number}: the label {label!r} comes twice.")
        result[label] = int(index)
    return result


def find_labels(
    model: Any = None,
    *,
    dataset: Any = None,
    dataset_kwargs: Mapping[str, Any] | None = None,
    entity_to_id: Mapping[str, int] | str | Path | None = None,
    relation_to_id: Mapping[str, int] | str | Path | None = None,
) -> LabelMaps:
    """Find the label maps.

    :param model: the model under evaluation; it may carry ``entity_to_id`` and ``relation_to_id``
    :param dataset: see :func:`~pykeen_mmkg.datasets.loading.load_dataset`
    :param dataset_kwargs: keyword arguments of the dataset
    :param entity_to_id: the map itself, or the path of a file, see :func:`read_label_map`
    :param relation_to_id: the same for relations
    :raises EvaluationError: if nothing gives the labels, or they do not fit the model
    """
    if entity_to_id is not None and relation_to_id is not None:
        maps = LabelMaps(read_label_map(entity_to_id, "entity"), read_label_map(relation_to_id, "relation"))
        origin = "entity_to_id and relation_to_id"
    elif dataset is not None:
        dataset = load_dataset(dataset, dataset_kwargs)
        maps = LabelMaps(dataset.entity_to_id, dataset.relation_to_id)
        origin = "the dataset"
    elif getattr(model, "entity_to_id", None) and getattr(model, "relation_to_id", None):
        maps = LabelMaps(model.entity_to_id, model.relation_to_id)
        origin = "the model"
    else:
        raise EvaluationError(
            "The evaluator's configuration names entities or relations by label, but it does not know their ids. Give "
            "it `dataset` (and `dataset_kwargs`) as you give them to the pipeline, or `entity_to_id` and "
            "`relation_to_id` (maps, or files with a label and an id in each row)."
        )
    for kind, mapping, known in (
        ("entities", maps.entity_to_id, getattr(model, "num_entities", None)),
        ("relations", maps.relation_to_id, getattr(model, "num_real_relations", None)),
    ):
        top = max(mapping.values(), default=-1)
        if known is not None and top >= known:
            raise EvaluationError(
                f"The model has {known:_} {kind}, but {origin} gives ids up to {top:_}: these are the labels of "
                f"another dataset."
            )
    return maps
