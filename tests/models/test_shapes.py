"""Symbolic shapes become numbers, interactions get their dimensions."""

import pytest
from pykeen.nn.modules import (
    CPInteraction,
    DistMultInteraction,
    KG2EInteraction,
    TransEInteraction,
    TransRInteraction,
    interaction_resolver,
)

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.models.shapes import (
    Shape,
    entity_shapes,
    make_interaction,
    relation_shapes,
    resolve_dimensions,
    takes_modalities,
)


def test_dimensions() -> None:
    """TransR: relations live in a space of their own, by default of the same dimension."""
    interaction = TransRInteraction(p=1)
    assert resolve_dimensions(interaction, dim=6) == {"d": 6, "e": 6}
    numbers = resolve_dimensions(interaction, dim=6, dimensions={"e": 4})
    assert [shape.sizes for shape in entity_shapes(interaction, numbers)] == [(6,)]
    assert [shape.sizes for shape in relation_shapes(interaction, numbers)] == [(4,), (6, 4)]
    with pytest.raises(ValueError, match="'z'"):
        resolve_dimensions(interaction, dim=6, dimensions={"z": 1})


def test_multimodal_shapes() -> None:
    """Vectors of the entity can be fused; variances and biases cannot."""
    numbers = resolve_dimensions(CPInteraction(), dim=6)
    assert [(s.sizes, s.multimodal) for s in entity_shapes(CPInteraction(), numbers)] == [((2, 6), True)] * 2
    interaction = KG2EInteraction()
    shapes = entity_shapes(interaction, resolve_dimensions(interaction, dim=6))
    assert [shape.multimodal for shape in shapes] == [True, False]
    assert not Shape((), "").multimodal


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


def test_one_row_for_each_modality() -> None:
    """An interaction over modalities gets their names; the relation has the shapes of its base, and gates."""
    interaction = make_interaction("native", {"base": "transr", "base_kwargs": {"p": 2}}, dim=6, modalities=["a", "b"])
    assert takes_modalities("native") and takes_modalities(interaction) and not takes_modalities("transr")
    assert interaction.modalities == ("a", "b")
    numbers = resolve_dimensions(interaction, dim=6, dimensions={"e": 4})
    assert [shape.sizes for shape in entity_shapes(interaction, numbers)] == [(2, 6)]
    assert [shape.sizes for shape in relation_shapes(interaction, numbers)] == [(4,), (6, 4), ()]
    with pytest.raises(MultimodalError, match="Unknown interaction 'mystery'"):
        takes_modalities("mystery")
