"""Import the pickled features that research code is published with, without running what a pickle can hold.

A pickle is a program. This reader knows dictionaries, lists, strings and numbers, and of all functions only those by
which NumPy arrays of numbers are rebuilt; and even these it replaces by its own, which look at plain bytes. Whatever
else a pickle names is refused before it is looked up. Lengths, and the numbers in lists, are bounded by the size of the
file. An array that many labels share stays one until the table is made; the table is bounded, too, see
:data:`NUMBERS_PER_BYTE`.
"""

from __future__ import annotations

import io
import pathlib
import pickle
import struct
from collections.abc import Mapping
from typing import Any, Literal, NoReturn

import numpy as np
import torch

from ..errors import FeatureError
from .store import FeatureStore

__all__ = [
    "import_pickle",
    "read_pickle",
]

#: The most bytes that a pickle may have, and how deep a vector may be wrapped in lists
MAX_BYTES, MAX_DEPTH = 1 << 32, 8

#: How many numbers a table may have for each byte of its file. A vector of one's own has at most one; a label that
#: shares another's takes some 12 bytes: most labels may share one vector of 768 zeros, as in published files
NUMBERS_PER_BYTE = 64

#: The types of numbers that are read: floats and integers of any width, and booleans
NUMBERS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


def import_pickle(
    path: str | pathlib.Path,
    modality: str = "features",
    provenance: Mapping[str, str] | None = None,
    several: Literal["mean"] | None = None,
    max_numbers: int | None = None,
) -> FeatureStore:
    """Import a pickled dictionary of vectors, as the official VL-KGE repository publishes them.

    :param path:
        the pickle: a dictionary from labels to vectors, which are lists of numbers or NumPy arrays; None is a missing
        vector. Labels that are no strings are turned into strings.
    :param modality:
        the name of the modality
    :param provenance:
        where the vectors came from, as plain strings
    :param several:
        what becomes of several vectors under one label, such as those of an entity's images: ``"mean"``, as in the code
        of VL-KGE, or by default an error
    :param max_numbers:
        how many numbers the table may have, rows by columns; by default :data:`NUMBERS_PER_BYTE` for each byte of the
        file
    :returns:
        a store, to be saved with :meth:`pykeen_mmkg.features.FeatureStore.save`
    :raises FeatureError:
        if the file is missing or no such pickle, if it names anything that is not a number, or asks for too large a
        table
    """
    if several not in {None, "mean"}:
        raise FeatureError(f"Unknown several={several!r}; choose 'mean', or None to allow one vector per label only.")
    path = pathlib.Path(path).expanduser()
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise FeatureError(f"{path} holds no dictionary from labels to vectors, but a {type(content).__name__}.")
    rows: dict[str, np.ndarray | None] = {}
    made: dict[int, np.ndarray] = {}
    numbers = size = path.stat().st_size
    left = limit = NUMBERS_PER_BYTE * size if max_numbers is None else max_numbers
    for label, value in content.items():
        if not isinstance(label, str | int) or (isinstance(label, int) and label.bit_length() > 64):
            raise FeatureError(f"{path} has a label of the type {type(label).__name__} that is no number or string.")
        where = f"{path}, {label!r}"
        listed, shared = _size(value, where)
        numbers, left = numbers - listed, left - shared
        if numbers < 0:  # each number has a byte at least, unless the file names one list many times
            raise FeatureError(f"{where}: the file is too small for the numbers that it says to hold.")
        if left < 0:
            raise _too_large(path, limit)
        if value is not None and id(value) not in made:
            made[id(value)] = _vector(value, several, where=where)
        rows[str(label)] = None if value is None else made[id(value)]
    sizes = {len(row) for row in rows.values() if row is not None}
    if len(sizes) != 1 or len(rows) != len(content):
        raise FeatureError(
            f"{path} needs distinct labels, and vectors of one dimension, but has the dimensions {sizes}."
        )
    (dim,) = sizes
    if dim * len(rows) > limit:
        raise _too_large(path, limit)
    zeros = np.zeros(dim, np.float32)
    vectors = np.stack([zeros if row is None else row for row in rows.values()])
    mask = torch.tensor([row is not None for row in rows.values()])
    return FeatureStore.from_tensors(rows, torch.from_numpy(vectors), mask, modality=modality, provenance=provenance)


def read_pickle(path: pathlib.Path) -> Any:
    """Read a pickle of dictionaries, lists, strings, numbers and arrays of numbers.

    :param path:
        the file
    :returns:
        what it holds; what stands for an array has a method ``as_array``
    :raises FeatureError:
        if the file is missing or no pickle, or if it names anything else
    """
    if not path.is_file():
        raise FeatureError(f"There is no feature file at {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise FeatureError(f"{path} has more than {MAX_BYTES} bytes; save its vectors in parts, or as an array.")
    try:
        # from memory, where a length that is a lie cannot be longer than the rest
        return _Reader(io.BytesIO(path.read_bytes())).load()
    except FeatureError as error:
        raise FeatureError(f"{path} is not read: {error}") from None
    # a broken pickle raises almost anything
    except Exception as error:
        raise FeatureError(f"{path} is no pickle of plain data ({type(error).__name__}: {error}).") from error


def _too_large(path: pathlib.Path, limit: int) -> FeatureError:
    return FeatureError(
        f"{path} has {path.stat().st_size} bytes, but asks for a table of more than {limit} numbers, since many of its "
        "labels share a vector or have none. If you trust it, pass max_numbers to import_pickle."
    )


def _size(value: object, where: str) -> tuple[int, int]:
    """Count the numbers of a vector, or of several: those in lists, and those in arrays."""
    if hasattr(value, "as_array"):
        return 1, _length(value, where)
    if not isinstance(value, list | tuple):
        return 1, 0
    listed = sum(len(item) if isinstance(item, list | tuple) else 1 for item in value)
    return listed, sum(_length(item, where) for item in value if hasattr(item, "as_array"))


def _length(array: Any, where: str) -> int:
    try:
        return array.as_array().size
    except (FeatureError, ValueError, TypeError, OverflowError) as error:
        raise FeatureError(f"{where}: no vector of numbers ({error}).") from None


def _vector(value: object, several: str | None, where: str) -> np.ndarray:
    """Turn a list of numbers, an array with one axis longer than one, or the mean of several of these, into one."""
    try:
        if several is not None and isinstance(value, list | tuple) and any(map(_holds_numbers, value)):
            array = np.stack([_array(item).reshape(-1) for item in value])
        else:
            array = _array(value)
    except (FeatureError, ValueError, TypeError, OverflowError) as error:
        raise FeatureError(f"{where}: no vector of numbers ({error}).") from None
    if several is not None and array.ndim == 2 and min(array.shape) > 1:
        array = array.mean(axis=0, dtype=np.float64)
    if array.size == 0 or array.size != max(array.shape, default=1):
        raise FeatureError(f"{where}: no vector, but an array of the shape {array.shape}.")
    with np.errstate(over="ignore"):  # infinity is reported by the store
        return array.reshape(-1).astype(np.float32)


def _holds_numbers(value: object) -> bool:
    """Return whether an item of a list is a vector rather than a number."""
    return isinstance(value, list | tuple) or (hasattr(value, "as_array") and value.as_array().size > 1)


def _array(value: object) -> np.ndarray:
    """Turn what stands for an array, or a list of numbers, into an array."""
    if hasattr(value, "as_array"):
        return value.as_array()
    if isinstance(value, list | tuple):
        for _ in range(MAX_DEPTH):
            if len(value) == 1 and isinstance(value[0], list | tuple):
                value = value[0]
        numbers = [v.as_array().item() if hasattr(v, "as_array") and v.as_array().size == 1 else v for v in value]
        if not all(isinstance(v, int | float) for v in numbers):
            raise FeatureError("it holds something that is no number")
        return np.array(numbers, dtype=np.float64)
    raise FeatureError(f"it is of the type {type(value).__name__}")


#: The reader in Python, not the one in C: that one sets memory aside for whatever number a file names
_Unpickler: Any = pickle._Unpickler  # type: ignore[attr-defined]


class _Reader(_Unpickler):
    """An unpickler that rebuilds arrays of numbers, and nothing else."""

    dispatch = dict(_Unpickler.dispatch)

    def __init__(self, file: Any) -> None:
        super().__init__(file)

        # made anew for each file, so that no file can change what the next one meets

        class DType:
            """Stands for numpy.dtype: a name of a type, and the order of its bytes."""

            def __init__(self, name: str, *_: object) -> None:
                if not isinstance(name, str) or name not in NUMBERS:
                    raise FeatureError(f"it holds an array of {name!r}, but only numbers are read.")
                self.name, self.order = name, "<"

            def __setstate__(self, state: tuple) -> None:
                self.order = ">" if state[1] == ">" else "<"

            def as_dtype(self) -> np.dtype:
                return np.dtype(self.order + self.name)

        class Array:
            """Stands for numpy.ndarray: a shape, a type and bytes."""

            shape: tuple[int, ...] = (0,)
            data: bytes | bytearray = b""
            dtype: DType | None = None
            fortran = False

            def __setstate__(self, state: tuple) -> None:
                _, self.shape, self.dtype, self.fortran, self.data = state

            def as_array(self) -> np.ndarray:
                if not isinstance(self.dtype, DType) or not isinstance(self.data, bytes | bytearray | memoryview):
                    raise FeatureError("it holds an array of something else than numbers")
                flat = np.frombuffer(self.data, dtype=self.dtype.as_dtype())
                return flat.reshape(self.shape, order="F" if self.fortran else "C")

        def reconstruct(kind: object, shape: object, code: object) -> Array:
            return Array()

        def scalar(dtype: DType, data: bytes) -> Array:
            result = Array()
            result.shape, result.dtype, result.data = (), dtype, data
            return result

        def from_buffer(data: bytes, dtype: DType, shape: tuple[int, ...], order: str) -> Array:
            result = Array()
            result.shape, result.dtype, result.data = shape, dtype, bytes(data)
            result.fortran = order == "F"
            return result

        self._known: dict[tuple[str, str], Any] = {("numpy", "ndarray"): Array, ("numpy", "dtype"): DType}
        for core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
            self._known[f"{core}.multiarray", "_reconstruct"] = reconstruct
            self._known[f"{core}.multiarray", "scalar"] = scalar
            self._known[f"{core}.numeric", "_frombuffer"] = from_buffer
        # bytes in a pickle of protocol 2
        self._known["_codecs", "encode"] = lambda text, encoding="latin1": str.encode(text, "latin1")
        self._rebuilt = (Array, DType)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._known[module, name]
        except KeyError:
            raise FeatureError(
                f"it names {module}.{name}, but only numbers, lists, dictionaries and NumPy arrays of numbers are "
                "read, since a pickle can run any program. Convert it where you trust it, and save it with "
                "FeatureStore.from_tensors(labels, vectors).save(path)."
            ) from None

    def persistent_load(self, pid: Any) -> NoReturn:
        raise FeatureError("it refers to objects outside of the file.")

    def _set_items(self, items: list[Any], to: Any = None) -> None:
        if to is None:
            self.append(to := {})
        if not isinstance(to, dict):
            raise FeatureError("it sets items of something else than a dictionary.")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int | float | bytes | None):  # the hash of a deep tuple exhausts the stack
                raise FeatureError(f"it has a label of the type {type(key).__name__}.")
            to[key] = value

    def _load_dict(self) -> None:
        self._set_items(self.pop_mark())

    def _load_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value], self.stack[-1])

    def _load_items(self) -> None:
        items = self.pop_mark()
        self._set_items(items, self.stack[-1])

    def _load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], self._rebuilt):
            raise FeatureError("it sets attributes of something else than an array.")
        self.stack[-1].__setstate__(state)

    def _load_bytearray(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        data = self.read(size) if size <= MAX_BYTES else b""
        if len(data) != size:
            raise FeatureError("it ends too early.")
        self.append(bytearray(data))

    def _load_set(self) -> None:
        raise FeatureError("it holds a set, but only numbers, lists, dictionaries and arrays of numbers are read.")

    dispatch |= {
        pickle.DICT[0]: _load_dict,
        pickle.SETITEM[0]: _load_item,
        pickle.SETITEMS[0]: _load_items,
        pickle.BUILD[0]: _load_build,
        pickle.BYTEARRAY8[0]: _load_bytearray,
        **dict.fromkeys((pickle.EMPTY_SET[0], pickle.ADDITEMS[0], pickle.FROZENSET[0]), _load_set),
    }
