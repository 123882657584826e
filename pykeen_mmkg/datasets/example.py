"""A small graph of one's own to begin with: coloured shapes, with texts and pictures."""

import pathlib

from PIL import Image, ImageDraw

from ..io import folder_written_whole, write_text
from .delimited import format_rows

__all__ = ["write_example"]

COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("disc", "square", "bar", "frame")
#: pixels on a side
SIZE = 64


def _draw(colour: str, shape: str) -> Image.Image:
    image = Image.new("RGB", (SIZE, SIZE), "white")
    draw = ImageDraw.Draw(image)
    if shape == "disc":
        draw.ellipse((8, 8, 56, 56), fill=colour)
    elif shape == "square":
        draw.rectangle((8, 8, 56, 56), fill=colour)
    elif shape == "bar":
        draw.rectangle((26, 4, 38, 60), fill=colour)
    else:
        draw.rectangle((8, 8, 56, 56), outline=colour, width=8)
    return image


def write_example(folder: str | pathlib.Path) -> None:
    """Write a graph of sixteen coloured shapes as a folder that :class:`.MultimodalDataset` reads.

    Each shape is related to the same colour in the next shape, and to the same shape in the next colour; a quarter of
    the triples is kept for validation and testing.

    :param folder: the folder, new or empty
    :raises DataError: if the folder holds files
    """
    entities, triples = [["entity", "label", "description"]], []
    with folder_written_whole(folder) as made:
        (made / "images").mkdir()
        for i, colour in enumerate(COLOURS):
            for j, shape in enumerate(SHAPES):
                entity = f"{colour}_{shape}"
                entities.append([entity, f"{colour} {shape}", f"a {shape} that is {colour}"])
                _draw(colour, shape).save(made / "images" / f"{entity}.png")
                triples.append([entity, "next_shape", f"{colour}_{SHAPES[(j + 1) % 4]}"])
                triples.append([entity, "next_colour", f"{COLOURS[(i + 1) % 4]}_{shape}"])
        relations = [
            ["relation", "label", "description"],
            ["next_shape", "next shape", "the same colour in the next shape"],
            ["next_colour", "next colour", "the same shape in the next colour"],
        ]
        for name, rows in {
            "entities": entities,
            "relations": relations,
            "train": [triple for number, triple in enumerate(triples) if number % 4],
            "valid": triples[4::8],
            "test": triples[::8],
        }.items():
            write_text(made / f"{name}.tsv", format_rows(rows))
