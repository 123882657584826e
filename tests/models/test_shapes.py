"""Symbolic shapes become numbers, interactions get their dimensions, relations their initial values."""

import math

import pytest
import torch
from pykeen.nn.modules import (
    CPInteraction,
    DistMultInteraction,
    KG2EInteraction,
    RotatEInteraction,
    TransEInteraction,
    TransRInteraction,
    interaction_resolver,
)

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.models.shapes import (
    Slot,
    complex_xavier_uniform_,
    entity_slots,
    make_interaction,
    plain_embedding,
    relation_embedding,
    relation_slots,
    resolve_dimensions,
)
from pykeen_mmkg.nn.interaction import VLRotatEInteraction


def test_dimensions() -> None:
    """TransR: relations live in a space of their own, by default of the same dimension."""
    interaction = TransRInteraction(p=1)
    assert resolve_dimensions(interaction, dim=6) == {"d": 6, "e": 6}
    numbers = resolve_dimensions(interaction, dim=6, dimensions={"e": 4})
    assert [slot.shape for slot in entity_slots(interaction, numbers)] == [(6,)]
    assert [slot.shape for slot in relation_slots(interaction, numbers)] == [(4,), (6, 4)]
    with pytest.raises(ValueError, match="'z'"):
        resolve_dimensions(interaction, dim=6, dimensions={"z": 1})


def test_multimodal_slots() -> None:
    """Vectors of the entity can be fused; variances and biases cannot."""
    numbers = resolve_dimensions(CPInteraction(), dim=6)
    assert [(s.shape, s.multimodal) for s in entity_slots(CPInteraction(), numbers)] == [((2, 6), True)] * 2
    interaction = KG2EInteraction()
    slots = entity_slots(interaction, resolve_dimensions(interaction, dim=6))
    assert [slot.multimodal for slot in slots] == [True, False]
    variance = plain_embedding(slots[1], 5)
    with torch.no_grad():
        variance._embeddings.weight.fill_(-1)
    variance.post_parameter_update()
    assert (variance() == 0.05).all()
    assert not Slot((), "").multimodal


def test_make_interaction() -> None:
    """Dimensions and the norm are filled in; what is given wins; an unknown name lists the options."""
    assert make_interaction("transe", None, dim=3).p == 1
    assert make_interaction("mure", None, dim=3).p == 2
    assert make_interaction("transe", {"p": 2}, dim=3).p == 2
    instance = DistMultInteraction()
    assert make_interaction(instance, None, dim=3) is instance
    assert make_interaction(TransEInteraction, None, dim=3).p == 1
    with pytest.raises(MultimodalError) as info:
        make_interaction("mystery", None, dim=3)
    assert all(name in str(info.value) for name in interaction_resolver.lookup_dict)


def test_initial_relations() -> None:
    """Angles over the whole circle, rotations of length one, complex vectors by torch's Xavier over (R, d)."""
    slot = Slot((40,), "d")
    torch.manual_seed(0)
    angles = relation_embedding(slot, 50, VLRotatEInteraction())
    angles.reset_parameters()
    assert 0 <= angles().min() < 0.1
    assert 2 * math.pi - 0.1 < angles().max() < 2 * math.pi
    rotations = relation_embedding(slot, 50, RotatEInteraction())
    rotations.reset_parameters()
    torch.testing.assert_close(rotations().abs(), torch.ones(50, 40))
    x = complex_xavier_uniform_(torch.empty(50, 40, 2))
    bound = math.sqrt(6 / (50 + 40))
    assert bound * 0.95 < x.abs().max() <= bound
    assert not torch.equal(x[..., 0], x[..., 1])
