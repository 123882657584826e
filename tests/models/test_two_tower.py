"""The two-tower model: what it reads, and that it answers for entities that training never saw."""

import pathlib

import pytest
import torch
from pykeen.pipeline import pipeline
from pykeen.triples import CoreTriplesFactory

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import FeatureError, MultimodalError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.two_tower import TwoTower
from pykeen_mmkg.nn.preprocessing import preprocess


@pytest.fixture(scope="module")
def training(folder: pathlib.Path) -> CoreTriplesFactory:
    """The training triples of the small dataset, with inverse ones."""
    return MultimodalDataset(path=folder, create_inverse_triples=True).training


def _rows(factory: CoreTriplesFactory, path: str) -> tuple[torch.Tensor, torch.Tensor]:
    vectors, mask = FeatureStore.load(path).lookup(sorted(factory.entity_to_id, key=factory.entity_to_id.get))
    return vectors.float(), mask


@pytest.mark.parametrize("impute", ["kernel", "ridge", None])
def test_content(training: CoreTriplesFactory, stores: dict[str, str], impute: str | None) -> None:
    """The content of an entity is its centered text, or the estimate from its picture; no bias, so missing is zero."""
    features = {key: stores[key] for key in ("visual", "textual")}
    model = TwoTower(
        triples_factory=training, sources={"features": features}, embedding_dim=8, impute=impute, random_seed=0
    )
    x, mask = preprocess(*_rows(training, stores["textual"]), *_rows(training, stores["visual"]), imputation=impute)
    assert model.known_entities.equal(mask)
    content = model.entity_representations[0]
    torch.testing.assert_close(content().detach(), x @ content.projection.weight.detach().T)
    scores = model.predict_t(torch.tensor([[3, 0]]))
    assert scores[0, ~mask].eq(0).all() and scores[0, mask].ne(0).all()
    if impute:
        assert mask.sum() > _rows(training, stores["textual"])[1].sum()


def test_shuffled_pictures(training: CoreTriplesFactory, stores: dict[str, str]) -> None:
    """Shuffled pictures change the estimates, and no vector of an entity that has a text."""
    features = {key: stores[key] for key in ("visual", "textual")}
    one, other = (
        TwoTower(triples_factory=training, sources={"features": features}, shuffle=shuffle, random_seed=0)
        for shuffle in (None, {"visual": 1})
    )
    has = _rows(training, stores["textual"])[1]
    x, y = one.entity_representations[0].features, other.entity_representations[0].features
    assert x[has].equal(y[has])
    assert not x[~has & one.known_entities].equal(y[~has & one.known_entities])


def test_pictures_that_nobody_needs(
    training: CoreTriplesFactory, stores: dict[str, str], tmp_path: pathlib.Path
) -> None:
    """Where every entity has a text, features of pictures are not asked for."""
    labels = sorted(training.entity_to_id, key=training.entity_to_id.get)
    store = FeatureStore.from_tensors(labels, torch.eye(len(labels)), mask=torch.ones(len(labels), dtype=torch.bool))
    store.save(tmp_path / "all.safetensors")
    features = {"textual": str(tmp_path / "all.safetensors"), "visual": "nowhere.safetensors"}
    assert TwoTower(triples_factory=training, sources={"features": features}).known_entities.all()
    with pytest.raises(FeatureError, match="nowhere"):
        TwoTower(triples_factory=training, sources={"features": {**features, "textual": stores["textual"]}})


def test_pictures_only(training: CoreTriplesFactory, stores: dict[str, str]) -> None:
    """Without text, the pictures are the content; without anything there is a clear error."""
    model = TwoTower(
        triples_factory=training, sources={"features": {"visual": stores["visual"]}}, modality="visual", impute=None
    )
    assert model.known_entities.sum() == 12
    plain = CoreTriplesFactory(training.mapped_triples, training.num_entities, training.real_num_relations)
    with pytest.raises(MultimodalError, match="features|labels"):
        TwoTower(triples_factory=plain)


def test_pipeline(folder: pathlib.Path, stores: dict[str, str]) -> None:
    """By name, with its loop: the loss falls, and a saved model gives the same scores."""
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs={"path": str(folder), "create_inverse_triples": True},
        model="twotower",
        model_kwargs={
            "sources": {"features": {key: stores[key] for key in ("visual", "textual")}},
            "embedding_dim": 16,
        },
        training_loop="sampledsoftmax",
        optimizer_kwargs=dict(lr=0.02),
        training_kwargs=dict(num_epochs=6, batch_size=8, use_tqdm=False),
        evaluation_kwargs=dict(use_tqdm=False),
        random_seed=0,
    )
    assert result.losses[-1] < 0.8 * result.losses[0]
    path = folder / "twotower.pt"
    torch.save(result.model, path)
    again = torch.load(path, weights_only=False)
    query = torch.tensor([[0, 1], [2, 2]])
    assert again.predict_t(query).equal(result.model.predict_t(query))
    query = query.flip(-1)
    assert again.predict_h(query).equal(result.model.predict_h(query))
