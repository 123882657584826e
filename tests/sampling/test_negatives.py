"""The negatives of the code of VL-KGE: one side by a coin, distinct, unknown."""

import collections

import pytest
import torch
from pykeen.datasets import Kinships
from pykeen.pipeline import pipeline
from pykeen.sampling import negative_sampler_resolver
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets import entity_types, type_pools
from pykeen_mmkg.errors import DataError
from pykeen_mmkg.sampling.filterer import KnownTriplesFilterer
from pykeen_mmkg.sampling.negatives import DistinctNegativeSampler, PoolNegativeSampler, SharedTailNegativeSampler

#: entity 0 has the answers 1 to 3 with relation 0, of eight entities
TRIPLES = torch.tensor([[0, 0, 1], [0, 0, 2], [0, 0, 3], [4, 1, 5]])


def sampler(**kwargs) -> DistinctNegativeSampler:
    return DistinctNegativeSampler(mapped_triples=TRIPLES, num_entities=8, num_relations=2, **kwargs)


def test_one_side_distinct_unknown() -> None:
    """For each triple one side stands, and the others are different entities that make no known triple."""
    torch.manual_seed(0)
    batch = TRIPLES.repeat(200, 1)
    negatives, mask = sampler(num_negs_per_pos=4).sample(batch)
    assert mask is None and negatives.shape == (800, 4, 3)
    known = {tuple(triple) for triple in TRIPLES.tolist()}
    sides = collections.Counter()
    for positive, rows in zip(batch.tolist(), negatives.tolist(), strict=True):
        assert not known & {tuple(row) for row in rows}
        assert len({tuple(row) for row in rows}) == 4
        columns = [[row[c] for row in rows] for c in range(3)]
        standing = [c for c in range(3) if set(columns[c]) == {positive[c]}]
        assert standing in ([0, 1], [1, 2])
        sides[standing[0]] += 1
    # a coin for each triple
    assert 330 < sides[0] < 470


def test_uniform_over_sets() -> None:
    """Each pair of the five unknown tails is as likely as any other."""
    torch.manual_seed(0)
    negatives, _ = sampler(num_negs_per_pos=2).sample(TRIPLES[:1].repeat(8000, 1))
    tails = negatives[(negatives[..., 0] == 0).all(-1) & (negatives[..., 2] != 1).any(-1)][..., 2]
    tails = tails[(tails != 1).all(-1)]
    counts = collections.Counter(frozenset(pair) for pair in tails.tolist())
    assert set().union(*counts) == {0, 4, 5, 6, 7}
    assert len(counts) == 10
    mean = sum(counts.values()) / 10
    assert all(abs(count - mean) < 5 * mean**0.5 for count in counts.values())


def test_shape_of_a_batch() -> None:
    assert sampler(num_negs_per_pos=3).sample(TRIPLES.view(2, 2, 3))[0].shape == (2, 2, 3, 3)


def test_all_that_there_are() -> None:
    """As many as there are unknown answers is possible; one more is masked. It has a filter always."""
    torch.manual_seed(0)
    for _ in range(20):
        negatives, _ = sampler(num_negs_per_pos=5).sample(TRIPLES[:3])
        for rows in negatives:
            if (rows[:, 0] == 0).all():
                assert sorted(rows[:, 2].tolist()) == [0, 4, 5, 6, 7]
    negatives, mask = sampler(num_negs_per_pos=6).sample(TRIPLES[:3].repeat(20, 1))
    assert mask is not None
    for rows, kept in zip(negatives, mask, strict=True):
        if (rows[:, 0] == 0).all() and (rows[:, 2] != rows[0, 2]).any():
            assert sorted(rows[kept, 2].tolist()) == [0, 4, 5, 6, 7]
            assert rows[~kept, 2].tolist() in ([1], [2], [3])
    with pytest.raises(DataError, match="always filtered"):
        sampler(filtered=False)


def test_swapped_and_other_splits() -> None:
    """With the merged filter, as theirs: nothing known in either direction, in any split."""
    dataset = Kinships()
    triples = dataset.training.mapped_triples
    negatives, _ = DistinctNegativeSampler(
        mapped_triples=triples,
        num_negs_per_pos=2,
        filterer_kwargs=dict(swapped=True, splits=["validation", "testing"], dataset="kinships"),
    ).sample(dataset.testing.mapped_triples[:40])
    known = {tuple(t) for factory in dataset.factory_dict.values() for t in factory.mapped_triples.tolist()}
    known |= {(t, r, h) for h, r, t in known}
    assert not known & {tuple(row) for row in negatives.view(-1, 3).tolist()}


def test_by_name() -> None:
    assert negative_sampler_resolver.lookup("distinct") is DistinctNegativeSampler
    result = pipeline(
        dataset="nations",
        model="distmult",
        model_kwargs={"embedding_dim": 4},
        negative_sampler="distinct",
        negative_sampler_kwargs={"num_negs_per_pos": 1},
        training_kwargs={"num_epochs": 1, "use_tqdm": False},
        random_seed=0,
    )
    assert len(result.losses) == 1


def test_pool_sampler(typed: TriplesFactory) -> None:
    """Only tails are replaced, by members of the pool, and every member comes up."""
    pools = type_pools(typed.mapped_triples, entity_types(typed.entity_to_id))
    sampler = PoolNegativeSampler(
        pools=pools, mapped_triples=typed.mapped_triples, num_entities=5, num_relations=2, num_negs_per_pos=50
    )
    negatives = sampler.corrupt_batch(typed.mapped_triples)
    assert negatives.shape == (3, 50, 3)
    for row, triple in zip(negatives, typed.mapped_triples, strict=True):
        assert (row[:, :2] == triple[:2]).all()
        assert set(row[:, 2].tolist()) == set(pools[int(triple[1])].tolist())
    # by default, the tails that the relation has in training
    sampler = PoolNegativeSampler(
        mapped_triples=typed.mapped_triples, num_entities=5, num_relations=2, num_negs_per_pos=50
    )
    for row, triple in zip(sampler.corrupt_batch(typed.mapped_triples), typed.mapped_triples, strict=True):
        known = typed.mapped_triples[typed.mapped_triples[:, 1] == triple[1], 2]
        assert set(row[:, 2].tolist()) == set(known.tolist())
    with pytest.raises(DataError, match="no entity to draw"):
        PoolNegativeSampler(pools={0: pools[0]}, mapped_triples=typed.mapped_triples, num_entities=5, num_relations=2)


def test_shared_tails(typed: TriplesFactory) -> None:
    """All triples of a batch get the same tails, all of which come up; known answers are masked."""
    shared = dict(mapped_triples=typed.mapped_triples, num_entities=5, num_relations=2, filterer=KnownTriplesFilterer)
    sampler = SharedTailNegativeSampler(**shared, num_negs_per_pos=2)
    drawn = set()
    known = set(map(tuple, typed.mapped_triples.tolist()))
    for _ in range(50):
        negatives, mask = sampler.sample(typed.mapped_triples)
        tails = negatives[0, :, 2].tolist()
        assert tails == sorted(set(tails)) and {1, 3, 2} <= set(tails) and len(tails) <= 5
        drawn |= set(tails)
        for row, kept, triple in zip(negatives, mask, typed.mapped_triples, strict=True):
            assert (row[:, :2] == triple[:2]).all() and row[:, 2].tolist() == tails
            assert kept.tolist() == [tuple(x) not in known for x in row.tolist()]
    assert drawn == set(range(5))
    # a triple's own tail is no negative of it, filterer or none
    negatives, mask = SharedTailNegativeSampler(**{**shared, "filterer": None}).sample(typed.mapped_triples)
    assert ((negatives[..., 2] != typed.mapped_triples[:, 2, None]) == mask).all()
