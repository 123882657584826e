"""Vectors as an index of nearest neighbours that other programs open: FAISS and usearch, each an extra."""

import pathlib
from collections.abc import Callable, Mapping

import numpy

from .errors import DataError

__all__ = ["INDICES", "write_index"]

#: vectors from which on FAISS looks at a part of them only
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
