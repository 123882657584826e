"""Frozen encoders of texts and images, and their one-time use into feature stores."""

from __future__ import annotations

import inspect
import pathlib
from collections.abc import Mapping
from typing import Any

from class_resolver import ClassResolver

from ..errors import EncoderError
from .encode import encode_images, encode_texts
from .encoder import VisionLanguageEncoder
from .huggingface import (
    BLIPEncoder,
    CLIPEncoder,
    DualEncoder,
    HuggingFaceEncoder,
    SigLIPEncoder,
    TextEncoder,
    VisionEncoder,
    detect,
)
from .pair import PairEncoder
from .snapshot import find_folder

__all__ = [
    "BLIPEncoder",
    "CLIPEncoder",
    "DualEncoder",
    "HuggingFaceEncoder",
    "PairEncoder",
    "SigLIPEncoder",
    "TextEncoder",
    "VisionEncoder",
    "VisionLanguageEncoder",
    "encode_images",
    "encode_texts",
    "encoder_resolver",
    "make_encoder",
]

#: The kinds of encoders by name: clip, siglip, blip, dual, pair, text, vision
encoder_resolver: ClassResolver[VisionLanguageEncoder] = ClassResolver(
    [CLIPEncoder, SigLIPEncoder, BLIPEncoder, DualEncoder, PairEncoder, TextEncoder, VisionEncoder],
    base=VisionLanguageEncoder,  # type: ignore[type-abstract]
    default=CLIPEncoder,
    suffix="Encoder",
)


def make_encoder(
    encoder: str | pathlib.Path | VisionLanguageEncoder | None = None,
    encoder_kwargs: Mapping[str, Any] | None = None,
) -> VisionLanguageEncoder:
    """Make an encoder from plain JSON.

    Nothing but a model's configuration is read yet.

    >>> make_encoder("openai/clip-vit-base-patch32")  # doctest: +SKIP
    >>> make_encoder("clip", {"model": "/models/my-clip", "normalize": True})  # doctest: +SKIP
    >>> make_encoder("pair", {"vision": "facebook/dinov2-small", "text": "/models/bert"})  # doctest: +SKIP

    :param encoder:
        an encoder, a kind of encoder, a model folder, or a name on the hub; for the latter two the kind is detected.
        None is CLIP.
    :param encoder_kwargs:
        options of the encoder
    :returns:
        the encoder
    :raises EncoderError:
        if there is no such kind or model, its architecture is not supported, or it does not know an option
    """
    kwargs = dict(encoder_kwargs or {})
    if isinstance(encoder, VisionLanguageEncoder):
        if kwargs:
            raise EncoderError(f"The encoder {encoder.name} is made already, so encoder_kwargs={kwargs} come too late.")
        return encoder
    cls: type[VisionLanguageEncoder]
    if encoder is None:
        cls = CLIPEncoder
    elif (
        isinstance(encoder, str)
        and encoder_resolver.normalize(encoder) in encoder_resolver.lookup_dict
        and not pathlib.Path(encoder).is_dir()
    ):
        cls = encoder_resolver.lookup(encoder)
    elif isinstance(encoder, str | pathlib.Path):
        folder = find_folder(
            encoder, revision=kwargs.get("revision"), allow_pickle=bool(kwargs.get("allow_pickle", False))
        )
        cls = detect(folder)
        if "model" in kwargs:
            raise EncoderError(f"The model is named twice: {encoder} and, in encoder_kwargs, {kwargs['model']}.")
        kwargs["model"] = encoder
    else:
        raise EncoderError(
            f"An encoder is named by a string or a path, or is a VisionLanguageEncoder, but {encoder!r} is a "
            f"{type(encoder).__name__}. Kinds: {', '.join(sorted(encoder_resolver.lookup_dict))}."
        )
    options = _options(cls)
    unknown = sorted(set(kwargs) - options)
    if unknown:
        raise EncoderError(
            f"{cls.__name__} does not know the option {unknown[0]!r}. Its options: {', '.join(sorted(options))}."
        )
    return cls(**kwargs)


def _options(cls: type) -> set[str]:
    """Collect the names of the options of a class, also those that its constructor hands on as keyword arguments."""
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        names.update(p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self")
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    if issubclass(cls, PairEncoder):  # it hands options on to its towers
        names |= _options(TextEncoder) - {"model"}
    return names
