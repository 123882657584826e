"""The base of all encoders over Hugging Face transformers: one model folder, loaded at first use.

Remote code is never run, weights are read from safetensors, and a checkpoint that lacks a weight that is used is
refused, since transformers would fill it at random.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, ClassVar

import torch
from PIL import Image

from ..errors import EncoderError, MultimodalError
from ..options import strict
from .encoder import TEXTUAL, VISUAL, VisionLanguageEncoder
from .snapshot import VOCABULARIES, check_config, digest_folder, find_folder, has_any, read_json, weight_files

__all__ = ["HuggingFaceEncoder"]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

#: Text models whose first position has the number of the padding token plus one
OFFSET_POSITIONS = frozenset(
    {"roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "data2vec-text", "ibert"}
    | {"longformer", "luke", "mluke", "xmod", "esm", "altclip_text_model"}
)

#: The most tokens of a text where neither the model nor its tokenizer has a limit
MAX_TOKENS = 1 << 20

#: Loading changes settings of transformers for a moment, so that one thread must wait for the other
_LOADING = threading.RLock()


@contextlib.contextmanager
def _quiet_loading() -> Iterator[None]:
    """Load without progress bars, reports or draws from the caller's random generator."""
    from transformers.utils import logging

    with _LOADING:
        verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            with torch.random.fork_rng(devices=[]):
                yield
        finally:
            logging.set_verbosity(verbosity)
            if bar:
                logging.enable_progress_bar()


@contextlib.contextmanager
def _one_error(message: str) -> Iterator[None]:
    """Turn whatever a library raises at a broken or odd file into one error; nothing else is run in the block."""
    try:
        yield
    except MultimodalError:
        raise
    except BaseException as error:
        # the tokenizers library panics with what is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())[:500]
        raise EncoderError(f"{message} ({type(error).__name__}: {reason}).") from error


class HuggingFaceEncoder(VisionLanguageEncoder):
    """The base of the encoders that are one Hugging Face model folder."""

    #: The model that is used unless another is named
    default_model: ClassVar[str | None] = None

    #: How texts are padded: up to the longest of the batch, or always to the context length
    padding: ClassVar[str] = "longest"

    @strict(max_length=1, batch_size=1)
    def __init__(
        self,
        model: str | pathlib.Path | None = None,
        normalize: bool = False,
        device: str = "auto",
        dtype: str = "float32",
        max_length: int | None = None,
        batch_size: int | None = None,
        revision: str | None = None,
        allow_pickle: bool = False,
    ) -> None:
        """Initialise the encoder; nothing is loaded yet.

        :param model: a model folder, or a name on the hub
        :param normalize: whether to scale each vector to unit length
        :param device: where to compute; "auto" takes a GPU where there is one
        :param dtype: the precision to compute in: float32, float16 or bfloat16. The vectors are float32 in any case.
        :param max_length: the most tokens of a text, the context length by default; longer texts are truncated
        :param batch_size: the number of items in a batch; 32 on a processor and 256 on an accelerator by default
        :param revision: the branch, tag or commit on the hub
        :param allow_pickle: whether weights may be pickled where there are none in safetensors
        :raises EncoderError: if the model is not named, or an option is not possible
        """
        model = self.default_model if model is None else model
        if model is None:
            raise EncoderError(f"{type(self).__name__} needs a model: a folder or a hub name.")
        if dtype not in DTYPES:
            raise EncoderError(f"Unknown dtype {dtype!r}: choose from {', '.join(DTYPES)}.")
        if max_length is not None and max_length < 3:
            raise EncoderError(f"max_length={max_length} leaves no room for a word between the special tokens.")
        if batch_size is not None and batch_size < 1:
            raise EncoderError(f"batch_size={batch_size} must be positive.")
        self.source = model
        self.name = pathlib.Path(model).expanduser().resolve().name if _is_folder(model) else str(model)
        self.normalize = normalize
        self._device = device
        self.dtype = dtype
        self._max_length = max_length
        self._batch_size = batch_size
        self.revision = revision
        self.allow_pickle = allow_pickle

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={str(self.source)!r}, normalize={self.normalize}, dtype={self.dtype!r})"

    def __getstate__(self) -> dict[str, Any]:
        # a pickled encoder names its model, but does not carry the weights
        loaded = {"model", "tokenizer", "image_processor"}
        return {key: value for key, value in self.__dict__.items() if key not in loaded}

    # who it is

    @cached_property
    def folder(self) -> pathlib.Path:
        """The local folder of the model."""
        return find_folder(self.source, revision=self.revision, allow_pickle=self.allow_pickle)

    @cached_property
    def config(self) -> Any:
        """The model's configuration."""
        from transformers import AutoConfig

        check_config(self.folder / "config.json")
        with _one_error(f"The configuration of {self.source} cannot be used"), _quiet_loading():
            return AutoConfig.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all that decides the features: weights, settings, pooling, normalisation and precision."""
        document = {"folder": self._digest, **self.settings()}
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _digest(self) -> str:
        """The digest of the folder when it was first looked at."""
        return digest_folder(self.folder, allow_pickle=self.allow_pickle)

    def _stamp(self) -> list[tuple[int, ...]]:
        """Return what tells whether the weights are being exchanged; they stay mapped to their files."""
        stats = (path.stat() for path in weight_files(self.folder, allow_pickle=self.allow_pickle))
        return [(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for stat in stats]

    def _check_unchanged(self) -> None:
        """Check that what is loaded is what the fingerprint stands for."""
        stamp = self._stamp()
        known = self.__dict__.get("_loaded") == stamp
        if not known and self._digest != digest_folder(self.folder, allow_pickle=self.allow_pickle):
            raise EncoderError(
                f"The files of {self.source} have changed since this encoder was made, so that its vectors would be "
                "filed under the old ones. Make the encoder anew."
            )
        self._loaded = stamp

    @contextlib.contextmanager
    def _loading(self, message: str) -> Iterator[None]:
        """Load a part of the model quietly, with one error, between two looks at what its files are."""
        _ = self._digest
        with _one_error(message), _quiet_loading():
            yield
        self._check_unchanged()

    def settings(self) -> dict[str, Any]:
        """Get the settings that decide the features, beside the model's folder."""
        return {
            "kind": type(self).__name__,
            "version": self.version,
            "normalize": self.normalize,
            "dtype": self.dtype,
            "max_length": self._max_length,
        }

    def describe(self) -> dict[str, str]:  # noqa: D102
        return {**super().describe(), "encoder_settings": json.dumps(self.settings(), sort_keys=True)}

    # what it loads, at first use

    @cached_property
    def device(self) -> torch.device:
        """The device to compute on."""
        if self._device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self._device)
        except RuntimeError as error:
            raise EncoderError(f"Unknown device {self._device!r}: use 'auto', 'cpu' or 'cuda'.") from error
        if device.type == "cuda" and not torch.cuda.is_available():
            raise EncoderError("The device 'cuda' is asked for, but torch sees no GPU. Use device='auto' or 'cpu'.")
        return device

    @property
    def batch_size(self) -> int:
        """The number of items in a batch unless the caller says otherwise."""
        return self._batch_size or (32 if self.device.type == "cpu" else 256)

    @cached_property
    def model(self) -> torch.nn.Module:
        """The frozen model, in evaluation mode."""
        safe = weight_files(self.folder, allow_pickle=self.allow_pickle)[0].suffix == ".safetensors"
        _ = self._digest, self.config  # their errors say more
        message = f"The weights of {self.source} are damaged, harmful or of another model. Copy or download it again"
        with self._loading(message):
            model, info = self.model_class().from_pretrained(
                self.folder,
                dtype=DTYPES[self.dtype],
                use_safetensors=safe,
                local_files_only=True,
                output_loading_info=True,
            )
        missing = sorted(key for key in info["missing_keys"] if self.needs_weight(key))
        if missing:
            raise EncoderError(
                f"The checkpoint {self.source} lacks {len(missing)} weights that {type(self).__name__} uses, e.g., "
                f"{missing[0]}: they would be random. {self.hint}"
            )
        if hasattr(model.config, "use_cache"):  # keys and values for a next token, which is never asked for
            model.config.use_cache = False
        return model.to(self.device).eval().requires_grad_(False)

    #: What to do when weights are missing
    hint: ClassVar[str] = "Use a checkpoint that was trained for this purpose."

    def model_class(self) -> Any:
        """Get the class of transformers that loads the model."""
        from transformers import AutoModel

        return AutoModel

    def needs_weight(self, key: str) -> bool:
        """Say whether a weight takes part in encoding."""
        return not key.endswith(("position_ids", "logit_scale", "logit_bias"))

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        from transformers import AutoTokenizer

        if not has_any(self.folder, VOCABULARIES):  # transformers would make an empty tokenizer, without a word
            raise EncoderError(
                f"The folder of {self.source} has no tokenizer: there is none of {', '.join(VOCABULARIES)}."
            )
        with self._loading(f"The folder of {self.source} has no usable tokenizer"):
            return AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)

    @cached_property
    def image_processor(self) -> Any:
        """The image processor. Always the one over Pillow, so that features do not depend on what is installed."""
        from transformers import AutoImageProcessor

        message = f"The folder of {self.source} has no usable image processor, usually preprocessor_config.json"
        with self._loading(message):
            return AutoImageProcessor.from_pretrained(
                self.folder, backend="pil", local_files_only=True, trust_remote_code=False
            )

    # texts

    @property
    def text_config(self) -> Any:
        """The configuration of the text model."""
        return getattr(self.config, "text_config", self.config)

    @cached_property
    def max_length(self) -> int:
        """The most tokens of a text, including special ones."""
        config = self.text_config
        limits = [min(int(self.tokenizer.model_max_length), MAX_TOKENS)]
        positions = getattr(config, "max_position_embeddings", None)
        if positions:
            limits.append(positions - (config.pad_token_id + 1 if config.model_type in OFFSET_POSITIONS else 0))
        sentence = self.folder / "sentence_bert_config.json"
        if limit := read_json(sentence, optional=True).get("max_seq_length"):
            if not isinstance(limit, int) or limit < 1:
                raise EncoderError(f"{sentence}: max_seq_length={limit!r} is no number of tokens.")
            limits.append(limit)
        if self._max_length is None:
            return min(limits)
        if positions and self._max_length > limits[1]:
            raise EncoderError(f"max_length={self._max_length} is more than the context of {self.source}: {limits[1]}.")
        return self._max_length

    def token_lengths(self, texts: Sequence[str]) -> list[tuple[int, bool]]:
        """Count the tokens of some texts; see the base class."""
        # verbose=False: a text that is too long is no reason to warn, for it is truncated and counted
        lengths: list[tuple[int, bool]] = []
        for start in range(0, len(texts), 10_000):  # the tokens of millions of texts would fill the memory
            chunk = [self.prepared(text) for text in texts[start : start + 10_000]]
            ids = self.tokenizer(chunk, return_attention_mask=False, return_token_type_ids=False, verbose=False)
            lengths.extend((min(len(row), self.max_length), len(row) > self.max_length) for row in ids["input_ids"])
        return lengths

    def text_batches(self, texts: Sequence[str], batch_size: int | None = None) -> Iterator[list[tuple[int, bool]]]:
        """Cut texts into batches of equally many tokens, longest first.

        So nothing is padded, and a text has the vector that it has alone: many models do not leave padding out
        entirely, or count positions from where it ends.
        """
        lengths = self.token_lengths(texts)
        if not all(length for length, _ in lengths):
            text = texts[[length for length, _ in lengths].index(0)]
            raise EncoderError(f"The tokenizer of {self.source} makes no token of the text {text!r}; leave it out.")
        same = self.padding == "max_length"
        order = sorted(range(len(texts)), key=lambda i: (-lengths[i][0], texts[i]))
        size = batch_size or self.batch_size
        for _, rows in groupby(order, key=lambda i: same or lengths[i][0]):
            group = [(i, lengths[i][1]) for i in rows]
            for start in range(0, len(group), size):
                yield group[start : start + size]

    def prepared(self, text: str) -> str:
        """Return a text as the tokenizer is to get it."""
        return text

    def prepare_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:
        """Tokenise a batch of texts; what comes from :meth:`text_batches` needs no padding."""
        padding: str | bool = self.padding
        if padding == "longest" and self.tokenizer.pad_token is None:
            padding = False
        # positions are counted from the first token, attended to or not
        side = {"padding_side": "right"} if padding == "longest" else {}
        with _one_error(f"The tokenizer of {self.source} cannot make a batch of these texts"):
            return self.tokenizer(
                [self.prepared(text) for text in texts],
                padding=padding,
                truncation=True,
                max_length=self.max_length,
                return_tensors="pt",
                **side,
            )

    def embed_texts(self, inputs: Mapping[str, Any]) -> torch.Tensor:  # noqa: D102
        return self._run(self.text_features, inputs, TEXTUAL)

    def text_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Compute the vectors of tokenised texts, shape: ``(n, d)``."""
        return self.model.get_text_features(**inputs).pooler_output  # type: ignore[operator]

    # images

    def prepare_images(self, images: Sequence[Image.Image]) -> Mapping[str, Any]:  # noqa: D102
        # the layout is said, for it would be guessed wrongly for a picture of three rows
        return self.image_processor(images=list(images), return_tensors="pt", input_data_format="channels_last")

    def embed_images(self, inputs: Mapping[str, Any]) -> torch.Tensor:  # noqa: D102
        return self._run(self.image_features, inputs, VISUAL)

    def image_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Compute the vectors of prepared images, shape: ``(n, d)``."""
        return self.model.get_image_features(**inputs).pooler_output  # type: ignore[operator]

    def _run(self, function: Callable[..., torch.Tensor], inputs: Mapping[str, Any], modality: str) -> torch.Tensor:
        dtype = DTYPES[self.dtype]
        moved = {k: v.to(self.device, dtype if v.is_floating_point() else None) for k, v in inputs.items()}
        _ = self.model  # load outside of inference mode, so that the weights are ordinary tensors
        self._check_unchanged()
        try:
            with (
                _one_error(f"The model {self.source} cannot take what its own tokenizer or image processor gives"),
                torch.inference_mode(),
            ):
                vectors = function(**moved).float()
                if self.normalize:
                    vectors = torch.nn.functional.normalize(vectors, dim=-1)
        except EncoderError as error:
            if isinstance(error.__cause__, torch.cuda.OutOfMemoryError):
                raise EncoderError(
                    f"The GPU's memory is too small for a batch of this size with {self.source}. Use a smaller "
                    "batch_size."
                ) from error
            raise
        if vectors.shape[1:] != (self.dim(modality),):
            raise EncoderError(
                f"The model {self.source} gives {modality} vectors of the shape {tuple(vectors.shape[1:])}, but its "
                f"configuration says {self.dim(modality)}."
            )
        return vectors.cpu().clone()  # an ordinary tensor: one from inference mode would break training later


def _is_folder(model: str | pathlib.Path) -> bool:
    return pathlib.Path(model).expanduser().is_dir()
