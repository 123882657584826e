"""Encoders of one modality: a text model or a vision model alone, whose token vectors are pooled."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from PIL import Image

from ..errors import EncoderError
from .encoder import TEXTUAL, VISUAL, VisionLanguageEncoder
from .huggingface import HuggingFaceEncoder
from .snapshot import read_json

__all__ = [
    "TextEncoder",
    "VisionEncoder",
]

#: Vision models that begin with a class token that is meant to stand for the image
CLASS_TOKEN_VISION = frozenset({"vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "vit_msn"})

#: Towers of aligned models: their sentence or image vector is the pooled output
POOLER_TEXT = frozenset({"clip_text_model", "siglip_text_model"})


class _TowerEncoder(HuggingFaceEncoder):
    """One model of one modality, whose token vectors are pooled."""

    POOLINGS: ClassVar[tuple[str, ...]] = ("auto", "cls", "mean", "pooler")

    def __init__(self, model: str | pathlib.Path | None = None, pooling: str = "auto", **kwargs: Any) -> None:
        """Initialise the encoder; nothing is loaded yet.

        :param model:
            a model folder, or a name on the hub
        :param pooling:
            how token vectors become one: the first one (``cls``), their mean (``mean``), or the model's own pooled
            output (``pooler``). ``auto`` takes what the model was trained for, as far as its folder tells.
        :param kwargs:
            further options, cf. :class:`HuggingFaceEncoder`
        :raises EncoderError:
            if the pooling is unknown
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
        """Get the settings that decide the features, beside the model's folder."""
        return {**super().settings(), "pooling": self.pooling}

    def needs_weight(self, key: str) -> bool:
        """Say whether a weight takes part in encoding: the pooler does only where it is used."""
        return super().needs_weight(key) and (self.pooling == "pooler" or not key.startswith("pooler."))

    def dim(self, modality: str) -> int:
        """Get the dimension of a vector."""
        size = getattr(self.config, "hidden_size", None)
        return size if isinstance(size, int) else self.config.hidden_sizes[-1]

    def _own_pooled(self, output: Any) -> torch.Tensor:
        pooled = getattr(output, "pooler_output", None)
        if pooled is None:
            raise EncoderError(f"{self.source} has no pooled output: choose pooling='cls' or 'mean'.")
        return pooled.flatten(start_dim=1)


class TextEncoder(_TowerEncoder):
    """A text model alone, e.g., BERT or MiniLM.

    The pooling is that of the folder's sentence-transformers settings, the mean for MiniLM, and else the first token.
    Other modules of sentence-transformers (normalisation, dense layers) are not applied.
    """

    default_model = "google-bert/bert-base-uncased"
    modalities = frozenset({TEXTUAL})

    def prepare_images(self, images: Sequence[Image.Image]) -> Mapping[str, Any]:
        """Refuse images."""
        return VisionLanguageEncoder.prepare_images(self, images)

    def default_pooling(self) -> str:
        """Find the pooling that the model was trained for."""
        path = self.folder / "1_Pooling" / "config.json"
        if path.is_file():
            options = read_json(path)
            modes = [key for key, value in options.items() if key.startswith("pooling_mode_") and value is True]
            modes = modes or [f"pooling_mode_{options.get('pooling_mode')}"]
            known = {
                "pooling_mode_mean_tokens": "mean",
                "pooling_mode_mean": "mean",
                "pooling_mode_cls_token": "cls",
                "pooling_mode_cls": "cls",
            }
            if len(modes) != 1 or modes[0] not in known:
                raise EncoderError(f"{path} asks for a pooling that is not offered: give pooling='mean' or 'cls'.")
            return known[modes[0]]
        if self.folder.joinpath("modules.json").is_file() or "minilm" in str(self.source).lower():
            return "mean"
        return "pooler" if self.config.model_type in POOLER_TEXT else "cls"

    def text_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Pool the token vectors of each text."""
        output = self.model(**inputs)
        if self.pooling == "pooler":
            return self._own_pooled(output)
        hidden = output.last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


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

    def default_pooling(self) -> str:
        """Find the pooling that the model was trained for."""
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
