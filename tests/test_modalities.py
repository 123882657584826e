"""Where the features of a model come from, and which source wins."""

import pathlib

import pytest
import torch
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import DataError, FeatureError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.modalities import INVERSE_PREFIX, ModalitySources, labels_of


@pytest.fixture()
def factory(folder) -> TriplesFactory:
    return MultimodalDataset(path=folder).training


def test_labels_of(factory) -> None:
    """Labels come in the order of the ids; an inverse relation follows its own."""
    assert labels_of(factory, "entity") == [factory.entity_id_to_label[i] for i in range(factory.num_entities)]
    inverse = TriplesFactory(
        factory.mapped_triples, factory.entity_to_id, factory.relation_to_id, create_inverse_triples=True
    )
    labels = labels_of(inverse, "relation")
    assert labels[::2] == labels_of(factory, "relation")
    assert labels[1::2] == [f"{label}_inverse" for label in labels[::2]]


def test_inverse_relations_are_told_by_id(folder, dual_encoder, tmp_path) -> None:
    """A relation of the user's that is called as an inverse would be has its own text."""
    triples = MultimodalDataset(path=folder).training
    names = {"likes": 0, "r0_inverse": 1, "r2": 2}
    (tmp_path / "relations.tsv").write_text(
        "relation\tlabel\tdescription\n" + "".join(f"{name}\t\tmeans {name}\n" for name in names)
    )
    given = {"relations": str(tmp_path / "relations.tsv"), "store": str(tmp_path)}
    for inverse in (False, True):
        factory = TriplesFactory(triples.mapped_triples, triples.entity_to_id, names, create_inverse_triples=inverse)
        sources = ModalitySources.from_factory(factory, given, str(dual_encoder))
        vectors, mask = sources.gather("relation", "textual", labels_of(factory, "relation")).lookup(["r0_inverse"])
        assert mask.all()
        expected = sources.encoder.encode_texts(["means r0_inverse"])
        torch.testing.assert_close(vectors, expected, rtol=1e-4, atol=1e-5)


def test_arguments_win(factory, stores, folder) -> None:
    """Metadata is the default; what is given wins; tables of one's own set aside the features of the dataset."""
    plain = ModalitySources.from_factory(factory)
    assert pathlib.Path(plain.entities) == folder / "entities.tsv"
    assert plain.features == {}
    factory.metadata["multimodal"]["features"] = {"visual": stores["visual"]}
    assert ModalitySources.from_factory(factory).features == {"visual": stores["visual"]}
    assert ModalitySources.from_factory(factory, sources={"features": {"visual": "mine"}}).features == {
        "visual": "mine"
    }
    assert ModalitySources.from_factory(factory, {"entities": str(folder / "entities.tsv")}).features == {}


@pytest.mark.parametrize(
    ("kind", "modality", "expected"),
    [("entity", "visual", True), ("entity", "textual", True), ("relation", "textual", True)],
)
def test_provides(kind, modality, expected, factory, stores) -> None:
    """A modality is there if its features are named, or what they would be made from."""
    assert ModalitySources.from_factory(factory).provides(kind, modality) is expected
    assert not ModalitySources().provides(kind, modality)
    key = modality if kind == "entity" else f"relation_{modality}"
    assert ModalitySources(features={key: stores[key]}).provides(kind, modality)


def test_gather_errors(factory, stores, tmp_path) -> None:
    """Unknown names, other labels and missing tables are told."""
    sources = ModalitySources.from_factory(factory)
    with pytest.raises(FeatureError, match="smell"):
        sources.gather("entity", "smell", labels_of(factory, "entity"))
    with pytest.raises(FeatureError, match="known are"):
        ModalitySources.from_factory(factory, {"features": {"smell": "x"}})
    other = FeatureStore.from_tensors(["x1", "x2"], torch.ones(2, 3))
    with pytest.raises(FeatureError, match="x1"):
        ModalitySources(features={"visual": other}).gather("entity", "visual", labels_of(factory, "entity"))
    with pytest.raises(DataError, match="'relations': <path"):
        ModalitySources().gather("relation", "textual", labels_of(factory, "relation"))
    table = tmp_path / "short.tsv"
    table.write_text("entity\tlabel\tdescription\ne0\ta\tb\n")
    with pytest.raises(DataError, match="e1"):
        ModalitySources(entities=table).gather("entity", "textual", labels_of(factory, "entity"))


def test_encoded_once_into_a_file(folder, dual_encoder, tmp_path) -> None:
    """What is encoded lies in a file, inverse relations have a text of their own, and equal input gives equal bytes."""
    factory = MultimodalDataset(path=folder, create_inverse_triples=True).training
    sources = [
        ModalitySources.from_factory(factory, {"store": str(tmp_path / name)}, str(dual_encoder)) for name in "ab"
    ]
    first, second = (s.gather("relation", "textual", labels_of(factory, "relation")) for s in sources)
    assert first.path is not None
    assert pathlib.Path(first.path).read_bytes() == pathlib.Path(second.path).read_bytes()
    vectors, mask = first.lookup(["r0", "r0_inverse"])
    assert mask.all()
    assert not torch.equal(vectors[0], vectors[1])
    by_hand = sources[0].encoder.encode_texts([INVERSE_PREFIX + "successor 0: comes 0 after"])[0]
    torch.testing.assert_close(vectors[1], by_hand, rtol=1e-4, atol=1e-5)


def test_a_relation_that_is_called_as_an_inverse_keeps_its_own_text(dual_encoder, tmp_path) -> None:
    """Inverse relations are told by id: `likes_inverse` of the graph is not the inverse of `likes`."""
    (tmp_path / "train.tsv").write_text("a\tlikes\tb\nb\tlikes_inverse\ta\n")
    (tmp_path / "test.tsv").write_text("b\tlikes\ta\n")
    (tmp_path / "relations.tsv").write_text("relation\tname\nlikes\tis fond of\nlikes_inverse\tdetests\n")
    for inverse, texts in (
        (False, ["is fond of", "detests"]),
        (True, ["is fond of", INVERSE_PREFIX + "is fond of", "detests", INVERSE_PREFIX + "detests"]),
    ):
        factory = MultimodalDataset(path=tmp_path, create_inverse_triples=inverse).training
        sources = ModalitySources.from_factory(factory, {"store": str(tmp_path / "store")}, encoder=str(dual_encoder))
        labels = labels_of(factory, "relation")
        vectors, mask = sources.gather("relation", "textual", labels).lookup(labels)
        assert mask.all()
        torch.testing.assert_close(vectors, sources.encoder.encode_texts(texts), rtol=1e-4, atol=1e-5)
