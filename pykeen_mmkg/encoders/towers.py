"""Encoders of one modality: a text model or a vision model alone, whose token vectors are pooled."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from PIL import Image

from ..errors import EncoderError
from ..options import strict
from .encoder import TEXTUAL, VISUAL, VisionLanguageEncoder
from .huggingface import DTYPES, HuggingFaceEncoder
from .pooling import POOLINGS, pool
from .sentence_modules import SentenceModules, read_modules

__all__ = ["TextEncoder", "VisionEncoder"]

#: Vision models that begin with a class token that is meant to stand for the image
CLASS_TOKEN_VISION = frozenset({"vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "vit_msn"})

#: Models with an encoder and a decoder whose encoder transformers has by itself
SEQUENCE_MODELS = frozenset({"t5", "mt5", "umt5"})

#: Towers of aligned models: their sentence or image vector is the pooled output
POOLER_TEXT = frozenset({"clip_text_model", "siglip_text_model"})


class _TowerEncoder(HuggingFaceEncoder):
    """One model of one modality, whose token vectors are pooled."""

    POOLINGS: ClassVar[tuple[str, ...]] = ("auto", "cls", "mean", "pooler")

    @strict()
    def __init__(self, model: str | pathlib.Path | None = None, pooling: str = "auto", **kwargs: Any) -> None:
        """Initialise the encoder; nothing is loaded yet.

        :param model: a model folder, or a name on the hub
        :param pooling: how token vectors become one: the first one (``cls``), their mean (``mean``), or the model's own
            pooled output (``pooler``). ``auto`` takes what the model was trained for, as far as its folder tells, and
            refuses to guess where it does not.
        :param kwargs: further options, cf. :class:`HuggingFaceEncoder`
        :raises EncoderError: if the pooling is unknown
        """
        if pooling not in self.POOLINGS:
            raise EncoderError(f"Unknown pooling {pooling!r}: choose from {', '.join(self.POOLINGS)}.")
        super().__init__(model=model, **kwargs)
        self._pooling = pooling

    @cached_property
    def pooling(self) -> str:
        """How token vectors become one."""
        return self.default_pooling() if self._pooling == "auto" else self._pooling

    def default_pooling(self) -> str:
        """Find the pooling that the model was trained for."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "pooling": self.pooling}

    def needs_weight(self, key: str) -> bool:
        """Say whether a weight takes part in encoding: the pooler does only where it is used."""
        return super().needs_weight(key) and (self.pooling == "pooler" or not key.startswith("pooler."))

    def dim(self, modality: str) -> int:
        size = getattr(self.config, "hidden_size", None)
        size = size if isinstance(size, int) else self.config.hidden_sizes[-1]
        if not isinstance(size, int) or size < 1:
            raise EncoderError(f"The configuration of {self.source} names vectors of {size} dimensions.")
        return size

    def _own_pooled(self, output: Any) -> torch.Tensor:
        pooled = getattr(output, "pooler_output", None)
        if pooled is None:
            raise EncoderError(f"{self.source} has no pooled output: choose pooling='cls' or 'mean'.")
        return pooled.flatten(start_dim=1)


class TextEncoder(_TowerEncoder):
    """A text model alone, e.g., BERT, MiniLM, the encoder of T5, or a causal model.

    Beside the poolings of every tower there are ``last`` (the last token, for causal models), ``max``,
    ``mean_sqrt_len`` and ``weighted_mean``. By default everything is as the folder's sentence-transformers settings
    say: pooling, dense layers, scaling to unit length, prompt. Without such settings it is the mean for MiniLM, and the
    first token for models that were trained to fill in masked words, which are made so. With a pooling of one's own,
    the vector is what that pooling gives, and nothing else of these settings is applied.
    """

    POOLINGS = ("auto", "pooler", *POOLINGS)
    default_model = "google-bert/bert-base-uncased"
    modalities = frozenset({TEXTUAL})

    @cached_property
    def modules(self) -> SentenceModules:
        """What the folder says besides its model."""
        return read_modules(self.folder) if self._pooling == "auto" else SentenceModules()

    @cached_property
    def pooling(self) -> str:
        """How token vectors become one."""
        pooling = super().pooling
        if pooling == "cls" and self.is_causal:
            raise EncoderError(
                f"{self.source} reads from left to right: its first token has seen no other, so that pooling='cls' "
                "says nothing of a text. Choose pooling='last' or 'mean'."
            )
        return pooling

    @property
    def is_causal(self) -> bool:
        """Whether a token sees only those before it."""
        from transformers.models.auto import modeling_auto as auto

        kind = self.config.model_type
        causal = kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
        return causal or bool(getattr(self.config, "is_decoder", False))

    def settings(self) -> dict[str, Any]:  # noqa: D102
        return {**super().settings(), **self.modules.describe()}

    def dim(self, modality: str) -> int:  # noqa: D102
        return self.modules.out_features or super().dim(modality)

    def model_class(self) -> Any:
        """Get the class of transformers that loads the model, without its decoder if it has one."""
        from transformers import AutoModelForTextEncoding

        return AutoModelForTextEncoding if self.config.model_type in SEQUENCE_MODELS else super().model_class()

    def prepared(self, text: str) -> str:  # noqa: D102
        text = self.modules.prompt + text
        return text.lower() if self.modules.lower_case else text

    def prepare_images(self, images: Sequence[Image.Image]) -> Mapping[str, Any]:
        """Refuse images."""
        return VisionLanguageEncoder.prepare_images(self, images)

    def default_pooling(self) -> str:  # noqa: D102
        from transformers.models.auto import modeling_auto as auto

        if self.modules.pooling is not None:
            return self.modules.pooling
        if "minilm" in str(self.source).lower():
            return "mean"
        if self.config.model_type in POOLER_TEXT:
            return "pooler"
        if self.config.model_type in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not self.is_causal:
            return "cls"
        raise EncoderError(
            f"The folder of {self.source} ({self.config.model_type}) does not say how the vectors of its tokens become "
            "one of a text. Choose, for a causal model, encoder_kwargs={'pooling': 'last'}, else 'mean'."
        )

    @cached_property
    def _steps(self) -> list[Callable[[torch.Tensor], torch.Tensor]]:
        return [step.load(self.device, DTYPES[self.dtype]) for step in self.modules.steps]

    def text_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Pool the token vectors of each text."""
        output = self.model(**inputs)
        if self.pooling == "pooler":
            return self._own_pooled(output)
        vectors = pool(output.last_hidden_state, inputs.get("attention_mask"), self.pooling)
        for step in self._steps:
            vectors = step(vectors)
        return vectors


class VisionEncoder(_TowerEncoder):
    """A vision model alone, e.g., ViT or DINOv2.

    The pooling is the class token where the model has one, and else the model's own pooled output. The mean is over the
    patches, without class and register tokens.
    """

    default_model = "google/vit-base-patch16-224-in21k"
    modalities = frozenset({VISUAL})

    def prepare_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:
        """Refuse texts."""
        return VisionLanguageEncoder.prepare_texts(self, texts)

    def token_lengths(self, texts: Sequence[str]) -> list[tuple[int, bool]]:
        """Refuse texts later, with the better message."""
        return VisionLanguageEncoder.token_lengths(self, texts)

    def default_pooling(self) -> str:  # noqa: D102
        return "cls" if self.config.model_type in CLASS_TOKEN_VISION else "pooler"

    def image_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Pool the patch vectors of each image."""
        output = self.model(**inputs)
        if self.pooling == "pooler":
            return self._own_pooled(output)
        hidden = output.last_hidden_state
        if hidden.ndim == 4:  # a convolutional network: (n, d, height, width)
            if self.pooling == "cls":
                raise EncoderError(f"{self.source} has no class token: choose pooling='mean' or 'pooler'.")
            return hidden.mean(dim=(-2, -1))
        if self.config.model_type not in CLASS_TOKEN_VISION:
            if self.pooling == "cls":
                raise EncoderError(f"{self.source} is not known to have a class token: choose another pooling.")
            return hidden.mean(dim=1)
        if self.pooling == "cls":
            return hidden[:, 0]
        return hidden[:, 1 + (getattr(self.config, "num_register_tokens", 0) or 0) :].mean(dim=1)
