"""Encoders through other libraries, where these are installed: open_clip and sentence-transformers.

Models of either are read from a folder, or from the hub into its local cache; weights in safetensors only.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pathlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from PIL import Image
from torch.nn import functional

from ..errors import EncoderError
from ..io import file_digest
from ..options import strict
from .encoder import TEXTUAL, VISUAL, VisionLanguageEncoder
from .snapshot import read_json

__all__ = ["LibraryEncoder", "OpenCLIPEncoder", "SentenceTransformersEncoder"]

#: what is fetched from the hub; never code, never pickles
PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*/*.safetensors", "*/*.json", "*/*.txt", "*/*.model")


class LibraryEncoder(VisionLanguageEncoder):
    """The base of encoders that another library loads and applies."""

    #: the module of the library, and what to install
    library: ClassVar[str]
    package: ClassVar[str]

    @strict(batch_size=1)
    def __init__(
        self,
        model: str | pathlib.Path,
        normalize: bool = False,
        device: str = "auto",
        batch_size: int | None = None,
        revision: str | None = None,
    ) -> None:
        """Initialise the encoder; nothing is loaded yet.

        :param model: a model folder, or a name on the hub
        :param normalize: whether to scale each vector to unit length
        :param device: where to compute; "auto" takes a GPU where there is one
        :param batch_size: the number of items in a batch, 32 by default
        :param revision: the branch, tag or commit on the hub
        :raises EncoderError: if the library is not installed
        """
        self.source, self.normalize, self.revision = model, normalize, revision
        self.name = str(model)
        self._device, self._batch_size = device, batch_size
        self._library()

    @classmethod
    def _library(cls) -> Any:
        try:
            return importlib.import_module(cls.library)
        # a library that does not fit to the installed torch fails in many ways
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise EncoderError(
                f"This encoder needs a library that cannot be imported ({reason}): pip install {cls.package}."
            ) from error

    @property
    def batch_size(self) -> int:  # noqa: D102
        return self._batch_size or super().batch_size

    @property
    def device(self) -> str:
        """The device to compute on."""
        return ("cuda" if torch.cuda.is_available() else "cpu") if self._device == "auto" else self._device

    @cached_property
    def folder(self) -> pathlib.Path:
        """The model's folder.

        :raises EncoderError: if there is none, here or on the hub, or it has no weights in safetensors
        """
        folder = pathlib.Path(self.source)
        if not folder.is_dir():
            from huggingface_hub import snapshot_download

            try:
                fetched = snapshot_download(str(self.source), revision=self.revision, allow_patterns=list(PATTERNS))
            except Exception as error:  # the hub's client raises many kinds
                reason = (str(error).strip() or "no reason given").splitlines()[0]
                raise EncoderError(f"{self.source!r} is no folder, and the hub does not give it: {reason}") from error
            folder = pathlib.Path(fetched)
        self._check(folder)
        return folder

    @abstractmethod
    def _check(self, folder: pathlib.Path) -> None:
        """Refuse a folder that the library would not read safely."""

    @cached_property
    def fingerprint(self) -> str:  # noqa: D102
        digest = hashlib.sha256(json.dumps([type(self).__name__, self.version, self.normalize]).encode())
        for path in sorted(path for pattern in PATTERNS for path in self.folder.glob(pattern)):
            digest.update(f"{path.relative_to(self.folder).as_posix()} {file_digest(path)}\n".encode())
        return digest.hexdigest()

    def _scaled(self, vectors: torch.Tensor) -> torch.Tensor:
        vectors = vectors.detach().float().cpu()
        return functional.normalize(vectors, dim=-1) if self.normalize else vectors


class OpenCLIPEncoder(LibraryEncoder):
    """A CLIP model of open_clip, by its folder (``open_clip_config.json``) or name on the hub [cherti2023]_."""

    library, package = "open_clip", "open_clip_torch"

    def _check(self, folder: pathlib.Path) -> None:
        if not (folder / "open_clip_config.json").is_file():
            raise EncoderError(f"{folder} has no open_clip_config.json, so that it is no model of open_clip.")
        if not (folder / "open_clip_model.safetensors").is_file():
            raise EncoderError(
                f"{folder} has no open_clip_model.safetensors; other weights are pickles, or incomplete."
            )
        for tower in ("text_cfg", "vision_cfg"):
            given = read_json(folder / "open_clip_config.json").get("model_cfg", {}).get(tower, {})
            if any("trust_remote_code" in str(key) for key in given):
                raise EncoderError(f"{folder / 'open_clip_config.json'} asks to run code of its own, which is refused.")

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        library, name = self._library(), f"local-dir:{self.folder}"
        model, _, transform = library.create_model_and_transforms(name, device=self.device, precision="fp32")
        return model.eval(), transform, library.get_tokenizer(name)

    def dim(self, modality: str) -> int:  # noqa: D102
        return int(read_json(self.folder / "open_clip_config.json")["model_cfg"]["embed_dim"])

    def prepare_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:  # noqa: D102
        return {"text": self._parts[2](list(texts))}

    def embed_texts(self, inputs: Mapping[str, Any]) -> torch.Tensor:  # noqa: D102
        with torch.inference_mode():
            return self._scaled(self._parts[0].encode_text(inputs["text"].to(self.device)))

    def prepare_images(self, images: Sequence[Image.Image]) -> Mapping[str, Any]:  # noqa: D102
        return {"image": torch.stack([self._parts[1](image) for image in images])}

    def embed_images(self, inputs: Mapping[str, Any]) -> torch.Tensor:  # noqa: D102
        with torch.inference_mode():
            return self._scaled(self._parts[0].encode_image(inputs["image"].to(self.device)))


class SentenceTransformersEncoder(LibraryEncoder):
    """A model of sentence-transformers, applied by that library, whatever its modules do [reimers2019]_.

    Folders of its usual modules need not the library: :class:`~pykeen_mmkg.encoders.TextEncoder` reads them.
    """

    library, package = "sentence_transformers", "sentence-transformers"
    modalities = frozenset({TEXTUAL})

    def __init__(
        self,
        model: str | pathlib.Path,
        backend: Literal["torch", "onnx", "openvino"] = "torch",
        backend_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialise the encoder; nothing is loaded yet.

        :param model: a model folder, or a name on the hub
        :param backend: what computes: ``onnx`` and ``openvino`` may be faster on processors, and give other digits,
            so that their vectors are kept apart. Each needs an extra of sentence-transformers
        :param backend_kwargs: what the library hands on to the backend as ``model_kwargs``: ``export`` makes its file
            from the weights, ``file_name`` names one in the folder, such as a quantised one
        :param kwargs: options of all such encoders, see :class:`LibraryEncoder`
        :raises EncoderError: if the library is not installed, or there is no such backend
        """
        if backend not in ("torch", "onnx", "openvino"):
            raise EncoderError(f"There is no backend {backend!r}; there are 'torch', 'onnx' and 'openvino'.")
        if backend == "torch" and backend_kwargs:
            raise EncoderError("backend_kwargs are those of the backends onnx and openvino; name one.")
        super().__init__(model, **kwargs)
        self.backend, self.backend_kwargs = backend, dict(backend_kwargs or {})

    @cached_property
    def fingerprint(self) -> str:  # noqa: D102
        plain = super().fingerprint
        if self.backend == "torch":
            return plain
        digest = hashlib.sha256(json.dumps([plain, self.backend, self.backend_kwargs], sort_keys=True).encode())
        for suffix in ("onnx", "xml", "bin"):
            for path in sorted(self.folder.glob(f"{self.backend}/*.{suffix}")):
                digest.update(f"{path.name} {file_digest(path)}\n".encode())
        return digest.hexdigest()

    def _check(self, folder: pathlib.Path) -> None:
        for module in read_json(folder / "modules.json", kind=list):
            kind = str(module.get("type")) if isinstance(module, dict) else str(module)
            if not kind.startswith("sentence_transformers."):
                raise EncoderError(f"{folder / 'modules.json'} names {kind!r}, which is not of sentence-transformers.")
        if not any(folder.glob("*.safetensors")) and not any(folder.glob("*/*.safetensors")):
            raise EncoderError(f"{folder} has no weights in safetensors.")

    @cached_property
    def _model(self) -> Any:
        options: dict[str, Any] = {"device": self.device, "trust_remote_code": False}
        if self.backend == "torch":
            return (
                self._library()
                .SentenceTransformer(str(self.folder), model_kwargs={"use_safetensors": True}, **options)
                .eval()
            )
        try:
            return (
                self._library()
                .SentenceTransformer(
                    str(self.folder), backend=self.backend, model_kwargs=self.backend_kwargs, **options
                )
                .eval()
            )
        except Exception as error:  # of the library, its backend or a file
            reason = " ".join(str(error).split())[:200]
            raise EncoderError(
                f"The backend {self.backend} cannot load {self.folder} ({reason}). It needs: "
                f"pip install 'sentence-transformers[{self.backend}]'."
            ) from error

    def dim(self, modality: str) -> int:  # noqa: D102
        if modality == VISUAL:
            raise EncoderError(f"The encoder {self.name} has no vision model. Give one, e.g., with encoder='pair'.")
        return len(self.embed_texts(self.prepare_texts(["a"]))[0])

    def prepare_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:  # noqa: D102
        return {"texts": list(texts)}

    def embed_texts(self, inputs: Mapping[str, Any]) -> torch.Tensor:  # noqa: D102
        options = {"convert_to_tensor": True, "show_progress_bar": False, "batch_size": max(1, len(inputs["texts"]))}
        return self._scaled(self._model.encode(inputs["texts"], **options))
