"""Embeddings of entities and relations: initial values, bounds, and keyword arguments of one's own."""

import math

import torch
from pykeen.nn.modules import DistMultInteraction, KG2EInteraction, RotatEInteraction

from pykeen_mmkg.models.embeddings import complex_xavier_uniform_, plain_embedding, relation_embedding
from pykeen_mmkg.models.shapes import Shape, entity_shapes, resolve_dimensions
from pykeen_mmkg.nn.interaction import VLRotatEInteraction


def test_variances_are_bounded() -> None:
    """The variances of KG2E start at one and stay within PyKEEN's own bounds."""
    interaction = KG2EInteraction()
    variance = plain_embedding(entity_shapes(interaction, resolve_dimensions(interaction, dim=6))[1], 5)
    variance.reset_parameters()
    assert (variance() == 1).all()
    with torch.no_grad():
        variance._embeddings.weight.fill_(-1)
    variance.post_parameter_update()
    assert (variance() == 0.05).all()


def test_initial_relations() -> None:
    """Angles over the whole circle, rotations of length one, complex vectors by torch's Xavier over (R, d)."""
    shape = Shape((40,), "d")
    torch.manual_seed(0)
    angles = relation_embedding(shape, 50, VLRotatEInteraction())
    angles.reset_parameters()
    assert 0 <= angles().min() < 0.1
    assert 2 * math.pi - 0.1 < angles().max() < 2 * math.pi
    rotations = relation_embedding(shape, 50, RotatEInteraction())
    rotations.reset_parameters()
    torch.testing.assert_close(rotations().abs(), torch.ones(50, 40))
    x = complex_xavier_uniform_(torch.empty(50, 40, 2))
    bound = math.sqrt(6 / (50 + 40))
    assert bound * 0.95 < x.abs().max() <= bound
    assert not torch.equal(x[..., 0], x[..., 1])


def test_keyword_arguments_win() -> None:
    """An initializer of one's own for vectors; biases have none."""
    interaction = DistMultInteraction()
    ones = relation_embedding(Shape((4,), "d"), 3, interaction, initializer="ones")
    ones.reset_parameters()
    assert (ones() == 1).all()
    bias = relation_embedding(Shape((), ""), 3, interaction, initializer="ones")
    bias.reset_parameters()
    assert (bias() == 0).all()
