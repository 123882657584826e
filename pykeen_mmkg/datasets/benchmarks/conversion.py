"""From published files to the folder that :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset` reads."""

import csv
import dataclasses
import json
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from ...errors import DataError
from ...io import write_text
from ..delimited import read_lines
from ..files import LabeledTriple

__all__ = [
    "PublishedGraph",
    "PublishedText",
    "labels_of",
    "name_and_description",
    "read_columns",
    "read_id_triples",
    "read_ids",
    "read_moded_triples",
    "read_tasks",
    "tasks_as_triples",
    "words_of",
]

#: the label, a name and a description; both can be empty
PublishedText = tuple[str, str, str]


@dataclasses.dataclass
class PublishedGraph:
    """The triples and texts of a benchmark, as published: in their order, repetitions included."""

    #: file name without suffix (train, valid, test, test-<name>, known_true) -> labelled triples
    triples: Mapping[str, Sequence[LabeledTriple]]
    entities: Sequence[PublishedText]
    #: None for no table of relations
    relations: Sequence[PublishedText] | None = None
    #: relation -> candidate entities
    candidates: Mapping[str, Sequence[str]] | None = None
    #: the relations to hold out from training while tuning
    dev_relations: Sequence[str] | None = None

    def write(self, folder: pathlib.Path) -> None:
        """Write the files of a dataset's folder.

        :param folder: the folder, which is made if it does not exist
        :raises DataError: if a label or a text holds a tab or a line break
        """
        for name, triples in self.triples.items():
            _write_rows(folder / f"{name}.tsv", triples)
        for kind, texts in (("entity", self.entities), ("relation", self.relations)):
            if texts is not None:
                plural = {"entity": "entities", "relation": "relations"}[kind]
                _write_rows(folder / f"{plural}.tsv", [(kind, "label", "description"), *texts])
        if self.candidates is not None:
            write_text(folder / "candidates.json", json.dumps(self.candidates))
        if self.dev_relations is not None:
            write_text(folder / "dev_relations.txt", "".join(f"{label}\n" for label in self.dev_relations))


def _write_rows(path: pathlib.Path, rows: Iterable[Sequence[str]]) -> None:
    lines = ["\t".join(row) for row in rows]
    for line in lines:
        if line.count("\t") != 2 or "\n" in line or "\r" in line:
            raise DataError(f"{path.name}: a label or a text of the row {line[:200]!r} holds a tab or a line break")
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_ids(path: pathlib.Path) -> list[str]:
    """Read the labels of OpenKE's ``entity2id.txt``: their number, then a label and an id a line.

    :param path: the file
    :returns: the labels in the order of the ids
    :raises DataError: if the ids are not 0 to n - 1
    """
    rows = [line.rsplit(maxsplit=1) for line in read_lines(path)[1:]]
    labels = {int(row[1]): row[0] for row in rows if len(row) == 2 and row[1].isdigit()}
    if sorted(labels) != list(range(len(rows))):
        raise DataError(f"{path}: the {len(rows)} ids are not 0 to {len(rows) - 1}, each once")
    return [labels[i] for i in range(len(rows))]


def read_id_triples(path: pathlib.Path, entities: Sequence[str], relations: Sequence[str]) -> list[LabeledTriple]:
    """Read OpenKE's ``train2id.txt``: the number of triples, then the ids of head, TAIL and relation a line.

    :param path: the file
    :param entities: the labels of the entities in the order of their ids
    :param relations: the labels of the relations in the order of their ids
    :returns: the triples, as head, relation and tail
    :raises DataError: if the file is shorter or longer than it says, or a line has no three ids
    """
    first, *lines = read_lines(path)
    if first.strip() != str(len(lines)):
        raise DataError(f"{path} announces {first.strip()!r} triples, but has {len(lines)}")
    triples = []
    for number, line in enumerate(lines, start=2):
        try:
            head, tail, relation = map(int, line.split())
            triples.append((entities[head], relations[relation], entities[tail]))
        except (ValueError, IndexError):
            raise DataError(f"{path}, line {number}: {line!r} is no triple of known ids") from None
    return triples


def read_columns(path: pathlib.Path) -> dict[str, str]:
    """Read a file of labels and texts separated by a tab; of a label that comes twice, the last text holds."""
    return dict(line.split("\t", maxsplit=1) for line in read_lines(path) if "\t" in line)


def read_tasks(path: pathlib.Path) -> dict[str, list[LabeledTriple]]:
    """Read the triples of zero-shot tasks: a JSON object of relation -> triples.

    :param path: the file
    :returns: relation -> triples
    :raises DataError: if the file is something else
    """
    try:
        tasks = json.loads(path.read_bytes())
        return {str(relation): [(h, r, t) for h, r, t in triples] for relation, triples in tasks.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path} is no JSON object of relations and their triples ({error})") from None


def tasks_as_triples(tasks: Mapping[str, Sequence[LabeledTriple]]) -> list[LabeledTriple]:
    """Return the triples of tasks in sorted order, repetitions included."""
    return sorted(triple for triples in tasks.values() for triple in triples)


def read_moded_triples(path: pathlib.Path) -> dict[str, list[LabeledTriple]]:
    """Read VL-KGE's format: a CSV with the columns head, relation, tail, mode, the latter train, val or test.

    :param path: the file
    :returns: the triples of "train", "valid" and "test"
    :raises DataError: if there is another header, a row of another length, or another mode
    """
    names = {"train": "train", "val": "valid", "test": "test"}
    triples: dict[str, list[LabeledTriple]] = {name: [] for name in names.values()}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, None)
        if header != ["head", "relation", "tail", "mode"]:
            raise DataError(f"{path}: the header is {header}, not head,relation,tail,mode")
        for row in rows:
            if len(row) != 4 or row[3] not in names:
                raise DataError(f"{path}, line {rows.line_num}: {row} is no head, relation, tail and mode")
            triples[names[row[3]]].append((row[0], row[1], row[2]))
    return triples


def words_of(identifier: str) -> str:
    """Split a name in camel case: ``academicAdvisor`` is "academic advisor"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", identifier).lower()


def labels_of(triples: Mapping[str, Iterable[LabeledTriple]]) -> list[str]:
    """Return the entities of all splits in sorted order."""
    return sorted({label for rows in triples.values() for h, _, t in rows for label in (h, t)})


def name_and_description(text: str) -> tuple[str, str]:
    """Split ``name -- description``, as StAR publishes the texts of entities; the description can be missing."""
    name, _, description = text.partition(" -- ")
    return name.strip(), description.strip()
