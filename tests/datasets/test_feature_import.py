"""The import of others' features into a dataset: order, coverage, places."""

import pathlib

import numpy as np
import pytest
import torch
from pykeen.datasets import Nations

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.datasets.feature_import import import_features
from pykeen_mmkg.datasets.wordnet_emoji import WordNetEmoji
from pykeen_mmkg.errors import FeatureError
from pykeen_mmkg.features import FeatureStore

TABLE = np.arange(6, dtype="float32").reshape(3, 2)


@pytest.fixture
def graph(tmp_path: pathlib.Path) -> MultimodalDataset:
    folder = tmp_path / "graph"
    folder.mkdir()
    (folder / "train.tsv").write_text("c\tr\ta\na\ts\tb\n")
    (folder / "test.tsv").write_text("d\tr\ta\n")
    return MultimodalDataset(folder, create_inverse_triples=True)


def test_rows_go_to_their_labels(graph: MultimodalDataset, tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "x.npy", TABLE)
    (tmp_path / "ids.txt").write_text("c\t0\nx\t1\na\t2\n")
    made = import_features(tmp_path / "x.npy", graph, "visual", tmp_path / "ids.txt")
    assert made.found and made.path == graph.path / "features" / "visual.safetensors"
    assert list(made.surplus) == ["x"]
    assert "2 of 4 have a vector of 2 dimensions" in str(made) and "'b'" in str(made) and "'x'" in str(made)
    again = MultimodalDataset(graph.path)
    store = FeatureStore.load(again.record.features["visual"])
    assert store.labels == ("a", "b", "c", "d") and store.mask.tolist() == [True, False, True, False]
    assert store.vectors.tolist() == [[4, 5], [0, 0], [0, 1], [0, 0]]
    assert store.provenance["source"] == "x.npy" and len(store.provenance["source_sha256"]) == 64


def test_relations_and_another_place(graph: MultimodalDataset, tmp_path: pathlib.Path) -> None:
    torch.save({"s": torch.ones(2), "r": torch.zeros(2) + 2}, tmp_path / "x.pt")
    made = import_features(tmp_path / "x.pt", graph, "relation_textual", output=tmp_path / "out" / "x.safetensors")
    assert not made.found and made.store.labels == ("r", "s") and made.store.modality == "textual"
    assert FeatureStore.load(made.path).vectors.tolist() == [[2, 2], [1, 1]]
    with pytest.raises(FeatureError, match="exists already"):
        import_features(tmp_path / "x.pt", graph, "relation_textual", output=made.path)


def test_the_order_of_the_dataset(graph: MultimodalDataset, tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "x.npy", TABLE)
    with pytest.raises(FeatureError, match="3 vectors, but the dataset has 4"):
        import_features(tmp_path / "x.npy", graph, "visual", "dataset")
    with pytest.raises(FeatureError, match="without labels"):
        import_features(tmp_path / "x.npy", graph, "visual")
    np.save(tmp_path / "y.npy", np.eye(4))
    made = import_features(tmp_path / "y.npy", graph, "visual", "dataset")
    assert made.store.vectors.equal(torch.eye(4))


def test_a_dataset_without_a_folder_of_ones_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written into the package, or to where PyKEEN keeps its own datasets."""
    monkeypatch.setattr("pykeen.constants.PYKEEN_HOME", tmp_path)
    for dataset in (WordNetEmoji(), Nations()):
        label = dataset.training.entity_id_to_label[0]
        np.savez(tmp_path / "x.npz", **{label: np.ones(2)})
        made = import_features(tmp_path / "x.npz", dataset, "visual")
        assert tmp_path in made.path.parents and not made.found and made.store.mask.sum() == 1


def test_what_does_not_fit(graph: MultimodalDataset, tmp_path: pathlib.Path) -> None:
    np.savez(tmp_path / "x.npz", a=[1.0, 2], b=[3.0, 4])
    np.savez(tmp_path / "y.npz", Q1=[1.0, 2], Q2=[3.0, 4])
    np.save(tmp_path / "x.npy", TABLE)
    (tmp_path / "ids.txt").write_text("a\t0\nb\t3\n")
    for arguments, words in (
        ((tmp_path / "x.npz", graph, "sound"), "'sound'"),
        ((tmp_path / "x.npz", graph, "visual", tmp_path / "ids.txt"), "labels itself"),
        ((tmp_path / "y.npz", graph, "visual"), "'Q1'.*'a'"),
        ((tmp_path / "x.npy", graph, "visual", tmp_path / "ids.txt"), "'b' the row 3"),
    ):
        with pytest.raises(FeatureError, match=words):
            import_features(*arguments)
    assert not (graph.path / "features").exists()
