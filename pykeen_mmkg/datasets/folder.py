"""Multimodal datasets: triples, tables of entities and relations, and images, from a folder."""

import hashlib
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

from docdata import parse_docdata
from pykeen.datasets.base import LazyDataset
from pykeen.triples import TriplesFactory
from pykeen.typing import LongTensor, MappedTriples

from ..errors import DataError, DatasetNotFoundError
from ..image_formats import describe_undecodable
from ..options import strict
from .candidate_lists import read_candidates, read_relations
from .coded_triples import CodedTriples, read_splits
from .coverage import Coverage, measure_coverage
from .files import LabeledTriple, find_file, map_triples, read_triples
from .image_folder import ImageName
from .image_urls import FetchRule
from .layout import SPLIT_FILES, find_splits, ignored_files
from .metadata import FEATURE_KEYS, GraphMetadata
from .numbering import Numbering
from .rebuilding import RebuiltFromFilesMixin
from .tables import Missing, ModalityTable
from .triple_splits import SplitRule, split_anew

__all__ = ["MultimodalDataset"]

logger = logging.getLogger(__name__)

PathLike = str | pathlib.Path

#: file names of feature stores in the sub-folder ``features``
FEATURE_NAMES = tuple(FEATURE_KEYS.values())


def _absolute(path: PathLike | None) -> pathlib.Path | None:
    return None if path is None else pathlib.Path(path).expanduser().absolute()


@parse_docdata
class MultimodalDataset(RebuiltFromFilesMixin, LazyDataset):
    """A multimodal knowledge graph from a folder: triples, tables of entities and relations, and images.

    The folder holds

    - ``train.tsv``, ``test.tsv`` and optionally ``valid.tsv`` (or ``validation``, ``dev``): head, relation and tail,
      with or without a header row; as ``.tsv``, ``.txt``, ``.csv`` (each also ``.gz``) or ``.parquet``, see
      :mod:`~pykeen_mmkg.datasets.delimited`; further test splits as ``test-<name>.tsv``, see :attr:`extra`. One file
      ``triples.tsv``, or training triples without a test split, are split at the reading, see ``split``;
    - optionally ``entities.tsv`` and ``relations.tsv``, see
      :meth:`~pykeen_mmkg.datasets.tables.ModalityTable.load`;
    - optionally a folder ``images``, see :func:`~pykeen_mmkg.datasets.image_folder.find_images`;
    - optionally a folder ``features`` with stores called as in :data:`FEATURE_NAMES`, ``visual.safetensors`` and so on;
    - for evaluation on unseen relations, each optional: ``candidates.json`` (relation -> candidate entities),
      ``dev_relations.txt`` (one relation a line) and ``known_true.tsv`` (further true triples, for filtering only).

    All factories share the ids of all entities and relations over all splits and tables, so that no triple is dropped
    for an entity or relation that is unseen in training. What a model needs travels as ``"multimodal"`` in the
    factories' metadata, see :attr:`record`.

    Nothing in the folder is passed over in silence: one line of the log says what there is, and, as a warning, what is
    ignored, see :attr:`notes`.

    PyKEEN's cache of datasets keeps only how the dataset was constructed: the files are read every time, so that a
    change in them is noticed.
    ---
    name: Multimodal dataset from a folder
    citation:
        github: pykeen-mmkg/pykeen-mmkg
    statistics:
        entities: 0
        relations: 0
        training: 0
        testing: 0
        validation: 0
        triples: 0
    """

    #: tables that must be in the folder
    required_tables: ClassVar[frozenset[str]] = frozenset()

    #: files of the folder that are neither triples nor tables, and are known
    further_files: ClassVar[frozenset[str]] = frozenset()

    #: the further test splits, by name; they share the ids of the others
    _extra: dict[str, TriplesFactory]
    _entity_table: ModalityTable
    _relation_table: ModalityTable
    _record: GraphMetadata
    _duplicates: dict[str, int]
    _notes: list[str]

    @strict()
    def __init__(
        self,
        path: PathLike | None = None,
        *,
        images: PathLike | None = None,
        image_name: ImageName = "{label}",
        entities: PathLike | None = None,
        relations: PathLike | None = None,
        features: Mapping[str, PathLike] | None = None,
        missing_rows: Missing = "error",
        duplicates: Literal["drop", "keep", "error"] = "drop",
        hold_out: Literal["dev"] | None = None,
        create_inverse_triples: bool = False,
        split: str | Mapping[str, Any] | None = None,
        image_urls: str | Mapping[str, Any] = "skip",
    ) -> None:
        """Initialize the dataset; the files are read at the first use.

        :param path: the folder
        :param images: the image folder, default: ``images`` in the folder, if it exists
        :param image_name: how images are called, with ``{label}`` in place of the entity's label, see
            :func:`~pykeen_mmkg.datasets.image_folder.find_images`
        :param entities: the entity table, default: ``entities.tsv`` in the folder, if it exists
        :param relations: the relation table, default: ``relations.tsv`` in the folder, if it exists
        :param features: feature stores by name, see :data:`FEATURE_NAMES`, default: those in the sub-folder
            ``features``
        :param missing_rows: an entity or relation of the triples that has no row in its table is an "error", or
            "allow" it, as an item without text and image
        :param duplicates: a triple that comes twice within a split is reported in any case, and the repetition:
            "drop" it, as PyKEEN does, "keep" it, or "error"
        :param hold_out: "dev" moves the triples of the relations in ``dev_relations.txt`` from training to validation,
            for tuning on relations that are unseen then
        :param create_inverse_triples: whether training has inverse triples
        :param split: takes the triples of all splits together and splits them anew: "random", "leak-aware",
            "unseen-entities", "unseen-relations", or ``{"kind": ..., "ratios": [.8, .1, .1], "seed": 0}``, see
            :class:`~pykeen_mmkg.datasets.triple_splits.SplitRule`. Without it, only a folder that has no test split
            is split, at random
        :param image_urls: images that a table names by address: "skip" or "fetch" them, or fetch them within limits,
            see :class:`~pykeen_mmkg.datasets.image_urls.FetchRule`
        :raises DataError: if the folder does not exist or an option is unknown
        """
        self.path = _absolute(path)
        if self.path is not None and not self.path.is_dir():
            raise DatasetNotFoundError(f"dataset folder {self.path} does not exist or is no folder")
        self._images = images
        self._image_name = image_name
        self._entities = entities
        self._relations = relations
        self._features = features
        self._missing_rows: Missing = missing_rows
        self._on_duplicates = duplicates
        self._hold_out = hold_out
        self._create_inverse_triples = create_inverse_triples
        self._split = None if split is None else SplitRule.of(split)
        self._fetch = FetchRule.of(image_urls)

    # ---- locating the files -----------------------------------------------------------------------------------------

    def _folder(self) -> pathlib.Path:
        """Return the folder with the files."""
        if self.path is None:
            raise DatasetNotFoundError(
                f"{type(self).__name__} needs the folder of the dataset: dataset_kwargs=dict(path=...)"
            )
        if not self.path.is_dir():
            raise DatasetNotFoundError(f"dataset folder {self.path} does not exist any more; give the new one as path")
        return self.path

    def _image_folder(self, folder: pathlib.Path) -> pathlib.Path | None:
        """Return the image folder, None if there is none."""
        default = folder / "images"
        return _absolute(self._images) or (default if default.is_dir() else None)

    def _table_path(self, folder: pathlib.Path, name: str, given: PathLike | None) -> pathlib.Path | None:
        path = _absolute(given) or find_file(folder, name)
        if path is None and name in self.required_tables:
            raise DataError(f"{folder} lacks the table {name}.tsv")
        if path is not None and not path.is_file():
            raise DataError(f"table {path} does not exist")
        return path

    def _feature_paths(self, folder: pathlib.Path) -> dict[str, str]:
        if self._features is None:
            stores = {name: folder / "features" / f"{name}.safetensors" for name in FEATURE_NAMES}
            return {name: str(path) for name, path in stores.items() if path.is_file()}
        paths = {name: cast(pathlib.Path, _absolute(path)) for name, path in self._features.items()}
        for name, path in paths.items():
            if name not in FEATURE_NAMES:
                raise DataError(f"features: {name!r} is none of {FEATURE_NAMES}")
            if not path.is_file():
                raise DataError(f"the {name} feature store {path} does not exist")
        return {name: str(path) for name, path in paths.items()}

    def _split_paths(self, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Return the files of the splits; the further test splits are called by what follows ``test-``."""
        return find_splits(folder)

    # ---- loading ----------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        folder = self._folder()
        paths = self._split_paths(folder)
        entity_path = self._table_path(folder, "entities", self._entities)
        relation_path = self._table_path(folder, "relations", self._relations)
        image_folder = self._image_folder(folder)
        features = self._feature_paths(folder)

        notes = self._notes = []
        entities = None if entity_path is None else ModalityTable.load(entity_path, "entity", notes, self._fetch)
        relations = None if relation_path is None else ModalityTable.load(relation_path, "relation", notes, self._fetch)
        known_relations = () if relations is None else relations.labels
        self._duplicates = {}
        triples = {
            split: self._without_duplicates(own, split=split, path=paths[split])
            for split, own in read_splits(paths, known_relations, notes).items()
        }
        numberings = Numbering(entities, "entity"), Numbering(relations, "relation")
        self._check_rows(triples, paths, *numberings)
        final = self._held_out(split_anew(triples, self._split, notes), folder=folder)
        triples = {split: CodedTriples.of(rows) for split, rows in final.items()}
        self._entity_table, entity_ids = numberings[0].complete(own.entities for own in triples.values())
        self._relation_table, relation_ids = numberings[1].complete(own.relations for own in triples.values())
        if len(self._entity_table) < 2:
            raise DataError(f"{folder} has the one entity {self._entity_table.labels[0]!r}: there is nothing to rank")
        if image_folder is not None:
            self._entity_table = self._entity_table.with_images(image_folder, self._image_name, notes)
        notes += describe_undecodable(path for paths in self._entity_table.images for path in paths)

        side_files = {name: folder / name for name in ("candidates.json", "dev_relations.txt", "known_true.tsv")}
        mapped = {
            split: own.mapped(*ids)
            for (split, own), *ids in zip(triples.items(), entity_ids, relation_ids, strict=True)
        }
        self._record = GraphMetadata(
            path=str(folder),
            entities=None if entity_path is None else str(entity_path),
            relations=None if relation_path is None else str(relation_path),
            images=None if image_folder is None else str(image_folder),
            image_kwargs={"image_name": self._image_name},
            missing_rows=self._missing_rows,
            features=features,
            added={},
            **{path.stem: str(path) if path.is_file() else None for path in side_files.values()},
            digest=_digest(mapped, self._entity_table, self._relation_table),
        )
        used = {*paths.values(), *side_files.values(), entity_path, relation_path}
        if ignored := ignored_files(folder, {path.name for path in used if path} | self.further_files):
            notes.append(f"ignored in {folder}: {', '.join(ignored)}")
        self._tell(folder, triples)
        self.metadata = self._record.to_metadata()
        factories = {split: self._factory(rows, training=split == "training") for split, rows in mapped.items()}
        self._training = factories.pop("training")
        self._testing = factories.pop("testing")
        self._validation = factories.pop("validation", None)
        self._extra = factories

    def _load_validation(self) -> None:
        """Do nothing: all splits are loaded together, and a dataset without validation triples has none."""

    def _factory(self, mapped: MappedTriples, training: bool) -> TriplesFactory:
        return TriplesFactory(
            mapped_triples=mapped,
            entity_to_id=self._entity_table.index,
            relation_to_id=self._relation_table.index,
            create_inverse_triples=training and self._create_inverse_triples,
            metadata=self._record.to_metadata(),
        )

    def _without_duplicates(self, triples: CodedTriples, split: str, path: pathlib.Path) -> CodedTriples:
        repeated = triples.repeated()
        count = self._duplicates[split] = int(repeated.sum())
        if not count:
            return triples
        example = triples.first_repeated()
        message = f"{path}: {count} of {len(triples)} triples repeat an earlier line, for instance {example}"
        if self._on_duplicates == "error":
            raise DataError(f"{message}; remove them or pass duplicates='drop'")
        self._notes.append(f"{message}: {'kept' if self._on_duplicates == 'keep' else 'each is used once'}")
        return triples if self._on_duplicates == "keep" else triples.select(~repeated)

    def _tell(self, folder: pathlib.Path, triples: Mapping[str, CodedTriples]) -> None:
        """Say in one line what was read, and what was not."""
        table = self._entity_table
        text, image = sum(table.has_text()), sum(map(bool, table.images))
        sizes = ", ".join(f"{len(rows)} {name}" for name, rows in triples.items())
        read = (
            f"{folder}: {len(table)} entities, {text} with a text and {image} with an image; "
            f"{len(self._relation_table)} relations; triples: {sizes}"
        )
        logger.log(logging.WARNING if self._notes else logging.INFO, "%s", "; ".join([read, *self._notes]))

    def _check_rows(
        self,
        splits: Mapping[str, CodedTriples],
        paths: Mapping[str, pathlib.Path],
        entities: Numbering,
        relations: Numbering,
    ) -> None:
        """Raise an error if a triple has an entity or relation without a row."""
        if self._missing_rows == "allow":
            return
        for split, triples in splits.items():
            for kind, own, labels, columns in (
                ("entity", entities, triples.entities, (0, 2)),
                ("relation", relations, triples.relations, (1,)),
            ):
                if not own.given or (own.rows(labels) >= 0).all():
                    continue
                without = dict.fromkeys(t[i] for t in triples for i in columns if t[i] not in own.table.index)
                if without:
                    first, more = next(iter(without)), f" (and {len(without) - 1} more)" if len(without) > 1 else ""
                    triple = next(t for t in triples if first in (t[i] for i in columns))
                    raise DataError(
                        f"{paths[split]}: the {kind} {first!r}{more} of the triple {triple} has no row in "
                        f"{own.table.source}; add the row (its fields can be empty) or pass missing_rows='allow'"
                    )

    def _held_out(
        self, triples: Mapping[str, Sequence[LabeledTriple]], folder: pathlib.Path
    ) -> Mapping[str, Sequence[LabeledTriple]]:
        """Move the triples of the dev relations from training to validation, if asked."""
        if self._hold_out is None:
            return triples
        if "validation" in triples:
            raise DataError(f"{folder} has validation triples already: hold_out='dev' would mix two kinds of them")
        dev = set(read_relations(folder / "dev_relations.txt"))
        seen = {r for _, r, _ in triples["training"]}
        if unknown := sorted(dev - seen):
            raise DataError(
                f"{folder / 'dev_relations.txt'}: the relation {unknown[0]!r} has no training triple to hold out"
            )
        return {
            **triples,
            "training": [triple for triple in triples["training"] if triple[1] not in dev],
            "validation": [triple for triple in triples["training"] if triple[1] in dev],
        }

    def _ensure(self) -> None:
        if not self._loaded:
            self._load()

    # ---- what it offers ---------------------------------------------------------------------------------------------

    @property
    def extra(self) -> Mapping[str, TriplesFactory]:
        """The further test splits by name: ``test-unseen-entities.tsv`` is ``extra["unseen-entities"]``."""
        self._ensure()
        return self._extra

    @property
    def factories(self) -> dict[str, TriplesFactory]:
        """All splits by name: training, validation (if there is one), testing, and the further test splits."""
        self._ensure()
        named = {"training": self._training, "validation": self._validation, "testing": self._testing}
        return {**{name: factory for name, factory in named.items() if factory is not None}, **self._extra}

    @property
    def entity_table(self) -> ModalityTable:
        """The modalities of the entities, in the order of their ids."""
        self._ensure()
        return self._entity_table

    @property
    def relation_table(self) -> ModalityTable:
        """The modalities of the relations, in the order of their ids (without PyKEEN's artificial inverses)."""
        self._ensure()
        return self._relation_table

    @property
    def record(self) -> GraphMetadata:
        """The metadata record that travels with the factories; its paths are absolute."""
        self._ensure()
        return self._record

    @property
    def digest(self) -> str:
        """A SHA-256 of triples, tables, and names and sizes of images: what identifies the data in a result."""
        return cast(str, self.record.digest)

    @property
    def duplicates(self) -> Mapping[str, int]:
        """How many lines of each split's file repeat an earlier one."""
        self._ensure()
        return self._duplicates

    @property
    def notes(self) -> tuple[str, ...]:
        """What was ignored or changed at the reading of the folder, a sentence each."""
        self._ensure()
        return tuple(self._notes)

    @property
    def candidates(self) -> dict[str, list[str]] | None:
        """The candidate entities per relation from ``candidates.json``, None if there is no such file."""
        path = self.record.candidates
        if path is None:
            return None
        return dict(read_candidates(path, self._entity_table.index, self._relation_table.index))

    @property
    def dev_relations(self) -> tuple[str, ...] | None:
        """The relations of ``dev_relations.txt``, None if there is no such file."""
        path = self.record.dev_relations
        return None if path is None else read_relations(path)

    @property
    def known_true(self) -> LongTensor | None:
        """Further true triples, for filtering only, shape: (m, 3); None if there is no file ``known_true.tsv``.

        Triples with an entity or relation that the dataset does not have are left out: they can filter nothing.
        """
        path = self.record.known_true
        if path is None:
            return None
        triples = read_triples(pathlib.Path(path), self._relation_table.labels)
        ids, left_out = map_triples(triples, self._entity_table.index, self._relation_table.index)
        if left_out:
            logger.info("%s: %d of %d triples have labels of another graph", path, left_out, len(triples))
        return ids

    def coverage(self) -> Coverage:
        """Count which entities, relations and triples have which modality, and what is unseen in training."""
        return measure_coverage(self.factories, self.entity_table, self.relation_table)

    def _summary_rows(self) -> list[tuple[str, int, int, int]]:
        return [
            (name.capitalize() if name in SPLIT_FILES else name, f.num_entities, f.num_relations, f.num_triples)
            for name, f in self.factories.items()
        ]

    def summary_str(self, title: str | None = None, show_examples: int | None = 5, end: str = "\n") -> str:  # noqa: D102
        summary = super().summary_str(title=title, show_examples=show_examples, end="\n")
        notes = "".join(f"note: {note}\n" for note in self.notes)
        return f"{summary}{notes}{self.coverage().summary()}{end}"


def _digest(triples: Mapping[str, MappedTriples], *tables: ModalityTable) -> str:
    """Return a SHA-256 of tables in the order of their labels, and of triples in whatever order."""
    sha = hashlib.sha256()
    for table in tables:
        sha.update(table.digest.encode())
    for split in sorted(triples):
        heads, relations, tails = triples[split].unbind(dim=1)
        codes = (heads * len(tables[1]) + relations) * len(tables[0]) + tails
        sha.update(f"{len(split)} {split} {len(codes)} ".encode())
        sha.update(codes.sort().values.numpy().astype("<i8").tobytes())
    return sha.hexdigest()
