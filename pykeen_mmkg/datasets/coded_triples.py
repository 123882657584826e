"""Labeled triples as numbers of their labels: no tuple for each triple, of which a graph has millions."""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import overload

import numpy
import pandas
import torch
from pykeen.typing import MappedTriples

from .clean_cells import CleanCells, clean_cells
from .files import LabeledTriple, find_columns, read_triples, tell

__all__ = ["CodedTriples", "read_splits"]

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class CodedTriples(Sequence[LabeledTriple]):
    """A sequence of labeled triples, kept as numbers."""

    #: the distinct labels of heads and tails
    entities: Sequence[str]
    #: the distinct labels of relations
    relations: Sequence[str]
    #: head, relation and tail of each triple, as places in these, shape: ``(n, 3)``
    ids: numpy.ndarray

    @classmethod
    def of(cls, triples: Sequence[LabeledTriple]) -> "CodedTriples":
        """Give numbers to the labels of triples, unless they have them."""
        if isinstance(triples, cls):
            return triples
        entities: dict[str, int] = {}
        relations: dict[str, int] = {}
        ids = [
            (
                entities.setdefault(head, len(entities)),
                relations.setdefault(relation, len(relations)),
                entities.setdefault(tail, len(entities)),
            )
            for head, relation, tail in triples
        ]
        return cls(tuple(entities), tuple(relations), numpy.array(ids, dtype=numpy.int64).reshape(-1, 3))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, place: int) -> LabeledTriple: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[LabeledTriple]: ...

    def __getitem__(self, place: int | slice) -> LabeledTriple | Sequence[LabeledTriple]:
        if isinstance(place, slice):
            return [self._labeled(*row) for row in self.ids[place].tolist()]
        return self._labeled(*self.ids[place].tolist())

    def __iter__(self):
        return (self._labeled(*row) for row in self.ids.tolist())

    def _labeled(self, head: int, relation: int, tail: int) -> LabeledTriple:
        return self.entities[head], self.relations[relation], self.entities[tail]

    def repeated(self) -> numpy.ndarray:
        """Return which triples stand further up already; shape: ``(n,)``."""
        return pandas.Series(self._codes(self.ids)).duplicated().to_numpy()

    def first_repeated(self) -> LabeledTriple:
        """Return the first triple that comes again further down."""
        return self[int(pandas.Series(self._codes(self.ids)).duplicated(keep=False).argmax())]

    def select(self, rows: numpy.ndarray) -> "CodedTriples":
        """Return some of the triples, with the same numbers of labels.

        :param rows: which ones, shape: ``(n,)``
        """
        return dataclasses.replace(self, ids=self.ids[rows])

    def mapped(self, entity_ids: numpy.ndarray, relation_ids: numpy.ndarray) -> MappedTriples:
        """Return the triples by other numbers.

        :param entity_ids: the new number of each label of entities, shape: ``(num_labels,)``
        :param relation_ids: the new number of each label of relations, shape: ``(num_labels,)``
        :returns: shape: ``(n, 3)``
        """
        heads, relations, tails = self.ids.T
        return torch.from_numpy(numpy.stack([entity_ids[heads], relation_ids[relations], entity_ids[tails]], axis=1))

    def _codes(self, ids: numpy.ndarray) -> numpy.ndarray:
        """Return a number for each triple."""
        return (ids[:, 0] * len(self.relations) + ids[:, 1]) * len(self.entities) + ids[:, 2]


def read_splits(
    paths: Mapping[str, pathlib.Path], relations: Sequence[str] = (), notes: list[str] | None = None
) -> dict[str, CodedTriples]:
    """Read the labeled triples of several files.

    The errors and notes are those of :func:`~pykeen_mmkg.datasets.files.read_triples`.

    :param paths: split -> file
    :param relations: labels that are relations for certain
    :param notes: gets a sentence for whatever is ignored or changed
    :returns: split -> triples in the order of the file, repeated ones included. Plain files share their labels, some of
        which may be in none of a file's own triples
    :raises DataError: if a file cannot be read, or has a row that is no triple
    """
    plain = {split: cells for split, path in paths.items() if (cells := _plain_cells(path, relations)) is not None}
    coded = _coded({split: cells.triples for split, cells in plain.items()}) if plain else {}
    result = {}
    for split, path in paths.items():
        if split in coded:
            plain[split].tell(path, notes)
            result[split] = coded[split]
        else:
            result[split] = CodedTriples.of(read_triples(path, relations, notes))
    return result


@dataclasses.dataclass(frozen=True)
class _PlainCells:
    """The cells of a plain file of triples."""

    #: head, relation and tail
    triples: CleanCells
    #: the columns of the header that are none of these, None without a header
    ignored: list[str] | None

    def tell(self, path: pathlib.Path, notes: list[str] | None) -> None:
        """Say how the file was read."""
        if self.ignored:
            tell([f"{path}: the columns {', '.join(map(repr, self.ignored))} are ignored"], notes)
        if self.ignored is not None:
            logger.info("%s: the first row is a header", path)


def _plain_cells(path: pathlib.Path, relations: Sequence[str]) -> _PlainCells | None:
    """Return the cells of a file of triples, None where a row needs a closer look."""
    cells = clean_cells(path)
    if cells is None:
        return None
    first = cells.row(0)
    columns = find_columns(first)
    if columns is not None and len(first) == 3:
        # what reads like a header is a triple if its relation is one elsewhere, too
        named = cells.take(1, [1]).factorized([0])
        if named is None or first[1].strip() in relations or first[1] in named[1]:
            columns = None
    if columns is None and len(first) != 3:
        return None
    found = cells.take(0 if columns is None else 1, columns or (0, 1, 2))
    if not len(found.starts) or not found.lengths.all():
        return None
    ignored = None if columns is None else [name for i, name in enumerate(first) if i not in columns]
    return _PlainCells(found, ignored)


def _coded(splits: Mapping[str, CleanCells]) -> dict[str, CodedTriples]:
    """Give numbers to the labels of splits together; without those that need a closer look."""
    cells = CleanCells.concatenate(list(splits.values()))
    entities, relations = cells.factorized([0, 2]), cells.factorized([1])
    if (
        entities is None
        or relations is None
        or any(list(map(str.strip, labels)) != labels for labels in (entities[1], relations[1]))
    ):
        # one of them does; each by itself says which
        return {} if len(splits) == 1 else {k: v for key in splits for k, v in _coded({key: splits[key]}).items()}
    ids = numpy.stack([entities[0][:, 0], relations[0][:, 0], entities[0][:, 1]], axis=1)
    ends = numpy.cumsum([len(own.starts) for own in splits.values()])[:-1]
    return {
        split: CodedTriples(entities[1], relations[1], own)
        for split, own in zip(splits, numpy.split(ids, ends), strict=True)
    }
