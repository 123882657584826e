"""Tables from files, folders, Hugging Face ``datasets``, and the hub: the same cells in all of them."""

import pathlib

import pandas as pd
import pytest

from pykeen_mmkg.datasets import frames
from pykeen_mmkg.datasets.frames import choose_text, read_frame, read_frames
from pykeen_mmkg.errors import DataError

ROWS = [("007", "1.0", "NA"), ("NA", "r", "x, y"), ("a", "r", "")]
FRAME = pd.DataFrame(ROWS, columns=["head", "relation", "tail"])


def cells(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return [tuple(row) for row in frame.to_numpy().tolist()]


EMPTY_IS_NONE = [*ROWS[:2], ("a", "r", None)]


def test_text_files(tmp_path: pathlib.Path):
    FRAME.to_csv(tmp_path / "x.csv", index=False)
    FRAME.to_csv(tmp_path / "x.tsv", index=False, sep="\t")
    assert cells(read_frame(tmp_path / "x.csv")) == cells(read_frame(tmp_path / "x.tsv")) == EMPTY_IS_NONE


@pytest.mark.parametrize("prefix", ["", "data/"])
def test_shards(tmp_path: pathlib.Path, prefix: str):
    """Shards are joined in their order; one split alone is a table."""
    pytest.importorskip("pyarrow")
    folder = tmp_path / prefix
    folder.mkdir(exist_ok=True)
    for number in range(3):
        FRAME[number : number + 1].to_parquet(folder / f"train-0000{number}-of-00003.parquet")
    assert cells(read_frame(tmp_path)) == cells(read_frames(str(tmp_path))) == ROWS
    FRAME[:1].to_parquet(folder / "test-00000-of-00001-0123456789abcdef.parquet")
    FRAME[1:2].to_parquet(folder / "validation.parquet")
    found = read_frames(tmp_path)
    assert {name: cells(frame) for name, frame in found.items()} == {
        "train": ROWS,
        "test": ROWS[:1],
        "validation": ROWS[1:2],
    }
    with pytest.raises(DataError, match=r"\['test', 'train', 'validation'\]"):
        read_frame(tmp_path)
    (tmp_path / "other").mkdir()
    FRAME.to_parquet(tmp_path / "other" / "train.parquet")
    with pytest.raises(DataError, match="several folders .*name one"):
        read_frames(tmp_path)


def test_hugging_face(tmp_path: pathlib.Path):
    """A dataset in memory, a dictionary of them, and both as they are saved."""
    datasets = pytest.importorskip("datasets")
    one = datasets.Dataset.from_pandas(FRAME)
    both = datasets.DatasetDict({"train": one, "test": one.select([1])})
    one.save_to_disk(tmp_path / "one")
    both.save_to_disk(tmp_path / "both")
    assert cells(read_frame(one)) == cells(read_frame(tmp_path / "one")) == cells(read_frames(tmp_path / "one")) == ROWS
    for source in (both, tmp_path / "both"):
        found = read_frames(source)
        assert {name: cells(frame) for name, frame in found.items()} == {"train": ROWS, "test": ROWS[1:2]}
    (tmp_path / "one" / "state.json").write_text("{")
    with pytest.raises(DataError, match="one cannot be read"):
        read_frame(tmp_path / "one")


def test_hub(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Parquet files alone are asked for, of the repository and revision that are named."""
    pytest.importorskip("pyarrow")
    folder = tmp_path / "snapshot" / "en"
    folder.mkdir(parents=True)
    FRAME.to_parquet(folder / "train.parquet")
    asked: list[tuple[object, ...]] = []

    def snapshot(repo: str, **kwargs: object) -> str:
        asked.append((repo, kwargs["repo_type"], kwargs["revision"], kwargs["allow_patterns"]))
        return str(tmp_path / "snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert cells(read_frame("hf://datasets/me/graph@v1/en")) == ROWS
    assert cells(read_frame("hf://datasets/me/graph")) == ROWS
    assert asked == [("me/graph", "dataset", "v1", ["*.parquet"]), ("me/graph", "dataset", None, ["*.parquet"])]
    with pytest.raises(DataError, match="no folder 'de'"):
        read_frame("hf://datasets/me/graph/de")
    with pytest.raises(DataError, match="names no dataset"):
        read_frame("hf://datasets/graph")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    with pytest.raises(DataError, match="me/graph cannot be fetched: offline"):
        read_frames("hf://datasets/me/graph")


@pytest.mark.parametrize("source", [3, None, [("a", "b", "c")]])
def test_what_is_no_table(source: object):
    with pytest.raises(DataError, match="is no table"):
        read_frame(source)


def test_empty_folder(tmp_path: pathlib.Path):
    with pytest.raises(DataError, match="no .parquet file"):
        read_frames(tmp_path)


def test_without_the_library(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "dataset_dict.json").write_text("{}")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DataError, match="pip install datasets"):
        read_frames(tmp_path)
    assert frames.HUB


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, ""),
        ({"de": "Hund", "en": "dog", "": "?"}, "dog"),
        ({"de": "Hund", "en-GB": "hound", "": "?"}, "hound"),
        ({"de": "Hund", "": "?"}, "?"),
        ({"fr": "chien", "de": "Hund", "mul": "Canis"}, "Canis"),
        ({"fr": "chien", "de": "Hund"}, "Hund"),
    ],
)
def test_choice_of_texts(texts: dict[str, str], expected: str):
    assert choose_text(texts, "en") == expected
