"""Which images can be decoded here: what is said of a format agrees with what Pillow does with a file of it."""

import io

import pytest
from PIL import Image

from pykeen_mmkg import image_formats
from pykeen_mmkg.encoders.images import decode_image
from pykeen_mmkg.errors import UnusableImageError
from pykeen_mmkg.image_formats import FORMATS, can_decode, describe_undecodable, register_formats


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_promised_is_decoded(name: str) -> None:
    """Of each format that is promised and that Pillow writes, a picture is decoded, whatever the file is called."""
    if name not in register_formats():
        pytest.skip(f"{name} is not promised here")
    buffer = io.BytesIO()
    if name not in Image.SAVE:
        pytest.skip(f"Pillow does not write {name}")
    Image.new("RGB", (32, 32), "red").save(buffer, name)
    image = decode_image(buffer.getvalue(), "x")
    assert (image.mode, image.size) == ("RGB", (32, 32))


@pytest.mark.parametrize(("name", "check", "suffix"), [("AVIF", "avif", ".avif"), ("JPEG2000", "jpg_2000", ".JP2")])
def test_a_pillow_without_a_codec(name: str, check: str, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    register_formats.cache_clear()
    if name not in register_formats():
        pytest.skip(f"this Pillow has no {name} to lose")
    register_formats.cache_clear()
    has = image_formats.features.check
    monkeypatch.setattr(image_formats.features, "check", lambda feature: feature != check and has(feature))
    try:
        assert not can_decode(f"a{suffix}") and can_decode("a.jfif") and name not in register_formats()
        (sentence,) = describe_undecodable([f"folder/a{suffix}", f"b{suffix}", "c.png", "d"])
        assert "2 images" in sentence and name in sentence and f"'a{suffix}'" in sentence
        with pytest.raises(UnusableImageError, match="unknown format"):
            buffer = io.BytesIO()
            Image.new("RGB", (32, 32)).save(buffer, name)
            decode_image(buffer.getvalue(), f"a{suffix}")
    finally:
        register_formats.cache_clear()


def test_heif() -> None:
    try:
        import pillow_heif
    except ImportError:
        (sentence,) = describe_undecodable(["x/a.HEIC"])
        assert "pip install pillow-heif" in sentence and "a.HEIC" in sentence
        return
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red")).save(buffer)
    assert decode_image(buffer.getvalue(), "a.heic").size == (64, 64)
    assert not list(describe_undecodable(["a.heic"]))


def test_a_name_that_speaks_of_no_format() -> None:
    """It may hold anything, so that nothing is said of it."""
    assert can_decode("a") and can_decode("a.image") and not list(describe_undecodable(["a", "b.image"]))
