"""Negatives that are like the answer."""

import math
import pathlib

import pytest
import torch
from pykeen.sampling import negative_sampler_resolver

from pykeen_mmkg.errors import FeatureError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.sampling.hard_negatives import SimilarNegativeSampler

#: angles of the features, no two pairs alike, since rounding would say which of two is nearer; the last two have none
ANGLES = [0.0, 0.2, 0.5, 1.5, 2.9]
N = len(ANGLES) + 2
TRIPLES = torch.tensor([[0, 0, 3], [6, 0, 1]])
X = torch.tensor([[math.cos(a), math.sin(a)] for a in ANGLES] + [[9.0, 9.0]] * 2)
MASK = [True] * len(ANGLES) + [False] * 2


def shares(sampler: SimilarNegativeSampler, triple: torch.Tensor, column: int) -> torch.Tensor:
    """Return how often each entity takes the place of one in a triple, among the draws for that place."""
    torch.manual_seed(0)
    negatives, _ = sampler.sample(triple[None])
    negatives = negatives[0]
    changed = negatives[negatives[:, column] != triple[column]]
    assert (changed[:, 1] == triple[1]).all() and (changed[:, 2 - column] == triple[2 - column]).all()
    # a coin says which side
    assert len(changed) / len(negatives) == pytest.approx(0.5, abs=0.02)
    return changed[:, column].bincount(minlength=N) / len(changed)


def make(**kwargs: object) -> SimilarNegativeSampler:
    options = {"features": X, "mask": MASK, "nearest": 3, "temperature": 0.5, "share": 0.25, **kwargs}
    return SimilarNegativeSampler(
        mapped_triples=TRIPLES, num_entities=N, num_relations=1, num_negs_per_pos=20_000, **options
    )


def test_probabilities() -> None:
    """A mixture: uniform over the others, and the softmax of cosines over the nearest three."""
    sampler = make()
    for column, entity in ((0, 0), (2, 3)):
        cosines = {i: math.cos(ANGLES[entity] - a) for i, a in enumerate(ANGLES) if i != entity}
        near = sorted(cosines, key=cosines.__getitem__)[-3:]
        total = sum(math.exp(cosines[i] / 0.5) for i in near)
        expected = [0.25 / (N - 1) * (i != entity) for i in range(N)]
        for i in near:
            expected[i] += 0.75 * math.exp(cosines[i] / 0.5) / total
        torch.testing.assert_close(shares(sampler, TRIPLES[0], column), torch.tensor(expected), atol=0.015, rtol=0)


def test_without_features() -> None:
    """Any other entity comes in the place of one without features."""
    expected = torch.full((N,), 1 / (N - 1))
    expected[6] = 0
    torch.testing.assert_close(shares(make(), TRIPLES[1], 0), expected, atol=0.015, rtol=0)
    # and with nothing uniform, those without features are never drawn for one with
    assert shares(make(share=0.0), TRIPLES[0], 0)[[0, 5, 6]].tolist() == [0, 0, 0]


def test_a_store(tmp_path: pathlib.Path) -> None:
    """By labels, in any order, as a store or a file."""
    labels = [f"e{i}" for i in range(N)]
    order = torch.tensor([4, 2, 0, 1, 3, 5])
    store = FeatureStore.from_tensors([labels[i] for i in order], X[order], mask=order != 5, modality="visual")
    store.save(tmp_path / "x.safetensors")
    plain = make()
    for features in (store, tmp_path / "x.safetensors", str(tmp_path / "x.safetensors")):
        sampler = make(features=features, mask=None, labels=labels)
        assert torch.equal(sampler.others, plain.others)
        torch.testing.assert_close(sampler.weights, plain.weights)
    with pytest.raises(FeatureError, match="give the `labels` of the 7 entities"):
        make(features=store)
    with pytest.raises(FeatureError, match="a row for each of 7 entities"):
        make(features=X[:3])
    with pytest.raises(FeatureError, match="1 of 7 entities have features"):
        make(mask=[True] + [False] * 6)


def test_name() -> None:
    assert negative_sampler_resolver.lookup("similar") is SimilarNegativeSampler
