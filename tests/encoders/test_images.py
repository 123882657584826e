"""Tests of the decoding of images."""

import contextlib
import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from pykeen_mmkg.encoders.images import (
    MAX_ASPECT,
    MAX_BYTES,
    count_pixels,
    decode_image,
    load_image,
    read_image,
    to_rgb,
)
from pykeen_mmkg.errors import ImageError, UnusableImageError


def encode(image: Image.Image, fmt: str, **kwargs) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **kwargs)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes, bits: int = 8, kind: int = 2) -> bytes:
    """Write a PNG by hand."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.fixture
def picture() -> Image.Image:
    """Return a picture without symmetries: red on the left, a green top, noise of blue."""
    array = np.random.default_rng(0).integers(0, 90, (24, 36, 3), dtype=np.uint8)
    array[:, :12, 0] = 250
    array[:6, :, 1] = 240
    return Image.fromarray(array)


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "PPM", "TGA"])
def test_lossless_formats(fmt, picture):
    """What is stored without loss comes back as it was."""
    assert np.array_equal(pixels(decode_image(encode(picture, fmt))), pixels(picture))


@pytest.mark.parametrize("fmt", ["JPEG", "WEBP"])
def test_lossy_formats(fmt, picture):
    """What is stored with loss comes back nearly."""
    smooth = picture.resize((9, 6), Image.Resampling.BOX).resize((90, 60), Image.Resampling.BILINEAR)
    difference = np.abs(pixels(decode_image(encode(smooth, fmt, quality=95))) - pixels(smooth))
    assert difference.mean() < 4


def test_cmyk():
    """CMYK is turned into RGB: full cyan has no red."""
    image = decode_image(encode(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF"))
    assert pixels(image)[0, 0].tolist() == [0, 255, 255]
    assert decode_image(encode(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG")).mode == "RGB"


def test_palette(picture):
    """A palette is looked up."""
    indexed = picture.quantize(8)
    assert np.array_equal(pixels(decode_image(encode(indexed, "PNG"))), pixels(indexed.convert("RGB")))


def test_palette_with_transparency():
    """A transparent entry of the palette becomes white, whatever its colour is."""
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((2, 1), 1)
    for transparency in (0, bytes([0, 255])):
        decoded = pixels(decode_image(encode(image, "PNG", transparency=transparency)))
        assert decoded[1, 2].tolist() == [200, 100, 50]
        assert decoded[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (10, 20, 30, 0), 255),
        ("RGBA", (0, 0, 0, 255), 0),
        ("RGBA", (0, 0, 0, 51), 204),
        ("LA", (0, 51), 204),
        ("1", 1, 255),
        ("L", 77, 77),
    ],
)
def test_transparency_and_grey(mode, colour, expected):
    """Transparency is laid over white: 255 - alpha for black."""
    decoded = pixels(decode_image(encode(Image.new(mode, (4, 4), colour), "PNG")))
    assert np.abs(decoded - expected).max() <= 1


def test_transparent_colour_of_an_rgb_image(picture):
    """RGB with one transparent colour, which Pillow keeps beside the pixels."""
    image = Image.new("RGB", (4, 4), (9, 9, 9))
    image.putpixel((0, 0), (1, 2, 3))
    decoded = pixels(decode_image(encode(image, "PNG", transparency=(9, 9, 9))))
    assert decoded[0, 0].tolist() == [1, 2, 3]
    assert decoded[3, 3].tolist() == [255, 255, 255]


def test_sixteen_bits():
    """16-bit greyscale is scaled, not clipped: Pillow alone would make all of this white."""
    values = np.array([[257 * 40, 257 * 80], [257 * 120, 257 * 200]], dtype=">u2")
    data = png(2, 2, b"".join(b"\0" + row.tobytes() for row in values), bits=16, kind=0)
    decoded = pixels(decode_image(data))
    assert decoded[..., 0].tolist() == [[40, 80], [120, 200]]
    tiff = encode(Image.fromarray(values.astype(np.uint16)), "TIFF")
    assert pixels(decode_image(tiff))[..., 0].tolist() == [[40, 80], [120, 200]]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_wide_greyscale(dtype):
    """Integers and floats without a known range are stretched; a constant one and NaN do no harm."""
    values = np.array([[-100, 0], [50, 100]], dtype=dtype)
    decoded = pixels(decode_image(encode(Image.fromarray(values), "TIFF")))
    assert np.abs(decoded[..., 0] - [[0, 127.5], [191.25, 255]]).max() <= 1
    assert pixels(decode_image(encode(Image.fromarray(np.full((3, 3), 7, dtype=dtype)), "TIFF"))).max() == 0
    if dtype == np.float32:
        values[0, 0] = np.nan
        assert pixels(decode_image(encode(Image.fromarray(values), "TIFF")))[0, 0, 0] == 0


@pytest.mark.parametrize(("fmt", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_animation(fmt, options):
    """Of an animation, the first frame is taken."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    data = encode(frames[0], fmt, save_all=True, append_images=frames[1:], duration=50, **options)
    assert np.abs(pixels(decode_image(data)) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(orientation, picture):
    """A picture that a camera stored turned comes out upright."""
    inverse = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = picture if inverse is None else picture.transpose(inverse)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(pixels(decode_image(encode(stored, "PNG", exif=exif))), pixels(picture))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif(picture):
    """Broken EXIF data does not cost the picture."""
    data = encode(picture, "PNG", exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff\xff")
    assert decode_image(data).size == picture.size


def test_truncated(picture):
    """A cut file is unusable, also where half of its pixels are there."""
    for fmt in ("JPEG", "PNG", "WEBP", "GIF"):
        data = encode(picture.resize((200, 200)), fmt)
        for part in (2, 10):
            with pytest.raises(UnusableImageError, match="album/x"):
                decode_image(data[: len(data) * (part - 1) // part], name="album/x")


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"no image at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_corrupt(data):
    """What is no image is unusable, with a message that does not change from run to run."""
    messages = set()
    for _ in range(2):
        with pytest.raises(UnusableImageError, match="^photo: ") as info:
            decode_image(data, name="photo")
        messages.add(str(info.value))
    assert len(messages) == 1
    assert " at 0x" not in messages.pop()


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_flipped_bytes_never_crash(data):
    """Whatever is broken in a file, it is either read or unusable."""
    content = bytearray(
        encode(Image.new("RGB", (9, 7), (1, 2, 3)), data.draw(st.sampled_from(["PNG", "GIF", "TIFF", "BMP"])))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnusableImageError):
        assert decode_image(bytes(content), max_pixels=10_000).mode == "RGB"


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (1000, 9), (2, 201)])
def test_no_picture_shape(size):
    """One pixel, a line, a ribbon."""
    with pytest.raises(UnusableImageError, match=f"{size[0]} x {size[1]} pixels"):
        decode_image(encode(Image.new("RGB", size), "PNG"))


def test_small_but_a_picture():
    """Two pixels a side, and the longest shape that is allowed."""
    assert decode_image(encode(Image.new("RGB", (2, 2)), "PNG")).size == (2, 2)
    long = int(MAX_ASPECT) * 2
    assert decode_image(encode(Image.new("RGB", (long, 2)), "PNG")).size == (long, 2)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [12_000, 60_000])
def test_decompression_bomb(side):
    """A small file that says it has an enormous picture is refused before anything is decoded."""
    data = png(side, side, b"\0" * 50)
    with pytest.raises(UnusableImageError, match="decompression bomb"):
        decode_image(data, max_pixels=100_000_000)


def test_programs_are_not_started(tmp_path):
    """EPS would call Ghostscript."""
    with pytest.raises(UnusableImageError, match="unknown format"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


def test_globals_stay(picture, tmp_path):
    """Pillow's settings, which other libraries share, are as before."""
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    for data in (encode(picture, "PNG"), encode(picture, "PNG")[:-20], png(60_000, 60_000, b"")):
        with contextlib.suppress(UnusableImageError):
            decode_image(data)
    after = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    assert after == before


def test_files(tmp_path, picture):
    """A missing file and a folder are errors of another kind, which nobody skips."""
    path = tmp_path / "a.png"
    picture.save(path)
    assert np.array_equal(pixels(load_image(path)), pixels(picture))
    for wrong in (tmp_path / "b.png", tmp_path):
        with pytest.raises(ImageError, match=wrong.name) as info:
            read_image(wrong)
        assert not isinstance(info.value, UnusableImageError)


def test_to_rgb_leaves_its_input_alone(picture):
    """The image of a caller does not change."""
    image = picture.convert("RGBA")
    before = np.asarray(image).copy()
    assert to_rgb(image).mode == "RGB"
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image), before)
    assert np.array_equal(pixels(to_rgb(ImageOps.exif_transpose(picture))), pixels(picture))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1", "LA", "I;16", "F", "CMYK"])
def test_large_pictures_are_reduced(mode, monkeypatch):
    """By a whole factor, strip by strip, with the colours and the size that the whole picture would have."""
    values = np.linspace(0, 1, 1300 * 900).reshape(1300, 900)
    if mode in ("I;16", "F"):
        image = Image.fromarray((values * 60_000).astype({"I;16": np.uint16, "F": np.float32}[mode]))
    else:
        image = Image.fromarray((values * 255).astype(np.uint8)).convert("RGB").convert(mode)
    data = encode(image, "TIFF" if mode in ("F", "CMYK") else "PNG")
    whole = decode_image(data)
    monkeypatch.setattr("pykeen_mmkg.encoders.images.SHRINK_PIXELS", 1 << 18)
    small = decode_image(data)
    factor = 4  # 1,170,000 pixels, but no fewer than 2 ** 16 may be left
    assert small.size == (225, 325)
    assert np.abs(pixels(small) - pixels(whole.reduce(factor))).max() <= 1


def test_a_large_jpeg_is_reduced_while_it_is_decoded(monkeypatch):
    """And comes out upright."""
    image = Image.new("RGB", (2000, 1000), "red")
    image.paste("blue", (1000, 0, 2000, 1000))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(image, "JPEG", exif=exif)
    monkeypatch.setattr("pykeen_mmkg.encoders.images.SHRINK_PIXELS", 1 << 18)
    small = decode_image(data)
    assert small.width * 2 == small.height and 2**16 <= small.width * small.height <= 2**18
    assert pixels(small)[5, 5].tolist()[0] > 200 and pixels(small)[-5, 5].tolist()[2] > 200


def test_an_icon_that_is_larger_than_it_says():
    """The header of an icon says 16 x 16; the picture in it is another matter."""
    picture = encode(Image.new("RGB", (4000, 4000)), "PNG")
    header = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(picture), 22)
    with pytest.raises(UnusableImageError, match="photo"):
        decode_image(header + picture, name="photo", max_pixels=1_000_000)


def test_no_file(tmp_path):
    """A pipe does not hang, a device does not fill the memory, and neither does a file of any size."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MAX_BYTES * 100)
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    for name in ("pipe.jpg", "zero.jpg", "huge.jpg", "loop.jpg", "a\0b.jpg"):
        with pytest.raises(ImageError, match=name.split("\0")[0]):
            read_image(tmp_path / name)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_reduced_where_asked_for(kind: str) -> None:
    """By a whole factor, to no side below the number, and like the whole picture scaled; small ones are left alone."""
    picture = Image.linear_gradient("L").resize((400, 300)).convert("RGB")
    data = encode(picture, kind)
    reduced = decode_image(data, reduce_to=90)
    assert reduced.mode == "RGB" and 90 <= min(reduced.size) < 300
    # a JPEG goes down by powers of two, and by what is left of the factor
    assert reduced.size == ((200, 150) if kind == "JPEG" else (134, 100))
    assert count_pixels(data, reduce_to=90) == 400 * 300 // 9
    expected = np.asarray(decode_image(data).resize(reduced.size, Image.Resampling.BOX)).astype(int)
    assert np.abs(np.asarray(reduced).astype(int) - expected)[:-1, :-1].max() < 6
    for least in (None, 151, 300, 5000):
        assert decode_image(data, reduce_to=least).tobytes() == decode_image(data).tobytes()


def test_reduced_upright() -> None:
    """The rotation that EXIF asks for is applied to what was reduced."""
    picture, exif = Image.new("RGB", (400, 200)), Image.Exif()
    exif[0x0112] = 6
    assert decode_image(encode(picture, "JPEG", exif=exif), reduce_to=100).size == (100, 200)
