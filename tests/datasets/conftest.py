"""A small multimodal dataset in a folder, and a cache of its own for PyKEEN."""

import pathlib

import pytest

TRAIN = [("a", "likes", "b"), ("b", "likes", "c"), ("c", "knows", "a"), ("b", "knows", "a"), ("a", "knows", "d")]
VALID = [("c", "likes", "a")]
TEST = [("a", "likes", "c"), ("e", "likes", "a"), ("a", "hates", "b")]
UNSEEN = [("f", "likes", "e")]


def write_triples(path: pathlib.Path, triples: list[tuple[str, str, str]]) -> None:
    path.write_text("".join("\t".join(triple) + "\n" for triple in triples), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Eight entities (g and h in no triple), four relations (one in no triple), images of a, b and h."""
    folder = tmp_path / "graph"
    (folder / "images").mkdir(parents=True)
    write_triples(folder / "train.tsv", TRAIN)
    write_triples(folder / "valid.tsv", VALID)
    write_triples(folder / "test.tsv", TEST)
    write_triples(folder / "test-unseen-entities.tsv", UNSEEN)
    texts = {"a": "Ann", "b": "Bob", "c": "", "d": "Dan", "e": "Eve", "f": "", "g": "Gil", "h": ""}
    rows = "".join(f"{label}\t{name}\t\n" for label, name in texts.items())
    (folder / "entities.tsv").write_text(f"entity\tlabel\tdescription\n{rows}")
    relations = "likes\tlikes\tis fond of\nknows\tknows\t\nhates\thates\t\nowns\t\t\n"
    (folder / "relations.tsv").write_text(f"relation\tlabel\tdescription\n{relations}")
    for name in ("a_0", "a_1", "b", "h"):
        (folder / "images" / f"{name}.jpg").write_bytes(b"not decoded here")
    return folder


@pytest.fixture
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """PyKEEN's cache of datasets, empty."""
    path = tmp_path / "cache"
    monkeypatch.setattr("pykeen.datasets.utils.PYKEEN_DATASETS", path)
    return path
