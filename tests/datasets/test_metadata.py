"""The record that travels in a factory's metadata: plain JSON in, the same record out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykeen.datasets import Nations

from pykeen_mmkg.datasets import GraphMetadata
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
