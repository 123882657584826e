"""Errors of bad input: each message names the culprit and says what to do."""

__all__ = [
    "MultimodalError",
    "DataError",
    "FeatureError",
    "EncoderError",
    "ImageError",
]


class MultimodalError(ValueError):
    """The base of all errors that this package raises for bad input."""


class DataError(MultimodalError):
    """A table, a triples file or an image folder is not what it should be."""


class FeatureError(MultimodalError):
    """A feature store is missing, of another dimension or encoder, or holds NaN."""


class EncoderError(MultimodalError):
    """An encoder cannot be found, loaded or used."""


class ImageError(MultimodalError):
    """An image cannot be found or decoded."""
