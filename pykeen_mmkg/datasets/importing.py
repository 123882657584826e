"""A folder of a multimodal dataset from what one has elsewhere: tables, RDF, or a dump in the manner of Wikidata."""

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd
from PIL import Image

from ..errors import DataError, ImageError
from ..io import folder_written_whole, write_text, written_whole
from .delimited import SUFFIXES, format_rows
from .files import LabeledTriple, read_triples, tell
from .frames import GraphTables, read_frame, read_frames
from .image_urls import FetchRule, is_url
from .labels import KINDS, Kind
from .rdf import rdf_format, read_rdf
from .table_images import image_parts
from .tables import ModalityTable
from .triple_splits import SplitRule
from .wikidata import is_dump, read_wikidata

__all__ = ["import_graph"]

#: the suffixes of text files of rows
TEXT_SUFFIXES = tuple(suffix for suffix in SUFFIXES if suffix != ".parquet")

#: the columns of a table of triples
COLUMNS = ("head", "relation", "tail")

#: the names of the splits, as files and as callers may know them
SPLITS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "test": "test"}
SPLITS["testing"] = "test"


def read_graph(source: Any, language: str = "en") -> GraphTables | None:
    """Read a file that holds a whole graph, triples and texts and pictures, by what its name says it is.

    :param source: the path of a file of RDF, see :func:`~pykeen_mmkg.datasets.rdf.read_rdf`, or of a dump, see
        :func:`~pykeen_mmkg.datasets.wikidata.read_wikidata`; or anything else
    :param language: the language of names and descriptions
    :returns: the tables, None if it is anything else
    :raises DataError: if the file is broken
    """
    path = pathlib.Path(source) if isinstance(source, str | pathlib.Path) else None
    if path is None or path.is_dir():
        return None
    if rdf_format(path) is not None:
        return read_rdf(path, language)
    return read_wikidata(path, language) if is_dump(path) else None


def import_graph(
    folder: str | pathlib.Path,
    triples: Any,
    entities: Any = None,
    relations: Any = None,
    columns: Sequence[str] = COLUMNS,
    ratios: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    kind: str = "random",
    language: str = "en",
    image_urls: str | Mapping[str, Any] = "skip",
) -> None:
    """Write tables as a folder that :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset` reads.

    Triples without splits are split, by default at random, so that every entity and relation has a training triple.
    Such a split shares inverses and near duplicates between training and testing where the graph has them: let
    :func:`pykeen_mmkg.audit.audit` look at the result.

    Whatever is left out is a warning of the log.

    :param folder: the folder, new or empty
    :param triples: a table, or tables by split: "train", "test", and optionally "valid", see
        :func:`~pykeen_mmkg.datasets.frames.read_frames`; or a file that holds a whole graph, see :func:`read_graph`
    :param entities: a table with the column "entity", "id" or "label", and some of "name", "description" and "image":
        a path (of a table that is a file, relative to it) or an address, several separated by ``|``; the bytes of an
        image, a PIL image, ``{"bytes": ..., "path": ...}`` as of Hugging Face ``datasets``, or a list of them
    :param relations: a table with the column "relation", "id" or "label", and some of "name" and "description"
    :param columns: the columns of the triples; a text file that has others, or no header, is read as
        :func:`~pykeen_mmkg.datasets.files.read_triples` does
    :param ratios: the shares of training, validation and testing, where triples have no splits
    :param seed: of the split
    :param kind: of the split, see :class:`~pykeen_mmkg.datasets.triple_splits.SplitRule`
    :param language: the language of names and descriptions, where the source has several
    :param image_urls: images that are named by address: "skip" them (the table names them, so that they can be fetched
        later), "fetch" them, or fetch them within limits, see :class:`~pykeen_mmkg.datasets.image_urls.FetchRule`
    :raises DataError: if the folder holds files, a table lacks a column or a label, or a label has a tab or line break
    :raises ImageError: if something is no image
    """
    fetch = FetchRule.of(image_urls)
    notes: list[str] = []
    whole = read_graph(triples, language)
    if whole is not None:
        notes += whole.notes
        triples, columns = whole.triples, COLUMNS
        entities = whole.entities if entities is None else entities
        relations = whole.relations if relations is None else relations
    given = {"entity": entities, "relation": relations}
    with folder_written_whole(folder) as made:
        splits = _splits(triples, columns, SplitRule(kind, ratios, seed), notes)
        for item, plural in KINDS.items():
            if given[item] is not None:
                base = _folder_of(given[item])
                _table(read_frame(given[item]), item, made, base).save(made / f"{plural}.tsv")
        for name, rows in splits.items():
            write_text(made / f"{name}.tsv", format_rows(rows))
    # in its place now, so that what was fetched is kept even if this is stopped
    for item, plural in KINDS.items() if fetch is not None else ():
        if given[item] is not None:
            ModalityTable.load(pathlib.Path(folder, f"{plural}.tsv"), item, notes, fetch)
    tell(notes, None)


def _splits(source: Any, columns: Sequence[str], rule: SplitRule, notes: list[str]) -> dict[str, list[LabeledTriple]]:
    """Return the triples by the name of a split's file."""
    found = source if isinstance(source, Mapping) or _is_text(source) else read_frames(source)
    if isinstance(found, Mapping):
        if unknown := set(found) - set(SPLITS):
            raise DataError(f"{sorted(unknown)[0]!r} is no split; they are {', '.join(SPLITS)}")
        splits = {SPLITS[name]: _triples(table, columns, notes) for name, table in found.items()}
        if not {"train", "test"} <= set(splits):
            raise DataError(f"the splits {sorted(splits)} lack train or test; give one table to have it split")
        return splits
    parts = rule.split(_triples(found, columns, notes))
    return {SPLITS.get(name, f"test-{name}"): rows for name, rows in parts.items()}


def _folder_of(source: Any) -> pathlib.Path:
    """Return the folder to which the paths in a table are relative."""
    path = pathlib.Path(source) if isinstance(source, str | pathlib.Path) else pathlib.Path(".")
    return path.parent if path.is_file() else path if path.is_dir() else pathlib.Path(".")


def _is_text(source: Any) -> bool:
    """Return whether a source is a file of rows, which may have a header or none."""
    return isinstance(source, str | pathlib.Path) and pathlib.Path(source).name.endswith(TEXT_SUFFIXES)


def _triples(source: Any, columns: Sequence[str], notes: list[str]) -> list[LabeledTriple]:
    if _is_text(source) and tuple(columns) == COLUMNS:
        return read_triples(pathlib.Path(source), notes=notes)
    frame = read_frame(source)
    if missing := [column for column in columns if column not in frame]:
        raise DataError(f"the table of triples lacks the column {missing[0]!r}; it has {list(frame)}: see `columns`")
    rows = []
    for number, row in enumerate(zip(*(frame[column] for column in columns), strict=True), start=1):
        labels = tuple(_label(cell) for cell in row)
        if not all(labels):
            raise DataError(f"triple {number} lacks a label: {row}")
        rows.append((labels[0], labels[1], labels[2]))
    if not rows:
        raise DataError("the table of triples is empty")
    return rows


def _label(cell: Any) -> str:
    text = "" if cell is None else str(cell)
    if any(char in text for char in "\t\n\r"):
        raise DataError(f"the label {text[:100]!r} holds a tab or a line break")
    return text


def _table(frame: pd.DataFrame, kind: Kind, folder: pathlib.Path, base: pathlib.Path) -> ModalityTable:
    key = next((name for name in (kind, "id", "label") if name in frame), None)
    if key is None:
        raise DataError(f"the {kind} table lacks the column {kind!r} (or 'id', or 'label'); it has {list(frame)}")
    labels = [_label(cell) for cell in frame[key]]

    def texts(*names: str) -> tuple[str, ...]:
        name = next((name for name in names if name in frame and name != key), None)
        cells = [None] * len(frame) if name is None else frame[name]
        return tuple("" if cell is None else " ".join(str(cell).split()) for cell in cells)

    column = next((name for name in ("image", "images") if name in frame), None)
    images = [()] * len(frame) if column is None else [_images(cell) for cell in frame[column]]
    urls = {
        # a bar separates images in the table that is written
        label: tuple(image.replace("|", "%7C") for image in found if _is_url(image))
        for label, found in zip(labels, images, strict=True)
        if any(map(_is_url, found))
    }
    # what is written into the folder of images is found there by its name
    elsewhere = [
        tuple(
            path
            for number, image in enumerate(found)
            if not _is_url(image) and (path := _place_image(image, folder, base, label, number))
        )
        for label, found in zip(labels, images, strict=True)
    ]
    source = f"the {kind} table"
    return ModalityTable(
        tuple(labels), texts("name", "label"), texts("description"), tuple(elsewhere), kind, source, urls
    )


def _is_url(image: Any) -> bool:
    return isinstance(image, str) and is_url(image)


def _images(cell: Any) -> Sequence[Any]:
    if cell is None:
        return ()
    if isinstance(cell, str):
        return image_parts(cell)
    if isinstance(cell, bytes | dict) or not hasattr(cell, "__len__"):
        return (cell,)
    # a list, or the array that Arrow makes of one
    return [image for image in cell if image is not None]


def _place_image(image: Any, folder: pathlib.Path, base: pathlib.Path, label: str, number: int) -> pathlib.Path | None:
    """Return the path of an image that is a file already; write any other to the folder of images, and return None."""
    if isinstance(image, dict):
        image = image["bytes"] if image.get("bytes") is not None else image.get("path")
    if isinstance(image, str | pathlib.Path):
        path = pathlib.Path(base, image).absolute()
        if not path.is_file():
            raise ImageError(f"the image {image} of {label!r} does not exist")
        return path
    try:
        if isinstance(image, Image.Image):
            buffer = io.BytesIO()
            image.save(buffer, format=image.format or "PNG")
            image = buffer.getvalue()
        suffix = (Image.open(io.BytesIO(image)).format or "png").lower()
    except (OSError, TypeError, ValueError) as error:
        raise ImageError(f"image {number} of {label!r} is no image ({error})") from error
    with written_whole(folder / "images" / f"{quote(label, safe='')}_{number}.{suffix}") as temporary:
        temporary.write_bytes(image)
    return None
