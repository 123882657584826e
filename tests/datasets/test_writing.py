"""Writing a dataset to a folder and loading it again."""

import json
import pathlib

import pytest
import torch
from pykeen.datasets import Nations

from pykeen_mmkg.datasets import MultimodalDataset, split_unseen_relations, write_dataset
from pykeen_mmkg.errors import DataError
from pykeen_mmkg.features.store import FeatureStore


def test_round_trip(folder: pathlib.Path, tmp_path: pathlib.Path):
    dataset = MultimodalDataset(folder)
    write_dataset(dataset, tmp_path / "written")
    loaded = MultimodalDataset(tmp_path / "written")
    assert loaded == dataset
    assert loaded.entity_to_id == dataset.entity_to_id
    assert loaded.relation_to_id == dataset.relation_to_id
    assert loaded.extra == dict(dataset.extra)
    assert loaded.entity_table.texts() == dataset.entity_table.texts()
    for ours, theirs in zip(loaded.entity_table.images, dataset.entity_table.images, strict=True):
        assert all(one.samefile(other) for one, other in zip(ours, theirs, strict=True))
    assert loaded.digest == dataset.digest


def test_a_split_keeps_what_it_removed(tmp_path: pathlib.Path):
    split = split_unseen_relations(Nations(), 4, 2, leaks="remove-pairs", threshold=0.3)
    assert split.removed.num_triples
    write_dataset(split, tmp_path / "written")
    loaded = MultimodalDataset(tmp_path / "written")
    assert loaded == split
    assert loaded.known_true is not None
    assert loaded.known_true.tolist() == split.removed.mapped_triples.tolist()


def test_nothing_is_overwritten(folder: pathlib.Path):
    with pytest.raises(DataError, match="is not empty"):
        write_dataset(MultimodalDataset(folder), folder)


def test_what_belongs_to_the_graph_goes_with_it(folder: pathlib.Path, tmp_path: pathlib.Path):
    relation = MultimodalDataset(folder).relation_table.labels[0]
    entities = MultimodalDataset(folder).entity_table.labels
    (folder / "candidates.json").write_text(json.dumps({relation: entities[:3]}))
    (folder / "dev_relations.txt").write_text(f"{relation}\n")
    (folder / "known_true.tsv").write_text(f"{entities[1]}\t{relation}\t{entities[0]}\n")
    store = FeatureStore(entities[:2], torch.eye(2), torch.ones(2).bool(), torch.ones(2).long(), "textual")
    store.save(folder / "features" / "textual.safetensors")
    dataset = MultimodalDataset(folder)
    write_dataset(dataset, tmp_path / "written")
    loaded = MultimodalDataset(tmp_path / "written")
    assert loaded.candidates == dataset.candidates == {relation: list(entities[:3])}
    assert loaded.dev_relations == dataset.dev_relations == (relation,)
    assert loaded.known_true.tolist() == dataset.known_true.tolist() == [[1, 0, 0]]
    (path,) = loaded.record.features.values()
    assert FeatureStore.load(path).vectors.equal(store.vectors)
    assert not loaded.notes
