"""One picture of several: the one that is most like the others of its item."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch.nn.functional import normalize

from .encode import encode_images

__all__ = ["apart", "most_typical"]


def apart(images: Mapping[str, Sequence[str | pathlib.Path]], number: int) -> list[dict[str, list[str]]]:
    """Deal the pictures of items out, so that each can be encoded as a modality of its own.

    :param images: label -> paths of its pictures
    :param number: how many pictures of an item count at most
    :returns: for each place, label -> the picture there, or none
    """
    return [{label: [str(path) for path in paths[k : k + 1]] for label, paths in images.items()} for k in range(number)]


def most_typical(
    images: Mapping[str, Sequence[str | pathlib.Path]], encoder: Any = None, **kwargs: Any
) -> dict[str, list[str]]:
    """Choose the picture of each item that is most like its others: the filter gate of RSME.

    It is the one with the greatest sum of cosines, so that a picture of something else is left out. Source: Wang et
    al., 2021, https://doi.org/10.1145/3474085.3475470, whose code compares perceptual hashes; here vectors of the
    encoder are compared, which are needed anyway, and kept.

    :param images: label -> paths of its pictures
    :param encoder: the encoder, cf. :func:`~pykeen_mmkg.encoders.encode_images`
    :param kwargs: keyword arguments of :func:`~pykeen_mmkg.encoders.encode_images`
    :returns: label -> the chosen picture; none if it has none that can be used
    """
    paths = {str(path): [path] for several in images.values() for path in several}
    store = encode_images(paths, encoder, **kwargs)
    vectors, usable = normalize(store.vectors.float(), dim=-1), store.mask.tolist()
    row = {path: i for i, path in enumerate(store.labels) if usable[i]}
    chosen = {}
    for label, several in images.items():
        own = [str(path) for path in several if str(path) in row]
        x = vectors[[row[path] for path in own]]
        chosen[label] = [own[int((x @ x.T).sum(dim=-1).argmax())]] if own else []
    return chosen
