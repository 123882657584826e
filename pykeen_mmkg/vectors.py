"""The vectors of entities and relations that a model has, by modality and fused, and their export to a file."""

import pathlib

import numpy
import torch
from pykeen.models import ERModel, Model
from pykeen.nn.representation import Representation
from pykeen.triples import TriplesFactory

from .datasets.labels import Kind
from .errors import DataError
from .features import FeatureStore
from .io import write_json, written_whole
from .modalities import FEATURE_KEYS, gathered, labels_of, with_added
from .nn.multimodal import STRUCTURAL, MultimodalRepresentation
from .vector_index import INDICES, write_index

__all__ = ["FUSED", "export_vectors", "modalities_of", "vectors_of"]

#: what the model scores with
FUSED = "fused"

#: the suffixes of exported files
SUFFIXES = (".safetensors", ".npy", ".parquet", ".tsv", *INDICES)


def _representation(model: Model, kind: Kind) -> Representation | None:
    if not isinstance(model, ERModel):
        return None
    found = model.entity_representations if kind == "entity" else model.relation_representations
    return found[0] if len(found) else None


def _sources(model: Model, kind: Kind) -> dict[str, FeatureStore]:
    """Return the frozen features that a model and its parts have read, by modality."""
    stores = {key: store for sources in gathered(model).values() for key, store in sources.used.items()}
    return {modality: stores[key] for (other, modality), key in FEATURE_KEYS.items() if other == kind and key in stores}


def _trained(model: Model, kind: Kind) -> dict[str, Representation]:
    """Return the representations by the names of :func:`modalities_of`; those of scorers by the scorers' names."""
    found: dict[str, Representation] = {}
    representation = _representation(model, kind)
    if representation is not None:
        found[FUSED] = representation
        if isinstance(representation, MultimodalRepresentation) and STRUCTURAL in representation.modalities:
            found[STRUCTURAL] = representation.parts[STRUCTURAL]  # type: ignore[assignment]
    for name, scorer in (getattr(model, "scorers", None) or {}).items():
        inner = _representation(scorer, kind)
        if inner is not None:
            found[name] = inner
    return found


def modalities_of(model: Model, kind: Kind = "entity") -> list[str]:
    """Return the names of the vectors that a model has.

    :param model: a model
    :param kind: of entities or of relations
    :returns: ``fused``, what the model scores with, if it has one vector an entity; ``structural``, if that is a part
        of it; the names of scorers of late fusion; ``textual`` and ``visual``, the frozen features, where it read any
    """
    return [*_trained(model, kind), *_sources(model, kind)]


def vectors_of(
    model: Model, triples_factory: TriplesFactory, modality: str | None = None, kind: Kind = "entity"
) -> FeatureStore:
    """Return the vectors of all entities or relations, with their labels.

    :param model: a trained model
    :param triples_factory: the factory that it was trained on
    :param modality: one of :func:`modalities_of`, by default the first
    :param kind: of entities or of relations
    :returns: a store, whose mask tells who has no such vector. Complex vectors are real ones of twice the dimension,
        real and imaginary part in turn, as its provenance says (``dtype: complex``)
    :raises DataError: if the model has no such vectors
    """
    known = modalities_of(model, kind)
    if not known or (modality is not None and modality not in known):
        raise DataError(f"The model has no {modality or ''} vectors of its {kind}s; it has {known}.")
    modality = known[0] if modality is None else modality
    labels = labels_of(with_added(triples_factory, model), kind, inverse=False)
    trained = _trained(model, kind)
    if modality not in trained:
        store = _sources(model, kind)[modality]
        vectors, mask = store.lookup(labels)
        return FeatureStore.from_tensors(labels, vectors, mask, modality=modality, provenance=store.provenance)
    part = trained[modality]
    model.eval()
    with torch.inference_mode():
        vectors = part(None).detach().cpu()
    if len(vectors) == 2 * len(labels):  # artificial inverse relations, each after its own
        vectors = vectors[::2]
    known_ids = part.mask.any(dim=-1).cpu() if isinstance(part, MultimodalRepresentation) else None
    dtype = "complex" if vectors.is_complex() else "real"
    vectors = torch.view_as_real(vectors) if vectors.is_complex() else vectors
    return FeatureStore.from_tensors(
        labels, vectors.clone().flatten(1).float(), known_ids, modality=modality, provenance={"dtype": dtype}
    )


def export_vectors(store: FeatureStore, path: str | pathlib.Path) -> None:
    """Write vectors with their labels to a file; the suffix tells how.

    ================= ==================================================================================================
    ``.safetensors``  a feature store, which every model here takes as features
    ``.npy``          the matrix, shape (n, d), and the labels beside it, as a list in ``<name>.labels.json``
    ``.parquet``      the columns ``label`` and ``vector``, a list of d numbers (needs pyarrow)
    ``.tsv``          the label and d numbers a row
    ``.faiss``        an index of FAISS by cosine, and the labels beside it, as above (needs faiss-cpu)
    ``.usearch``      the same of usearch (needs usearch)
    ================= ==================================================================================================

    Who has no vector is left out, but for the feature store, which has a mask for it.

    :param store: the vectors
    :param path: the file
    :raises DataError: if the suffix is another, the library of a format is missing, or an index has no vector
    """
    path = pathlib.Path(path)
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: vectors can be written to {', '.join(SUFFIXES)}; choose one of these suffixes.")
    if path.suffix == ".safetensors":
        store.save(path)
        return
    rows = store.mask.nonzero()[:, 0]
    labels = [store.labels[i] for i in rows.tolist()]
    matrix = store.vectors[rows].float().numpy()
    with written_whole(path) as temporary:
        if path.suffix == ".npy":
            with temporary.open("wb") as file:
                numpy.save(file, matrix, allow_pickle=False)
            write_json(path.with_suffix(".labels.json"), labels)
        elif path.suffix in INDICES:
            write_index(matrix, temporary, path.suffix)
            write_json(path.with_suffix(".labels.json"), labels)
        elif path.suffix == ".parquet":
            try:
                import pyarrow
                import pyarrow.parquet
            except ImportError as error:
                raise DataError(f"{path} cannot be written without Arrow: pip install pyarrow") from error
            table = pyarrow.table({"label": labels, "vector": list(matrix)})
            pyarrow.parquet.write_table(table, temporary)
        else:
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                for label, row in zip(labels, matrix, strict=True):
                    file.write("\t".join([label, *(repr(float(x)) for x in row)]) + "\n")
