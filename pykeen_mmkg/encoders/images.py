"""Decoding of images from the wild into RGB, without touching Pillow's global settings.

What becomes of the special cases:

- CMYK, palette, greyscale and bilevel images are converted to RGB; 16-bit greyscale is scaled to 8 bits, and other wide
  greyscale (32-bit integers, floats) is stretched from its minimum to its maximum.
- Transparency is laid over white, for the colours behind transparent pixels are arbitrary.
- The rotation that EXIF asks for is applied. Of an animation, the first frame is taken.
- What cannot be decoded, has a side of one pixel, more pixels than a decompression bomb may have or an extreme shape
  raises :class:`pykeen_mmkg.errors.UnusableImageError`, so that a caller can skip it.
- A file that is missing or cannot be read is always an error, for it is a mistake in the table or the file system.
"""

from __future__ import annotations

import contextlib
import io
import pathlib

import numpy as np
from PIL import Image, ImageOps

from ..errors import ImageError, UnusableImageError

__all__ = [
    "MAX_ASPECT",
    "MAX_PIXELS",
    "MIN_SIDE",
    "decode_image",
    "load_image",
    "read_image",
    "to_rgb",
]

#: The most pixels an image may have; Pillow itself refuses more than about this number
MAX_PIXELS = 178_956_970

#: The fewest pixels that each side must have
MIN_SIDE = 2

#: The largest ratio of the sides: preprocessing that scales the short side to 224 pixels would blow up longer ones
MAX_ASPECT = 100.0

#: The formats that are read. Others of Pillow's are rarities, or start a program (EPS calls Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "MPO", "AVIF", "JPEG2000", "PPM", "ICO", "TGA", "PCX")


def read_image(path: str | pathlib.Path) -> bytes:
    """Read the bytes of an image file.

    :param path:
        the file
    :returns:
        its bytes
    :raises ImageError:
        if it is missing or cannot be read
    """
    try:
        return pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageError(f"The image {path} does not exist. Correct the path, or remove it from the table.") from None
    except OSError as error:
        raise ImageError(f"The image {path} cannot be read: {error.strerror or error}.") from error


def decode_image(data: bytes, name: str | pathlib.Path = "<bytes>", max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image into RGB.

    :param data:
        the bytes of the file
    :param name:
        what to call it in a message
    :param max_pixels:
        the most pixels it may have; they are counted before any is decoded
    :returns:
        the image, in the mode RGB
    :raises UnusableImageError:
        if it cannot be decoded, is too small, too large or too elongated
    """
    Image.init()  # registers the formats; idempotent
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            check_size(image.size, name=name, max_pixels=max_pixels)
            return to_rgb(image)
    except UnusableImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImageError(f"{name}: too large, perhaps a decompression bomb ({error})") from error
    # Pillow's plugins raise almost anything at broken input: OSError, SyntaxError, ValueError, struct.error, ...
    except Exception as error:
        # the message may hold the address of the buffer, which differs from run to run
        reason = "unknown format" if isinstance(error, Image.UnidentifiedImageError) else f"broken ({error})"
        raise UnusableImageError(f"{name}: {reason}") from error


def load_image(path: str | pathlib.Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read and decode an image file into RGB.

    :param path:
        the file
    :param max_pixels:
        the most pixels it may have
    :returns:
        the image, in the mode RGB
    :raises ImageError:
        if the file is missing or cannot be read, or, as :class:`UnusableImageError`, cf. :func:`decode_image`
    """
    return decode_image(read_image(path), name=path, max_pixels=max_pixels)


def check_size(size: tuple[int, int], name: str | pathlib.Path = "image", max_pixels: int = MAX_PIXELS) -> None:
    """Check the size of an image before it is decoded.

    :param size:
        width and height, in pixels
    :param name:
        what to call it in a message
    :param max_pixels:
        the most pixels it may have
    :raises UnusableImageError:
        if it is too small, too large or too elongated
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

    :param image:
        the image, in any mode; it is not changed
    :returns:
        the image in the mode RGB
    """
    image.load()
    unsigned = image.mode.startswith("I;16") or image.format in ("PNG", "PPM")
    with contextlib.suppress(Exception):  # broken EXIF data says nothing about the pixels
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_eight_bits(image, unsigned=unsigned and image.mode != "F")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_eight_bits(image: Image.Image, unsigned: bool) -> Image.Image:
    """Scale wide greyscale to 8 bits, from 16 unsigned bits or by its range; Pillow's own conversion clips to white."""
    values = np.asarray(image).astype(np.float64)
    if unsigned:
        low, high = 0.0, 65535.0
    else:
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))
