"""The record that travels in a factory's metadata: plain JSON in, the same record out."""

import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykeen.datasets import Nations
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from pykeen_mmkg.datasets import GraphMetadata, MultimodalDataset, labels_of
from pykeen_mmkg.errors import DataError

paths = st.none() | st.text(min_size=1)


@given(
    st.builds(
        GraphMetadata,
        entities=paths,
        images=paths,
        digest=paths,
        features=st.dictionaries(st.sampled_from(["visual", "textual"]), st.text()),
        missing_rows=st.sampled_from(["error", "allow"]),
    )
)
def test_round_trip(record: GraphMetadata) -> None:
    factory = Nations().training
    factory.metadata = json.loads(json.dumps({"other": 1, **record.to_metadata()}))
    assert GraphMetadata.of(factory) == record


def test_a_plain_factory_says_nothing() -> None:
    assert GraphMetadata.of(Nations().training) == GraphMetadata()
    assert not GraphMetadata()
    assert GraphMetadata(entities="entities.tsv")


def test_an_unknown_entry_is_named() -> None:
    factory = Nations().training
    factory.metadata = {"multimodal": {"entitys": "x"}}
    with pytest.raises(DataError, match="entitys"):
        GraphMetadata.of(factory)


def test_tables(folder: pathlib.Path):
    dataset = MultimodalDataset(folder, create_inverse_triples=True)
    entities, relations = (dataset.record.table(dataset.training, kind) for kind in ("entity", "relation"))
    assert entities.labels == tuple("abcdefgh")
    assert [len(images) for images in entities.images] == [2, 1, 0, 0, 0, 0, 0, 1]
    assert relations.texts() == {"hates": "hates", "knows": "knows", "likes": "likes: is fond of", "owns": None}


def test_tables_of_a_plain_factory(folder: pathlib.Path):
    factory = TriplesFactory.from_path(folder / "train.tsv")
    record = GraphMetadata(entities=str(folder / "entities.tsv"), images=str(folder / "images"))
    entities, relations = record.table(factory, "entity"), record.table(factory, "relation")
    assert list(entities.labels) == labels_of(factory, "entity")
    assert entities.texts()["a"] == "Ann"
    assert len(entities.images[0]) == 2
    assert relations.texts() == {"knows": None, "likes": None}
    with pytest.raises(DataError, match="has no labels"):
        record.table(CoreTriplesFactory.create(factory.mapped_triples), "entity")
