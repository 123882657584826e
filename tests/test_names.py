"""Names in place of labels: what they mean, and what comes near."""

import pytest
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import DataError
from pykeen_mmkg.names import names_of, resolve


def test_resolve() -> None:
    """A label wins over a name, a name must be of one thing, and a near miss is told."""
    ids = {"a": 0, "b": 1, "c": 2}
    names = {"a": "dog, domestic dog", "b": "cat", "c": "Cat"}
    assert resolve("b", ids, names) == "b"
    assert resolve("Domestic Dog", ids, names) == "a"
    with pytest.raises(DataError, match=r"2 labels.*'b', 'c'"):
        resolve("cat", ids, names)
    with pytest.raises(DataError, match="near it are.*cat"):
        resolve("catt", ids, names)


def test_names_without_table(folder) -> None:
    """Plain factories have no names."""
    dataset = MultimodalDataset(path=folder)
    plain = TriplesFactory(dataset.training.mapped_triples, dataset.entity_to_id, dataset.relation_to_id)
    assert names_of(plain) == {}
