"""Where labels come from, and what is said if they do not."""

import gzip

import pytest
from pykeen.datasets import Nations
from pykeen.models import DistMult
from pykeen.pipeline import pipeline

from pykeen_mmkg.errors import EvaluationError
from pykeen_mmkg.evaluation.label_maps import find_labels, read_label_map


def test_maps_from_files_that_pykeen_saves(tmp_path):
    result = pipeline(dataset="nations", model="distmult", epochs=0, training_kwargs={"use_tqdm": False})
    result.save_to_directory(tmp_path)
    labels = find_labels(
        entity_to_id=tmp_path / "training_triples" / "entity_to_id.tsv.gz",
        relation_to_id=str(tmp_path / "training_triples" / "relation_to_id.tsv.gz"),
    )
    assert dict(labels.entity_to_id) == dict(Nations().entity_to_id)
    assert dict(labels.relation_to_id) == dict(Nations().relation_to_id)


@pytest.mark.parametrize("text", ["a\t0\nid\t1\n", "label\tid\na\t0\nid\t1\n", "id\tlabel\n0\ta\n1\tid\n"])
def test_formats(tmp_path, text):
    (tmp_path / "map.tsv").write_text(text)
    assert read_label_map(tmp_path / "map.tsv", "entity") == {"a": 0, "id": 1}
    (tmp_path / "map.tsv.gz").write_bytes(gzip.compress(text.encode()))
    assert read_label_map(str(tmp_path / "map.tsv.gz"), "entity") == {"a": 0, "id": 1}


def test_order_of_sources(tmp_path):
    dataset = Nations()
    model = DistMult(triples_factory=dataset.training, random_seed=0)
    with pytest.raises(EvaluationError, match="`dataset`"):
        find_labels(model)
    assert find_labels(model, dataset="nations").entity_to_id == dataset.entity_to_id
    assert find_labels(model, dataset=dataset.training).relation_to_id == dataset.relation_to_id
    model.entity_to_id, model.relation_to_id = {"x": 0}, {"y": 1}
    assert find_labels(model).entity_to_id == {"x": 0}
    assert find_labels(model, entity_to_id={"z": 3}, relation_to_id={}).entity_to_id == {"z": 3}


def test_bad_files(tmp_path):
    with pytest.raises(EvaluationError, match="no entity map"):
        read_label_map(tmp_path / "none.tsv", "entity")
    (tmp_path / "map.tsv").write_text("a\t0\nb\tone\n")
    with pytest.raises(EvaluationError, match=r"map.tsv, line 2: \['b', 'one'\] is not"):
        read_label_map(tmp_path / "map.tsv", "entity")
