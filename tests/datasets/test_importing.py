"""Tables of one's own become a folder that loads with the same triples, texts and images."""

import io
import pathlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.datasets.frames import read_frame
from pykeen_mmkg.datasets.importing import import_graph
from pykeen_mmkg.errors import DataError, ImageError

TRIPLES = pd.DataFrame([(f"e{i}", "next", f"e{(i + 1) % 30}") for i in range(30)], columns=["head", "relation", "tail"])


def png(color: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (color, 0, 0)).save(buffer, format="PNG")
    return buffer.getvalue()


class HuggingFaceLike:
    """What of a ``datasets.Dataset`` is used."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def to_pandas(self) -> pd.DataFrame:
        return self.frame


def labelled(dataset: MultimodalDataset) -> dict[str, set[tuple[str, ...]]]:
    return {
        name: set(map(tuple, factory.label_triples(factory.mapped_triples).tolist()))
        for name, factory in dataset.factories.items()
    }


def test_split(tmp_path: pathlib.Path):
    """Nothing lost, nothing twice, every entity in training, and the same again with the same seed."""
    star = pd.DataFrame([(f"e{i}", "r", f"e{k}") for i in range(12) for k in range(5) if i != k])
    star.columns = ["s", "p", "o"]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        import_graph(tmp_path / name, star, columns=["s", "p", "o"], ratios=(0.6, 0.2, 0.2), seed=seed)
    first, again, other = (labelled(MultimodalDataset(tmp_path / name)) for name in "abc")
    assert set().union(*first.values()) == set(map(tuple, star.to_numpy().tolist()))
    assert [len(first[name]) for name in ("training", "validation", "testing")] == [33, 11, 11]
    assert {e for h, _, t in first["training"] for e in (h, t)} == {f"e{i}" for i in range(12)}
    assert first == again != other


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "frame", "hub"])
def test_sources(tmp_path: pathlib.Path, suffix: str):
    """Labels that look like numbers or like nothing stay what they are."""
    frame = pd.DataFrame({"head": ["007", "NA"], "relation": ["1.0", "r"], "tail": ["NA", "x, y"]})
    path = tmp_path / f"table.{suffix}"
    source: object = path
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    elif suffix in ("csv", "tsv"):
        frame.to_csv(path, sep="\t" if suffix == "tsv" else ",", index=False)
    else:
        source = frame if suffix == "frame" else HuggingFaceLike(frame)
    import_graph(tmp_path / "new", {"train": source, "testing": source})
    expected = {("007", "1.0", "NA"), ("NA", "r", "x, y")}
    assert labelled(MultimodalDataset(tmp_path / "new")) == {"training": expected, "testing": expected}


def test_texts_and_images(tmp_path: pathlib.Path):
    path = tmp_path / "mine.png"
    path.write_bytes(png(9))
    picture = Image.open(io.BytesIO(png(3)))
    cells = [
        str(path),
        png(1),
        {"bytes": png(2), "path": None},
        picture,
        np.array([png(4), None, png(5)], object),
        None,
    ]
    entities = pd.DataFrame(
        {
            "id": ["e0", "/e/1", "e2", "e3", "e4", "e5"],
            "label": ["zero", None, "two\nlines", "", "four", float("nan")],
            "description": ["is 0", "is\t1", None, None, "", ""],
            "image": pd.Series(cells, dtype=object),
        }
    )
    relations = pd.DataFrame({"relation": ["next"], "description": ["comes after"]})
    triples = pd.DataFrame(
        [("e0", "next", "/e/1"), ("e2", "next", "e3"), ("e4", "next", "e5")], columns=TRIPLES.columns
    )
    import_graph(tmp_path / "new", {"train": triples, "test": triples[:1]}, entities, relations)
    dataset = MultimodalDataset(tmp_path / "new")
    assert dataset.entity_table.texts() == {
        "e0": "zero: is 0",
        "/e/1": "is 1",
        "e2": "two lines",
        "e3": None,
        "e4": "four",
        "e5": None,
    }
    assert dataset.relation_table.texts() == {"next": "comes after"}
    red = {
        label: [Image.open(image).getpixel((0, 0))[0] for image in images]
        for label, images in dataset.entity_table.image_dict().items()
    }
    assert red == {"e0": [9], "/e/1": [1], "e2": [2], "e3": [3], "e4": [4, 5], "e5": []}


@pytest.mark.parametrize("saved", [False, True])
def test_hugging_face_images(tmp_path: pathlib.Path, saved: bool):
    """A column of the library's type of images, in memory and as it is saved, gives the pictures that went in."""
    datasets = pytest.importorskip("datasets")
    rows = {"entity": ["e0", "e1", "e2"], "image": [Image.open(io.BytesIO(png(5))), None, {"bytes": png(6)}]}
    features = datasets.Features({"entity": datasets.Value("string"), "image": datasets.Image()})
    source = datasets.Dataset.from_dict(rows, features=features)
    if saved:
        source.save_to_disk(tmp_path / "saved")
        source = tmp_path / "saved"
    triples = pd.DataFrame([("e0", "next", "e1"), ("e1", "next", "e2")], columns=TRIPLES.columns)
    import_graph(tmp_path / "new", {"train": triples, "test": triples[:1]}, source)
    images = MultimodalDataset(tmp_path / "new").entity_table.image_dict()
    red = {label: [Image.open(path).getpixel((0, 0))[0] for path in paths] for label, paths in images.items()}
    assert red == {"e0": [5], "e1": [], "e2": [6]}


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"columns": ["s", "relation", "tail"]}, "lacks the column 's'"),
        ({"triples": TRIPLES.assign(tail=None)}, "triple 1 lacks a label"),
        ({"triples": TRIPLES.assign(tail="a\tb")}, "tab or a line break"),
        ({"triples": TRIPLES[:0]}, "empty"),
        ({"triples": {"train": TRIPLES, "dev": TRIPLES}}, "'dev' is no split"),
        ({"triples": {"train": TRIPLES, "valid": TRIPLES}}, "lack train or test"),
        ({"ratios": (0.5, 0.5)}, "three positive shares"),
        ({"ratios": (0.5, 0.5, 0.5)}, "three positive shares"),
        ({}, "Give training a larger share"),
        (
            {"triples": {"train": TRIPLES, "test": TRIPLES}, "entities": pd.DataFrame({"name": ["x"]})},
            "entity table lacks the column 'entity'",
        ),
        ({"triples": "table.xlsx"}, "neither .csv"),
        ({"triples": "absent.csv"}, "absent.csv does not exist"),
    ],
)
def test_errors(tmp_path: pathlib.Path, kwargs: dict[str, object], message: str):
    with pytest.raises(DataError, match=message):
        import_graph(tmp_path / "new", **{"triples": TRIPLES, **kwargs})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("image", "message"), [(b"no image", "is no image"), ("gone.png", "gone.png of 'e0' does not")]
)
def test_what_is_no_image(tmp_path: pathlib.Path, image: object, message: str):
    entities = pd.DataFrame({"entity": ["e0"], "image": [image]})
    with pytest.raises(ImageError, match=message):
        import_graph(tmp_path / "new", {"train": TRIPLES, "test": TRIPLES}, entities)
    assert not list(tmp_path.iterdir())


def test_folder_that_holds_files(tmp_path: pathlib.Path):
    (tmp_path / "mine").touch()
    with pytest.raises(DataError, match="not empty"):
        import_graph(tmp_path, TRIPLES)


def test_without_arrow(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """One message says what to install."""

    def read(*_: object) -> None:
        raise ImportError("Unable to find a usable engine; tried using: 'pyarrow', 'fastparquet'.")

    monkeypatch.setattr(pd, "read_parquet", read)
    with pytest.raises(DataError, match="pip install pyarrow"):
        read_frame(tmp_path / "x.parquet")
