"""What the files in a dataset's folder are called."""

import pathlib
from collections.abc import Collection, Mapping
from typing import cast

from ..errors import DataError
from .delimited import SUFFIXES
from .files import find_file, stem_of

__all__ = ["SPLIT_FILES", "find_splits", "ignored_files"]

#: the names of the splits, as PyKEEN calls them, and the files they come from
SPLIT_FILES: Mapping[str, tuple[str, ...]] = {
    "training": ("train", "training"),
    "validation": ("valid", "validation", "dev", "val"),
    "testing": ("test", "testing"),
}
#: the names of a file with all triples
WHOLE = ("triples", "graph", "edges", "links", "facts", "data", "all")
#: the beginnings of files about a folder rather than of its data
_ABOUT = ("readme", "license", "licence", "notice", "citation", "changelog", "requirements")
#: the suffixes of files that could be data
_DATA = (*SUFFIXES, ".json", ".jsonl", ".xlsx", ".nt", ".ttl", ".rdf", ".zip", ".tar.gz", ".npy", ".pt", ".h5", ".pkl")


def find_splits(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Find the files of the splits.

    :param folder: the folder
    :returns: the files by split; the further test splits are called by what follows ``test-``. One file with all
        triples is "training", and without "testing" the triples are yet to be split
    :raises DataError: if there is no file of training triples, or two for one split
    """
    paths = {}
    for split, stems in SPLIT_FILES.items():
        path = find_file(folder, *stems)
        if path is not None:
            paths[split] = path
    if not paths and (whole := find_file(folder, *WHOLE)):
        return {"training": whole}
    if "training" not in paths:
        raise DataError(
            f"{folder} lacks train.tsv (or .txt, .csv, .parquet, each but the last also as .gz) with the training "
            f"triples; one file with all triples is called triples.tsv"
        )
    further = {stem for path in folder.glob("test-*") if path.is_file() and (stem := stem_of(path))}
    for stem in sorted(further):
        name = stem.removeprefix("test-")
        if name in SPLIT_FILES:
            raise DataError(f"{folder / stem}: a further test split cannot be called {name!r}")
        paths[name] = cast(pathlib.Path, find_file(folder, stem))
    return paths


def ignored_files(folder: pathlib.Path, used: Collection[str]) -> list[str]:
    """Return the names of the files in a folder that look like data and are not used, sorted.

    :param folder: the folder
    :param used: the names of those that are
    :returns: the names; hidden files and those like README.txt are left out
    """
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in used
        and path.name.lower().endswith(_DATA)
        and not path.name.startswith(".")
        and not path.name.lower().startswith(_ABOUT)
        and not path.is_dir()
    )
