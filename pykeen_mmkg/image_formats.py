"""The formats of images: how their files are called, and which of them Pillow decodes on this machine.

Some depend on how Pillow was built, one on a plugin, which is used where it is installed.
"""

import contextlib
import functools
import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from PIL import Image, features

__all__ = ["FORMATS", "IMAGE_SUFFIXES", "can_decode", "describe_undecodable", "register_formats"]

#: The formats that are read, with the suffixes of their files. Others of Pillow's are rarities, or start a program (EPS
#: calls Ghostscript).
FORMATS: Mapping[str, frozenset[str]] = {
    "JPEG": frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}),
    "PNG": frozenset({".png", ".apng"}),
    "WEBP": frozenset({".webp"}),
    "GIF": frozenset({".gif"}),
    "BMP": frozenset({".bmp"}),
    "DIB": frozenset({".dib"}),
    "TIFF": frozenset({".tif", ".tiff"}),
    "MPO": frozenset({".mpo"}),
    "AVIF": frozenset({".avif", ".avifs"}),
    "HEIF": frozenset({".heic", ".heif"}),
    "JPEG2000": frozenset({".jp2", ".j2c", ".j2k", ".jpc", ".jpf", ".jpx"}),
    "PPM": frozenset({".pbm", ".pfm", ".pgm", ".pnm", ".ppm"}),
    "ICO": frozenset({".ico"}),
    "TGA": frozenset({".tga", ".icb", ".vda", ".vst"}),
    "PCX": frozenset({".pcx"}),
}

#: the suffixes by which a file in an image folder counts as an image
IMAGE_SUFFIXES = frozenset().union(*FORMATS.values())

_BY_SUFFIX = {suffix: name for name, suffixes in FORMATS.items() for suffix in suffixes}

#: what Pillow must have been built with
_BUILT: Mapping[str, str] = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000", "JPEG": "jpg", "PNG": "zlib"}

#: how a format is had that this Pillow does not decode
_REMEDIES: Mapping[str, str] = {"HEIF": "pip install pillow-heif", "AVIF": "pip install -U pillow"}


@functools.lru_cache(maxsize=1)
def register_formats() -> tuple[str, ...]:
    """Make Pillow know its formats, and that of the plugin pillow-heif if it is installed.

    :returns: the names of those of :data:`FORMATS` that can be decoded
    """
    Image.init()
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(
        name for name in FORMATS if name in Image.OPEN and (name not in _BUILT or features.check(_BUILT[name]))
    )


def can_decode(path: pathlib.Path | str) -> bool:
    """Return whether files that are called like this one can be decoded; the file is not opened."""
    return _format(path) in ("", *register_formats())


def describe_undecodable(paths: Iterable[pathlib.Path | str]) -> Iterator[str]:
    """Say which images are of a format that Pillow does not decode on this machine.

    :param paths: the images
    :yields: a sentence for each such format
    """
    suspects = [pathlib.Path(path) for path in paths if not can_decode(path)]
    for name, count in Counter(map(_format, suspects)).items():
        example = next(path.name for path in suspects if _format(path) == name)
        remedy = _REMEDIES.get(name, "convert them to PNG, or take another build of Pillow")
        yield (f"{count} images are {name}, which Pillow does not decode here ({remedy}), e.g. {example!r}")


def _format(path: pathlib.Path | str) -> str:
    """Return the format that the name of a file speaks of; a name that speaks of none may hold anything."""
    return _BY_SUFFIX.get(os.path.splitext(path)[1].lower(), "")
