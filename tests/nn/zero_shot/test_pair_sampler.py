"""Batches of pairs."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.nn.zero_shot.pair_sampler import PairSampler

N, R = 30, 4
SEEN = torch.tensor([True, True, False, True])  # the last has one pair
TRIPLES = torch.tensor(
    [(i, r, (i * (r + 2) + k) % N) for i in range(N) for r in (0, 1) for k in range(3)] + [(4, 3, 5)]
)
KNOWN = set(map(tuple, TRIPLES.tolist()))


def _sampler(**kwargs: object) -> PairSampler:
    return PairSampler(TRIPLES, N, SEEN, **kwargs)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.booleans(), st.booleans())
def test_episodes(seed: int, replacement: bool, filtered: bool) -> None:
    """Of one seen relation; as published, support and queries of an episode differ and no negative is known."""
    torch.manual_seed(seed)
    sampler = _sampler(num_support=8, num_queries=6, num_episodes=5, replacement=replacement, filtered=filtered)
    support, queries, negatives = sampler.episodes()
    assert (queries.shape, negatives.shape) == ((30, 3), (30, 3))
    relations = set(torch.cat([support, queries, negatives])[:, 1].tolist())
    assert len(relations) == 1 and relations < {0, 1, 3}
    assert len(support) == (5 if relations == {3} and not replacement else 40), "no pair twice"
    assert set(map(tuple, torch.cat([support, queries]).tolist())) <= KNOWN
    assert torch.equal(negatives[:, :2], queries[:, :2])
    if filtered:
        assert not set(map(tuple, negatives.tolist())) & KNOWN
    if not replacement and relations != {3}:
        for one, other in zip(support.split(8), queries.split(6), strict=True):
            rows = [*map(tuple, one.tolist()), *map(tuple, other.tolist())]
            assert len(set(rows)) == 14


def test_published_sizes() -> None:
    """MRE's batches: 80 support pairs, 640 queries, 640 negatives; of few pairs, all are drawn again."""
    torch.manual_seed(0)
    sampler = _sampler(num_support=8, num_queries=64, num_episodes=10, replacement=False, filtered=True)
    sampler.ids = torch.tensor([0, 1])
    assert [len(part) for part in sampler.episodes()] == [80, 640, 640]
    sampler.ids = torch.tensor([0, 1, 3])
    drawn = sampler.pairs(torch.tensor([0, 3]), 40)
    assert drawn.shape == (2, 40, 3) and len(drawn[0].unique(dim=0)) == 40 and len(drawn[1].unique(dim=0)) == 1
    assert [set(part[:, 1].tolist()) for part in drawn] == [{0}, {3}]
    assert len(sampler.relations(2).unique()) == 2 and set(sampler.relations(9).tolist()) == {0, 1, 3}


def test_tails_are_drawn_evenly() -> None:
    """All entities, or those of the relation's pool, that are no answers."""
    torch.manual_seed(0)
    asked = torch.tensor([[7, 0, 14]]).repeat(6000, 1)
    answers = {t for h, r, t in KNOWN if (h, r) == (7, 0)}
    for pools, allowed in (
        (None, set(range(N))),
        ({0: torch.arange(10, 20), 1: torch.arange(N), 3: torch.arange(2)}, set(range(10, 20))),
    ):
        for filtered in (False, True):
            tails = _sampler(filtered=filtered, pools=pools).corrupted(asked)[:, 2]
            wanted = allowed - answers if filtered else allowed
            count = tails.bincount(minlength=N)
            assert set(count.nonzero().view(-1).tolist()) == wanted
            assert count[sorted(wanted)].float().std() < 3 * (6000 / len(wanted)) ** 0.5


def test_relations_with_few_candidates_have_no_episodes() -> None:
    """More than 20 are needed, and each relation has its share."""
    torch.manual_seed(0)
    sampler = _sampler(pools={0: torch.arange(20), 1: torch.arange(24), 3: torch.arange(30)})
    assert sampler.weight.tolist() == [0, 24, 30] and set(sampler.relations(3).tolist()) == {1, 3}
    assert {int(sampler.episodes()[0][0, 1]) for _ in range(30)} == {1, 3}
    assert _sampler(pools={0: torch.arange(3)}).episodes()[0][0, 1] == 0


def test_a_head_that_is_linked_to_all() -> None:
    """There is no false tail: one that is known is kept, and nothing waits for ever."""
    triples = torch.tensor([[0, 0, t] for t in range(3)])
    sampler = PairSampler(triples, 3, torch.tensor([True]), filtered=True)
    assert sampler.corrupted(triples).shape == (3, 3)
