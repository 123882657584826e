"""The interface of an encoder: frozen, apart from any model, known by a fingerprint before its weights are loaded."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from tqdm.auto import tqdm

from ..errors import EncoderError
from ..features.store import TEXTUAL, VISUAL, first_infinite
from .images import to_rgb

__all__ = ["TEXTUAL", "VISUAL", "VisionLanguageEncoder"]


class VisionLanguageEncoder(ABC):
    """A frozen encoder of texts, images, or both.

    It is deliberately no :class:`torch.nn.Module`: PyKEEN re-initialises every submodule that can be, so an encoder
    must not become one. Weights are loaded at first use; :attr:`fingerprint` and :meth:`dim` do without.

    A subclass says which modalities it has, and implements the preparation (on the processor, may run in a thread) and
    the embedding (on the accelerator) of a batch of each.
    """

    #: A short name for messages and provenance
    name: str

    #: The modalities that it encodes
    modalities: frozenset[str] = frozenset({TEXTUAL, VISUAL})

    #: Increased whenever decoding, preparation or pooling changes, so that old features are not mistaken for new ones
    version: ClassVar[int] = 1

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of all that decides the features: weights, settings, pooling, normalisation and precision."""

    def modality_fingerprint(self, modality: str) -> str:
        """Get a digest of all that decides the features of one modality; encoders that share it share a cache."""
        return self.fingerprint

    @abstractmethod
    def dim(self, modality: str) -> int:
        """Get the dimension of a vector.

        :param modality: the modality, ``"textual"`` or ``"visual"``
        :returns: the dimension
        """

    @classmethod
    def options(cls) -> set[str]:
        """Collect the names of the constructor's options, also of those that it hands on to a base class."""
        names: set[str] = set()
        for base in cls.__mro__:
            if "__init__" not in vars(base) or base is object:
                continue
            parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
            names.update(p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self")
            if all(p.kind is not p.VAR_KEYWORD for p in parameters):
                break
        return names

    @property
    def batch_size(self) -> int:
        """The number of items in a batch unless the caller says otherwise."""
        return 32

    def describe(self) -> dict[str, str]:
        """Describe the encoder for the provenance of features, as plain strings."""
        return {"encoder": self.name, "encoder_fingerprint": self.fingerprint}

    def token_lengths(self, texts: Sequence[str]) -> list[tuple[int, bool]]:
        """Count the tokens of some texts, by which they are sorted, and say which ones are truncated.

        :param texts: the texts, length: n
        :returns: pairs of the number of tokens after truncation, and whether there were more, length: n
        """
        return [(len(text), False) for text in texts]

    def prepare_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:
        """Tokenise a batch of texts.

        :param texts: the texts, length: n
        :returns: the input of :meth:`embed_texts`
        """
        raise EncoderError(f"The encoder {self.name} has no text model. Give one, e.g., with encoder='pair'.")

    def embed_texts(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Embed a batch of tokenised texts.

        :param inputs: the output of :meth:`prepare_texts`
        :returns: the vectors, shape: ``(n, d)``, float32, in main memory
        """
        raise EncoderError(f"The encoder {self.name} has no text model. Give one, e.g., with encoder='pair'.")

    def prepare_images(self, images: Sequence[Image.Image]) -> Mapping[str, Any]:
        """Scale and normalise a batch of RGB images.

        :param images: the images, in the mode RGB, length: n
        :returns: the input of :meth:`embed_images`
        """
        raise EncoderError(f"The encoder {self.name} has no vision model. Give one, e.g., with encoder='pair'.")

    def embed_images(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Embed a batch of prepared images.

        :param inputs: the output of :meth:`prepare_images`
        :returns: the vectors, shape: ``(n, d)``, float32, in main memory
        """
        raise EncoderError(f"The encoder {self.name} has no vision model. Give one, e.g., with encoder='pair'.")

    def text_batches(self, texts: Sequence[str], batch_size: int | None = None) -> Iterator[list[tuple[int, bool]]]:
        """Sort texts by length, longest first, and cut them into batches that need little padding.

        :param texts: the texts
        :param batch_size: the number of texts in a batch
        :yields: batches of pairs of a text's index and whether it is truncated
        """
        batch_size = batch_size or self.batch_size
        lengths = self.token_lengths(texts)
        # ties by text, so that the batches do not depend on the order of the input
        order = sorted(range(len(texts)), key=lambda i: (-lengths[i][0], texts[i]))
        for start in range(0, len(order), batch_size):
            yield [(i, lengths[i][1]) for i in order[start : start + batch_size]]

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None, progress: bool = False) -> torch.Tensor:
        """Encode texts, each distinct one once.

        :param texts: the texts, length: n
        :param batch_size: the number of texts in a batch
        :param progress: whether to show a progress bar
        :returns: the vectors, shape: ``(n, d)``
        :raises EncoderError: if a text is empty, or a vector holds NaN or infinity
        """
        if isinstance(texts, str):
            raise EncoderError("Give a list of texts, not one text.")
        for i, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise EncoderError(f"Text {i} is empty ({text!r}); a missing text is to be masked, not encoded.")
        distinct = list(dict.fromkeys(texts))
        vectors = torch.empty(len(distinct), self.dim(TEXTUAL))
        with tqdm(total=len(distinct), desc="Encoding texts", unit="text", disable=not progress) as bar:
            for batch in self.text_batches(distinct, batch_size=batch_size):
                rows = [i for i, _ in batch]
                vectors[rows] = self.embed_texts(self.prepare_texts([distinct[i] for i in rows]))
                bar.update(len(rows))
        row = {text: i for i, text in enumerate(distinct)}
        return self.checked(vectors[[row[text] for text in texts]], [f"text {i}" for i in range(len(texts))])

    def encode_images(
        self, images: Sequence[Image.Image], batch_size: int | None = None, progress: bool = False
    ) -> torch.Tensor:
        """Encode images.

        :param images: the images, in any mode, length: n
        :param batch_size: the number of images in a batch
        :param progress: whether to show a progress bar
        :returns: the vectors, shape: ``(n, d)``
        :raises EncoderError: if a vector holds NaN or infinity
        """
        batch_size = batch_size or self.batch_size
        parts = [torch.empty(0, self.dim(VISUAL))]
        with tqdm(total=len(images), desc="Encoding images", unit="image", disable=not progress) as bar:
            for start in range(0, len(images), batch_size):
                batch = [to_rgb(image) for image in images[start : start + batch_size]]
                parts.append(self.embed_images(self.prepare_images(batch)))
                bar.update(len(batch))
        return self.checked(torch.cat(parts), [f"image {i}" for i in range(len(images))])

    def checked(self, vectors: torch.Tensor, items: Sequence[str]) -> torch.Tensor:
        """Check that vectors are finite.

        :param vectors: the vectors, shape: ``(n, d)``
        :param items: what they are of, for the message, length: n
        :returns: the vectors
        :raises EncoderError: if one holds NaN or infinity
        """
        bad = first_infinite(vectors)
        if bad is not None:
            raise EncoderError(
                f"The encoder {self.name} gives NaN or infinity for {items[bad]}. Try dtype='float32', or another "
                "checkpoint."
            )
        return vectors
