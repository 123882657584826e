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

__all__ = ["CodedTriples", "read_coded"]

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

    def mapped(self, entity_to_id: Mapping[str, int], relation_to_id: Mapping[str, int]) -> MappedTriples:
        """Return the triples by the ids of a graph that has all their labels; shape: ``(n, 3)``."""
        entities = numpy.array(list(map(entity_to_id.__getitem__, self.entities)), dtype=numpy.int64)
        relations = numpy.array(list(map(relation_to_id.__getitem__, self.relations)), dtype=numpy.int64)
        heads, own, tails = self.ids.T
        return torch.from_numpy(numpy.stack([entities[heads], relations[own], entities[tails]], axis=1))

    def _codes(self, ids: numpy.ndarray) -> numpy.ndarray:
        """Return a number for each triple."""
        return (ids[:, 0] * len(self.relations) + ids[:, 1]) * len(self.entities) + ids[:, 2]


def read_coded(path: pathlib.Path, relations: Sequence[str] = (), notes: list[str] | None = None) -> CodedTriples:
    """Read labeled triples, see :func:`~pykeen_mmkg.datasets.files.read_triples`, whose errors these are.

    :param path: the file
    :param relations: labels that are relations for certain
    :param notes: gets a sentence for whatever is ignored or changed
    :returns: the triples in the order of the file, repeated ones included
    :raises DataError: if the file cannot be read, or has a row that is no triple
    """
    cells = clean_cells(path)
    coded = None if cells is None else _coded(cells, path, relations, notes)
    return CodedTriples.of(read_triples(path, relations, notes)) if coded is None else coded


def _coded(
    cells: CleanCells, path: pathlib.Path, relations: Sequence[str], notes: list[str] | None
) -> CodedTriples | None:
    """Return the triples of plain cells, None where a row needs a closer look."""
    first = cells.row(0)
    columns = find_columns(first)
    if columns is not None and len(first) == 3:
        # what reads like a header is a triple if its relation is one elsewhere, too
        named = cells.factorized(1, [1])
        if named is None or first[1].strip() in relations or first[1] in named[1]:
            columns = None
    if columns is None and len(first) != 3:
        return None
    begin = 0 if columns is None else 1
    head, relation, tail = columns or (0, 1, 2)
    if len(cells.starts) == begin or not cells.lengths[begin:, [head, relation, tail]].all():
        return None
    entities, links = cells.factorized(begin, [head, tail]), cells.factorized(begin, [relation])
    if entities is None or links is None:
        return None
    if any(list(map(str.strip, labels)) != labels for labels in (entities[1], links[1])):
        return None
    if columns is not None:
        if extra := [repr(name) for i, name in enumerate(first) if i not in columns]:
            tell([f"{path}: the columns {', '.join(extra)} are ignored"], notes)
        logger.info("%s: the first row is a header", path)
    ids = numpy.stack([entities[0][:, 0], links[0][:, 0], entities[0][:, 1]], axis=1)
    return CodedTriples(entities[1], links[1], ids)
