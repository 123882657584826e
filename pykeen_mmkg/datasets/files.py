"""Reading the tab-separated files of a dataset: UTF-8, no quoting, errors that name the file and the line."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence

import torch
from pykeen.typing import MappedTriples

from ..errors import DataError

__all__ = [
    "LabeledTriple",
    "find_file",
    "read_lines",
    "map_triples",
    "read_triples",
]

#: head, relation, tail
LabeledTriple = tuple[str, str, str]

SUFFIXES = (".tsv", ".txt")

_HEAD = {"head", "h", "subject", "subj", "s", "source", "from", "head_id", "head_label"}
_RELATION = {"relation", "rel", "r", "predicate", "pred", "p", "property", "relation_id", "relation_label"}
_TAIL = {"tail", "t", "object", "obj", "o", "target", "to", "tail_id", "tail_label"}


def find_file(folder: pathlib.Path, *stems: str) -> pathlib.Path | None:
    """Find the file ``<stem>.tsv`` or ``<stem>.txt`` in a folder.

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


def read_lines(path: pathlib.Path) -> list[str]:
    r"""Read the lines of a UTF-8 text file, without line ends; blank lines at the end are left out.

    Only ``\n`` and ``\r\n`` end a line: labels may hold the other characters that :meth:`str.splitlines` splits at.

    :param path: the file
    :returns: the lines, at least one
    :raises DataError: if the file is missing, empty or not UTF-8
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a file") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 ({error.reason}); convert the file to UTF-8") from None
    lines = text.replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{path} is empty")
    return lines


def read_triples(path: pathlib.Path, relations: Sequence[str] = ()) -> list[LabeledTriple]:
    """Read labeled triples, one a line: head, relation and tail, separated by tabs, without header.

    :param path: the file
    :param relations: labels that are relations for certain, so that a first line with one of them is no header
    :returns: the triples in the order of the file, repeated ones included
    :raises DataError: if the file is missing, empty or not UTF-8, has a header, or a line without exactly three
        non-empty columns
    """
    triples: list[LabeledTriple] = []
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split("\t")
        if len(fields) != 3:
            raise DataError(
                f"{path}, line {number}: expected 3 tab-separated columns (head, relation, tail), found {len(fields)}: "
                f"{line[:200]!r}"
            )
        head, relation, tail = fields
        if not (head.strip() and relation.strip() and tail.strip()):
            raise DataError(f"{path}, line {number}: a column is empty: {line[:200]!r}")
        triples.append((head, relation, tail))
    head, relation, tail = (field.strip().lower().lstrip("#") for field in triples[0])
    if head in _HEAD and relation in _RELATION and tail in _TAIL and triples[0][1] not in relations:
        raise DataError(
            f"{path}, line 1: {triples[0]} looks like a header; files of triples have none: remove the line"
        )
    return triples


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
