"""Finding and reading the files of triples: head, relation and tail a row, with a header or without."""

import logging
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from pykeen.typing import MappedTriples

from ..errors import DataError
from .delimited import SUFFIXES, Row, read_rows

__all__ = ["LabeledTriple", "find_file", "map_triples", "read_triples", "stem_of"]

logger = logging.getLogger(__name__)

#: head, relation, tail
LabeledTriple = tuple[str, str, str]

#: the names of columns that mean head, relation and tail, in lower case, without what :data:`_ADDED` matches
_NAMES: tuple[frozenset[str], ...] = (
    frozenset({"head", "h", "subject", "subj", "s", "source", "from", "start", "node1"}),
    frozenset({"relation", "rel", "r", "predicate", "pred", "p", "property", "type", "edge"}),
    frozenset({"tail", "t", "object", "obj", "o", "target", "to", "end", "node2"}),
)
#: what a name of a column may have around it: ``#head``, ``head_entity``, ``:START_ID``, ``relation label``
_ADDED = re.compile(r"^[#:\s]+|[_\s](entity|node|id|label|name|type|uri|iri)$")

#: what no label can mean
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def stem_of(path: pathlib.Path) -> str | None:
    """Return the name of a file without its suffix (``train`` of ``train.tsv.gz``), None if it is no file of rows."""
    suffix = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(suffix)), None)
    return None if suffix is None else path.name.removesuffix(suffix)


def find_file(folder: pathlib.Path, *stems: str) -> pathlib.Path | None:
    """Find the file ``<stem>.tsv`` in a folder, or with another of the suffixes that are read.

    :param folder: the folder
    :param stems: the names without suffix that are looked for
    :returns: the file, None if there is none
    :raises DataError: if there are several
    """
    found = [path for stem in stems for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise DataError(f"{folder} has both {names}, which could mean the same: keep one of them")
    return found[0] if found else None


def find_columns(header: Sequence[str]) -> tuple[int, int, int] | None:
    """Return where head, relation and tail are by the names of the columns, None if it is no header."""
    names = [_ADDED.sub("", _ADDED.sub("", cell.strip().lower())) for cell in header]
    found = [next((i for i, name in enumerate(names) if name in known), -1) for known in _NAMES]
    return None if -1 in found else (found[0], found[1], found[2])


def check_label(label: str, where: str) -> str:
    """Return a label without the spaces around it.

    :param label: as it stands in a file
    :param where: the file and the line, for the message
    :returns: the label
    :raises DataError: if it holds a control character, such as a line break
    """
    if match := _CONTROL.search(label.strip()):
        raise DataError(f"{where}: the label {label[:100]!r} holds the control character {match.group()!r}; remove it")
    return label.strip()


def read_triples(
    path: pathlib.Path, relations: Sequence[str] = (), notes: list[str] | None = None
) -> list[LabeledTriple]:
    """Read labeled triples, one a row: head, relation and tail.

    A header row with names of these columns is noticed; the columns can then have any order, and further ones are
    ignored. Spaces around a label do not belong to it.

    :param path: the file, see :func:`~pykeen_mmkg.datasets.delimited.read_rows`
    :param relations: labels that are relations for certain, so that a first line with one of them is no header
    :param notes: gets a sentence for whatever is ignored or changed; without it, they are warnings of the log
    :returns: the triples in the order of the file, repeated ones included
    :raises DataError: if the file cannot be read, holds no triple, or has a row without exactly three non-empty columns
    """
    rows = read_rows(path)
    columns = find_columns(rows[0][1])
    if columns is not None and _is_triple(rows, relations):
        columns = None
    found: list[str] = []
    width = 3 if columns is None else len(rows[0][1])
    if columns is not None:
        if extra := [repr(name) for i, name in enumerate(rows[0][1]) if i not in columns]:
            found.append(f"{path}: the columns {', '.join(extra)} are ignored")
        if len(rows) == 1:
            raise DataError(f"{path} has a header, but no triple")
        logger.info("%s: the first row is a header", path)
        rows = rows[1:]
    h, r, t = columns or (0, 1, 2)
    triples: list[LabeledTriple] = []
    spaced: list[tuple[int, str]] = []
    for number, cells in rows:
        if len(cells) != width:
            names = "(head, relation, tail)" if columns is None else "as in the header"
            raise DataError(
                f"{path}, line {number}: expected {width} tab-separated columns {names}, found {len(cells)}: "
                f"{' | '.join(cells)[:200]!r}"
            )
        given = (cells[h], cells[r], cells[t])
        if not all(cell.strip() for cell in given):
            raise DataError(f"{path}, line {number}: a column is empty: {' | '.join(cells)[:200]!r}")
        head, relation, tail = (check_label(cell, f"{path}, line {number}") for cell in given)
        spaced += [(number, cell) for cell in given if cell != cell.strip()]
        triples.append((head, relation, tail))
    if spaced:
        number, cell = spaced[0]
        found.append(f"{path}: spaces around {len(spaced)} labels are left out, e.g. of {cell!r} in line {number}")
    tell(found, notes)
    return triples


def tell(found: Iterable[str], notes: list[str] | None) -> None:
    """Add sentences to the notes of whoever asks for them, or else warn."""
    if notes is not None:
        notes.extend(found)
        return
    for sentence in found:
        logger.warning("%s", sentence)


def _is_triple(rows: Sequence[Row], relations: Sequence[str]) -> bool:
    """Return whether a first row that reads like a header is a triple: its relation is one elsewhere, too."""
    first = rows[0][1]
    if len(first) != 3:
        return False
    return first[1].strip() in relations or any(len(cells) == 3 and cells[1] == first[1] for _, cells in rows[1:])


def map_triples(
    triples: Iterable[LabeledTriple], entity_to_id: Mapping[str, int], relation_to_id: Mapping[str, int]
) -> tuple[MappedTriples, int]:
    """Give triples of labels their ids; those with a label of another graph are left out.

    :param triples: head, relation and tail each
    :param entity_to_id: the ids of the entities
    :param relation_to_id: the ids of the relations
    :returns: the triples of ids, shape: ``(n, 3)``, and how many were left out
    """
    rows = [(entity_to_id.get(h), relation_to_id.get(r), entity_to_id.get(t)) for h, r, t in triples]
    known = [row for row in rows if None not in row]
    return torch.tensor(known, dtype=torch.long).view(-1, 3), len(rows) - len(known)
