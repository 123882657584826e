"""What all heads of a relation have in common with its tails, by hand; their scores: ``test_pair_evidence.py``."""

import math

import torch

from pykeen_mmkg.nn.zero_shot.graph import EvidenceGraph
from pykeen_mmkg.nn.zero_shot.head_grid import HeadGrid, Heads

R = 3
#: relation 2 has no triple
ROWS = [(0, 0, 1), (0, 0, 2), (1, 1, 3), (2, 1, 3), (4, 0, 3)]


def test_a_grid_by_hand() -> None:
    graph = EvidenceGraph(torch.tensor(ROWS), 5, R, torch.tensor([[4, 0]]))
    texts, near = torch.randn(5, 3), torch.randn(2 * R, 3)
    heads = Heads.of(graph, texts, near, torch.tensor([0, 2, 4]), 0, torch.randn(3))
    assert heads.place.tolist() == [0, -1, 1, -1, 2]
    # of entity 0, seen as the head of relation 0 twice, and of entity 2, seen as its tail once
    kinds = torch.tensor([0, 0, R])
    some, count, back, own, other = heads.scalars(kinds, torch.tensor([0, 1, 1]))
    assert some.tolist() == [1, 0, 1] and back.tolist() == [0, 1, 0]
    torch.testing.assert_close(count, torch.tensor([math.log(3), 0, math.log(2)]))
    torch.testing.assert_close(own, 4 * torch.stack([near[0] @ texts[0], near[0] @ texts[2], near[R] @ texts[2]]))
    torch.testing.assert_close(other, 4 * torch.stack([near[R] @ texts[0], near[R] @ texts[2], near[0] @ texts[2]]))
    grid = HeadGrid.of(heads, texts, torch.tensor([3]), 2, None)
    # relation 0 is asked for: 1 and its inverse are left, of which the tail has the inverse, twice
    assert grid.relations.tolist() == [R + 1, 1] and grid.shape == (3, 1)
    torch.testing.assert_close(grid.counts, torch.tensor([[math.log(3)]]))
    # one link without relation 0: from the head 2; no path, since one over 1 or 2 would need relation 0
    assert list(zip(*(part.tolist() for part in grid.entries), strict=True)) == [(R + 1, 1)]
    assert grid.walks.direct[2].tolist() == [R + 1] and grid.by_entry.direct[2].tolist() == [0]
