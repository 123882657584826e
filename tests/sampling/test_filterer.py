"""The filterer of negatives against Python sets, alone and in PyKEEN's pipeline."""

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pykeen.datasets import Nations
from pykeen.pipeline import pipeline
from pykeen.sampling import BasicNegativeSampler
from pykeen.sampling.filtering import PythonSetFilterer, filterer_resolver

from pykeen_mmkg.errors import DataError
from pykeen_mmkg.sampling.filterer import KnownTriplesFilterer

TRIPLES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 6)), max_size=20)


def _tensor(triples):
    return torch.tensor(triples, dtype=torch.long).view(-1, 3)


@given(TRIPLES, TRIPLES, st.booleans())
def test_contains_equals_python_sets(known, asked, swapped):
    truth = set(known) | ({(t, r, h) for h, r, t in known} if swapped else set())
    found = KnownTriplesFilterer(_tensor(known), swapped=swapped).contains(_tensor(asked))
    assert found.tolist() == [triple in truth for triple in asked]


def test_the_shape_of_a_batch_is_kept():
    factory = Nations().training
    negatives, mask = BasicNegativeSampler(
        mapped_triples=factory.mapped_triples, num_negs_per_pos=7, filtered=True, filterer="knowntriples"
    ).sample(factory.mapped_triples[:32])
    assert mask.shape == negatives.shape[:-1] == (32, 7)
    assert torch.equal(~mask, PythonSetFilterer(factory.mapped_triples).contains(negatives))
    assert not mask.all()


def test_known_splits_are_left_out_and_said(caplog):
    dataset = Nations()
    triples, test = dataset.training.mapped_triples, dataset.testing.mapped_triples
    assert not KnownTriplesFilterer(triples).contains(test).any()
    with caplog.at_level(logging.WARNING, logger="pykeen_mmkg.sampling.filterer"):
        filterer = KnownTriplesFilterer(triples, splits=["testing"], dataset="nations")
    assert "training sees these splits" in caplog.text
    assert filterer.contains(test).all() and filterer.contains(triples).all()
    assert not filterer.contains(dataset.validation.mapped_triples).any()


def test_a_missing_dataset_or_split():
    triples = Nations().training.mapped_triples
    with pytest.raises(DataError, match="give the `dataset`"):
        KnownTriplesFilterer(triples, splits=["testing"])
    with pytest.raises(DataError, match=r"no split 'test'; it has \['testing', 'training', 'validation'\]"):
        KnownTriplesFilterer(triples, splits=["test"], dataset="nations")


def test_pipeline_trains_with_it(monkeypatch):
    left_out = []
    contains = KnownTriplesFilterer.contains

    def spy(self, batch):
        left_out.append(int((found := contains(self, batch)).sum()))
        return found

    monkeypatch.setattr(KnownTriplesFilterer, "contains", spy)
    assert filterer_resolver.lookup("knowntriples") is KnownTriplesFilterer
    pipeline(
        dataset="nations",
        model="distmult",
        negative_sampler_kwargs={"filtered": True, "filterer": "knowntriples", "filterer_kwargs": {"swapped": True}},
        training_kwargs={"num_epochs": 1, "use_tqdm": False},
        random_seed=0,
    )
    assert sum(left_out) > 0
