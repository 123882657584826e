"""The ids of a graph: its labels in their order, each looked up once, though all splits and a table have them."""

from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy

from .labels import Kind
from .tables import ModalityTable

__all__ = ["Numbering"]


class Numbering:
    """The entities or the relations of a graph: which have a row in its table, and which ids they get."""

    def __init__(self, table: ModalityTable | None, kind: Kind) -> None:
        """Initialize the numbering.

        :param table: the table of the graph, None without one
        :param kind: whether it is of entities or relations
        """
        #: whether the graph has a table
        self.given = table is not None
        self.table = ModalityTable.from_labels((), kind, f"the triples (no {kind} table)") if table is None else table
        # with the labels, so that their id is not that of others later
        self._rows: dict[int, tuple[Sequence[str], numpy.ndarray]] = {}

    def rows(self, labels: Sequence[str]) -> numpy.ndarray:
        """Return the row of each label in the table, shape: ``(n,)``, -1 where there is none.

        Of one and the same sequence, such as the labels that splits share, the rows are found once.
        """
        if id(labels) not in self._rows:
            found = map(self.table.index.get, labels, repeat(-1))
            self._rows[id(labels)] = labels, numpy.fromiter(found, numpy.int64, len(labels))
        return self._rows[id(labels)][1]

    def complete(self, parts: Iterable[Sequence[str]]) -> tuple[ModalityTable, list[numpy.ndarray]]:
        """Order the table by label, and give a row to the labels that have none.

        :param parts: the labels of each split
        :returns: the table, in which a row is an id, and the ids of each split's labels
        """
        parts = list(parts)
        distinct = {id(labels): labels for labels in parts}.values()
        labels = self.table.labels
        if all((self.rows(own) >= 0).all() for own in distinct):
            order = sorted(range(len(labels)), key=labels.__getitem__)
            table = self.table.arranged([labels[row] for row in order], order)
            ids = numpy.empty(len(labels), dtype=numpy.int64)
            ids[order] = numpy.arange(len(labels))
            found = {id(own): ids[self.rows(own)] for own in distinct}
        else:
            table = self.table.align(sorted({*labels}.union(*distinct)), missing="allow")
            to_id = table.index.__getitem__
            found = {id(own): numpy.fromiter(map(to_id, own), numpy.int64, len(own)) for own in distinct}
        return table, [found[id(own)] for own in parts]
