"""The model with a generator."""

from collections.abc import Callable

import torch
from pykeen.datasets import Nations

from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.zero_shot.zsgan import ZSGAN


def make_zsgan(**options: object) -> ZSGAN:
    factory = Nations().training
    labels = sorted(factory.relation_to_id, key=factory.relation_to_id.__getitem__)
    vectors = torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(0))
    store = FeatureStore.from_tensors(labels, vectors, modality="textual")
    return ZSGAN(
        triples_factory=factory,
        sources={"features": {"relation_textual": store}},
        embedding_dim=5,
        random_seed=0,
        pair_kwargs={"dim": 4, **options},
    )


def test_entities_of_the_extractor_are_those_of_the_model(make_zsgan: Callable[..., ZSGAN]) -> None:
    """After the first step of its own, the extractor has the entities' vectors as they were then."""
    model = make_zsgan()
    model.pairs.reset_parameters()
    expected = model.entity_representations[0](None).detach().clone()
    model.train()
    model.pairs.own_step()
    assert torch.equal(model.pairs.extractor.entities, expected)
