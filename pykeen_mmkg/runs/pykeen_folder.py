"""Folders that PyKEEN's ``PipelineResult.save_to_directory`` wrote: a pickled model, and label maps as tables.

PyKEEN reads its label maps with pandas, which takes ``007`` for a number and ``NA`` for a missing value
(``TriplesFactory.from_path_binary`` in 1.11.1). Here labels are strings, as they were written.
"""

import csv
import gzip
import pathlib

import torch
from pykeen.models import Model
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from ..datasets.labels import label_digests
from ..errors import MultimodalError, RunError
from ..modalities import with_added

__all__ = ["load_pykeen_run", "read_training_triples"]

MODEL_FILE = "trained_model.pkl"
TRIPLES_FOLDER = "training_triples"


def _rows(path: pathlib.Path) -> list[list[str]]:
    """Read a table that pandas wrote: tab-separated, quoted where needed, with a header row."""
    if not path.is_file():
        raise RunError(f"{path.parent} is no folder of triples saved by PyKEEN: {path.name} is missing.")
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t"))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} is damaged ({error}).") from error
    if not rows:
        raise RunError(f"{path} is damaged: it is empty.")
    return rows[1:]


def read_training_triples(folder: str | pathlib.Path) -> TriplesFactory:
    """Read triples and labels that PyKEEN wrote, every label as the string that it is.

    .. warning::
        The file ``base.pth`` in the folder is a pickle. Only plain values are read of it.

    :param folder: the folder ``training_triples`` of a run
    :returns: the factory
    :raises RunError: if a file is missing or damaged
    """
    folder = pathlib.Path(folder)
    maps = {
        name: _label_map(folder / f"{name}.tsv.gz")
        for name in (TriplesFactory.file_name_entity_to_id, TriplesFactory.file_name_relation_to_id)
    }
    entities, relations = maps.values()
    path = folder / TriplesFactory.triples_file_name
    try:
        triples = [(int(head), int(relation), int(tail)) for head, relation, tail in _rows(path)]
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}).") from error
    sizes = (len(entities), len(relations), len(entities))
    for row in triples:
        if not all(0 <= index < size for index, size in zip(row, sizes, strict=True)):
            raise RunError(f"{path} is damaged: the triple {row} has an id without a label.")
    base_path = folder / TriplesFactory.base_file_name
    if not base_path.is_file():
        raise RunError(f"{folder} is no folder of triples saved by PyKEEN: {base_path.name} is missing.")
    try:
        base = torch.load(base_path, weights_only=True)
        inverse, metadata = base["create_inverse_triples"], dict(base["metadata"] or {})
    except Exception as error:  # torch has no single error for what it refuses
        raise RunError(f"{base_path} cannot be read ({error}).") from error
    if not isinstance(inverse, bool):
        raise RunError(f"{base_path} does not say whether there are inverse triples.")
    return TriplesFactory(
        mapped_triples=torch.tensor(triples, dtype=torch.long).view(-1, 3),
        create_inverse_triples=inverse,
        metadata=metadata,
        entity_to_id=entities,
        relation_to_id=relations,
    )


def _label_map(path: pathlib.Path) -> dict[str, int]:
    """Read a table of ids and labels, of which each comes once."""
    rows = _rows(path)
    try:
        found = {label: int(index) for index, label in rows}
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}).") from error
    if len(found) != len(rows) or sorted(found.values()) != list(range(len(rows))):
        raise RunError(f"{path} is damaged: a label or an id comes twice, or is missing.")
    return found


def load_pykeen_run(
    folder: str | pathlib.Path, triples_factory: CoreTriplesFactory | None = None
) -> tuple[Model, TriplesFactory]:
    """Load what :meth:`pykeen.pipeline.PipelineResult.save_to_directory` wrote.

    .. warning::
        PyKEEN saves a model as a pickle, and a pickle runs code when loaded. Load only what you saved yourself; share
        runs with :func:`~pykeen_mmkg.runs.save_run`.

    :param folder: the folder of the run
    :param triples_factory: the training factory, for a run that was saved without it, as by ``pykeen experiments run``
    :returns: the model, in evaluation mode, and the training factory
    :raises RunError: if the folder is not such a run
    """
    folder = pathlib.Path(folder)
    if not (folder / MODEL_FILE).is_file():
        raise RunError(
            f"{folder} is not a saved run: {MODEL_FILE} is missing. Save one with `save_run(result, folder)` or "
            "`result.save_to_directory(folder)`."
        )
    if (folder / TRIPLES_FOLDER).is_dir():
        triples_factory = read_training_triples(folder / TRIPLES_FOLDER)
    if triples_factory is None:
        raise RunError(f"{folder} was saved without its training triples; name the dataset that it was trained on.")
    if not isinstance(triples_factory, TriplesFactory):
        raise RunError("The training factory has no labels, so that nothing can be looked up by label.")
    try:
        model = torch.load(folder / MODEL_FILE, weights_only=False, map_location="cpu")  # noqa: S614
    except MultimodalError as error:
        raise RunError(f"{folder / MODEL_FILE}: {error}") from error
    except Exception as error:  # whatever a damaged pickle does
        raise RunError(
            f"{folder / MODEL_FILE} is damaged, or of another version ({type(error).__name__}: {error})."
        ) from error
    if not isinstance(model, Model):
        raise RunError(f"{folder / MODEL_FILE} holds a {type(model).__name__}, no model.")
    triples_factory = with_added(triples_factory, model)
    own = (model.num_entities, model.num_real_relations)
    graph = (triples_factory.num_entities, triples_factory.real_num_relations)
    if own != graph:
        raise RunError(
            f"The model in {folder} is of {own[0]} entities and {own[1]} relations, but the triples have {graph[0]} "
            f"and {graph[1]}: it was trained on another graph."
        )
    labels = getattr(model, "graph_labels", None)
    if isinstance(labels, dict) and labels != (found := label_digests(triples_factory)):
        other = [name for name in found if labels.get(name) != found[name]]
        raise RunError(
            f"The model in {folder} was trained on other {' and '.join(other)}, or on these in another order: its "
            "scores would be given to the wrong ones. Name the dataset as it was, or train again."
        )
    return model.eval(), triples_factory
