"""Encoders of texts and images into one space: CLIP and relatives, SigLIP, BLIP, FLAVA, and any two towers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch

from .encoder import VISUAL
from .huggingface import HuggingFaceEncoder
from .snapshot import read_json

__all__ = ["BLIP2Encoder", "BLIPEncoder", "CLIPEncoder", "DualEncoder", "FLAVAEncoder", "SigLIPEncoder"]


class CLIPEncoder(HuggingFaceEncoder):
    """CLIP: both towers with their projections [radford2021]_; also Chinese-CLIP, MetaCLIP 2, ALIGN and AltCLIP."""

    default_model: ClassVar[str | None] = "openai/clip-vit-base-patch32"

    def dim(self, modality: str) -> int:  # noqa: D102
        return self.config.projection_dim


class DualEncoder(CLIPEncoder):
    """A ``VisionTextDualEncoderModel``: any vision model and any text model, with projections into one space."""

    default_model = None


class SigLIPEncoder(HuggingFaceEncoder):
    """SigLIP and SigLIP 2, trained on texts that were padded to the context length, and not masked [zhai2023]_."""

    default_model = "google/siglip-base-patch16-224"
    padding = "max_length"

    def dim(self, modality: str) -> int:  # noqa: D102
        if modality == VISUAL:
            return self.config.vision_config.hidden_size
        return getattr(self.text_config, "projection_size", None) or self.text_config.hidden_size

    @cached_property
    def lower_case(self) -> bool:
        """Whether texts are put into lower case, as for SigLIP 2 of a fixed size, which has the tokenizer of Gemma."""
        options = read_json(self.folder / "tokenizer_config.json", optional=True)
        return str(options.get("tokenizer_class")).startswith("Gemma")

    def settings(self) -> dict[str, Any]:  # noqa: D102
        return {**super().settings(), **({"lower_case": True} if self.lower_case else {})}

    def prepared(self, text: str) -> str:  # noqa: D102
        return text.lower() if self.lower_case else text

    def prepare_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:
        """Tokenise a batch of texts; padding is attended to, as in training."""
        return {"input_ids": super().prepare_texts(texts)["input_ids"]}


class BLIPEncoder(HuggingFaceEncoder):
    """BLIP with its heads for image-text retrieval, which project into 256 dimensions [li2022]_."""

    default_model = "Salesforce/blip-itm-base-coco"
    hint = "Use a BLIP checkpoint for retrieval, e.g., Salesforce/blip-itm-base-coco."

    def model_class(self) -> Any:  # noqa: D102
        from transformers import BlipForImageTextRetrieval

        return BlipForImageTextRetrieval

    def needs_weight(self, key: str) -> bool:
        """Say whether a weight takes part in encoding: cross-attention and the matching head do not."""
        return super().needs_weight(key) and "crossattention" not in key and not key.startswith("itm_head")

    def dim(self, modality: str) -> int:  # noqa: D102
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


class BLIP2Encoder(BLIPEncoder):
    """BLIP-2 with its heads for image-text retrieval.

    The model has one vector for each of its queries to an image, and scores a text by the nearest of them. The vector
    of an image is the mean of these, each scaled to unit length before.
    """

    default_model = "Salesforce/blip2-itm-vit-g"
    hint = "Use a BLIP-2 checkpoint for retrieval, e.g., Salesforce/blip2-itm-vit-g."

    @property
    def text_config(self) -> Any:
        """The configuration of the text model, which is the querying one."""
        return self.config.qformer_config

    def model_class(self) -> Any:  # noqa: D102
        from transformers import Blip2ForImageTextRetrieval

        return Blip2ForImageTextRetrieval

    def needs_weight(self, key: str) -> bool:
        """Say whether a weight takes part in encoding: all do, but those of the matching head."""
        return HuggingFaceEncoder.needs_weight(self, key) and not key.startswith("itm_head")

    def text_features(self, **inputs: torch.Tensor) -> torch.Tensor:  # noqa: D102
        model: Any = self.model
        embedded = model.embeddings(input_ids=inputs["input_ids"])
        output = model.qformer(query_embeds=embedded, query_length=0, attention_mask=inputs["attention_mask"])
        return model.text_projection(output.last_hidden_state[:, 0])

    def image_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Average the projected queries of each image."""
        model: Any = self.model
        patches = model.vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state
        queries = model.query_tokens.expand(len(patches), -1, -1)
        output = model.qformer(query_embeds=queries, encoder_hidden_states=patches)
        vectors = model.vision_projection(output.last_hidden_state)
        return torch.nn.functional.normalize(vectors, dim=-1).mean(dim=1)


class FLAVAEncoder(CLIPEncoder):
    """FLAVA: the two towers with the projections of its contrastive loss, without what joins the modalities."""

    default_model = "facebook/flava-full"

    def needs_weight(self, key: str) -> bool:
        """Say whether a weight takes part in encoding: that of the joint model does not."""
        return super().needs_weight(key) and not key.startswith(("multimodal_model", "image_to_mm", "text_to_mm"))

    def text_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Project the first token of each text."""
        return super().text_features(**inputs)[:, 0]

    def image_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Project the first token of each image."""
        return super().image_features(**inputs)[:, 0]
