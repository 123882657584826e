"""Read feature files that others wrote: NumPy, torch, HDF5, CSV, TSV, safetensors and plain pickles.

Nothing is unpickled but by :mod:`.pickles`, and torch's files with ``weights_only``. No file is changed or deleted.
"""

from __future__ import annotations

import csv
import json
import pathlib
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from safetensors import safe_open

from ..errors import FeatureError
from .pickles import import_pickle
from .store import METADATA_KEY, FeatureStore

__all__ = ["SUFFIXES", "Vectors", "read_ids", "read_vectors"]

#: how many bytes an archive may hold when it is unpacked
MAX_BYTES = 1 << 34

#: what an array of labels is called beside one of vectors
LABELS = frozenset({"labels", "label", "ids", "id", "names", "keys", "entities", "relations", "entity", "relation"})

Several = Literal["mean"] | None


class Vectors(NamedTuple):
    """The vectors of a file, one a row; without labels, an id map has to say whose they are."""

    labels: list[str] | None
    #: shape: ``(n, d)``
    vectors: torch.Tensor
    #: shape: ``(n,)``; which rows hold a vector
    mask: torch.Tensor


def read_vectors(path: str | pathlib.Path, several: Several = None) -> Vectors:
    """Read the vectors of a file by its suffix, one of :data:`SUFFIXES`.

    :param path: the file
    :param several: what becomes of several vectors under one label of a pickle, see :func:`.import_pickle`
    :returns: the vectors
    :raises FeatureError: if the file is missing, broken or of another kind, or holds no table of numbers
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise FeatureError(f"There is no feature file at {path}.")
    if path.suffix in (".pkl", ".pickle"):
        store = import_pickle(path, several=several)
        return Vectors(list(store.labels), store.vectors, store.mask)
    if path.suffix not in _READERS:
        raise FeatureError(f"{path} is of an unknown kind; what is read is called {', '.join(SUFFIXES)}.")
    try:
        content = _READERS[path.suffix](path)
    except FeatureError:
        raise
    except ImportError as error:
        raise FeatureError(f"{path} needs {error.name}: pip install {error.name}") from error
    # broken files raise almost anything, and each library something else
    except Exception as error:
        raise FeatureError(
            f"{path} is no {path.suffix} file of plain numbers ({type(error).__name__}: {str(error)[:200]}). It "
            "is left as it is."
        ) from error
    return content if isinstance(content, Vectors) else _table(content, path)


def read_ids(path: str | pathlib.Path) -> dict[str, int]:
    """Read an id map: which row belongs to which label.

    :param path: a JSON list of labels in the order of rows, a JSON mapping from labels to rows (or back), or lines with
        a label each, or a label and a row, in either order, with a tab between, as in ``entity2id.txt``
    :returns: label -> row
    :raises FeatureError: if it is none of these, or a label or a row comes twice
    """
    path = pathlib.Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
    except FileNotFoundError:
        raise FeatureError(f"There is no id map at {path}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise FeatureError(f"The id map {path} cannot be read: {error}.") from error
    pairs: list[Sequence[Any]]
    if isinstance(content, Mapping):
        pairs = list(content.items())
    elif not isinstance(content, list) or not all(isinstance(entry, str) for entry in content):
        raise FeatureError(f"The id map {path} is no list of labels, and no mapping between labels and rows.")
    elif any("\t" in line for line in content):
        lines = [line.split("\t") for line in content]
        # OpenKE writes the number of lines first
        pairs = lines[1:] if len(lines[0]) == 1 and lines[0][0].strip().isdecimal() else lines
    else:
        pairs = list(zip(content, range(len(content)), strict=True))
    if bad := [pair for pair in pairs if len(pair) != 2]:
        raise FeatureError(f"The id map {path} needs a label and a row each; this line has not two: {bad[0]!r}.")
    columns = [[pair[i] for pair in pairs] for i in (0, 1)]
    # where both columns are numbers (labels such as 007), the second one is that of the rows, as in OpenKE
    rows, labels = (1, 0) if all(map(_is_row, columns[1])) else (0, 1)
    if wrong := [pair for pair in pairs if not _is_row(pair[rows]) or not isinstance(pair[labels], str)]:
        raise FeatureError(f"The id map {path} needs a label and a row each; this is none: {wrong[0]!r}.")
    found: dict[str, int] = {}
    owners: dict[int, str] = {}
    for pair in pairs:
        label, row = pair[labels], int(pair[rows])
        if label in found or row in owners:
            raise FeatureError(
                f"The id map {path} names the label {label!r} twice."
                if label in found
                else f"The id map {path} gives the row {row} to both {owners[row]!r} and {label!r}."
            )
        found[label], owners[row] = row, label
    return found


def _is_row(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().isascii() and value.strip().isdecimal() and len(value) < 19
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _table(content: Any, path: pathlib.Path) -> Vectors:
    """Turn what a file holds into one table: an array, or arrays by name or by label."""
    if not isinstance(content, Mapping):
        return Vectors(None, *_matrix(content, str(path)))
    names = {str(name): value for name, value in content.items()}
    labels = next((value for name, value in names.items() if name.lower() in LABELS and _labels(value)), None)
    tables = {name: value for name, value in names.items() if getattr(value, "ndim", 0) == 2 and len(value) > 1}
    if len(tables) == 1 and len(names) <= 1 + (labels is not None):
        ((_, table),) = tables.items()
        made = _matrix(table, str(path))
        given = None if labels is None else _labels(labels)
        if given is not None and len(given) != len(made[0]):
            raise FeatureError(f"{path} has {len(given)} labels, but {len(made[0])} vectors.")
        return Vectors(given, *made)
    sizes = {name: tuple(getattr(value, "shape", ())) for name, value in names.items()}
    rows = {name: shape for name, shape in sizes.items() if len(shape) == 1 or (len(shape) == 2 and shape[0] == 1)}
    if not names or len(rows) < len(names) or len({shape[-1] for shape in rows.values()}) > 1:
        shown = dict(list(sizes.items())[:5])
        raise FeatureError(
            f"{path} holds neither one table of vectors (with or without its labels), nor vectors of one dimension by "
            f"label, but {shown}: save the one that is meant alone."
        )
    table = torch.stack([torch.as_tensor(np.asarray(value)).reshape(-1) for value in names.values()])
    return Vectors(list(names), *_matrix(table, str(path)))


def _matrix(value: Any, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    if not torch.is_tensor(value):
        value = np.asarray(value)
        if value.dtype.kind not in "fiub" or value.dtype.itemsize > 8:
            raise FeatureError(f"{where} holds {value.dtype}, but only numbers are read.")
        value = torch.from_numpy(np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("=")))
    if value.ndim != 2 or not value.numel() or value.is_complex():
        raise FeatureError(f"{where} holds {value.dtype} of the shape {tuple(value.shape)}, but a table is needed.")
    return value.detach().to("cpu", torch.float32), torch.ones(len(value), dtype=torch.bool)


def _labels(value: Any) -> list[str] | None:
    """Return what is a list of labels as one, anything else as None."""
    if torch.is_tensor(value):
        return None
    if isinstance(value, np.ndarray):
        if value.ndim != 1 or value.dtype.kind not in "USO":
            return None
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return None
    texts = [entry.decode("utf-8") if isinstance(entry, bytes) else entry for entry in value]
    return texts if texts and all(isinstance(entry, str) for entry in texts) else None


# ---- one reader a kind of file --------------------------------------------------------------------------------------


def _numpy(path: pathlib.Path) -> Any:
    # mapped: a header that lies about the shape is an error, not an allocation
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _numpy_archive(path: pathlib.Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_BYTES:
        raise FeatureError(f"{path} says to hold {size} bytes unpacked, more than {MAX_BYTES}.")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _torch(path: pathlib.Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _safetensors(path: pathlib.Path) -> Any:
    with safe_open(str(path), framework="pt") as file:
        if METADATA_KEY in (file.metadata() or {}):
            store = FeatureStore.load(path)
            return Vectors(list(store.labels), store.vectors, store.mask)
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _hdf5(path: pathlib.Path) -> Any:
    import h5py

    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        for name in file:
            # a link to another file is not followed
            if isinstance(file.get(name, getlink=True), h5py.HardLink) and isinstance(file[name], h5py.Dataset):
                found[name] = file[name].asstr()[()] if h5py.check_string_dtype(file[name].dtype) else file[name][()]
    return found


def _delimited(path: pathlib.Path) -> Vectors:
    """Read rows of a label and numbers, after a header or without; a row of a label alone has no vector."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        separator = (
            "\t" if path.suffix == ".tsv" or "\t" in first else ";" if first.count(";") > first.count(",") else ","
        )
        rows = [(number, row) for number, row in enumerate(csv.reader(file, delimiter=separator), 1) if any(row)]
    if rows and _is_header(rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise FeatureError(f"{path} holds no row of a label and numbers.")
    dim = max(len(row) for _, row in rows) - 1
    vectors = np.zeros((len(rows), dim), np.float32)
    mask = torch.ones(len(rows), dtype=torch.bool)
    for i, (number, row) in enumerate(rows):
        cells = row[1:]
        if not any(cell.strip() for cell in cells):
            mask[i] = False
        elif len(cells) != dim or (numbers := _numbers(cells)) is None:
            raise FeatureError(
                f"{path}, line {number}: not a label and {dim} numbers, but {separator.join(row)[:100]!r}."
            )
        else:
            vectors[i] = numbers
    if not dim:
        raise FeatureError(f"{path} has labels, but no numbers.")
    return Vectors([row[0].strip() for _, row in rows], torch.from_numpy(vectors), mask)


def _is_header(row: Sequence[str]) -> bool:
    """Return whether a first row names columns: it has no numbers, or those by which pandas counts columns."""
    numbers = _numbers(row[1:])
    if numbers is None:
        return any(cell.strip() for cell in row[1:])
    return (not row[0] or row[0].lower() in LABELS) and numbers == list(range(len(numbers)))


def _numbers(cells: Iterable[str]) -> list[float] | None:
    try:
        return [float(cell) for cell in cells] or None
    except ValueError:
        return None


_READERS: Mapping[str, Callable[[pathlib.Path], Any]] = {
    ".npy": _numpy,
    ".npz": _numpy_archive,
    ".pt": _torch,
    ".pth": _torch,
    ".bin": _torch,
    ".safetensors": _safetensors,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".csv": _delimited,
    ".tsv": _delimited,
}

#: the kinds of files that are read
SUFFIXES = (*_READERS, ".pkl", ".pickle")
