"""Modality tables: name, description and images of each entity or relation."""

import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy

from ..errors import DataError
from ..image_archives import image_size
from ..io import write_text
from .clean_cells import clean_cells
from .delimited import broken_row, format_rows, read_rows
from .files import check_label, tell
from .image_folder import ImageName, describe_unmatched, find_images
from .image_urls import FETCHED, FetchRule, fetch_images, fetched_images
from .labels import Kind
from .table_images import place_image, read_images

__all__ = ["ModalityTable", "load_table"]

Missing = Literal["error", "allow"]

_BREAKS = re.compile(r"\s*[\t\r\n]+\s*")


@dataclasses.dataclass(frozen=True)
class ModalityTable:
    """Names, descriptions and images of ``n`` entities or relations.

    A text that is missing is the empty string, an item without images has an empty tuple: nothing is made up.
    """

    #: the labels that the triples use, unique, shape: (n,)
    labels: tuple[str, ...]
    #: a short name per label, can be empty, shape: (n,)
    names: tuple[str, ...]
    #: a description per label, can be empty, shape: (n,)
    descriptions: tuple[str, ...]
    #: the image files per label, shape: (n,)
    images: tuple[tuple[pathlib.Path, ...], ...]
    #: "entity" or "relation"
    kind: Kind = "entity"
    #: where the table comes from, for messages
    source: str = "the table"
    #: the addresses of images that were not fetched, of the labels that have any
    urls: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the lengths and that no label comes twice."""
        for name in ("names", "descriptions", "images"):
            if len(getattr(self, name)) != len(self.labels):
                raise DataError(f"{self.source}: {len(self.labels)} labels, but {len(getattr(self, name))} {name}")
        if len(self.index) != len(self.labels):
            twice = next(label for i, label in enumerate(self.labels) if self.index[label] != i)
            raise DataError(f"{self.source}: the {self.kind} {twice!r} comes twice")

    @classmethod
    def from_labels(cls, labels: Iterable[str], kind: Kind = "entity", source: str = "the table") -> "ModalityTable":
        """Create a table of labels that have no text and no image."""
        labels = tuple(labels)
        empty = ("",) * len(labels)
        return cls(labels, empty, empty, ((),) * len(labels), kind=kind, source=source)

    @classmethod
    def load(
        cls,
        path: str | pathlib.Path,
        kind: Kind = "entity",
        notes: list[str] | None = None,
        fetch: FetchRule | None = None,
    ) -> "ModalityTable":
        """Load a table from a TSV, CSV or Parquet file with a header row, see :mod:`.delimited`.

        The label that the triples use is the column ``entity`` (of a relation table: ``relation``) or ``id``, and
        where there is none, the column ``label``. Further columns, at least one: ``name`` (or ``label``, if that is not
        the former), ``description``, and ``images``: paths relative to the table, separated by ``|``. A field can be
        empty. Spaces around a label do not belong to it, and a line break in a quoted text is read as a space.

        An image can be an address (``https://...``). It is fetched if that is asked for; what was fetched once, is
        found in the folder ``fetched_images`` beside the table without being asked for.

        :param path: the file
        :param kind: whether the table is of entities or relations
        :param notes: gets a sentence for whatever is ignored or changed; without it, they are warnings of the log
        :param fetch: fetches images that are addresses, within its limits
        :returns: the table
        :raises DataError: if the file is missing, empty or not UTF-8, a column is missing, a label comes twice, or a
            row has no label or too many columns
        :raises ImageError: if an image of the column does not exist
        """
        path = pathlib.Path(path)
        if not path.exists():
            raise DataError(f"{kind} table {path} does not exist")
        found: list[str] = []
        result = cls._clean(path, kind, found) or cls._by_rows(path, kind, found)
        if result.urls:
            result = result._with_fetched(path.parent / FETCHED, fetch, found)
        tell(found, notes)
        return result

    @classmethod
    def _clean(cls, path: pathlib.Path, kind: Kind, notes: list[str]) -> "ModalityTable | None":
        """Load a file that is beyond doubt by its columns, see :mod:`.clean_cells`; None for any other."""
        cells = clean_cells(path)
        if cells is None or len(cells.starts) == 1:
            return None
        count = len(cells.starts) - 1
        told: list[str] = []
        columns = _read_header(cells.row(0), path=path, kind=kind, notes=told)
        fields = cells.columns()
        labels, names, descriptions = (
            list(map(str.strip, fields[columns[key]])) if key in columns else [""] * count
            for key in ("key", "name", "description")
        )
        if not all(labels) or len(set(labels)) < count or labels != fields[columns["key"]]:
            return None
        urls: dict[str, tuple[str, ...]] = {}
        images: list[tuple[pathlib.Path, ...]] = [()] * count
        if "images" in columns:
            listed = fields[columns["images"]]
            for row in (row for row, field in enumerate(listed) if field):
                where = f"line {row + 2}: {kind} {labels[row]!r}"
                images[row], addresses = read_images(listed[row], path=path, row=where)
                if addresses:
                    urls[labels[row]] = addresses
        notes += told
        return cls(tuple(labels), tuple(names), tuple(descriptions), tuple(images), kind, str(path), urls)

    @classmethod
    def _by_rows(cls, path: pathlib.Path, kind: Kind, notes: list[str]) -> "ModalityTable":
        """Load a file row by row, and say of the first one that is wrong what is wrong with it."""
        (_, header), *body = read_rows(path)
        columns = _read_header(header, path=path, kind=kind, notes=notes)
        width = len(header)
        if (broken := broken_row(body, width)) is not None:
            raise DataError(f"{path}, line {broken}: a quote opens in {width} columns and is not closed in the line")
        rows: dict[str, int] = {}
        names: list[str] = []
        descriptions: list[str] = []
        paths: list[tuple[pathlib.Path, ...]] = []
        urls: dict[str, tuple[str, ...]] = {}
        spaced: list[str] = []
        label_at, name_at, text_at, image_at = (
            columns.get(key, width) for key in ("key", "name", "description", "images")
        )
        for number, given in body:
            if len(given) > width:
                raise DataError(
                    f"{path}, line {number}: {len(given)} columns, but the header has {width}; "
                    f"a text must not hold a tab"
                )
            # one more, so that a column that is not there reads as empty
            fields = given + [""] * (width + 1 - len(given))
            label = check_label(fields[label_at], f"{path}, line {number}")
            if not label:
                raise DataError(f"{path}, line {number}: the {kind} has no label")
            if label != fields[label_at]:
                spaced.append(fields[label_at])
            if label in rows:
                raise DataError(
                    f"{path}, line {number}: the {kind} {label!r} has a row already, line {rows[label]}; "
                    f"keep one of them"
                )
            rows[label] = number
            names.append(_BREAKS.sub(" ", fields[name_at].strip()))
            descriptions.append(_BREAKS.sub(" ", fields[text_at].strip()))
            images, addresses = read_images(fields[image_at], path=path, row=f"line {number}: {kind} {label!r}")
            paths.append(images)
            if addresses:
                urls[label] = addresses
        if spaced:
            notes.append(f"{path}: spaces around {len(spaced)} labels are left out, e.g. of {spaced[0]!r}")
        return cls(tuple(rows), tuple(names), tuple(descriptions), tuple(paths), kind, str(path), urls)

    def _with_fetched(self, folder: pathlib.Path, rule: FetchRule | None, notes: list[str]) -> "ModalityTable":
        """Add the images that are kept in a folder under their addresses, behind the others; fetch them before."""
        wanted = [url for urls in self.urls.values() for url in urls]
        if rule is not None:
            fetched = fetch_images(wanted, folder, rule)
            if fetched.failed:
                notes.append(f"{self.source}: {fetched}")
        there = fetched_images(folder, wanted)
        left = {label: tuple(url for url in urls if url not in there) for label, urls in self.urls.items()}
        left = {label: urls for label, urls in left.items() if urls}
        if left and rule is None:
            count, example = sum(map(len, left.values())), next(iter(left.values()))[0]
            notes.append(
                f"{self.source}: {count} images are URLs and not fetched, e.g. {example}: pass image_urls='fetch', or "
                f"run `pykeen-mmkg fetch-images` on the folder"
            )
        images = [
            (*own, *(there[url] for url in self.urls.get(label, ()) if url in there))
            for label, own in zip(self.labels, self.images, strict=True)
        ]
        return dataclasses.replace(self, images=tuple(images), urls=left)

    def with_images(
        self, folder: str | pathlib.Path, image_name: ImageName = "{label}", notes: list[str] | None = None
    ) -> "ModalityTable":
        """Add the images of a folder, see :func:`~pykeen_mmkg.datasets.image_folder.find_images`.

        :param folder: the folder
        :param image_name: how the images are called
        :param notes: gets a sentence about files that belong to no label; without it, it is a warning of the log
        :returns: a table with these images behind those that it has
        """
        folder = pathlib.Path(folder)
        found, unmatched = find_images(folder, self.labels, image_name=image_name)
        # what a row names may lie in the folder under any name
        own = {os.path.realpath(image) for images in self.images for image in images}
        left = [path for path in unmatched if os.path.realpath(path) not in own] if own else unmatched
        hint = "" if found else f"; none fits {image_name!r}: see image_name"
        told = describe_unmatched(left, sum(map(len, found.values())), self.kind)
        tell([f"{folder}: {sentence}{hint}" for sentence in told], notes)
        images = tuple(own + found.get(label, ()) for label, own in zip(self.labels, self.images, strict=True))
        return dataclasses.replace(self, images=images)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The row of each label."""
        return {label: i for i, label in enumerate(self.labels)}

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self.labels)

    def align(self, labels: Sequence[str], missing: Missing = "error") -> "ModalityTable":
        """Bring the rows into the order of labels.

        :param labels: the labels, for instance those of a triples factory in the order of their ids, shape: (m,)
        :param missing: what to do about a label without a row: "error", or "allow", which gives it an empty row
        :returns: a table with exactly these labels, shape: (m,)
        :raises DataError: if a label has no row and that is not allowed
        """
        if missing not in ("error", "allow"):
            raise DataError(f"missing_rows={missing!r} is neither 'error' nor 'allow'")
        labels = tuple(labels)
        if labels == self.labels:
            return self
        last = len(self.labels)
        rows = list(map(self.index.get, labels, itertools.repeat(last)))
        if missing == "error" and last in rows:
            without = [label for label, row in zip(labels, rows, strict=True) if row == last]
            more = f" and {len(without) - 1} more" if len(without) > 1 else ""
            raise DataError(
                f"{self.source} has no row for the {self.kind} {without[0]!r}{more}; add the row (its fields can be "
                f"empty) or pass missing_rows='allow'"
            )
        return self.arranged(labels, rows)

    def arranged(self, labels: Sequence[str], rows: Sequence[int]) -> "ModalityTable":
        """Bring the rows into another order.

        :param labels: the labels in that order, shape: (m,)
        :param rows: the row of each; n, the number of rows, for a label that has none, which gets an empty one
        :returns: a table with exactly these labels, shape: (m,)
        """
        return dataclasses.replace(
            self,
            labels=tuple(labels),
            names=tuple(map((*self.names, "").__getitem__, rows)),
            descriptions=tuple(map((*self.descriptions, "").__getitem__, rows)),
            images=tuple(map((*self.images, ()).__getitem__, rows)),
            urls={label: self.urls[label] for label in labels if label in self.urls} if self.urls else {},
        )

    def updated(self, rows: Mapping[str, Mapping[str, Any]]) -> "ModalityTable":
        """Add rows, or put others in their place.

        :param rows: label -> ``name``, ``description`` and ``images``, each of which may be missing. A row without
            anything stands for one that the table has
        :returns: a table with these rows
        """
        rows = {label: row for label, row in rows.items() if row or label not in self.index}
        if not rows:
            return self
        place = dict(self.index)
        for label in rows:
            place.setdefault(label, len(place))
        columns: list[list[Any]] = [[*own] for own in (self.names, self.descriptions, self.images)]
        for column, key, empty in zip(columns, ("name", "description", "images"), ("", "", ()), strict=True):
            column.extend([empty] * (len(place) - len(column)))
            for label, row in rows.items():
                column[place[label]] = row.get(key, empty)
        names, descriptions, images = map(tuple, columns)
        images = tuple(tuple(map(pathlib.Path, own)) for own in images)
        return dataclasses.replace(self, labels=tuple(place), names=names, descriptions=descriptions, images=images)

    def texts(self, fields: Sequence[str] = ("name", "description"), separator: str = ": ") -> dict[str, str | None]:
        """Give a text per label: the non-empty fields joined, None where all are empty.

        :param fields: some of "name", "description" and "label", in order
        :param separator: what stands between two fields
        :returns: the text per label, n entries
        :raises DataError: if a field is unknown
        """
        sources = {"name": self.names, "description": self.descriptions, "label": self.labels}
        if not fields or not set(fields).issubset(sources):
            raise DataError(f"text fields {tuple(fields)} must be some of {tuple(sources)}")
        columns = [sources[field] for field in fields]
        return {
            label: separator.join(part for part in parts if part) or None
            for label, *parts in zip(self.labels, *columns, strict=True)
        }

    def has_text(self) -> list[bool]:
        """Return which labels have a text."""
        return [bool(name or text) for name, text in zip(self.names, self.descriptions, strict=True)]

    def image_dict(self) -> dict[str, tuple[pathlib.Path, ...]]:
        """Give the images per label, n entries, an empty tuple where there is none."""
        return dict(zip(self.labels, self.images, strict=True))

    @cached_property
    def digest(self) -> str:
        """A SHA-256 over labels, texts, and names and sizes of the images.

        The bytes of the images are not read here: the feature store addresses each of them by its content.
        """
        sha = hashlib.sha256(self.kind.encode())
        for column in (self.labels, self.names, self.descriptions):
            # how long each is, too: else the end of one could be the beginning of the next
            sha.update(numpy.fromiter(map(len, column), dtype="<i8", count=len(column)).tobytes())
            sha.update("".join(column).encode("utf-8", "surrogatepass"))
        for row, images in enumerate(self.images):
            if images:
                sizes = [(image.name, -1 if (size := image_size(image)) is None else size) for image in images]
                sha.update(json.dumps([row, *sizes]).encode())
        return sha.hexdigest()

    def save(self, path: str | pathlib.Path) -> None:
        """Write the table so that :meth:`load` gives an equal one.

        The paths of images become relative to the file. Images from outside of its folder get a second name there, in
        :data:`LINKED`, without being copied if they are on the same file system, so that the folder can be moved.

        :param path: the file to write
        :raises DataError: if a field holds a tab or a line break
        """
        path = pathlib.Path(path)
        pictured = any(self.images) or bool(self.urls)
        rows = [[self.kind, "name", "description"] + ["images"] * pictured]
        for label, name, description, images in zip(
            self.labels, self.names, self.descriptions, self.images, strict=True
        ):
            texts = (label, name, description)
            if any(char in field for field in (*texts, *map(str, images)) for char in "\t\n\r"):
                raise DataError(
                    f"{self.kind} {label!r}: a field holds a tab or a line break and cannot be written to {path}"
                )
            placed = [place_image(image, path.parent) for image in images] + list(self.urls.get(label, ()))
            rows.append([*texts] + ["|".join(placed)] * pictured)
        write_text(path, format_rows(rows))


def _read_header(cells: Sequence[str], path: pathlib.Path, kind: Kind, notes: list[str]) -> dict[str, int]:
    """Find the columns of a table: "key", "name", "description", "images"."""
    header = [cell.strip().lower() for cell in cells]
    columns: dict[str, int] = {}
    for target, names in (
        ("key", (kind, "id", "label")),
        ("name", ("name", "label")),
        ("description", ("description",)),
        ("images", ("images", "image")),
    ):
        name = next((name for name in names if name in header and header.index(name) not in columns.values()), None)
        if name is not None:
            columns[target] = header.index(name)
    if "key" not in columns:
        raise DataError(f"{path}: the header lacks the column {kind!r} (or 'id', or 'label'); it has {header}")
    twice = sorted({field for field in header if field and header.count(field) > 1})
    if twice:
        raise DataError(f"{path}: the header has the column {twice[0]!r} twice")
    if len(columns) == 1:
        raise DataError(f"{path}: the header lacks a column 'name', 'description' or 'images'; it has {header}")
    ignored = [name for i, name in enumerate(header) if i not in columns.values()]
    if ignored:
        notes.append(f"{path}: the columns {ignored} are not used")
    return columns


def load_table(
    labels: Sequence[str],
    kind: Kind,
    table: ModalityTable | str | pathlib.Path | None = None,
    images: str | pathlib.Path | None = None,
    missing_rows: Missing = "error",
    image_name: ImageName = "{label}",
    added: Mapping[str, Mapping[str, Any]] | None = None,
) -> ModalityTable:
    """Load the table of some labels: its rows in their order, with the images of a folder.

    :param labels: the labels in the order of their ids, shape: (n,)
    :param kind: ``"entity"`` or ``"relation"``
    :param table: the table or its file; without it, the labels have no text
    :param images: a folder with images, see :func:`find_images`; they come after those of the table
    :param missing_rows: what to do about a label without a row, see :meth:`ModalityTable.align`
    :param image_name: how the images in the folder are called, see :func:`find_images`
    :param added: further rows, or others in their place, see :meth:`ModalityTable.updated`
    :returns: the table, n rows
    :raises DataError: if the table is missing or wrong, or a label has no row
    :raises ImageError: if the image folder or an image of a column does not exist
    """
    if table is None:
        result = ModalityTable.from_labels(labels, kind=kind, source=f"the graph (it has no {kind} table)")
        result = result.updated(added or {}).align(labels)
    else:
        table = table if isinstance(table, ModalityTable) else ModalityTable.load(table, kind=kind)
        table = table.updated(added or {})
        result = table.align(labels, missing=missing_rows)
        if images is not None:
            # a row that is not asked for can still own an image, which is then no further one of another label
            result = result.align(list(dict.fromkeys([*labels, *table.labels])), missing="allow")
    return result if images is None else result.with_images(images, image_name=image_name).align(labels)
