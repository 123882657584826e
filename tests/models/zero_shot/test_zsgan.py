"""The model with a generator."""

from collections.abc import Callable

import torch

from pykeen_mmkg.models.zero_shot.zsgan import ZSGAN


def test_entities_of_the_extractor_are_those_of_the_model(make_zsgan: Callable[..., ZSGAN]) -> None:
    """After the first step of its own, the extractor has the entities' vectors as they were then."""
    model = make_zsgan()
    model.pairs.reset_parameters()
    expected = model.entity_representations[0](None).detach().clone()
    model.train()
    model.pairs.own_step()
    assert torch.equal(model.pairs.extractor.entities, expected)
