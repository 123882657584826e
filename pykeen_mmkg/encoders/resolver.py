"""Encoders by name: of a kind, of a model folder, or of a model on the hub."""

from __future__ import annotations

import importlib.util
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from class_resolver import ClassResolver

from ..errors import EncoderError
from .encoder import VisionLanguageEncoder
from .huggingface import HuggingFaceEncoder
from .libraries import OpenCLIPEncoder, SentenceTransformersEncoder
from .shared_space import BLIP2Encoder, BLIPEncoder, CLIPEncoder, DualEncoder, FLAVAEncoder, SigLIPEncoder
from .snapshot import SENTENCEPIECE, find_folder, has_any, module_paths, read_json
from .towers import CLASS_TOKEN_VISION, SEQUENCE_MODELS, TextEncoder, VisionEncoder

__all__ = ["detect", "encoder_resolver", "make_encoder"]

#: The kinds of encoders by name: clip, siglip, blip, blip2, flava, dual, text, vision; through other libraries,
#: openclip and sentencetransformers; and pair, which joins in its own module
encoder_resolver: ClassResolver[VisionLanguageEncoder] = ClassResolver(
    [
        *(CLIPEncoder, SigLIPEncoder, BLIPEncoder, BLIP2Encoder, FLAVAEncoder, DualEncoder, TextEncoder, VisionEncoder),
        *(OpenCLIPEncoder, SentenceTransformersEncoder),
    ],
    base=VisionLanguageEncoder,  # type: ignore[type-abstract]
    default=CLIPEncoder,
    suffix="Encoder",
)


def detect(folder: pathlib.Path) -> type[HuggingFaceEncoder]:
    """Find the kind of encoder that a model folder needs.

    :param folder: the model's folder
    :returns: the class
    :raises EncoderError: if its architecture is not supported
    """
    config = read_json(folder / "config.json")
    kind = str(config.get("model_type"))
    if (
        importlib.util.find_spec("sentencepiece") is None
        and has_any(folder, SENTENCEPIECE)
        and (kind == "siglip" or not folder.joinpath("tokenizer.json").is_file())
        and "Gemma" not in str(read_json(folder / "tokenizer_config.json", optional=True).get("tokenizer_class"))
    ):
        raise EncoderError(
            f"The tokenizer in {folder} needs a library that is not installed: pip install sentencepiece."
        )
    if kind in KINDS:
        root = folder if module_paths(folder) is not None else folder.parent
        if further := (module_paths(root) or [])[1:]:
            raise EncoderError(f"{root / 'modules.json'}: the module {further[0][1]!r} cannot be applied to {kind!r}.")
        return KINDS[kind]
    if kind in SEQUENCE_MODELS:
        return TextEncoder
    # MAE hides random patches in its forward pass, so that equal images would get different vectors
    if not config.get("is_encoder_decoder") and kind != "vit_mae":
        text = "vocab_size" in config
        vision = "image_size" in config or "num_channels" in config or kind in CLASS_TOKEN_VISION
        if text != vision:
            return TextEncoder if text else VisionEncoder
    raise EncoderError(
        f"The model in {folder} is of the type {kind!r}, which is not supported. Supported are {', '.join(KINDS)}, "
        "models of texts alone (BERT, RoBERTa, MiniLM, T5, causal models, ...) and of images alone (ViT, DINOv2, Swin, "
        "ConvNeXt, ...)."
    )


#: Model type in a config -> the kind of encoder
KINDS: Mapping[str, type[HuggingFaceEncoder]] = {
    "clip": CLIPEncoder,
    # relatives that offer the same two methods
    "chinese_clip": CLIPEncoder,
    "metaclip_2": CLIPEncoder,
    "align": CLIPEncoder,
    "altclip": CLIPEncoder,
    "siglip": SigLIPEncoder,
    "siglip2": SigLIPEncoder,
    "blip": BLIPEncoder,
    "blip-2": BLIP2Encoder,
    "flava": FLAVAEncoder,
    "vision-text-dual-encoder": DualEncoder,
}


def make_encoder(
    encoder: str | pathlib.Path | VisionLanguageEncoder | None = None,
    encoder_kwargs: Mapping[str, Any] | None = None,
) -> VisionLanguageEncoder:
    """Make an encoder from plain JSON.

    Nothing but a model's configuration is read yet.

    >>> make_encoder("openai/clip-vit-base-patch32")  # doctest: +SKIP
    >>> make_encoder("clip", {"model": "/models/my-clip", "normalize": True})  # doctest: +SKIP
    >>> make_encoder("pair", {"vision": "facebook/dinov2-small", "text": "/models/bert"})  # doctest: +SKIP

    :param encoder: an encoder, a kind of encoder, a model folder, or a name on the hub; for the latter two the kind is
        detected. None is CLIP.
    :param encoder_kwargs: options of the encoder
    :returns: the encoder
    :raises EncoderError: if there is no such kind or model, its architecture is not supported, or it does not know an
        option
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
    elif isinstance(encoder, str | pathlib.Path) and os.path.isfile(os.path.join(encoder, "open_clip_config.json")):
        cls, kwargs = OpenCLIPEncoder, {**kwargs, "model": encoder}
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
    options = cls.options()
    unknown = sorted(set(kwargs) - options)
    if unknown:
        raise EncoderError(
            f"{cls.__name__} does not know the option {unknown[0]!r}. Its options: {', '.join(sorted(options))}."
        )
    return cls(**kwargs)
