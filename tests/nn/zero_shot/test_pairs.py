"""The feature extractor against its formula."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from pykeen_mmkg.errors import MultimodalError
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


def test_zsgans_pairs() -> None:
    """The four parts side by side, each a quarter, and the norm of the unbiased deviation."""
    torch.manual_seed(0)
    extractor = PairExtractor(TRIPLES, 6, entity_dim=3, dim=8, reduce=False, norm="unbiasedlayernorm").eval()
    e = torch.randn(6, 3)
    extractor.freeze(e)
    with torch.no_grad():
        n_h, n_t = (torch.tanh(extractor.neighbor(v)) for v in (e[[1, 2, 3, 4]].mean(0), torch.zeros(3)))
        x = torch.cat([n_h, torch.tanh(extractor.head(e[0])), torch.tanh(extractor.tail(e[5])), n_t])
        y = x + extractor.outer(functional.relu(extractor.inner(x)))
        expected = (y - y.mean()) / (y.std() + 1e-3)
        torch.testing.assert_close(extractor(torch.tensor(0), torch.tensor(5)), expected, atol=1e-5, rtol=1e-4)
        cosine = extractor.cosines(torch.tensor([0]), torch.tensor([5]), expected[None])
        assert float(cosine) == pytest.approx(float(expected.norm()), abs=1e-4)
    with pytest.raises(MultimodalError, match="quarter"):
        PairExtractor(TRIPLES, 6, entity_dim=3, dim=6, reduce=False)


class _Times(nn.Dropout):
    """In place of chance: each coordinate times a factor that grows with the place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.arange(1.0, 1 + x.shape[-1]) if self.training else x


def test_where_coordinates_are_dropped() -> None:
    """Of the neighbours, the entities and the residual, in training."""
    torch.manual_seed(0)
    extractor = PairExtractor(TRIPLES, 6, entity_dim=3, dim=4, dropout=0.0, input_dropout=0.2, output_dropout=0.2)
    assert [p.p for p in (extractor.dropout, extractor.input_dropout, extractor.output_dropout)] == [0.0, 0.2, 0.2]
    extractor.input_dropout, extractor.output_dropout = _Times(0.2), _Times(0.2)
    e = torch.randn(6, 3)
    extractor.freeze(e)
    f = e * torch.tensor([1.0, 2.0, 3.0])
    for train, v, scale in ((True, f, torch.arange(1.0, 5.0)), (False, e, torch.ones(4))):
        extractor.train(train)
        with torch.no_grad():
            n_h, n_t = (torch.tanh(extractor.neighbor(c)) for c in (v[[1, 2, 3, 4]].mean(0), torch.zeros(3)))
            x = extractor.of_head(torch.cat([n_h, torch.tanh(extractor.head(v[0]))]))
            x = x + extractor.of_tail(torch.cat([torch.tanh(extractor.tail(v[5])), n_t]))
            expected = extractor.norm(x + scale * extractor.outer(functional.relu(extractor.inner(x))))
            torch.testing.assert_close(extractor(torch.tensor(0), torch.tensor(5)), expected, atol=1e-5, rtol=1e-4)
    extractor.input_dropout, seen = nn.Dropout(0.5), set()
    extractor.train()
    for _ in range(20):  # each neighbour loses other coordinates
        seen.add(tuple(extractor._mean_around(torch.tensor([0]))[0].tolist()))
    assert len(seen) > 8


def test_xavier_of_the_whole_map() -> None:
    """The halves are one map from all four parts: 400 to 200 in MRE."""
    torch.manual_seed(0)
    extractor = PairExtractor(TRIPLES, 6, entity_dim=200, dim=200, xavier=True)
    assert float(extractor.neighbor.weight.std()) == pytest.approx((2 / 300) ** 0.5, rel=0.03)
    for half in (extractor.of_head, extractor.of_tail):
        assert half.weight.shape == (200, 200) and float(half.weight.std()) == pytest.approx((2 / 600) ** 0.5, rel=0.03)
    assert not extractor.of_head.bias.any() and not extractor.inner.bias.any()


def test_the_leak_is_asked_for() -> None:
    """Links that are to be predicted are neighbours only where they are given."""
    leaked = torch.tensor([[5, 0, 3]])
    assert PairExtractor(TRIPLES, 6, entity_dim=3).num_neighbors[5] == 0
    extractor = PairExtractor(TRIPLES, 6, entity_dim=3, leaked=leaked)
    assert extractor.num_neighbors[5] == 1 and extractor.neighbors[5, 0] == 3
    assert extractor.num_neighbors[0] == 4
