"""Attention over the pictures of an item."""

import pytest
import torch

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.fusion import InstanceAttentionFusion


def test_a_picture_like_the_structure_counts_most() -> None:
    fusion = InstanceAttentionFusion(["first", "structural", "second"], 2)
    structure = torch.tensor([[10.0, 0.0]])
    like, unlike = torch.tensor([[3.0, 1.0]]), torch.tensor([[-3.0, 1.0]])
    fused = fusion([unlike, structure, like])
    torch.testing.assert_close(fused, torch.cat([structure, like], dim=-1))
    assert fusion.output_dim == 4
    # of an item that training never saw, pictures count the same
    unseen = fusion([unlike, structure, like], torch.tensor([[True, False, True]]))
    assert unseen.tolist() == [[0, 0, 0, 1]]


@pytest.mark.parametrize("names", [["visual", "textual"], ["structural"]])
def test_needs_structure_and_pictures(names: list[str]) -> None:
    with pytest.raises(MultimodalError, match="at least one picture"):
        InstanceAttentionFusion(names, 2)
