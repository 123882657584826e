"""Encoders of texts and images into one space: CLIP, SigLIP, BLIP, and dual encoders of any two towers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from .encoder import VISUAL
from .huggingface import HuggingFaceEncoder

__all__ = [
    "BLIPEncoder",
    "CLIPEncoder",
    "DualEncoder",
    "SigLIPEncoder",
]


class CLIPEncoder(HuggingFaceEncoder):
    """CLIP: both towers with their projections [radford2021]_."""

    default_model: ClassVar[str | None] = "openai/clip-vit-base-patch32"

    def dim(self, modality: str) -> int:
        """Get the dimension of a vector."""
        return self.config.projection_dim


class DualEncoder(CLIPEncoder):
    """A ``VisionTextDualEncoderModel``: any vision model and any text model, with projections into one space."""

    default_model = None


class SigLIPEncoder(HuggingFaceEncoder):
    """SigLIP and SigLIP 2, trained on texts that were padded to the context length, and not masked [zhai2023]_."""

    default_model = "google/siglip-base-patch16-224"
    padding = "max_length"

    def dim(self, modality: str) -> int:
        """Get the dimension of a vector."""
        if modality == VISUAL:
            return self.config.vision_config.hidden_size
        return getattr(self.text_config, "projection_size", None) or self.text_config.hidden_size

    def prepare_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:
        """Tokenise a batch of texts; padding is attended to, as in training."""
        return {"input_ids": super().prepare_texts(texts)["input_ids"]}


class BLIPEncoder(HuggingFaceEncoder):
    """BLIP with its heads for image-text retrieval, which project into 256 dimensions [li2022]_."""

    default_model = "Salesforce/blip-itm-base-coco"
    hint = "Use a BLIP checkpoint for retrieval, e.g., Salesforce/blip-itm-base-coco."

    def model_class(self) -> Any:
        """Get the class of transformers that loads the model."""
        from transformers import BlipForImageTextRetrieval

        return BlipForImageTextRetrieval

    def needs_weight(self, key: str) -> bool:
        """Say whether a weight takes part in encoding: cross-attention and the matching head do not."""
        return super().needs_weight(key) and "crossattention" not in key and not key.startswith("itm_head")

    def dim(self, modality: str) -> int:
        """Get the dimension of a vector."""
        return self.config.image_text_hidden_size

    def text_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Project the first token of each text."""
        model: Any = self.model
        hidden = model.text_encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        return model.text_proj(hidden.last_hidden_state[:, 0])

    def image_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Project the class token of each image."""
        model: Any = self.model
        return model.vision_proj(model.vision_model(**inputs).last_hidden_state[:, 0])
