"""The feature extractor against its formula."""

import pytest
import torch
from torch.nn import functional

from pykeen_mmkg.nn.zero_shot.pairs import PairExtractor, sample_neighbors

TRIPLES = torch.tensor([[0, 0, 1], [0, 1, 2], [3, 0, 0], [0, 0, 4], [4, 1, 4]])


def test_neighbors_are_of_the_triples() -> None:
    """All neighbours where they fit, and k of them where not."""
    table, count = sample_neighbors(TRIPLES, 6, k=10)
    assert sorted(table[0, : count[0]].tolist()) == [1, 2, 3, 4]
    assert count[5] == 0
    table, count = sample_neighbors(TRIPLES, 6, k=2)
    assert count[0] == 2 and set(table[0].tolist()) < {1, 2, 3, 4}


def test_the_vector_of_a_pair_is_its_formula() -> None:
    """E(h, t) with each part written out, for a pair of which one has no neighbour."""
    torch.manual_seed(0)
    extractor = PairExtractor(TRIPLES, 6, entity_dim=3, dim=4).eval()
    e = torch.randn(6, 3)
    extractor.freeze(e)
    around = torch.stack([e[[1, 2, 3, 4]].mean(0), torch.zeros(3)])
    h, t = 0, 5
    with torch.no_grad():
        n_h = torch.tanh(extractor.neighbor(around[0]))
        n_t = torch.tanh(extractor.neighbor(around[1]))
        x = extractor.of_head(torch.cat([n_h, torch.tanh(extractor.head(e[h]))]))
        x = x + extractor.of_tail(torch.cat([torch.tanh(extractor.tail(e[t])), n_t]))
        y = x + extractor.outer(functional.relu(extractor.inner(x)))
        expected = extractor.norm(y)
        assert torch.allclose(extractor(torch.tensor(h), torch.tensor(t)), expected, atol=1e-6)


@pytest.mark.parametrize("side", ["head", "tail"])
def test_cosines_are_those_of_the_pairs(side: str) -> None:
    """One with many, on either side, against the vectors of all pairs."""
    torch.manual_seed(0)
    extractor = PairExtractor(TRIPLES, 6, entity_dim=3, dim=4).eval()
    extractor.freeze(torch.randn(6, 3))
    one, many, prototypes = torch.tensor([0, 3]), torch.tensor([5, 1, 2]), torch.randn(2, 4)
    with torch.no_grad():
        a, b = one[:, None].expand(2, 3), many.expand(2, 3)
        pairs = extractor(a, b) if side == "tail" else extractor(b, a)
        expected = (functional.normalize(pairs, dim=-1) * prototypes[:, None]).sum(-1)
        assert torch.allclose(extractor.cosines(one, many, prototypes, side), expected, atol=1e-6)
        assert extractor.cosines(one[:0], many, prototypes[:0], side).shape == (0, 3)
