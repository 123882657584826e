"""Fusions without learned weights."""

import pytest
import torch

from pykeen_mmkg.nn.fusion import (
    AverageFusion,
    SumFusion,
)

from .cases import KINDS, NAMES, build


def test_paper_forms() -> None:
    """The two averages of VL-KGE, on the numbers of an example."""
    s, v, t = torch.tensor([6.0, 0.0]), torch.tensor([3.0, 3.0]), torch.tensor([0.0, 9.0])
    fusion = AverageFusion(["structural", "visual", "textual"], 2)
    assert fusion([s, v, t]).tolist() == [3.0, 4.0]
    # unseen in training: the structural slot still counts
    assert fusion([s, v, t], torch.tensor([False, True, True])).tolist() == [1.0, 4.0]
    assert fusion([s, v, t], torch.tensor([False, True, False])).tolist() == [1.5, 1.5]
    assert fusion([s, v, t], torch.tensor([True, False, False])).tolist() == [6.0, 0.0]
    masked = AverageFusion(["structural", "visual", "textual"], 2, form="masked")
    assert masked([s, v, t], torch.tensor([False, True, False])).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("kind", KINDS)
def test_coefficients(kind: str) -> None:
    """What is a weighted sum without learned weights says its weights."""
    torch.manual_seed(0)
    fusion = build(kind, NAMES, 3)
    xs, mask = [torch.randn(9, 3) for _ in NAMES], torch.rand(9, 4) < 0.5
    coefficients = fusion.coefficients(mask)
    assert (coefficients is not None) == isinstance(fusion, AverageFusion | SumFusion)
    if coefficients is not None:
        assert coefficients.dtype == torch.get_default_dtype() and not coefficients[~mask].any()
        expected = sum(coefficients[:, i, None] * x for i, x in enumerate(xs))
        torch.testing.assert_close(fusion(xs, mask), expected)


def test_which_modality_is_structural() -> None:
    """The uneven form counts the structural one by its name, which can be said."""
    fusion = AverageFusion(["visual", "mine"], 1, structural="mine")
    mask = torch.tensor([[True, False]])
    assert fusion([torch.ones(1, 1), torch.ones(1, 1)], mask).item() == 0.5
    for form in ("masked", "dense"):
        other = AverageFusion(["visual", "mine"], 1, form=form, structural="mine")
        assert other([torch.ones(1, 1), torch.ones(1, 1)], mask).item() == {"masked": 1.0, "dense": 0.5}[form]
