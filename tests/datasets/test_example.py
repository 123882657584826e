"""The small graph that ``pykeen-mmkg new`` writes."""

import pathlib

import pytest
from PIL import Image

from pykeen_mmkg.audit.checks import audit
from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.datasets.example import write_example
from pykeen_mmkg.errors import DataError


def test_write_example(tmp_path: pathlib.Path) -> None:
    """Everything in it is read, every entity is seen in training and has a text, and a picture of its colour."""
    write_example(tmp_path / "mygraph")
    dataset = MultimodalDataset(tmp_path / "mygraph")
    sizes = {name: factory.num_triples for name, factory in dataset.factories.items()}
    assert (dataset.num_entities, dataset.num_relations) == (16, 2)
    assert sizes == {"training": 24, "validation": 4, "testing": 4}
    assert not dataset.notes
    assert not audit(dataset).failed("unseen-entities")
    table = dataset.entity_table
    for label, name, images in zip(table.labels, table.names, table.images, strict=True):
        assert name == label.replace("_", " ")
        colour = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
        pixels = {pixel for _, pixel in Image.open(images[0]).getcolors()}
        assert pixels == {(255, 255, 255), colour[label.split("_")[0]]}
    for h, r, t in dataset.training.label_triples(dataset.training.mapped_triples).tolist():
        (head_colour, head_shape), (tail_colour, tail_shape) = h.split("_"), t.split("_")
        assert (head_colour == tail_colour, head_shape == tail_shape) == (r == "next_shape", r == "next_colour")


def test_not_over_anything(tmp_path: pathlib.Path) -> None:
    """What is there stays."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        write_example(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
