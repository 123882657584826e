"""What a saved model reads besides its weights: feature stores, names and descriptions.

The folder of a run stands in for the dataset: its tables and stores are named by the metadata of the training triples,
as those of a dataset are, so that a model is made anew from the run's folder alone.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from pykeen.models import Model
from pykeen.triples import TriplesFactory

from ..datasets import GraphMetadata, ModalityTable, labels_in_order
from ..datasets.labels import is_inverse
from ..datasets.tables import Kind
from ..errors import RunError
from ..features import FeatureStore
from ..io import file_digest
from ..modalities import ModalitySources, gathered, labels_of

__all__ = ["FeatureMode", "read_sources", "sources_of", "without_sources", "write_sources"]

#: what becomes of feature stores, see :func:`pykeen_mmkg.runs.save_run`
FeatureMode = Literal["copy", "needed rows", "link"]

#: the files of names and descriptions
TABLES: Mapping[Kind, str] = {"entity": "entities.tsv", "relation": "relations.tsv"}
#: what the metadata call them
NAMES: Mapping[Kind, str] = {"entity": "entities", "relation": "relations"}

#: the arguments by which models name their sources
SOURCE_ARGUMENTS = ("encoder", "sources")


def sources_of(model: Model) -> dict[str, FeatureStore]:
    """Return the feature stores that a model and its parts have read, by key; see :data:`~.modalities.FEATURE_KEYS`.

    :param model: the model
    :returns: the stores
    :raises RunError: if parts of it, such as the scorers of late fusion, read different features of one kind
    """
    found: dict[str, FeatureStore] = {}
    for name, sources in gathered(model).items():
        for key, store in sources.used.items():
            if found.setdefault(key, store).digest != store.digest:
                raise RunError(
                    f"{name or 'The model'} reads other {key} features than another part of the model; a run holds one "
                    "file of each kind. Give the sources to the model, not to its parts."
                )
    return found


def without_sources(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments without those about sources, also within: scorers of late fusion have some as well."""
    return {
        name: without_sources(value) if isinstance(value, Mapping) else value
        for name, value in kwargs.items()
        if name not in SOURCE_ARGUMENTS
    }


def write_sources(
    model: Model, training: TriplesFactory, kwargs: Mapping[str, Any], folder: pathlib.Path, mode: FeatureMode
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write tables and feature stores into the folder of a run.

    :param model: the model
    :param training: its training triples
    :param kwargs: the keyword arguments of the model
    :param folder: the folder of the run
    :param mode: what becomes of the feature stores
    :returns: what is to be known of the sources, as JSON, and the keyword arguments that are not about sources
    :raises RunError: if the mode is unknown, features that exist in memory only are to be linked, or parts of the model
        read different sources of one kind
    """
    if mode not in get_args(FeatureMode):
        raise RunError(f"features={mode!r} must be one of {get_args(FeatureMode)}.")
    features = {}
    for key, store in sources_of(model).items():
        path: pathlib.Path | str = pathlib.Path("features", f"{key}.safetensors")
        if mode == "needed rows":
            labels = labels_of(training, "relation" if key.startswith("relation") else "entity")
            if key.startswith("relation"):
                # a scorer of late fusion may read the texts of inverse relations where the graph has none
                labels = [*labels, *(label for label in store.labels if is_inverse(label, training.relation_to_id))]
            store = store.restricted(dict.fromkeys(labels))
        if mode == "link":
            if store.path is None:
                raise RunError(f"The {key} features are in memory only, so there is no file to link to: copy them.")
            path = store.path.absolute()
        else:
            store.save(folder / path)
        features[key] = {
            "path": pathlib.PurePath(path).as_posix(),
            "mode": mode,
            "digest": store.digest,
            "labels": len(store),
            "present": int(store.mask.sum()),
            "dim": store.dim,
            "encoder": store.provenance.get("encoder"),
            "encoder_fingerprint": store.provenance.get("encoder_fingerprint"),
        }
    # the model's own come first, then those of its parts
    named = [ModalitySources.from_factory(training, sources=kwargs.get("sources")), *gathered(model).values()]
    tables = {}
    for kind, name in TABLES.items():
        paths = [path for sources in named if (path := getattr(sources, NAMES[kind])) is not None]
        if paths:
            _write_table(kind, training, paths, folder / name)
            tables[kind] = file_digest(folder / name)
    encoder = kwargs.get("encoder")
    added = list(GraphMetadata.of(training).added)
    return {
        "features": features,
        "tables": tables,
        **({"added": added} if added else {}),
        "encoder": encoder if isinstance(encoder, str) else None,
        "encoder_kwargs": (kwargs.get("sources") or {}).get("encoder_kwargs"),
    }, without_sources(kwargs)


def _write_table(kind: Kind, training: TriplesFactory, paths: Sequence[Any], target: pathlib.Path) -> None:
    """Write names and descriptions of entities or relations."""
    labels = labels_in_order(training.entity_to_id if kind == "entity" else training.relation_to_id)
    added = GraphMetadata.of(training).added if kind == "entity" else {}
    tables = [
        dataclasses.replace(
            ModalityTable.load(path, kind=kind).updated(added).align(labels, missing="allow"),
            images=((),) * len(labels),
        )
        for path in dict.fromkeys(str(path) for path in paths)
    ]
    if len({table.digest for table in tables}) > 1:
        raise RunError(
            f"Parts of the model read different tables of the {NAMES[kind]}: {tables[0].source} and others. A run "
            "holds one of each kind: give the sources to the model, not to its parts."
        )
    tables[0].save(target)


def read_sources(folder: pathlib.Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Make the metadata of the training triples, which name what the folder of a run holds.

    :param folder: the folder of the run
    :param document: its document
    :returns: the metadata
    :raises RunError: if a table or a feature store is missing, is another than when the run was saved, or is named
        outside of the folder without being linked
    """
    features = {}
    for key, entry in document["sources"]["features"].items():
        path = pathlib.Path(entry["path"])
        if entry["mode"] not in get_args(FeatureMode):
            raise RunError(f"{folder} does not say what became of the {key} features ({entry['mode']!r}).")
        if entry["mode"] != "link":
            if path.is_absolute() or ".." in path.parts:
                raise RunError(f"{folder} names the file {path} outside of itself; such a run is not loaded.")
            path = folder / path
        elif not path.is_file():
            raise RunError(
                f"The run {folder} is linked to the {key} features in {path}, which are not there. Put the file back, "
                "or save the run with features='copy'."
            )
        store = FeatureStore.load(path)
        if store.digest != entry["digest"]:
            raise RunError(f"{path} holds other {key} features than those that the model in {folder} was trained with.")
        features[key] = str(path.absolute())
    found = {}
    for kind, digest in document["sources"]["tables"].items():
        table = folder / TABLES[kind]
        if not table.is_file() or file_digest(table) != digest:
            raise RunError(f"{table} is missing or is not what was saved; take a whole copy of the run.")
        found[NAMES[kind]] = str(table.absolute())
    return GraphMetadata(
        entities=found.get("entities"),
        relations=found.get("relations"),
        features=features,
        missing_rows="allow",
        # their rows stand in the table
        added={label: {} for label in document["sources"].get("added", ())},
        digest=document["graph"]["digest"],
    ).to_metadata()
