"""A pair of separate models: one for images, one for texts."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image

from ..errors import EncoderError
from ..options import strict
from .encoder import TEXTUAL, VISUAL, VisionLanguageEncoder
from .resolver import encoder_resolver, make_encoder
from .towers import TextEncoder

__all__ = ["PairEncoder"]


class PairEncoder(VisionLanguageEncoder):
    """A vision model and a text model side by side; their vectors live in different spaces.

    The default is the unimodal pair of the VL-KGE paper [efthymiou2026]_: ViT-B/16 and BERT.
    """

    @strict()
    def __init__(
        self,
        vision: str | pathlib.Path | VisionLanguageEncoder | None = "google/vit-base-patch16-224-in21k",
        text: str | pathlib.Path | VisionLanguageEncoder | None = "google-bert/bert-base-uncased",
        vision_kwargs: Mapping[str, Any] | None = None,
        text_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialise the pair; nothing is loaded yet.

        :param vision: the encoder of images, cf. :func:`pykeen_mmkg.encoders.make_encoder`
        :param text: the encoder of texts
        :param vision_kwargs: options of the encoder of images
        :param text_kwargs: options of the encoder of texts
        :param kwargs: options of both, e.g., ``normalize`` or ``device``
        :raises EncoderError: if an encoder lacks its modality
        """
        if vision is None or text is None:
            raise EncoderError("A pair needs both a vision and a text model; name a single model by itself instead.")
        self.towers = {
            VISUAL: make_encoder(vision, {**kwargs, **(vision_kwargs or {})}),
            TEXTUAL: make_encoder(text, {**kwargs, **(text_kwargs or {})}),
        }
        for modality, tower in self.towers.items():
            if modality not in tower.modalities:
                raise EncoderError(f"{tower.name} cannot be the {modality} encoder of a pair.")
        self.name = f"{self.towers[VISUAL].name} + {self.towers[TEXTUAL].name}"

    @classmethod
    def options(cls) -> set[str]:
        """Collect the names of the options: its own, and those of both towers."""
        return super().options() | (TextEncoder.options() - {"model"})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vision={self.towers[VISUAL]!r}, text={self.towers[TEXTUAL]!r})"

    @cached_property
    def fingerprint(self) -> str:
        """A digest of both fingerprints."""
        prints = "\n".join(f"{modality} {self.towers[modality].fingerprint}" for modality in (VISUAL, TEXTUAL))
        return hashlib.sha256(prints.encode()).hexdigest()

    def modality_fingerprint(self, modality: str) -> str:
        """Get the fingerprint of one model, so that pairs that share it encode once."""
        return self.towers[modality].modality_fingerprint(modality)

    @property
    def batch_size(self) -> int:
        """The number of items in a batch unless the caller says otherwise."""
        return min(tower.batch_size for tower in self.towers.values())

    def dim(self, modality: str) -> int:  # noqa: D102
        return self.towers[modality].dim(modality)

    def token_lengths(self, texts: Sequence[str]) -> list[tuple[int, bool]]:
        """Count the tokens of some texts."""
        return self.towers[TEXTUAL].token_lengths(texts)

    def text_batches(self, texts: Sequence[str], batch_size: int | None = None) -> Iterator[list[tuple[int, bool]]]:
        """Cut texts into batches."""
        return self.towers[TEXTUAL].text_batches(texts, batch_size=batch_size or self.batch_size)

    def prepare_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:  # noqa: D102
        return self.towers[TEXTUAL].prepare_texts(texts)

    def embed_texts(self, inputs: Mapping[str, Any]) -> torch.Tensor:  # noqa: D102
        return self.towers[TEXTUAL].embed_texts(inputs)

    def prepare_images(self, images: Sequence[Image.Image]) -> Mapping[str, Any]:  # noqa: D102
        return self.towers[VISUAL].prepare_images(images)

    def embed_images(self, inputs: Mapping[str, Any]) -> torch.Tensor:  # noqa: D102
        return self.towers[VISUAL].embed_images(inputs)


encoder_resolver.register(PairEncoder)
