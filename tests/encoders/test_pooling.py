"""Pooling of token vectors, against each text alone."""

import pytest
import torch

from pykeen_mmkg.encoders.pooling import POOLINGS, pool

#: what each pooling gives for the token vectors of one text, shape: (k, d)
ALONE = {
    "cls": lambda x: x[0],
    "last": lambda x: x[-1],
    "mean": lambda x: x.mean(dim=0),
    "max": lambda x: x.amax(dim=0),
    "mean_sqrt_len": lambda x: x.sum(dim=0) / len(x) ** 0.5,
    "weighted_mean": lambda x: (
        torch.stack([(k + 1) * row for k, row in enumerate(x)]).sum(dim=0) / sum(range(len(x) + 1))
    ),
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_of_either_side_is_left_out(pooling, side) -> None:
    """Whatever stands at the positions that are not attended to."""
    hidden, mask = torch.randn(3, 5, 4), torch.zeros(3, 5, dtype=torch.long)
    expected = []
    for row, length in enumerate([5, 2, 1]):
        tokens = slice(0, length) if side == "right" else slice(5 - length, 5)
        mask[row, tokens] = 1
        expected.append(ALONE[pooling](hidden[row, tokens]))
    torch.testing.assert_close(pool(hidden, mask, pooling), torch.stack(expected))
    torch.testing.assert_close(pool(hidden, None, pooling), torch.stack([ALONE[pooling](row) for row in hidden]))
