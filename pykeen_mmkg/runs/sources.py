"""What a saved model reads besides its weights: feature stores, names and descriptions.

The folder of a run stands in for the dataset: its tables and stores are named by the metadata of the training triples,
as those of a dataset are, so that a model is made anew from the run's folder alone.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pykeen.models import Model
from pykeen.triples import TriplesFactory

from ..datasets import GraphMetadata, ModalityTable, labels_in_order
from ..datasets.tables import Kind
from ..errors import RunError
from ..features import FeatureStore
from ..io import file_digest
from ..modalities import ModalitySources, labels_of

__all__ = ["FeatureMode", "read_sources", "sources_of", "write_sources"]

#: what becomes of feature stores, see :func:`pykeen_mmkg.runs.save_run`
FeatureMode = Literal["copy", "needed rows", "link"]

#: the files of names and descriptions
TABLES: Mapping[Kind, str] = {"entity": "entities.tsv", "relation": "relations.tsv"}
#: what the metadata call them
NAMES: Mapping[Kind, str] = {"entity": "entities", "relation": "relations"}

#: the arguments by which models name their sources
SOURCE_ARGUMENTS = ("encoder", "sources")


def sources_of(model: Model) -> dict[str, FeatureStore]:
    """Return the feature stores that a model and its parts have read, by key; see :data:`~.modalities.FEATURE_KEYS`."""
    return {
        key: store
        for module in model.modules()
        if isinstance(sources := getattr(module, "sources", None), ModalitySources)
        for key, store in sources.used.items()
    }


def write_sources(
    model: Model, training: TriplesFactory, kwargs: dict[str, Any], folder: pathlib.Path, mode: FeatureMode
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write tables and feature stores into the folder of a run.

    :param model: the model
    :param training: its training triples
    :param kwargs: the keyword arguments of the model
    :param folder: the folder of the run
    :param mode: what becomes of the feature stores
    :returns: what is to be known of the sources, as JSON, and the keyword arguments that are not about sources
    :raises RunError: if the mode is unknown, or features that exist in memory only are to be linked
    """
    if mode not in get_args(FeatureMode):
        raise RunError(f"features={mode!r} must be one of {get_args(FeatureMode)}.")
    named = {name: kwargs.pop(name) for name in SOURCE_ARGUMENTS if name in kwargs}
    features = {}
    for key, store in sources_of(model).items():
        path: pathlib.Path | str = pathlib.Path("features", f"{key}.safetensors")
        if mode == "needed rows":
            labels = labels_of(training, "relation" if key.startswith("relation") else "entity")
            store = store.restricted(labels)
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
    tables = {
        kind: file_digest(folder / name) for kind, name in TABLES.items() if _write_table(kind, training, named, folder)
    }
    encoder = named.get("encoder")
    return {
        "features": features,
        "tables": tables,
        "encoder": encoder if encoder is None or isinstance(encoder, str) else None,
        "encoder_kwargs": (named.get("sources") or {}).get("encoder_kwargs"),
    }, kwargs


def _write_table(kind: Kind, training: TriplesFactory, named: Mapping[str, Any], folder: pathlib.Path) -> bool:
    """Write names and descriptions of entities or relations, if there are any."""
    sources = ModalitySources.from_factory(training, sources=named.get("sources"))
    path = sources.entities if kind == "entity" else sources.relations
    if path is None:
        return False
    labels = labels_in_order(training.entity_to_id if kind == "entity" else training.relation_to_id)
    table = ModalityTable.load(path, kind=kind).align(labels, missing="allow")
    dataclasses.replace(table, images=((),) * len(table)).save(folder / TABLES[kind])
    return True


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
        digest=document["graph"]["digest"],
    ).to_metadata()
