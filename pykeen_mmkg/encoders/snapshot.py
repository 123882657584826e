"""Find the folder of a model, by path or hub name, and digest what of it decides its features."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from ..errors import EncoderError
from ..io import file_digest

__all__ = ["check_config", "digest_folder", "find_folder", "module_paths", "read_json", "weight_files"]

logger = logging.getLogger(__name__)

#: The vocabularies that the library sentencepiece reads
SENTENCEPIECE = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model")

#: At least one of these is needed for texts ...
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", *SENTENCEPIECE)

#: ... and of these for images
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")

#: The files besides the weights that decide what comes out of an encoder, in the order in which they are digested
SETTINGS = (
    *("config.json", *PREPROCESSORS, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", *SENTENCEPIECE),
    *("modules.json", "sentence_bert_config.json", "1_Pooling/config.json"),
)

#: Keys of the settings that differ between copies of one model
VOLATILE = frozenset({"_name_or_path", "_commit_hash", "transformers_version", "is_local", "local_files_only"})

SAFE_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")

#: The most bytes that a file of settings may have
MAX_SETTINGS = 1 << 24

#: The most layers of a model, and the largest other number in its configuration
MAX_LAYERS, MAX_NUMBER = 1000, 10**10

#: The account of the hub's own service that proposes safetensors copies of pickled weights, and its title for them
CONVERTER, CONVERSION_TITLE = "SFconvertbot", "Adding `safetensors` variant of this model"


def find_folder(model: str | pathlib.Path, revision: str | None = None, allow_pickle: bool = False) -> pathlib.Path:
    """Find the local folder of a model, and download it from the Hugging Face hub where needed.

    A copy in the hub's local cache is used without asking the hub.

    :param model: a folder, or a name on the hub
    :param revision: the branch, tag or commit on the hub
    :param allow_pickle: whether weights may be pickled (``pytorch_model.bin``) where there are none in safetensors
    :returns: the folder, with a config and weights
    :raises EncoderError: if there is no such folder or model, or no weights in an allowed format
    """
    folder = pathlib.Path(model).expanduser()
    if os.path.isdir(folder):  # which no name is too long for
        folder = _model_folder(folder)
        if not folder.joinpath("config.json").is_file():
            raise EncoderError(f"The folder {folder} has no config.json, so it is no Hugging Face model folder.")
        weight_files(folder, allow_pickle=allow_pickle)
        return folder
    name = str(model)
    if isinstance(model, pathlib.Path) or name.startswith((".", "~", "/")) or name.count("/") > 1 or "\\" in name:
        raise EncoderError(f"There is no model folder {folder}. Give a folder with a config.json, or a hub name.")
    return _find_on_hub(name, revision=revision, allow_pickle=allow_pickle)


def _model_folder(root: pathlib.Path) -> pathlib.Path:
    """Descend into the sub-folder (``0_CLIPModel``) in which sentence-transformers puts the model itself."""
    if not root.joinpath("config.json").is_file() and (modules := module_paths(root)):
        return root / modules[0][1]
    return root


def module_paths(root: pathlib.Path) -> list[tuple[str, str]] | None:
    """List the modules of a folder.

    :param root: the folder
    :returns: the class and the path of each, in order; None if there is no ``modules.json``
    :raises EncoderError: if the file is not as sentence-transformers writes it
    """
    path = root / "modules.json"
    if not path.is_file():
        return None
    modules = read_json(path, kind=list)
    try:
        found = [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in modules]
    except (TypeError, KeyError):
        raise EncoderError(f"{path} is no list of modules, each with a type and a path.") from None
    for _, place in found:
        if pathlib.PurePath(place).is_absolute() or ".." in pathlib.PurePath(place).parts:
            raise EncoderError(f"{path} names the module {place!r}, which is outside of its folder.")
    return found


def weight_files(folder: pathlib.Path, allow_pickle: bool = False) -> list[pathlib.Path]:
    """List the files of a model's weights.

    :param folder: the model's folder
    :param allow_pickle: whether they may be pickled where there are none in safetensors
    :returns: the files, sorted; all are there
    :raises EncoderError: if there are none, or only pickled ones that are not allowed
    """
    for *patterns, index in (SAFE_WEIGHTS, PICKLED_WEIGHTS)[: 1 + allow_pickle]:
        whole, shards = (sorted(filter(pathlib.Path.is_file, folder.glob(pattern))) for pattern in patterns)
        if whole:
            return whole
        if shards and folder.joinpath(index).is_file():
            weight_map = read_json(folder / index).get("weight_map")
            if not isinstance(weight_map, dict) or not weight_map:
                raise EncoderError(f"{folder / index} does not say which weight is in which file (weight_map).")
            wanted = {folder / str(name) for name in weight_map.values()}
            if not wanted <= set(shards):
                missing = ", ".join(sorted(path.name for path in wanted - set(shards)))
                raise EncoderError(f"The model folder {folder} lacks {missing}. Copy or download it again.")
            return sorted(wanted)
    if any(folder.glob(PICKLED_WEIGHTS[0])) or any(folder.glob(PICKLED_WEIGHTS[1])):
        raise EncoderError(
            f"The weights in {folder} are pickled (pytorch_model.bin), and there is no model.safetensors. Convert them "
            "with AutoModel.from_pretrained(...).save_pretrained(...), or, if you trust their source, allow them with "
            "encoder_kwargs={'allow_pickle': True}; they are then read by torch's restricted unpickler."
        )
    raise EncoderError(f"The model folder {folder} has no weights (model.safetensors).")


def _find_on_hub(name: str, revision: str | None, allow_pickle: bool) -> pathlib.Path:
    """Find a model in the hub's local cache or on the hub."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    def fetch(weights: Iterable[str], revision: str | None = revision, local: bool = False) -> pathlib.Path:
        wanted = [*SETTINGS, *weights]
        patterns = [*wanted, "config_sentence_transformers.json", *(f"[0-9]_*/{name}" for name in wanted)]
        return pathlib.Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=local))

    try:
        folder = _model_folder(fetch(SAFE_WEIGHTS, local=True))
        weight_files(folder, allow_pickle=allow_pickle)
        if _is_complete(folder):
            return folder
    except HFValidationError:
        raise EncoderError(
            f"{name!r} is neither a kind of encoder, nor a folder, nor a possible name on the hub."
        ) from None
    except (OSError, ValueError):
        pass  # not or not wholly in the cache
    try:
        folder = _model_folder(fetch(SAFE_WEIGHTS))
        if any(folder.glob("model*.safetensors")):
            return folder
        conversion = _find_conversion(name) if revision is None else None
        if conversion is not None:
            logger.info("Using the safetensors copy of %s at %s", name, conversion)
            return fetch(SAFE_WEIGHTS, revision=conversion)
        if allow_pickle:
            folder = _model_folder(fetch(PICKLED_WEIGHTS))
    # the hub's client raises many kinds: no such model, no access, no network, a broken proxy
    except Exception as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        raise EncoderError(
            f"The model {name!r} is neither a folder here nor in the hub's local cache, and it could not be downloaded "
            f"({type(error).__name__}: {reason}). Check the name and the network; on a machine without network, copy "
            "the model's folder there and give its path."
        ) from error
    weight_files(folder, allow_pickle=allow_pickle)
    return folder


def _is_complete(folder: pathlib.Path) -> bool:
    """Say whether a folder of the hub's cache has what encoding needs; other programs may have fetched parts only."""
    if not folder.joinpath("config.json").is_file():
        return False
    config = read_json(folder / "config.json")
    both = "text_config" in config or "vision_config" in config
    needs_texts, needs_images = both or "vocab_size" in config, both or "vocab_size" not in config
    return (not needs_texts or has_any(folder, VOCABULARIES)) and (not needs_images or has_any(folder, PREPROCESSORS))


def has_any(folder: pathlib.Path, names: Iterable[str]) -> bool:
    """Say whether a folder holds any file of some names."""
    return any(folder.joinpath(name).is_file() for name in names)


def _find_conversion(name: str) -> str | None:
    """Find the revision with the safetensors copy that the hub's own converter proposes, as transformers does."""
    from huggingface_hub import HfApi

    for discussion in HfApi().get_repo_discussions(name, author=CONVERTER, discussion_type="pull_request"):
        if discussion.title == CONVERSION_TITLE and discussion.author == CONVERTER and discussion.status != "closed":
            return f"refs/pr/{discussion.num}"
    return None


def read_json(path: pathlib.Path, kind: type = dict, optional: bool = False, **kwargs: Any) -> Any:
    """Read a JSON object, or another JSON document.

    :param path: the file
    :param kind: the type of the document
    :param optional: whether a file that is not there counts as an empty document
    :param kwargs: arguments of :func:`json.loads`
    :returns: the document
    :raises EncoderError: if it cannot be read, is no JSON, or of another type
    """
    if optional and not path.is_file():
        return kind()
    try:
        if not path.is_file() or path.stat().st_size > MAX_SETTINGS:
            raise OSError(f"it is no file of at most {MAX_SETTINGS} bytes")
        document = json.loads(path.read_text(encoding="utf-8"), **kwargs)
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(document, kind):
        raise EncoderError(f"{path} holds no JSON {'object' if kind is dict else kind.__name__}.")
    return document


def check_config(path: pathlib.Path) -> None:
    """Check that the numbers of a configuration are those of a model that can be built.

    :param path: the file ``config.json``
    :raises EncoderError: if a number is absurd; a model of millions of layers would be built for hours before its
        weights are missed
    """

    def look(value: object, key: str) -> None:
        if isinstance(value, dict):
            for inner, content in value.items():
                look(content, str(inner))
        elif isinstance(value, list):
            for content in value[:1000]:
                look(content, key)
        elif isinstance(value, int) and ("layer" in key or "depth" in key) and "id" not in key and value > MAX_LAYERS:
            raise EncoderError(f"{path}: {key} is {str(value)[:30]}, but a model has at most {MAX_LAYERS} layers.")
        elif isinstance(value, int | float) and value > MAX_NUMBER and "max_length" not in key:
            raise EncoderError(f"{path}: {key} is {str(value)[:30]}, more than any model has.")

    look(read_json(path), "config")


def digest_folder(folder: pathlib.Path, allow_pickle: bool = False) -> str:
    """Digest the files of a model that decide its features, without loading the weights.

    Settings that differ between copies of one model, such as the path it was saved from, do not count.

    :param folder: the model's folder
    :param allow_pickle: whether the weights may be pickled
    :returns: a SHA-256 in hexadecimal
    """
    digest = hashlib.sha256()
    for name in SETTINGS:
        path = folder / name
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".json" and name not in ("tokenizer.json", "vocab.json"):
                document = read_json(path, kind=object, object_hook=_without_volatile)
                content = json.dumps(document, sort_keys=True).encode()
            digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    for path in weight_files(folder, allow_pickle=allow_pickle):
        real, stat = os.path.realpath(path), os.stat(path)
        content_digest = _digest_file(real, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        digest.update(f"{path.name}\0{content_digest}\n".encode())
    return digest.hexdigest()


def _without_volatile(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in VOLATILE}


@functools.lru_cache(maxsize=64)
def _digest_file(path: str, *_state: int) -> str:
    """Digest a large file once per process, unless its size, node or times change, one of which nobody can set."""
    return file_digest(path)
