"""A folder of a multimodal dataset from tables of one's own: CSV, Parquet, pandas, or Hugging Face ``datasets``."""

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd
from PIL import Image

from ..errors import DataError, ImageError
from ..io import folder_written_whole, write_text, written_whole
from .delimited import format_rows
from .files import LabeledTriple
from .tables import Kind, ModalityTable
from .triple_splits import SplitRule

__all__ = ["import_graph", "read_frame"]

#: the names of the splits, as files and as callers may know them
SPLITS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "test": "test"}
SPLITS["testing"] = "test"


def read_frame(source: Any) -> pd.DataFrame:
    """Read a table, all of whose cells stay as they are; what is missing becomes None.

    :param source: a :class:`pandas.DataFrame`; anything with a method ``to_pandas`` (a dataset of Hugging Face
        ``datasets``, a table of Arrow or Polars); or the path of a ``.csv``, ``.tsv`` or ``.parquet`` file
    :returns: the table
    :raises DataError: if the source is something else, the file is missing or broken, or a library is missing
    """
    if hasattr(source, "to_pandas"):
        source = source.to_pandas()
    if not isinstance(source, pd.DataFrame):
        path = pathlib.Path(source)
        try:
            if path.suffix == ".parquet":
                source = pd.read_parquet(path)
            elif path.suffix in (".csv", ".tsv"):
                separator = "\t" if path.suffix == ".tsv" else ","
                source = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, na_values=[""])
            else:
                raise DataError(f"{path} is neither .csv, .tsv nor .parquet")
        except ImportError as error:
            raise DataError(f"{path} cannot be read without Arrow: pip install pyarrow") from error
        except FileNotFoundError:
            raise DataError(f"{path} does not exist") from None
        except (ValueError, OSError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} cannot be read: {error}") from error
    return source.astype(object).where(source.notna(), None)


def import_graph(
    folder: str | pathlib.Path,
    triples: Any,
    entities: Any = None,
    relations: Any = None,
    columns: Sequence[str] = ("head", "relation", "tail"),
    ratios: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> None:
    """Write tables as a folder that :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset` reads.

    Triples without splits are split at random by PyKEEN, so that every entity and relation has a training triple. Such
    a split shares inverses and near duplicates between training and testing where the graph has them: let
    :func:`pykeen_mmkg.audit.audit` look at the result.

    :param folder: the folder, new or empty
    :param triples: a table, see :func:`read_frame`, or tables by split: "train", "test", and optionally "valid"
    :param entities: a table with the column "entity", "id" or "label", and some of "name", "description" and "image":
        a path, the bytes of an image, a PIL image, ``{"bytes": ..., "path": ...}`` as of Hugging Face ``datasets``, or
        a list of them
    :param relations: a table with the column "relation", "id" or "label", and some of "name" and "description"
    :param columns: the columns of the triples
    :param ratios: the shares of training, validation and testing, where triples have no splits
    :param seed: of the split
    :raises DataError: if the folder holds files, a table lacks a column or a label, or a label has a tab or line break
    :raises ImageError: if something is no image
    """
    with folder_written_whole(folder) as made:
        if isinstance(triples, Mapping):
            if unknown := set(triples) - set(SPLITS):
                raise DataError(f"{sorted(unknown)[0]!r} is no split; they are {', '.join(SPLITS)}")
            splits = {SPLITS[name]: _triples(table, columns) for name, table in triples.items()}
            if not {"train", "test"} <= set(splits):
                raise DataError(f"the splits {sorted(splits)} lack train or test; give one table to have it split")
        else:
            parts = SplitRule(ratios=ratios, seed=seed).split(_triples(triples, columns))
            splits = {SPLITS[name]: rows for name, rows in parts.items()}
        kinds: tuple[tuple[Kind, str, Any], ...] = (
            ("entity", "entities", entities),
            ("relation", "relations", relations),
        )
        for kind, plural, source in kinds:
            if source is not None:
                _table(read_frame(source), kind, made).save(made / f"{plural}.tsv")
        for name, rows in splits.items():
            write_text(made / f"{name}.tsv", format_rows(rows))


def _triples(source: Any, columns: Sequence[str]) -> list[LabeledTriple]:
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


def _table(frame: pd.DataFrame, kind: Kind, folder: pathlib.Path) -> ModalityTable:
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
    # what is written into the folder of images is found there by its name
    elsewhere = [
        tuple(path for number, image in enumerate(found) if (path := _place_image(image, folder, label, number)))
        for label, found in zip(labels, images, strict=True)
    ]
    names, descriptions = texts("name", "label"), texts("description")
    return ModalityTable(tuple(labels), names, descriptions, tuple(elsewhere), kind=kind, source=f"the {kind} table")


def _images(cell: Any) -> Sequence[Any]:
    if cell is None:
        return ()
    if isinstance(cell, str | bytes | dict) or not hasattr(cell, "__len__"):
        return (cell,)
    # a list, or the array that Arrow makes of one
    return [image for image in cell if image is not None]


def _place_image(image: Any, folder: pathlib.Path, label: str, number: int) -> pathlib.Path | None:
    """Return the path of an image that is a file already; write any other to the folder of images, and return None."""
    if isinstance(image, dict):
        image = image["bytes"] if image.get("bytes") is not None else image.get("path")
    if isinstance(image, str | pathlib.Path):
        path = pathlib.Path(image).absolute()
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
