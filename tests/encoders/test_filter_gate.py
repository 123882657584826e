"""One picture of several."""

import pathlib

import torch
from PIL import Image

from pykeen_mmkg.encoders import VisionLanguageEncoder
from pykeen_mmkg.encoders.filter_gate import apart, most_typical


class ColourEncoder(VisionLanguageEncoder):
    """The mean colour of a picture."""

    name, modalities, fingerprint = "colour", frozenset({"visual"}), "colour-1"

    def dim(self, modality):
        return 3

    def prepare_images(self, images):
        return {"colours": torch.tensor([image.convert("RGB").resize((1, 1)).getpixel((0, 0)) for image in images])}

    def embed_images(self, inputs):
        return inputs["colours"].float()


def test_most_typical(tmp_path: pathlib.Path) -> None:
    """The picture with the greatest sum of cosines to the others stays; what cannot be decoded does not count."""
    colours = {"orange": (255, 140, 0), "red": (255, 60, 0), "brown": (160, 80, 20), "blue": (0, 0, 255)}
    paths = {}
    for name, colour in colours.items():
        paths[name] = str(tmp_path / f"{name}.png")
        Image.new("RGB", (8, 8), colour).save(paths[name])
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"none")
    images = {
        "fire": [paths["blue"], paths["red"], paths["orange"], paths["brown"]],
        "sea": [broken, paths["blue"]],
        "nothing": [],
        "ruin": [broken],
    }
    unit = {
        name: torch.tensor(colour).float() / torch.tensor(colour).float().norm() for name, colour in colours.items()
    }
    sums = {name: sum(float(unit[name] @ unit[other]) for other in colours) for name in colours}
    best = max(sums, key=sums.__getitem__)
    chosen = most_typical(images, ColourEncoder(), directory=tmp_path / "kept", progress=False)
    assert chosen == {"fire": [paths[best]], "sea": [paths["blue"]], "nothing": [], "ruin": []}
    assert best != "blue"


def test_apart() -> None:
    images = {"a": ["1", pathlib.Path("2"), "3"], "b": ["4"], "c": []}
    assert apart(images, 2) == [{"a": ["1"], "b": ["4"], "c": []}, {"a": ["2"], "b": [], "c": []}]
