"""Tables that people have elsewhere: CSV, Parquet, pandas, Hugging Face ``datasets``: saved, in shards, on the hub."""

import dataclasses
import pathlib
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..errors import DataError

__all__ = ["GraphTables", "choose_text", "read_frame", "read_frames"]

#: what stands before the name of a dataset on the hub, as in the paths of huggingface_hub
HUB = "hf://datasets/"

_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(-[0-9a-f]+)?")

#: files by which a folder is known as one that Hugging Face ``datasets`` saved
_SAVED = ("dataset_dict.json", "state.json")


@dataclasses.dataclass(frozen=True)
class GraphTables:
    """A graph as tables: triples, entities and relations with their texts and images, and what was left out."""

    #: the columns head, relation, tail
    triples: pd.DataFrame
    #: the columns entity, name, description, image (a list of paths and addresses)
    entities: pd.DataFrame
    #: the columns relation, name, description
    relations: pd.DataFrame
    #: a sentence for whatever is not taken over
    notes: list[str]


def choose_text(texts: Mapping[str, str], language: str) -> str:
    """Choose one of the texts of an item.

    :param texts: language (``""`` or ``"mul"`` for none) -> text
    :param language: the language that is wanted
    :returns: the text in it, or in a variety of it, or in no language, or in the first other one; empty without any
    """

    def order(tag: str) -> tuple[int, str]:
        lower, wanted = tag.lower(), language.lower()
        ranks = (lower == wanted, lower.startswith(f"{wanted}-"), lower in ("", "mul"), True)
        return ranks.index(True), tag

    return texts[min(texts, key=order)] if texts else ""


def read_frame(source: Any) -> pd.DataFrame:
    """Read a table, all of whose cells stay as they are; what is missing becomes None.

    :param source: a :class:`pandas.DataFrame`; anything with a method ``to_pandas`` (a dataset of Hugging Face
        ``datasets``, a table of Arrow or Polars); the path of a ``.csv``, ``.tsv`` or ``.parquet`` file; or a folder or
        a name on the hub, see :func:`read_frames`, that holds one table
    :returns: the table
    :raises DataError: if the source is something else, the file is missing or broken, or a library is missing
    """
    if isinstance(source, str | pathlib.Path) and (str(source).startswith(HUB) or pathlib.Path(source).is_dir()):
        found = read_frames(source)
        if isinstance(found, pd.DataFrame):
            return found
        raise DataError(
            f"{source} has the parts {sorted(found)}, and one table is wanted: name the file of one of them"
        )
    if hasattr(source, "to_pandas"):
        source = source.to_pandas()
    if not isinstance(source, pd.DataFrame):
        if not isinstance(source, str | pathlib.Path):
            raise DataError(
                f"{type(source).__name__} is no table: give a path, a pandas.DataFrame, or what has to_pandas"
            )
        path = pathlib.Path(source)
        try:
            if path.suffix == ".parquet":
                source = pd.read_parquet(path)
            elif path.suffix in (".csv", ".tsv"):
                separator = "\t" if path.suffix == ".tsv" else ","
                source = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, na_values=[""])
            else:
                raise DataError(f"{path} is neither .csv, .tsv nor .parquet, nor a folder of these")
        except ImportError as error:
            raise DataError(f"{path} cannot be read without Arrow: pip install pyarrow") from error
        except FileNotFoundError:
            raise DataError(f"{path} does not exist") from None
        except (ValueError, OSError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} cannot be read: {error}") from error
    return source.astype(object).where(source.notna(), None)


def read_frames(source: Any) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Read a table, or the tables of several splits.

    :param source: what :func:`read_frame` reads; a mapping of split to it (such as a ``DatasetDict`` of Hugging Face
        ``datasets``); a folder that ``datasets`` saved; a folder of Parquet files, in shards
        (``train-00000-of-00002.parquet``) or not; or ``hf://datasets/<owner>/<name>[@revision][/folder]``, whose
        Parquet files are fetched by huggingface_hub. No code of a dataset is run.
    :returns: the table, or split -> table if there are several
    :raises DataError: if there is nothing to read, or more than one configuration
    """
    if isinstance(source, Mapping):
        return {str(name): read_frame(table) for name, table in source.items()}
    if isinstance(source, str) and source.startswith(HUB):
        source = _fetch(source)
    if not isinstance(source, str | pathlib.Path) or not pathlib.Path(source).is_dir():
        return read_frame(source)
    folder = pathlib.Path(source)
    saved = any(folder.joinpath(name).is_file() for name in _SAVED)
    found = _saved(folder) if saved else _shards(folder)
    return next(iter(found.values())) if len(found) == 1 else found


def _saved(folder: pathlib.Path) -> dict[str, pd.DataFrame]:
    """Read what ``save_to_disk`` of Hugging Face ``datasets`` wrote."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"{folder} was saved by the library datasets: pip install datasets") from error
    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:  # the library raises whatever Arrow or JSON does
        raise DataError(f"{folder} cannot be read by the library datasets: {error}") from error
    return read_frames(found) if isinstance(found, Mapping) else {"train": read_frame(found)}  # type: ignore[return-value]


def _shards(folder: pathlib.Path) -> dict[str, pd.DataFrame]:
    """Read the Parquet files of a folder, by split."""
    parts: dict[str, list[pathlib.Path]] = defaultdict(list)
    paths = sorted(folder.rglob("*.parquet"))
    for path in paths:
        match = _SHARD.fullmatch(path.stem)
        parts[match[1] if match else path.stem].append(path)
    if not paths:
        raise DataError(f"{folder} holds no .parquet file, and was not saved by the library datasets")
    if len(folders := {path.parent for path in paths}) > 1:
        names = ", ".join(sorted(str(one.relative_to(folder)) for one in folders))
        raise DataError(f"{folder} has tables in several folders ({names}): name one of them")
    return {name: pd.concat([read_frame(path) for path in own], ignore_index=True) for name, own in parts.items()}


def _fetch(name: str) -> pathlib.Path:
    """Fetch the Parquet files of a dataset on the hub, or find them in the hub's cache."""
    from huggingface_hub import snapshot_download

    owner, _, rest = name.removeprefix(HUB).partition("/")
    title, _, folder = rest.partition("/")
    title, _, revision = title.partition("@")
    if not owner or not title:
        raise DataError(f"{name!r} names no dataset: {HUB}<owner>/<name>, possibly with @revision and /folder")
    try:
        found = snapshot_download(
            f"{owner}/{title}", repo_type="dataset", revision=revision or None, allow_patterns=["*.parquet"]
        )
    except Exception as error:  # of the hub's client: errors of HTTP, of names, of files
        raise DataError(f"{name} cannot be fetched: {error}") from error
    path = pathlib.Path(found, folder)
    if not path.is_dir():
        raise DataError(f"{name}: there is no folder {folder!r} with Parquet files")
    return path
