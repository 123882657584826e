"""Commands that bring a graph of one's own into a folder."""

import io
import pathlib
from typing import Any

from click.testing import CliRunner
from PIL import Image

from pykeen_mmkg.cli import main
from pykeen_mmkg.datasets import MultimodalDataset


def call(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


def png(color: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (color, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def test_fetch_images(web: Any, tmp_path: pathlib.Path):
    """What could be had is found by the next load; what could not is said; limits are those of the options."""
    urls = [web.give("/1.png", png(1)), f"{web.url}/gone.png", web.give("/big.png", png() + b"x" * 5000)]
    tmp_path.joinpath("train.tsv").write_text("a\tr\tb\nb\tr\tc\n")
    tmp_path.joinpath("test.tsv").write_text("a\tr\tc\n")
    rows = "".join(f"{label},{url}\n" for label, url in zip("abc", urls, strict=True))
    tmp_path.joinpath("entities.csv").write_text(f"entity,image\n{rows}")
    assert "more than max_images=2" in call("fetch-images", tmp_path, "--max-images", 2, status=2)
    assert web.asked == []
    said = call("fetch-images", tmp_path, "--max-bytes", 4000)
    assert "1 of 3 entities have an image" in said and "2 could not be had" in said and "404" in said
    web.asked.clear()
    assert [len(images) for images in MultimodalDataset(tmp_path).entity_table.images] == [1, 0, 0]
    assert web.asked == []
    assert "seconds" in call("fetch-images", tmp_path, "--seconds", 0, status=2)


def test_nothing_to_fetch(tmp_path: pathlib.Path):
    said = call("fetch-images", tmp_path, status=2)
    assert "no table" in said
