"""Modality tables: name, description and images of each entity or relation."""

import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal
from urllib.parse import unquote

from ..errors import DataError, ImageError
from ..io import write_text
from .files import read_lines
from .labels import Kind

__all__ = [
    "IMAGE_SUFFIXES",
    "ModalityTable",
    "find_images",
    "load_table",
]

logger = logging.getLogger(__name__)

#: the suffixes by which a file in an image folder counts as an image
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})

Missing = Literal["error", "allow"]

_NUMBERED = re.compile(r"(.+)_(\d+)", flags=re.DOTALL)
_DIGITS = re.compile(r"(\d+)")


def _natural(path: pathlib.Path) -> tuple[tuple[int, int, str], ...]:
    """Sort ``a_10.jpg`` after ``a_2.jpg``."""
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in _DIGITS.split(path.name))


def _check_image_name(image_name: str) -> None:
    if "{label}" not in image_name:
        raise DataError(f"image_name={image_name!r} lacks {{label}}; for example 'n{{label}}' for n<label>_0.jpg")


def find_images(
    folder: str | pathlib.Path, labels: Iterable[str], image_name: str = "{label}"
) -> tuple[dict[str, tuple[pathlib.Path, ...]], int]:
    """Find the images of labels in a folder.

    An image belongs to a label if it is called ``<label>.<suffix>`` or ``<label>_<number>.<suffix>``, or lies in a
    sub-folder ``<label>``. The name can be URL-quoted (``%2Fm%2F0100mt.jpg``), for labels with characters that file
    names cannot have. A name that is itself a label belongs to that label: with the labels ``a`` and ``a_1``,
    ``a_1.jpg`` is of the latter.

    :param folder: the image folder
    :param labels: the labels
    :param image_name: the name of a label's images, with ``{label}`` in place of the label; ``n{label}`` finds
        ``n00001930_0.jpg`` for the label ``00001930``
    :returns: the images per label that has any, in natural order (2 before 10); and the number of images of no label
    :raises ImageError: if the folder does not exist
    :raises DataError: if the image name does not hold ``{label}``
    """
    _check_image_name(image_name)
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ImageError(f"image folder {folder} does not exist or is no folder")
    names = {image_name.replace("{label}", label): label for label in labels}

    def resolve(stem: str) -> str | None:
        candidates = (stem, unquote(stem))
        for name in candidates:
            if name in names:
                return names[name]
        for name in candidates:
            match = _NUMBERED.fullmatch(name)
            if match and match.group(1) in names:
                return names[match.group(1)]
        return None

    found: dict[str, list[pathlib.Path]] = {}
    unmatched = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                name = entry.name if entry.name in names else unquote(entry.name)
                label = names.get(name)
                images = [path for path in pathlib.Path(entry.path).iterdir() if _is_image(path)]
            else:
                path = pathlib.Path(entry.path)
                images = [path] if _is_image(path) else []
                label = resolve(path.stem) if images else None
            if label is None:
                unmatched += len(images)
            elif images:
                found.setdefault(label, []).extend(images)
    return {label: tuple(sorted(paths, key=_natural)) for label, paths in found.items()}, unmatched


def _is_image(path: pathlib.Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


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
    ) -> "ModalityTable":
        """Load a table from a tab-separated UTF-8 file with a header row.

        The label that the triples use is the column ``entity`` (of a relation table: ``relation``) or ``id``, and
        where there is none, the column ``label``. Further columns, at least one: ``name`` (or ``label``, if that is not
        the former), ``description``, and ``images``: paths relative to the table, separated by ``|``. A field can be
        empty; there is no quoting. Further columns are ignored with a warning.

        :param path: the file
        :param kind: whether the table is of entities or relations
        :returns: the table
        :raises DataError: if the file is missing, empty or not UTF-8, a column is missing, a label comes twice, or a
            row has no label or too many columns
        :raises ImageError: if an image of the column does not exist
        """
        path = pathlib.Path(path)
        if not path.is_file():
            raise DataError(f"{kind} table {path} does not exist")
        lines = read_lines(path)
        columns = _read_header(lines[0], path=path, kind=kind)
        rows: dict[str, int] = {}
        names: list[str] = []
        descriptions: list[str] = []
        paths: list[tuple[pathlib.Path, ...]] = []
        width = len(lines[0].split("\t"))
        label_at, name_at, text_at, image_at = (
            columns.get(key, width) for key in ("key", "name", "description", "images")
        )
        for number, line in enumerate(lines[1:], start=2):
            fields = line.split("\t")
            if len(fields) > width:
                raise DataError(
                    f"{path}, line {number}: {len(fields)} columns, but the header has {width}; "
                    f"a text must not hold a tab"
                )
            # one more, so that a column that is not there reads as empty
            fields += [""] * (width + 1 - len(fields))
            label = fields[label_at]
            if not label.strip():
                raise DataError(f"{path}, line {number}: the {kind} has no label")
            if label in rows:
                raise DataError(
                    f"{path}, line {number}: the {kind} {label!r} has a row already, line {rows[label]}; "
                    f"keep one of them"
                )
            rows[label] = number
            names.append(fields[name_at].strip())
            descriptions.append(fields[text_at].strip())
            paths.append(_read_images(fields[image_at], path=path, row=f"line {number}: {kind} {label!r}"))
        return cls(tuple(rows), tuple(names), tuple(descriptions), tuple(paths), kind=kind, source=str(path))

    def with_images(self, folder: str | pathlib.Path, image_name: str = "{label}") -> "ModalityTable":
        """Add the images of a folder, see :func:`find_images`; a warning says so if no image fits a label."""
        found, unmatched = find_images(folder, self.labels, image_name=image_name)
        if unmatched and not found:
            logger.warning(
                "%s: none of the %d images fits %s as %r; see image_name", folder, unmatched, self.source, image_name
            )
        elif unmatched:
            logger.info("%s: %d images belong to no %s of %s", folder, unmatched, self.kind, self.source)
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
        without = [label for label in labels if label not in self.index]
        if without and missing == "error":
            more = f" and {len(without) - 1} more" if len(without) > 1 else ""
            raise DataError(
                f"{self.source} has no row for the {self.kind} {without[0]!r}{more}; add the row (its fields can be "
                f"empty) or pass missing_rows='allow'"
            )
        rows = [self.index.get(label) for label in labels]
        return dataclasses.replace(
            self,
            labels=labels,
            names=tuple("" if i is None else self.names[i] for i in rows),
            descriptions=tuple("" if i is None else self.descriptions[i] for i in rows),
            images=tuple(() if i is None else self.images[i] for i in rows),
        )

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

    def image_dict(self) -> dict[str, tuple[pathlib.Path, ...]]:
        """Give the images per label, n entries, an empty tuple where there is none."""
        return dict(zip(self.labels, self.images, strict=True))

    @cached_property
    def digest(self) -> str:
        """A SHA-256 over labels, texts, and names and sizes of the images.

        The bytes of the images are not read here: the feature store addresses each of them by its content.
        """
        sha = hashlib.sha256(self.kind.encode())
        for row in zip(self.labels, self.names, self.descriptions, self.images, strict=True):
            *texts, images = row
            sizes = [(image.name, image.stat().st_size if image.is_file() else -1) for image in images]
            sha.update(json.dumps([*texts, sizes]).encode())
        return sha.hexdigest()

    def save(self, path: str | pathlib.Path) -> None:
        """Write the table so that :meth:`load` gives an equal one; the paths of images become relative to the file.

        :param path: the file to write
        :raises DataError: if a field holds a tab or a line break
        """
        path = pathlib.Path(path)
        lines = [f"{self.kind}\tname\tdescription" + "\timages" * any(self.images)]
        for label, name, description, images in zip(
            self.labels, self.names, self.descriptions, self.images, strict=True
        ):
            # PurePath.relative_to cannot step up before Python 3.12
            relative = [pathlib.Path(os.path.relpath(image, path.parent)).as_posix() for image in images]
            fields = [label, name, description] + ["|".join(relative)] * any(self.images)
            if any(char in field for field in fields for char in "\t\n\r"):
                raise DataError(
                    f"{self.kind} {label!r}: a field holds a tab or a line break and cannot be written to {path}"
                )
            lines.append("\t".join(fields))
        write_text(path, "\n".join(lines) + "\n")


def _read_header(line: str, path: pathlib.Path, kind: Kind) -> dict[str, int]:
    """Find the columns of a table: "key", "name", "description", "images"."""
    header = [field.strip().lower() for field in line.split("\t")]
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
    twice = sorted({field for field in header if header.count(field) > 1})
    if twice:
        raise DataError(f"{path}: the header has the column {twice[0]!r} twice")
    if len(columns) == 1:
        raise DataError(f"{path}: the header lacks a column 'name', 'description' or 'images'; it has {header}")
    ignored = [name for i, name in enumerate(header) if i not in columns.values()]
    if ignored:
        logger.warning("%s: the columns %s are not used", path, ignored)
    return columns


def _read_images(field: str, path: pathlib.Path, row: str) -> tuple[pathlib.Path, ...]:
    """Resolve the paths of an image column."""
    images = []
    for part in filter(None, (part.strip() for part in field.split("|"))):
        image = path.parent / part
        if not image.is_file():
            raise ImageError(f"{path}, {row}: the image {part!r} does not exist (looked for {image})")
        images.append(image)
    return tuple(images)


def load_table(
    labels: Sequence[str],
    kind: Kind,
    table: ModalityTable | str | pathlib.Path | None = None,
    images: str | pathlib.Path | None = None,
    missing_rows: Missing = "error",
    image_name: str = "{label}",
) -> ModalityTable:
    """Load the table of some labels: its rows in their order, with the images of a folder.

    :param labels: the labels in the order of their ids, shape: (n,)
    :param kind: ``"entity"`` or ``"relation"``
    :param table: the table or its file; without it, the labels have no text
    :param images: a folder with images, see :func:`find_images`; they come after those of the table
    :param missing_rows: what to do about a label without a row, see :meth:`ModalityTable.align`
    :param image_name: how the images in the folder are called, see :func:`find_images`
    :returns: the table, n rows
    :raises DataError: if the table is missing or wrong, or a label has no row
    :raises ImageError: if the image folder or an image of a column does not exist
    """
    if table is None:
        result = ModalityTable.from_labels(labels, kind=kind, source=f"the graph (it has no {kind} table)")
    else:
        table = table if isinstance(table, ModalityTable) else ModalityTable.load(table, kind=kind)
        result = table.align(labels, missing=missing_rows)
        if images is not None:
            # a row that is not asked for can still own an image, which is then no further one of another label
            result = result.align(list(dict.fromkeys([*labels, *table.labels])), missing="allow")
    return result if images is None else result.with_images(images, image_name=image_name).align(labels)
