"""Labels as tensors: the bytes of all of them in a row, and where each begins.

The header of a safetensors file ends at 100 MB, which some two million labels fill.
"""

import json
from collections.abc import Iterator, Sequence

import numpy
import torch

from ..errors import FeatureError

__all__ = ["json_parts", "labels_from_tensors", "labels_to_tensors"]

#: the names of the two tensors
BYTES, OFFSETS = "labels", "label_offsets"

#: labels that are written out at a time
CHUNK = 1 << 16


def labels_to_tensors(labels: Sequence[str]) -> dict[str, torch.Tensor]:
    """Write labels as tensors.

    :param labels: the labels, length: n
    :returns: ``labels``, their bytes in UTF-8, and ``label_offsets``, shape: ``(n + 1,)``, where each begins
    """
    encoded = [label.encode("utf-8", errors="surrogatepass") for label in labels]
    offsets = numpy.zeros(len(encoded) + 1, dtype=numpy.int64)
    numpy.cumsum([len(part) for part in encoded], out=offsets[1:])
    text = bytearray(b"".join(encoded))
    content = torch.frombuffer(text, dtype=torch.uint8) if text else torch.empty(0, dtype=torch.uint8)
    return {BYTES: content, OFFSETS: torch.from_numpy(offsets)}


def labels_from_tensors(content: torch.Tensor, offsets: torch.Tensor) -> tuple[str, ...]:
    """Read labels from tensors.

    :param content: the bytes of all labels
    :param offsets: shape: ``(n + 1,)``, where each label begins, and where the last one ends
    :returns: the labels, length: n
    :raises FeatureError: if the two do not fit together
    """
    data, ends = content.numpy().tobytes(), offsets.tolist()
    if not ends or ends[0] != 0 or ends[-1] != len(data) or bool((offsets.diff() < 0).any()):
        raise FeatureError(f"{len(data)} bytes of labels do not end where their offsets say")
    pairs = zip(ends, ends[1:], strict=False)
    try:
        if data.isascii():
            text = data.decode("ascii")
            return tuple(text[start:end] for start, end in pairs)
        return tuple(data[start:end].decode("utf-8", errors="surrogatepass") for start, end in pairs)
    except UnicodeDecodeError as error:
        raise FeatureError(f"a label is no UTF-8: {error}") from error


def json_parts(labels: Sequence[str]) -> Iterator[str]:
    """Yield parts that together are ``json.dumps(labels)``, without having it whole."""
    yield "["
    for start in range(0, len(labels), CHUNK):
        yield (", " if start else "") + json.dumps(list(labels[start : start + CHUNK]))[1:-1]
    yield "]"
