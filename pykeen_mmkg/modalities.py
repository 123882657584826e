"""From what a user names (tables, image folders, feature files, an encoder) to the features that a model reads.

A model gets its sources from two places: the metadata that a :class:`.MultimodalDataset` puts into its triples
factories, and the model's own arguments ``encoder`` and ``sources``, which win. Both are plain JSON.
"""

import contextlib
import dataclasses
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pykeen.triples import CoreTriplesFactory, TriplesFactory
from torch import nn

from .datasets.labels import Kind, labels_of
from .datasets.metadata import FEATURE_KEYS, GraphMetadata
from .datasets.tables import Missing, ModalityTable, load_table
from .encoders import VisionLanguageEncoder, encode_images, encode_texts, make_encoder
from .encoders.encode import default_directory
from .encoders.encoder import TEXTUAL, VISUAL
from .errors import DataError, FeatureError, MultimodalError
from .features.store import FeatureStore, find_moved
from .nn.fusion import STRUCTURAL
from .options import check_option

__all__ = [
    "DEFAULT_ENCODER",
    "EncoderHint",
    "FEATURE_KEYS",
    "SOURCE_KEYS",
    "STRUCTURAL",
    "TEXTUAL",
    "VISUAL",
    "ModalitySources",
    "gathered",
    "labels_of",
    "with_added",
]

logger = logging.getLogger(__name__)

#: an encoder, or its name or folder
EncoderHint: TypeAlias = str | pathlib.Path | VisionLanguageEncoder | None

#: what is encoded where nothing else is said
DEFAULT_ENCODER = "openai/clip-vit-base-patch32"

#: the keys of ``sources``, first those that a graph's metadata have, too
GRAPH_KEYS = ("entities", "relations", "images", "image_kwargs", "missing_rows")
SOURCE_KEYS = (*GRAPH_KEYS, "features", "encoder_kwargs", "store", "strict", "reduce_to", "engine", "engine_kwargs")

#: what the values of some of them have to be
SOURCE_HINTS: Mapping[str, Any] = {
    "features": Mapping[str, Any] | None,
    "image_kwargs": Mapping[str, Any] | None,
    "encoder_kwargs": Mapping[str, Any] | None,
    "missing_rows": Missing | None,
    "strict": bool | None,
    "reduce_to": int | None,
    "engine": str | None,
    "engine_kwargs": Mapping[str, Any] | None,
}

#: what precedes the text of a relation in that of its inverse
INVERSE_PREFIX = "inverse of: "


@dataclasses.dataclass
class ModalitySources:
    """Where the text, the images and the features of a graph come from.

    All models share the argument ``sources``, a mapping with any of these keys; each model reads the modalities that
    it needs, and ``encoder`` is an argument of its own.

    :param entities: path of the table of the entities (columns entity, label, description), see
        :class:`~pykeen_mmkg.datasets.tables.ModalityTable`
    :param relations: path of the table of the relations (columns relation, label, description)
    :param images: path of the image folder of the entities
    :param image_kwargs: how that folder is read, see :func:`~pykeen_mmkg.datasets.image_folder.find_images`
    :param missing_rows: ``"error"``, or ``"allow"`` labels without a row in their table
    :param features: feature files, with the keys of :data:`FEATURE_KEYS`: ``visual``, ``textual``,
        ``relation_visual``, ``relation_textual``. A value is a path to a file of
        :class:`~pykeen_mmkg.features.FeatureStore`, or such a store
    :param encoder: the encoder for whatever has no features yet, see :func:`~pykeen_mmkg.encoders.make_encoder`
    :param encoder_kwargs: keyword arguments of the encoder
    :param store: the folder in which encoded features are kept, by default one under PyKEEN's home
    :param strict: whether an image that cannot be decoded is an error, rather than counted, listed and skipped
    :param reduce_to: decode photographs reduced, see :func:`~pykeen_mmkg.encoders.encode_images`
    :param engine: what encodes: by default this process, or ``"ray"``, see :class:`~pykeen_mmkg.encoders.RayWorkers`
    :param engine_kwargs: keyword arguments of the engine
    """

    entities: str | pathlib.Path | None = None
    relations: str | pathlib.Path | None = None
    images: str | pathlib.Path | None = None
    image_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    missing_rows: Missing = "error"
    features: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    encoder: EncoderHint = None
    encoder_kwargs: Mapping[str, Any] | None = None
    store: str | pathlib.Path | None = None
    strict: bool = False
    reduce_to: int | None = None
    engine: str | None = None
    engine_kwargs: Mapping[str, Any] | None = None
    #: which of ``features`` the user named, rather than the dataset
    named: frozenset[str] = frozenset()
    #: whether every other relation is the inverse of the one before
    inverse: bool = False
    #: entities that were added after training -> their row in the table
    added: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    #: of a saved run: the name of the encoder that made its features, and its keyword arguments
    made_by: tuple[str, Mapping[str, Any] | None] | None = None
    #: the features that have been gathered, by their keys
    used: dict[str, FeatureStore] = dataclasses.field(default_factory=dict, init=False, repr=False)
    #: the tables that have been read
    _tables: dict[Kind, ModalityTable] = dataclasses.field(default_factory=dict, init=False, repr=False)
    #: the last ones by the order of some labels, with their images
    _aligned: dict[Kind, ModalityTable] = dataclasses.field(default_factory=dict, init=False, repr=False)

    @classmethod
    def from_factory(
        cls,
        triples_factory: CoreTriplesFactory,
        sources: Mapping[str, Any] | None = None,
        encoder: EncoderHint = None,
    ) -> "ModalitySources":
        """Merge a factory's metadata with what a user names; the latter wins.

        :param triples_factory: a factory, of a multimodal dataset or a plain one
        :param sources: a mapping with any of the keys :data:`SOURCE_KEYS`; what is None counts as not given
        :param encoder: the encoder for whatever has no features yet
        :returns: the sources
        :raises MultimodalError: if there is no such key
        """
        if other := sorted(set(sources or {}) - set(SOURCE_KEYS)):
            raise MultimodalError(f"Unknown sources {other}; known are {sorted(SOURCE_KEYS)}.")
        for key, hint in SOURCE_HINTS.items():
            check_option(f"sources: {key}", (sources or {}).get(key), hint)
        record = GraphMetadata.of(triples_factory)
        given = {key: value for key, value in (sources or {}).items() if value is not None}
        if given.get("encoder_kwargs") and isinstance(encoder, VisionLanguageEncoder):
            raise MultimodalError("encoder_kwargs are of no use to an encoder that is made already; leave them out.")
        features = dict(given.pop("features", {}))
        unknown = set(features) - set(FEATURE_KEYS.values())
        if unknown:
            raise FeatureError(f"Unknown features {sorted(unknown)}; known are {sorted(FEATURE_KEYS.values())}.")
        merged = {key: value for key in GRAPH_KEYS if (value := getattr(record, key)) is not None} | given
        # whoever names tables of their own does not mean the features that were made from others
        shipped = {} if given.keys() & {"entities", "relations", "images"} else record.features
        return cls(
            features={**shipped, **features},
            named=frozenset(features),
            encoder=encoder,
            inverse=triples_factory.create_inverse_triples,
            added=record.added,
            **merged,
        )

    def _encoder(self) -> VisionLanguageEncoder:
        if not isinstance(self.encoder, VisionLanguageEncoder):
            self.encoder = make_encoder(self.encoder or DEFAULT_ENCODER, self.encoder_kwargs)
        return self.encoder

    def _stored(self, key: str) -> FeatureStore | None:
        """Return the features that exist for a key, unless they are from another encoder than the one asked for."""
        value = self.features.get(key)
        if value is None:
            return None
        store = value if isinstance(value, FeatureStore) else FeatureStore.load(value)
        if self.encoder is None or store.provenance.get("encoder_fingerprint") == self._encoder().fingerprint:
            return store
        if key in self.named:
            store.require_encoder(self._encoder().fingerprint)
        logger.info("The features %s that come with the dataset are of another encoder; encoding anew.", key)
        return None

    def table(self, kind: Kind, labels: Sequence[str]) -> ModalityTable:
        """Return the table of the entities or relations, with a row for each label, in that order.

        :param kind: ``"entity"`` or ``"relation"``
        :param labels: the labels, without those of inverse relations
        :returns: the table
        :raises DataError: if no table and no image folder is named, or the table has no row for a label
        """
        path, images = (self.entities, self.images) if kind == "entity" else (self.relations, None)
        if path is not None or images is not None:
            # texts, images and words are asked for one after the other: the image folder is searched once
            if kind not in self._aligned or self._aligned[kind].labels != tuple(labels):
                table = None if path is None else self._read(kind, path)
                options = {**self.image_kwargs, "added": self.added if kind == "entity" else None}
                self._aligned[kind] = load_table(labels, kind, table, images, self.missing_rows, **options)
            return self._aligned[kind]
        plural = "entities" if kind == "entity" else "relations"
        raise DataError(
            f"No table of the {plural} is known. Give `sources={{{plural!r}: <path of a TSV file with the columns "
            f"{kind}, label, description>}}` in model_kwargs, or use a multimodal dataset that has {plural}.tsv."
        )

    def _read(self, kind: Kind, path: str | pathlib.Path) -> ModalityTable:
        """Read a table at the first request; it serves all modalities."""
        if kind not in self._tables:
            self._tables[kind] = ModalityTable.load(path, kind=kind)
        return self._tables[kind]

    def provides(self, kind: Kind, modality: str) -> bool:
        """Return whether a modality is named at all, by features or by what could be encoded."""
        if self.features.get(FEATURE_KEYS[kind, modality]) is not None:
            return True
        if kind == "relation":
            return modality == TEXTUAL and self.relations is not None
        if modality == TEXTUAL:
            return self.entities is not None
        return self.images is not None or (self.entities is not None and any(self._read(kind, self.entities).images))

    def stored(self, kind: Kind, modality: str) -> bool:
        """Return whether there are features of a modality that can be used, so that nothing has to be encoded."""
        with contextlib.suppress(FeatureError):
            return self._stored(FEATURE_KEYS[kind, modality]) is not None
        return False

    def offers(self, kind: Kind, modality: str, labels: Sequence[str]) -> bool:
        """Return whether there are features of a modality, or any label has a text or an image to make them of.

        :param kind: ``"entity"`` or ``"relation"``
        :param modality: ``"visual"`` or ``"textual"``
        :param labels: the labels, without those of inverse relations
        :returns: whether :meth:`gather` has something to gather
        """
        if self._stored(FEATURE_KEYS[kind, modality]) is not None:
            return True
        table = self.table(kind, labels)
        return any(table.images) if modality == VISUAL else any(table.texts().values())

    def gather(self, kind: Kind, modality: str, labels: Sequence[str]) -> FeatureStore:
        """Return the features of one modality, encoding what is not encoded yet.

        :param kind: ``"entity"`` or ``"relation"``
        :param modality: ``"visual"`` or ``"textual"``
        :param labels: the labels in the order of their ids, see :func:`labels_of`
        :returns: a store that holds the features of these labels, and possibly of others
        :raises DataError: if the table is missing, or has no row for a label
        :raises FeatureError: if the features are of another encoder, or hold no vector for any of the labels
        """
        if (kind, modality) not in FEATURE_KEYS:
            raise FeatureError(f"Unknown modality {modality!r} of {kind}; known are {[VISUAL, TEXTUAL]}.")
        store = self._stored(FEATURE_KEYS[kind, modality])
        if store is None:
            store = self._encode(kind, modality, labels)
        known = {label for label, has in zip(store.labels, store.mask.tolist(), strict=True) if has}
        if known.isdisjoint(labels):
            raise FeatureError(
                f"Not one {kind} of the graph has a {modality} feature in {FEATURE_KEYS[kind, modality]!r} "
                f"({len(store.labels)} labels, the first is {next(iter(store.labels), None)!r}). Are the labels those "
                "of the triples? Leave the modality out if the graph does not have it."
            )
        self.used[FEATURE_KEYS[kind, modality]] = store
        return store

    def extend(self, rows: Mapping[str, Mapping[str, Any]], features: Mapping[str, FeatureStore]) -> None:
        """Take note of entities that are added after training.

        :param rows: label -> its row in the table of the entities
        :param features: the digest of features that have been gathered -> the same features with further rows
        """
        self.added = {**self.added, **rows}
        self._aligned = {}
        moved = {key: features[store.digest] for key, store in self.used.items() if store.digest in features}
        self.used = {**self.used, **moved}
        self.features = {**self.features, **moved}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out of a pickled model what it can read again: tables, encoders, and features that have a file."""
        used = {key: store.path or store for key, store in self.used.items()}
        encoder = None if isinstance(self.encoder, VisionLanguageEncoder) else self.encoder
        return {**self.__dict__, "encoder": encoder, "used": used, "_tables": {}, "_aligned": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"added": {}, "made_by": None, **state})
        self.used = {
            key: value if isinstance(value, FeatureStore) else FeatureStore.load(find_moved(value))
            for key, value in state["used"].items()
        }

    def _encode(self, kind: Kind, modality: str, labels: Sequence[str]) -> FeatureStore:
        # an inverse relation is told by its id, which is odd: its label may be that of a relation of the graph
        inverse = kind == "relation" and self.inverse
        base = labels[::2] if inverse else labels
        table = self.table(kind, base)
        by: Any = {"engine": self.engine, "engine_kwargs": self.engine_kwargs}
        if modality == VISUAL:
            own: Any = {"strict": self.strict, "reduce_to": self.reduce_to, **by}
            features = encode_images(table.image_dict(), self._encoder(), directory=self.store, **own)
        else:
            texts = table.texts()
            if inverse:
                for label, inverse_label in zip(base, labels[1::2], strict=True):
                    if (text := texts[label]) is not None:
                        texts[inverse_label] = INVERSE_PREFIX + text
            features = encode_texts(texts, self._encoder(), directory=self.store, **by)
        return self._filed(features)

    def _filed(self, features: FeatureStore) -> FeatureStore:
        """Return the same features from a file, which a saved model then points to in place of the vectors."""
        root = default_directory() if self.store is None else pathlib.Path(self.store).expanduser()
        path = root / "tables" / f"{features.modality}-{features.digest[:32]}.safetensors"
        with contextlib.suppress(FeatureError):  # not there yet, or damaged
            store = FeatureStore.load(path)
            if store.digest == features.digest:
                return store
        features.save(path)
        return FeatureStore.load(path)


def gathered(model: nn.Module) -> dict[str, ModalitySources]:
    """Return the sources of a model and its parts, such as the scorers of late fusion, by the names of the modules."""
    return {
        name: sources
        for name, module in model.named_modules()
        if isinstance(sources := getattr(module, "sources", None), ModalitySources)
    }


def with_added(triples_factory: TriplesFactory, model: nn.Module) -> TriplesFactory:
    """Return the factory of a model's training triples with the entities that the model has got since.

    :param triples_factory: the factory that the model was trained on, or this one with some of these entities
    :param model: the model
    :returns: a factory whose last entities are those; the same one where nothing is new
    """
    rows = {label: row for sources in gathered(model).values() for label, row in sources.added.items()}
    new = [label for label in rows if label not in triples_factory.entity_to_id]
    if not new:
        return triples_factory
    ids = {**triples_factory.entity_to_id}
    ids |= {label: len(ids) + i for i, label in enumerate(new)}
    record = GraphMetadata.of(triples_factory)
    record = dataclasses.replace(record, added={**record.added, **{label: rows[label] for label in new}})
    return TriplesFactory(
        triples_factory.mapped_triples,
        ids,
        triples_factory.relation_to_id,
        create_inverse_triples=triples_factory.create_inverse_triples,
        metadata={**(triples_factory.metadata or {}), **record.to_metadata()},
    )
