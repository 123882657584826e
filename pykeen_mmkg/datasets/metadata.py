"""The metadata of a multimodal graph: what its triples factories say of tables, images, features and side files.

It travels in ``triples_factory.metadata["multimodal"]`` as plain JSON, since PyKEEN hands a model the training factory
and never the dataset.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pykeen.triples import CoreTriplesFactory

from ..errors import DataError
from ..features.store import TEXTUAL, VISUAL
from .labels import Kind, labels_of
from .tables import Missing, ModalityTable, load_table

__all__ = ["FEATURE_KEYS", "GraphMetadata"]

#: the keys of feature stores: (kind, modality) -> key
FEATURE_KEYS: Mapping[tuple[Kind, str], str] = {
    ("entity", VISUAL): "visual",
    ("entity", TEXTUAL): "textual",
    ("relation", VISUAL): "relation_visual",
    ("relation", TEXTUAL): "relation_textual",
}

#: the key in a factory's metadata
KEY = "multimodal"


@dataclasses.dataclass(frozen=True)
class GraphMetadata:
    """Paths, as strings, of what belongs to a graph besides its triples, and the digest of it all.

    Every entry may be absent. A model's own arguments win over it, see :class:`.ModalitySources`.
    """

    #: the folder of the dataset
    path: str | None = None
    #: the table of the entities
    entities: str | None = None
    #: the table of the relations
    relations: str | None = None
    #: the image folder of the entities
    images: str | None = None
    #: how the image folder is read, see :func:`~pykeen_mmkg.datasets.image_folder.find_images`
    image_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: "error", or "allow" labels without a row in their table
    missing_rows: Missing = "error"
    #: feature stores by the keys of :data:`FEATURE_KEYS`
    features: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: candidate entities per relation (JSON)
    candidates: str | None = None
    #: relations to hold out for tuning (one a line)
    dev_relations: str | None = None
    #: further true triples, for filtering only
    known_true: str | None = None
    #: a SHA-256 of triples, tables and images
    digest: str | None = None
    #: entities that were added to a trained model -> their row, see :func:`~.tables.load_table`
    added: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, factory: CoreTriplesFactory | Any) -> "GraphMetadata":
        """Read the metadata of a triples factory.

        :param factory: any factory; also a dataset, whose own metadata it then is
        :returns: its metadata; without an entry where it is a plain one of PyKEEN
        :raises DataError: if the record holds what this version does not know
        """
        record = (getattr(factory, "metadata", None) or {}).get(KEY) or {}
        unknown = set(record) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise DataError(
                f"The factory's metadata has the unknown entries {sorted(unknown)}: it was made by another version."
            )
        return cls(**record)

    def __bool__(self) -> bool:
        """Return whether it says anything."""
        return self != GraphMetadata()

    def to_metadata(self) -> dict[str, Any]:
        """Return the entry for a factory's metadata, plain JSON."""
        return {KEY: self.to_dict()}

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON."""
        return dataclasses.asdict(self)

    def table(self, triples_factory: CoreTriplesFactory, kind: Kind) -> ModalityTable:
        """Load the table that belongs to the ids of a triples factory.

        For a plain factory of PyKEEN: ``GraphMetadata(entities="entities.tsv").table(factory, "entity")``.

        :param triples_factory: a factory with labels, of n entities and k relations
        :param kind: ``"entity"`` or ``"relation"``
        :returns: a table of n entities, or of k relations (without PyKEEN's artificial inverses), in the order of the
            ids; without text where no table is named
        :raises DataError: if the factory has no labels, the table is wrong, or a label has no row
        :raises ImageError: if the image folder or an image of a column does not exist
        """
        labels = labels_of(triples_factory, kind, inverse=False)
        if kind == "relation":
            return load_table(labels, kind, self.relations, missing_rows=self.missing_rows)
        return load_table(
            labels, kind, self.entities, self.images, self.missing_rows, added=self.added, **self.image_kwargs
        )
