"""A benchmark by name: its folder is found, or made from the files that its authors publish."""

import json
import logging
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import ClassVar

from docdata import get_docdata
from pykeen.constants import PYKEEN_HOME

from ...errors import DatasetNotFoundError
from ...io import write_text
from ..folder import MultimodalDataset
from .conversion import PublishedGraph
from .fetching import fetch, published_sources

__all__ = ["DATA_VARIABLE", "Benchmark"]

logger = logging.getLogger(__name__)

#: the environment variable with the folder that holds the benchmarks' folders
DATA_VARIABLE = "PYKEEN_MMKG_DATA"
#: the file that says from which published files a folder was made
ORIGIN_FILE = "origin.json"
#: counts the changes in what the conversions write
CONVERSION = 1


class Benchmark(MultimodalDataset):
    """A multimodal dataset that is found by name.

    Its folder is ``path``, else ``$PYKEEN_MMKG_DATA/<folder>`` if there is one, else ``mmkg/datasets/<folder>`` in
    PyKEEN's data home. The latter is made at the first use from the published files, which are fetched and kept in
    ``mmkg/sources`` beside, see :func:`~pykeen_mmkg.datasets.benchmarks.fetching.fetch`.

    The ``docdata`` of a subclass has, besides what PyKEEN knows, ``source``, ``license``, ``coverage`` (how many
    entities and relations have a text, how many entities an image), ``images`` (where there are some, and how to name
    them), and ``leaks``.
    """

    #: the name of the dataset's folder
    folder_name: str
    #: what the conversion calls a published file -> <repository>/<path> of ``sources.tsv``
    files: Mapping[str, str]
    further_files: ClassVar[frozenset[str]] = frozenset({ORIGIN_FILE, "types.tsv"})
    #: the name of an image folder beside the dataset's
    image_folder_name: ClassVar[str | None] = None

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:
        """Read the published files.

        :param files: the files by the names of :attr:`files`
        :returns: the graph
        :raises DataError: if a file is not what it should be
        """
        raise NotImplementedError

    def _folder(self) -> pathlib.Path:
        if self.path is not None:
            return super()._folder()
        if variable := os.environ.get(DATA_VARIABLE):
            folder = pathlib.Path(variable).expanduser().absolute() / self.folder_name
            if folder.is_dir():
                return folder
        home = pathlib.Path(PYKEEN_HOME).absolute() / "mmkg"
        folder = home / "datasets" / self.folder_name
        origin = {key: published_sources()[key].checksum for key in self.files.values()}
        wanted = json.dumps({"conversion": CONVERSION, "files": origin}, indent=1)
        if folder.is_dir():
            marker = folder / ORIGIN_FILE
            # without marker the folder is the user's own
            if not marker.is_file() or marker.read_text(encoding="utf-8") == wanted:
                return folder
            logger.info("%s was made from other files or by another version; it is made anew", folder)
        try:
            files = {name: fetch(published_sources()[key], home / "sources") for name, key in self.files.items()}
        except DatasetNotFoundError as error:
            raise DatasetNotFoundError(
                f"{type(self).__name__} is not at {folder}, and cannot be made there: {error}. Or lay the dataset out "
                f"as a folder (see the documentation of MultimodalDataset) and give it as dataset_kwargs="
                f"dict(path=...), or set {DATA_VARIABLE} to the folder that holds {self.folder_name}/"
            ) from error
        self._make(folder, files, wanted)
        return folder

    def _make(self, folder: pathlib.Path, files: Mapping[str, pathlib.Path], origin: str) -> None:
        """Convert into a folder that is there whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            made = pathlib.Path(temporary) / "made"
            self.convert(files).write(made)
            write_text(made / ORIGIN_FILE, origin)
            if folder.is_dir():
                folder.rename(pathlib.Path(temporary) / "old")
            try:
                made.rename(folder)
            except OSError:
                # another process was faster
                if not (folder / ORIGIN_FILE).is_file():
                    raise
        if images := get_docdata(type(self)).get("images"):
            logger.warning("%s is made, with triples and texts. Images: %s", folder, images)

    def _image_folder(self, folder: pathlib.Path) -> pathlib.Path | None:
        found = super()._image_folder(folder)
        if found is None and self.image_folder_name is not None:
            beside = folder.parent / self.image_folder_name
            return beside if beside.is_dir() else None
        return found
