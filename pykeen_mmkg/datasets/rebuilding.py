"""PyKEEN's cache of datasets, which keeps only how a dataset was constructed: its files are read every time."""

import inspect
import json
import logging
import pathlib
from typing import Any

from pykeen.datasets.base import Dataset

from ..errors import DataError, DatasetNotFoundError, MultimodalError
from ..io import write_json

__all__ = ["RebuiltFromFilesMixin"]

logger = logging.getLogger(__name__)

#: the file in PyKEEN's cache from which a dataset is rebuilt
CACHE_FILE = "multimodal.json"


class RebuiltFromFilesMixin(Dataset):
    """Rebuild a dataset from the arguments of its constructor, so that a change in its files is noticed."""

    _constructor_kwargs: dict[str, Any]
    #: the folder of the files
    path: pathlib.Path | None

    @property
    def digest(self) -> str:
        """The digest that identifies the content of the files."""
        raise NotImplementedError

    def __new__(cls, *args: Any, **kwargs: Any) -> "RebuiltFromFilesMixin":
        """Note the arguments of the constructor, from which PyKEEN's cache rebuilds the dataset."""
        self = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(self, *args, **kwargs)
        given = dict(list(bound.arguments.items())[1:])
        for parameter in bound.signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                given.update(given.pop(parameter.name, {}))
        self._constructor_kwargs = given
        return self

    def _ensure(self) -> None:
        """Read the files, if that has not been done."""
        raise NotImplementedError

    def to_directory_binary(self, path: str | pathlib.Path) -> None:
        """Store the dataset in a directory, as PyKEEN's cache does, together with how it was constructed.

        The copy of the triples is for :meth:`pykeen.datasets.base.Dataset.from_directory_binary`; this class itself
        reads the original files again.

        :param path: the directory
        """
        try:
            self._ensure()
        except DatasetNotFoundError as error:
            # PyKEEN's commands instantiate every dataset there is; without files there is nothing to store, and the
            # error comes up where the triples are used
            logger.warning("not cached: %s", error)
            return
        path = pathlib.Path(path)
        state = {"kwargs": self._constructor_kwargs, "digest": self.digest}
        write_json(path / CACHE_FILE, state)
        super().to_directory_binary(path)

    @classmethod
    def from_directory_binary(cls, path: str | pathlib.Path) -> Dataset:
        """Rebuild the dataset from where its files are, whatever they hold by now.

        Relative paths are relative to the present working directory, as they were for the first call.

        :param path: the directory, as written by :meth:`to_directory_binary`
        :returns: a dataset of this class
        :raises DataError: if the directory was not written by it, or the files are gone
        """
        path = pathlib.Path(path)
        try:
            state = json.loads((path / CACHE_FILE).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            raise DataError(f"{path} is no stored {cls.__name__}, or it is incomplete: delete the directory") from None
        try:
            dataset = cls(**state["kwargs"])
            dataset._ensure()
        except MultimodalError as error:
            raise type(error)(f"{error} (the cached dataset {path} refers to it)") from error
        if dataset.digest != state["digest"]:
            folder = dataset.record.path  # type: ignore[attr-defined]
            logger.warning("the files of %s have changed since they were cached; they were read anew", folder)
            dataset.to_directory_binary(path)
        return dataset
