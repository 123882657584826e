"""Decoding of images from the wild into RGB, without touching Pillow's global settings.

What becomes of the special cases:

- CMYK, palette, greyscale and bilevel images are converted to RGB; 16-bit greyscale is scaled to 8 bits, and other wide
  greyscale (32-bit integers, floats) is stretched from its minimum to its maximum.
- Transparency is laid over white, for the colours behind transparent pixels are arbitrary.
- The rotation that EXIF asks for is applied. Of an animation, the first frame is taken.
- What cannot be decoded, has a side of one pixel, more pixels than a decompression bomb may have or an extreme shape
  raises :class:`pykeen_mmkg.errors.UnusableImageError`, so that a caller can skip it.
- A file that is missing or cannot be read is always an error, for it is a mistake in the table or the file system; so
  is what is no file (a pipe, a device) or has more bytes than any picture.
- A picture of more than :data:`SHRINK_PIXELS` is reduced by a whole factor, of JPEG while it is decoded, since encoders
  scale it down much further; only one such picture is decoded at a time. Smaller ones are if that is asked for.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import stat
import threading

import numpy as np
from PIL import Image, ImageOps

from ..errors import ImageError, UnusableImageError
from ..image_archives import find_member, read_member
from ..image_formats import register_formats

__all__ = [
    "MAX_ASPECT",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "SHRINK_PIXELS",
    "count_pixels",
    "decode_image",
    "load_image",
    "read_image",
    "to_rgb",
]

#: The most pixels an image may have; Pillow itself refuses more than about this number
MAX_PIXELS = 178_956_970

#: The most bytes that the file of an image may have
MAX_BYTES = 1 << 28

#: The number of pixels above which a picture is reduced, to no fewer than a quarter of this number
SHRINK_PIXELS = 1 << 24

#: The fewest pixels that each side must have
MIN_SIDE = 2

#: The largest ratio of the sides: preprocessing that scales the short side to 224 pixels would blow up longer ones
MAX_ASPECT = 100.0

#: Held while a picture of more than :data:`SHRINK_PIXELS` is decoded
_LARGE = threading.Lock()


def read_image(path: str | pathlib.Path) -> bytes:
    """Read the bytes of an image file.

    :param path: the file, or a member of a tar archive (:mod:`pykeen_mmkg.image_archives`)
    :returns: its bytes
    :raises ImageError: if it is missing or cannot be read
    """
    try:
        # without O_NONBLOCK, opening a pipe would wait for a writer
        with os.fdopen(
            os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
        ) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ImageError(f"The image {path} is no file, but a folder, a pipe or a device. Remove it.")
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        if (found := find_member(path)) is None:
            raise ImageError(
                f"The image {path} does not exist. Correct the path, or remove it from the table."
            ) from None
        data = read_member(*found, limit=MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ImageError(f"The image {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(data) > MAX_BYTES:
        raise ImageError(f"The image {path} has more than {MAX_BYTES} bytes, more than any picture. Make it smaller.")
    return data


def count_pixels(data: bytes, reduce_to: int | None = None) -> int:
    """Count the pixels of an image as it will be decoded, by its header alone.

    :param data: the bytes of the file
    :param reduce_to: see :func:`decode_image`
    :returns: their number, at most :data:`SHRINK_PIXELS`; zero where it is no image
    """
    try:
        with _open(data) as image:
            factor = _factor(image.size, reduce_to)
            return min(image.width * image.height // factor**2, SHRINK_PIXELS)
    except Exception:  # whatever is wrong with it is said when it is decoded
        return 0


def _open(data: bytes) -> Image.Image:
    """Read the header of an image of the formats that are allowed."""
    return Image.open(io.BytesIO(data), formats=register_formats())


def _factor(size: tuple[int, int], reduce_to: int | None) -> int:
    """Return by what whole factor a picture is to be smaller, so that no side falls below a number of pixels."""
    return 1 if reduce_to is None else max(1, min(size) // reduce_to)


def decode_image(
    data: bytes,
    name: str | pathlib.Path = "<bytes>",
    max_pixels: int = MAX_PIXELS,
    reduce_to: int | None = None,
) -> Image.Image:
    """Decode an image into RGB.

    :param data: the bytes of the file
    :param name: what to call it in a message
    :param max_pixels: the most pixels it may have; they are counted before any is decoded
    :param reduce_to: reduce a picture by a whole factor, of JPEG while it is decoded, to no fewer pixels on a side
    :returns: the image, in the mode RGB
    :raises UnusableImageError: if it cannot be decoded, is too small, too large or too elongated
    """
    try:
        with _open(data) as image:
            check_size(image.size, name=name, max_pixels=max_pixels)
            # the header of an icon does not say how large the picture in it is
            wanted = 1 if image.format in ("ICO", "ICNS") else _factor(image.size, reduce_to)
            factor = max(wanted, int((image.width * image.height / (SHRINK_PIXELS / 4)) ** 0.5))
            if image.width * image.height <= SHRINK_PIXELS and wanted > 1:
                return _reduced(image, wanted)
            if image.width * image.height <= SHRINK_PIXELS:
                image.load()
                # an icon holds a picture whose size is not that of the header
                check_size(image.size, name=name, max_pixels=max_pixels)
                return to_rgb(image)
            with _LARGE:
                return _reduced(image, min(factor, min(image.size) // MIN_SIDE))
    except UnusableImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImageError(f"{name}: too large, perhaps a decompression bomb ({error})") from error
    # Pillow's plugins raise almost anything at broken input: OSError, SyntaxError, ValueError, struct.error, ...
    except Exception as error:
        # the message may hold the address of the buffer, which differs from run to run
        reason = (
            "of an unknown format: no picture"
            if isinstance(error, Image.UnidentifiedImageError)
            else f"broken ({error})"
        )
        raise UnusableImageError(f"{name}: {reason}") from error


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """Decode a large image into RGB, smaller by a factor, strip by strip, so that it is never there twice."""
    width, height = image.size
    if image.format == "JPEG":
        image.draft(None, (width // factor, height // factor))  # the decoder goes down by a power of two by itself
        factor = max(1, factor * image.width // width)
    image.load()
    width, height = image.size
    unsigned, bounds = _is_unsigned(image), None
    if image.mode in ("I", "F") and not unsigned:
        bounds = _range(np.asarray(image))
    result = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = max(1, (1 << 20) // (width * factor)) * factor
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        result.paste(_flat(strip, unsigned, bounds).reduce(factor), (0, top // factor))
    with contextlib.suppress(Exception):  # as above
        turned = Image.Exif()
        turned[0x0112] = image.getexif().get(0x0112, 1)
        result.info["exif"] = turned.tobytes()
    return to_rgb(result)


def load_image(path: str | pathlib.Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read and decode an image file into RGB.

    :param path: the file
    :param max_pixels: the most pixels it may have
    :returns: the image, in the mode RGB
    :raises ImageError: if the file is missing or cannot be read, or, as :class:`UnusableImageError`, cf.
        :func:`decode_image`
    """
    return decode_image(read_image(path), name=path, max_pixels=max_pixels)


def check_size(size: tuple[int, int], name: str | pathlib.Path = "image", max_pixels: int = MAX_PIXELS) -> None:
    """Check the size of an image before it is decoded.

    :param size: width and height, in pixels
    :param name: what to call it in a message
    :param max_pixels: the most pixels it may have
    :raises UnusableImageError: if it is too small, too large or too elongated
    """
    width, height = size
    if width * height > max_pixels:
        raise UnusableImageError(
            f"{name}: {width} x {height} pixels are more than {max_pixels}, perhaps a decompression bomb"
        )
    if min(size) < MIN_SIDE:
        raise UnusableImageError(f"{name}: {width} x {height} pixels are too few to be a picture")
    if max(size) > MAX_ASPECT * min(size):
        raise UnusableImageError(f"{name}: {width} x {height} pixels are too elongated (over {MAX_ASPECT:.0f}:1)")


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any decoded image into RGB, upright, without transparency.

    :param image: the image, in any mode; it is not changed
    :returns: the image in the mode RGB
    """
    image.load()
    unsigned = _is_unsigned(image)
    with contextlib.suppress(Exception):  # broken EXIF data says nothing about the pixels
        image = ImageOps.exif_transpose(image)
    return _flat(image, unsigned)


def _is_unsigned(image: Image.Image) -> bool:
    """Return whether wide greyscale is of 16 unsigned bits."""
    return image.mode != "F" and (image.mode.startswith("I;16") or image.format in ("PNG", "PPM"))


def _flat(image: Image.Image, unsigned: bool, bounds: tuple[float, float] | None = None) -> Image.Image:
    """Convert into RGB over white, as it lies."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_eight_bits(image, unsigned, bounds)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_eight_bits(image: Image.Image, unsigned: bool, bounds: tuple[float, float] | None) -> Image.Image:
    """Scale wide greyscale to 8 bits, from 16 unsigned bits or by its range; Pillow's own conversion clips to white."""
    values = np.asarray(image).astype(np.float64)
    if unsigned:
        low, high = 0.0, 65535.0
    else:
        low, high = bounds or _range(values)
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest finite number."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
