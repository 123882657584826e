"""Vectors as an index of nearest neighbours, by FAISS and usearch (extras): for other programs, and for our own."""

import hashlib
import importlib.util
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from .errors import DataError
from .io import written_whole

__all__ = ["INDICES", "has_index", "kept_neighbours", "neighbours_by_index", "write_index"]

#: vectors from which on an index looks at a part of them only
EXACT = 50_000

#: links of each vector in an approximate index
LINKS = 32


def _unit(matrix: numpy.ndarray) -> numpy.ndarray:
    """Return rows of unit length, whose inner products are cosines; a row of zeros stays."""
    norms = numpy.linalg.norm(matrix, axis=1, keepdims=True)
    return numpy.ascontiguousarray(matrix / numpy.where(norms > 0, norms, 1), dtype=numpy.float32)


def _faiss(matrix: numpy.ndarray, path: pathlib.Path) -> None:
    import faiss

    dim = matrix.shape[1]
    if len(matrix) < EXACT:
        index = faiss.IndexFlatIP(dim)
    else:
        index = faiss.IndexHNSWFlat(dim, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.add(_unit(matrix))
    faiss.write_index(index, str(path))


def _usearch(matrix: numpy.ndarray, path: pathlib.Path) -> None:
    from usearch.index import Index

    index = Index(ndim=matrix.shape[1], metric="cos", dtype="f32")
    index.add(numpy.arange(len(matrix)), _unit(matrix))
    index.save(str(path))


#: suffix of a file -> what writes it, and what it needs
INDICES: Mapping[str, tuple[Callable[[numpy.ndarray, pathlib.Path], None], str]] = {
    ".faiss": (_faiss, "faiss-cpu"),
    ".usearch": (_usearch, "usearch"),
}


def write_index(matrix: numpy.ndarray, path: pathlib.Path, suffix: str) -> None:
    """Write an index of vectors by their cosine, under the numbers of their rows.

    :param matrix: shape: (n, d)
    :param path: the file
    :param suffix: ``.usearch`` (approximate), or ``.faiss``: inner products of vectors of unit length, of all of them,
        or approximately from :data:`EXACT` vectors on. Queries have to be of unit length, too
    :raises DataError: if the library is not installed, or there is no vector
    """
    write, package = INDICES[suffix]
    if not len(matrix):
        raise DataError(f"{path}: there is no vector to make an index of.")
    try:
        write(matrix, path)
    except ImportError as error:
        raise DataError(f"An index {suffix} cannot be written without its library: pip install {package}") from error


def has_index() -> bool:
    """Return whether the library of :func:`neighbours_by_index` is installed."""
    return importlib.util.find_spec("usearch") is not None


def neighbours_by_index(matrix: numpy.ndarray, k: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Find for each vector about the k others with the greatest cosine, in time that grows little faster than n.

    The index is usearch's (a graph of vectors that are near each other, `HNSW <https://arxiv.org/abs/1603.09320>`_),
    made by one thread, so that it is the same each time.

    :param matrix: shape: ``(n, d)``
    :param k: the number of neighbours, less than n
    :returns: the numbers of the others, nearest first, and their cosines, shape: ``(n, k)`` each
    :raises DataError: if usearch is not installed
    """
    try:
        from usearch.index import Index
    except ImportError as error:
        raise DataError("Neighbours cannot be found by an index without its library: pip install usearch") from error
    unit, rows = _unit(matrix), numpy.arange(len(matrix))
    effort = max(64, 3 * k)
    index = Index(ndim=unit.shape[1], metric="ip", dtype="f32", expansion_add=64, expansion_search=effort)
    index.add(rows, unit, threads=1)
    places, cosines = numpy.empty((len(unit), k), numpy.int64), numpy.empty((len(unit), k), numpy.float32)
    for start in range(0, len(unit), 8192):
        part = slice(start, start + 8192)
        found: Any = index.search(unit[part], k + 1, threads=1)  # of several rows, which its annotation leaves open
        others = found.keys.reshape(-1, k + 1).astype(numpy.int64)
        for row in (numpy.asarray(found.counts).reshape(-1) <= k).nonzero()[0]:  # few, if any: a part is cut off
            others[row] = numpy.argsort(-(unit @ unit[start + row]), kind="stable")[: k + 1]
        own = others == rows[part, None]
        own[~own.any(axis=1), -1] = True  # among many equal ones, a vector need not find itself
        others = others[~own].reshape(-1, k)
        near = numpy.einsum("nd,nkd->nk", unit[part], unit[others])
        order = numpy.argsort(-near, axis=1, kind="stable")
        places[part] = numpy.take_along_axis(others, order, axis=1)
        cosines[part] = numpy.take_along_axis(near, order, axis=1)
    return places, cosines


def kept_neighbours(
    matrix: numpy.ndarray, k: int, way: str, make: Callable[[], tuple[numpy.ndarray, numpy.ndarray]]
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return neighbours that were found before, or find them and keep them in a file below PyKEEN's home.

    :param matrix: shape: ``(n, d)``; the vectors, whose digest is the name of the file
    :param k: the number of neighbours
    :param way: how they are found, part of the digest
    :param make: finds them
    :returns: numbers and cosines, shape: ``(n, k)`` each
    """
    from pykeen.constants import PYKEEN_HOME
    from safetensors.numpy import load_file, save_file

    sha = hashlib.sha256(f"{way} {k} {matrix.shape} {matrix.dtype} ".encode())
    sha.update(numpy.ascontiguousarray(matrix).data)
    path = pathlib.Path(PYKEEN_HOME, "mmkg", "neighbours", f"{sha.hexdigest()}.safetensors")
    if path.is_file():
        tensors = load_file(path)
        return tensors["places"].astype(numpy.int64), tensors["cosines"]
    places, cosines = make()
    with written_whole(path) as temporary:
        save_file({"places": places.astype(numpy.int32), "cosines": cosines}, temporary)
    return places, cosines
