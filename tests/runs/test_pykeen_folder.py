"""PyKEEN's own folders, read without guessing types."""

import gzip
import pathlib

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pykeen.models import DistMult
from pykeen.triples import TriplesFactory

from pykeen_mmkg.errors import RunError
from pykeen_mmkg.runs.pykeen_folder import load_pykeen_run, read_training_triples

LABELS = ["007", "7", "08", "NA", "nan", "0.10", "true", "a b", 'say "x"', "é", "e\u0301"]


def _factory(entities: list[str], relations: list[str], **kwargs: object) -> TriplesFactory:
    triples = torch.tensor([[i, 0, (i + 1) % len(entities)] for i in range(len(entities))])
    return TriplesFactory(
        triples, {e: i for i, e in enumerate(entities)}, {r: i for i, r in enumerate(relations)}, **kwargs
    )


def _read(factory: TriplesFactory, folder: pathlib.Path) -> TriplesFactory:
    factory.to_path_binary(folder)
    return read_training_triples(folder)


def test_labels_are_strings(tmp_path: pathlib.Path) -> None:
    factory = _factory(LABELS, ["1", "01"], create_inverse_triples=True, metadata={"multimodal": {"path": "x"}})
    read = _read(factory, tmp_path)
    assert read.entity_to_id == factory.entity_to_id
    assert read.relation_to_id == factory.relation_to_id
    assert torch.equal(read.mapped_triples, factory.mapped_triples)
    assert read.create_inverse_triples
    assert read.metadata["multimodal"] == {"path": "x"}


# a carriage return alone is what csv in PyKEEN's table cannot keep apart from a line end
printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(printable, min_size=1, max_size=5, unique=True))
def test_any_printable_label(tmp_path: pathlib.Path, labels: list[str]) -> None:
    assert _read(_factory(labels, ["r"]), tmp_path).entity_to_id == {e: i for i, e in enumerate(labels)}


def test_a_model_with_its_triples(tmp_path: pathlib.Path) -> None:
    factory = _factory(LABELS, ["r"])
    model = DistMult(triples_factory=factory, embedding_dim=4)
    torch.save(model, tmp_path / "trained_model.pkl")
    with pytest.raises(RunError, match="name the dataset"):
        load_pykeen_run(tmp_path)
    factory.to_path_binary(tmp_path / "training_triples")
    loaded, training = load_pykeen_run(tmp_path)
    assert training.entity_to_id == factory.entity_to_id
    hrt = factory.mapped_triples[:3]
    torch.testing.assert_close(loaded.predict_hrt(hrt), model.eval().predict_hrt(hrt))


def test_what_is_missing_or_damaged_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match="trained_model.pkl"):
        load_pykeen_run(tmp_path)
    folder = tmp_path / "training_triples"
    _factory(["a", "b"], ["r"]).to_path_binary(folder)
    path = folder / "entity_to_id.tsv.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunError, match="entity_to_id.tsv.gz is damaged"):
        read_training_triples(folder)
    path.write_bytes(gzip.compress(b"id\tlabel\nx\ta\n"))
    with pytest.raises(RunError, match="entity_to_id"):
        read_training_triples(folder)
    path.unlink()
    with pytest.raises(RunError, match="entity_to_id.tsv.gz is missing"):
        read_training_triples(folder)
