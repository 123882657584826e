"""Encode texts and images once, into feature stores, through a cache of vectors by content.

Every item has a key of its own bytes, in a folder named after the encoder's fingerprint. So an interrupted run resumes,
a changed image encodes only itself, equal items are encoded once, and two encoders never meet. Where all items are
there, the encoder's weights are not even loaded.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import pathlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, TypeVar

import torch
from PIL import Image
from tqdm.auto import tqdm

from ..errors import DataError, EncoderError, ImageError, UnusableImageError
from ..features.store import FeatureStore
from .encoder import TEXTUAL, VISUAL, VisionLanguageEncoder
from .images import MAX_PIXELS, count_pixels, decode_image, read_image
from .resolver import make_encoder
from .shards import ShardWriter, VectorCache
from .workers import make_workers

__all__ = ["default_directory", "encode_images", "encode_texts"]

logger = logging.getLogger(__name__)

X = TypeVar("X")
Y = TypeVar("Y")

#: The libraries on which the last digits of a vector may depend
LIBRARIES = ("torch", "transformers", "tokenizers", "pillow")


#: The most pixels that the images of a batch have together, unless a single one has more
BATCH_PIXELS = 1 << 26

#: The number of labels whose vectors are averaged at a time
ASSEMBLED = 8192


def default_directory() -> pathlib.Path:
    """Get the folder of all caches of features, below PyKEEN's own."""
    from pykeen.constants import PYKEEN_HOME

    return pathlib.Path(PYKEEN_HOME, "mmkg", "features")


def _doing(what: str, encoder: VisionLanguageEncoder, known: int) -> str:
    """Return what a progress bar is about, and how many different items need not be encoded again."""
    return f"{what} -> {encoder.name}" + (f" ({known} were encoded before)" if known else "")


def encode_texts(
    texts: Mapping[str, str | None],
    encoder: str | pathlib.Path | VisionLanguageEncoder | None = None,
    directory: str | pathlib.Path | None = None,
    batch_size: int | None = None,
    progress: bool = True,
    encoder_kwargs: Mapping[str, Any] | None = None,
    engine: str | None = None,
    engine_kwargs: Mapping[str, Any] | None = None,
) -> FeatureStore:
    """Encode texts into a feature store, or take them from the cache.

    :param texts: label -> text; None, or a text of nothing but blanks, means that the item has none
    :param encoder: the encoder, cf. :func:`pykeen_mmkg.encoders.make_encoder`
    :param directory: the folder of all caches; by default one below PyKEEN's own
    :param batch_size: the number of texts in a batch
    :param progress: whether to show a progress bar
    :param encoder_kwargs: options of the encoder
    :param engine: what encodes: by default this process, ``"ray"`` others, see :class:`.RayWorkers`
    :param engine_kwargs: keyword arguments of the engine
    :returns: a store with one row for each label, in the given order. ``provenance["truncated"]`` counts the items
        whose text was longer than the encoder's context.
    :raises DataError: if a text is no string
    :raises EncoderError: if the encoder has no text model, or gives NaN or infinity; the message names the item
    """
    workers = make_workers(engine, engine_kwargs)
    encoder = _make(encoder, encoder_kwargs, modality=TEXTUAL)
    cleaned: dict[str, str] = {}
    for label, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise DataError(f"The text of {label!r} is no string, but {text!r}. Use None where there is none.")
        # lone surrogates cannot be written as UTF-8, nor be tokenised
        text = (text or "").strip().encode("utf-8", errors="replace").decode("utf-8")
        if text:
            cleaned[label] = text
    keys = {label: hashlib.sha256(text.encode()).hexdigest() for label, text in cleaned.items()}
    cache = _open_cache(encoder, directory, modality=TEXTUAL)
    missing = {keys[label]: (label, text) for label, text in reversed(cleaned.items()) if keys[label] not in cache}
    if missing:
        pending_keys, pending = list(missing), [text for _, text in missing.values()]
        known = len(set(keys.values())) - len(missing)
        with (
            ShardWriter(cache, versions=_versions()) as writer,
            tqdm(total=len(pending), desc=_doing("Texts", encoder, known), unit="text", disable=not progress) as bar,
        ):
            batches = list(encoder.text_batches(pending, batch_size=batch_size))
            inputs = ([pending[i] for i, _ in batch] for batch in batches)
            results = (
                (_embed_texts(encoder, part) for part in inputs)
                if workers is None
                else workers.map(_embed_texts, encoder, inputs)
            )
            for batch, vectors in zip(batches, results, strict=True):
                rows = {pending_keys[i]: truncated for i, truncated in batch}
                encoder.checked(vectors, [repr(missing[key][0]) for key in rows])
                writer.add(rows, vectors)
                bar.update(len(batch))
    return _assemble(list(texts), {label: [key] for label, key in keys.items()}, cache, encoder, TEXTUAL, {})


def encode_images(
    images: Mapping[str, Sequence[str | pathlib.Path]],
    encoder: str | pathlib.Path | VisionLanguageEncoder | None = None,
    directory: str | pathlib.Path | None = None,
    strict: bool = False,
    batch_size: int | None = None,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
    reduce_to: int | None = None,
    progress: bool = True,
    encoder_kwargs: Mapping[str, Any] | None = None,
    engine: str | None = None,
    engine_kwargs: Mapping[str, Any] | None = None,
) -> FeatureStore:
    """Encode images into a feature store, or take them from the cache; several images of an item are averaged.

    :param images: label -> paths of its images, possibly none
    :param encoder: the encoder, cf. :func:`pykeen_mmkg.encoders.make_encoder`
    :param directory: the folder of all caches; by default one below PyKEEN's own
    :param strict: whether an image that cannot be used is an error; by default it is skipped, counted and listed, in a
        warning and, as a JSON list, in ``provenance["skipped"]``
    :param batch_size: the number of images in a batch
    :param workers: the number of threads that decode images
    :param max_pixels: the most pixels an image may have
    :param reduce_to: decode pictures reduced by a whole factor, to no fewer pixels on a side than these: photographs of
        12 megapixels take a fraction of the time. The vectors differ a little, and have keys of their own in the cache.
        512 suits encoders that look at 224 to 336 pixels. By default only pictures beyond 16 megapixels are reduced
    :param progress: whether to show progress bars
    :param encoder_kwargs: options of the encoder
    :param engine: what decodes and encodes: by default threads of this process, ``"ray"`` other processes, see
        :class:`.RayWorkers`
    :param engine_kwargs: keyword arguments of the engine
    :returns: a store with one row for each label, in the given order
    :raises ImageError: if an image is missing, or, if strict, cannot be used; the message names the image and its item
    :raises EncoderError: if the encoder has no vision model, or gives NaN or infinity; the message names the item
    """
    others = make_workers(engine, engine_kwargs)
    encoder = _make(encoder, encoder_kwargs, modality=VISUAL)
    owners: dict[str, str] = {}
    for label, paths in images.items():
        if isinstance(paths, str | pathlib.Path):
            raise DataError(f"The images of {label!r} are not a list of paths, but the single path {paths}.")
        for path in paths:
            owners.setdefault(str(path), label)

    def explain(path: str, error: object) -> str:
        return f"{error} (an image of {owners[path]!r})"

    if reduce_to is not None and reduce_to < 1:
        raise DataError(f"{reduce_to=} must be at least 1.")

    def digest(path: str) -> tuple[str, int]:
        try:
            data = read_image(path)
            return _key(data, reduce_to), count_pixels(data, reduce_to)
        except ImageError as error:
            raise ImageError(explain(path, error)) from None

    size = batch_size or encoder.batch_size
    skipped: dict[str, str] = {}
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="pykeen-mmkg-images") as pool:
        bar = tqdm(
            total=len(owners), desc="Reading images", unit="image", disable=not progress or not owners, leave=False
        )
        with bar:
            keys, pixels = {}, {}
            for path, (key, count) in zip(owners, _ahead(pool, digest, owners, ahead=4 * workers), strict=True):
                keys[path], pixels[key] = key, count
                bar.update()
        cache = _open_cache(encoder, directory, modality=VISUAL)
        # one path for each distinct content
        pending = {key: path for path, key in reversed(keys.items()) if key not in cache}
        known = len(set(keys.values())) - len(pending)
        order = sorted(pending)  # so that the batches do not depend on the order of the input
        batches = list(_cut(order, size, pixels))
        decode = functools.partial(_decode, max_pixels=max_pixels, reduce_to=reduce_to)
        inputs = ([(key, pending[key]) for key in batch] for batch in batches)

        def prepare(batch: Sequence[tuple[str, str]]) -> tuple[list[str], dict[str, str], Mapping[str, Any] | None]:
            usable, pictures, reasons = decode(batch)
            return usable, reasons, encoder.prepare_images(pictures) if pictures else None

        def embedded() -> Iterator[tuple[list[str], dict[str, str], torch.Tensor | None]]:
            for usable, reasons, made in _ahead(pool, prepare, inputs, ahead=workers + 1):
                yield usable, reasons, None if made is None else encoder.embed_images(made)

        results = (
            embedded() if others is None else others.map(functools.partial(_embed_images, decode), encoder, inputs)
        )
        with (
            ShardWriter(cache, versions=_versions(), size=512) as writer,
            tqdm(
                total=len(order),
                desc=_doing("Images", encoder, known),
                unit="image",
                disable=not progress or not order,
            ) as bar,
        ):
            for batch, (usable, reasons, vectors) in zip(batches, results, strict=True):
                if strict and reasons:
                    key, reason = next(iter(reasons.items()))
                    raise UnusableImageError(
                        f"{explain(pending[key], reason)}. Repair or remove it, or skip such images with strict=False."
                    )
                skipped |= reasons
                if vectors is not None:
                    encoder.checked(vectors, [f"{owners[pending[key]]!r} (image {pending[key]})" for key in usable])
                    writer.add(dict.fromkeys(usable, False), vectors)
                bar.update(len(batch))
    losses = [
        {"image": path, "item": owners[path], "reason": skipped[key]} for path, key in keys.items() if key in skipped
    ]
    if losses:
        listed = "\n".join(f"  {loss['reason']} (of {loss['item']!r})" for loss in losses[:10])
        more = f"\n  and {len(losses) - 10} more" if len(losses) > 10 else ""
        logger.warning("Skipped %d of %d images that cannot be used:\n%s%s", len(losses), len(owners), listed, more)
    inputs_of = {
        label: [keys[str(path)] for path in paths if keys[str(path)] not in skipped] for label, paths in images.items()
    }
    notes = {"skipped": json.dumps(losses, ensure_ascii=False)} if losses else {}
    notes |= {"reduce_to": str(reduce_to)} if reduce_to else {}
    return _assemble(list(images), inputs_of, cache, encoder, VISUAL, notes)


def _key(data: bytes, reduce_to: int | None) -> str:
    """Return the key of an image; what is decoded otherwise is another picture."""
    return hashlib.sha256(data).hexdigest() + (f"-{reduce_to}" if reduce_to else "")


def _decode(
    batch: Sequence[tuple[str, str]], *, max_pixels: int, reduce_to: int | None
) -> tuple[list[str], list[Image.Image], dict[str, str]]:
    """Decode images: the keys and pictures of those that can be used, and of the others key -> why not."""
    usable, pictures, reasons = [], [], {}
    for key, path in batch:
        data = read_image(path)
        if _key(data, reduce_to) != key:
            raise ImageError(f"The image {path} changed while it was being encoded. Run again.")
        try:
            pictures.append(decode_image(data, name=path, max_pixels=max_pixels, reduce_to=reduce_to))
            usable.append(key)
        except UnusableImageError as error:
            reasons[key] = str(error)
    return usable, pictures, reasons


def _embed_texts(encoder: VisionLanguageEncoder, texts: Sequence[str]) -> torch.Tensor:
    return encoder.embed_texts(encoder.prepare_texts(texts))


def _embed_images(
    decode: Callable[..., Any], encoder: VisionLanguageEncoder, batch: Sequence[tuple[str, str]]
) -> tuple[list[str], dict[str, str], torch.Tensor | None]:
    usable, pictures, reasons = decode(batch)
    return usable, reasons, encoder.embed_images(encoder.prepare_images(pictures)) if pictures else None


def _make(
    encoder: str | pathlib.Path | VisionLanguageEncoder | None, encoder_kwargs: Mapping[str, Any] | None, modality: str
) -> VisionLanguageEncoder:
    encoder = make_encoder(encoder, encoder_kwargs)
    if modality not in encoder.modalities:
        kind = {TEXTUAL: "texts", VISUAL: "images"}[modality]
        raise EncoderError(
            f"The encoder {encoder.name} cannot encode {kind}. Use one that can, or join two with encoder='pair'."
        )
    return encoder


def _open_cache(encoder: VisionLanguageEncoder, directory: str | pathlib.Path | None, modality: str) -> VectorCache:
    root = default_directory() if directory is None else pathlib.Path(directory).expanduser()
    return VectorCache(root / encoder.modality_fingerprint(modality) / modality, dim=encoder.dim(modality))


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


def _ahead(pool: ThreadPoolExecutor, function: Callable[[X], Y], items: Iterable[X], ahead: int) -> Iterator[Y]:
    """Map in threads, in order, with a bounded number of results that wait."""
    waiting: deque[Future[Y]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _cut(keys: Sequence[str], size: int, pixels: Mapping[str, int]) -> Iterator[list[str]]:
    """Cut images into batches of a number that do not have too many pixels together."""
    batch: list[str] = []
    total = 0
    for key in keys:
        if batch and (len(batch) == size or total + pixels[key] > BATCH_PIXELS):
            yield batch
            batch, total = [], 0
        batch.append(key)
        total += pixels[key]
    if batch:
        yield batch


def _assemble(
    labels: Sequence[str],
    inputs: Mapping[str, Sequence[str]],
    cache: VectorCache,
    encoder: VisionLanguageEncoder,
    modality: str,
    notes: Mapping[str, str],
) -> FeatureStore:
    """Average the vectors of the inputs of each label."""
    counts = torch.tensor([len(inputs.get(label, ())) for label in labels], dtype=torch.long)
    # the vectors are in mapped files: the result is the only table in memory
    averages = torch.zeros(len(labels), cache.dim)
    truncated, versions = 0, set()
    for start in range(0, len(labels), ASSEMBLED):
        part = slice(start, start + ASSEMBLED)
        keys = [key for label in labels[part] for key in inputs.get(label, ())]
        vectors, cut = cache.get(keys)
        averages[part] = _average(vectors, counts[part])
        truncated += int(cut.sum())
        versions.update(cache.versions(keys))
    provenance = {
        **encoder.describe(),
        "inputs": str(int(counts.sum())),
        "missing": str(int((counts == 0).sum())),
        "versions": json.dumps(sorted(versions)),
        **({"truncated": str(truncated)} if modality == TEXTUAL else {}),
        **notes,
    }
    store = FeatureStore(tuple(labels), averages, counts > 0, counts, modality, provenance)
    store.check()
    return store


def _average(vectors: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Average vectors in groups, one after the other; the vector of an empty group is zero."""
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    if not bool((counts > 1).any()):
        return torch.zeros(len(counts), vectors.shape[-1]).index_copy_(0, rows, vectors)
    sums = torch.zeros(len(counts), vectors.shape[-1], dtype=torch.float64).index_add_(0, rows, vectors.double())
    return (sums / counts.clamp(min=1).unsqueeze(-1)).float()
