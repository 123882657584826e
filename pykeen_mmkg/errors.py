"""Errors of bad input: each message names the culprit and says what to do."""

__all__ = [
    "MultimodalError",
    "DataError",
    "DatasetNotFoundError",
    "FeatureError",
    "EncoderError",
    "ImageError",
    "EvaluationError",
    "RunError",
    "ScoreError",
]


class MultimodalError(ValueError):
    """The base of all errors that this package raises for bad input."""


class DataError(MultimodalError):
    """A table, a triples file or an image folder is not what it should be."""


class DatasetNotFoundError(DataError):
    """The folder of a dataset is nowhere to be found."""


class FeatureError(MultimodalError):
    """A feature store is missing, of another dimension or encoder, or holds NaN."""


class EncoderError(MultimodalError):
    """An encoder cannot be found, loaded or used."""


class ImageError(MultimodalError):
    """An image cannot be found or decoded."""


class EvaluationError(MultimodalError):
    """A protocol of evaluation lacks what it needs: a candidate list, a label map, a triple to rank."""


class ScoreError(EvaluationError, RuntimeError):
    """A model's scores cannot be ranked; also a RuntimeError, which PyKEEN's HPO counts as a failed trial."""


class UnusableImageError(ImageError):
    """An image is there, but cannot be decoded, or is too small, too large or too elongated to be encoded."""


class RunError(MultimodalError):
    """A saved run cannot be written, is damaged, or is of another graph."""
