"""The episodic loop."""

import numpy
import pytest
import torch
from pykeen.models import DistMult, TransE
from pykeen.pipeline import pipeline
from pykeen.training import SLCWATrainingLoop
from pykeen.triples import TriplesFactory

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.training.episodic import EpisodicTrainingLoop, RelationBalancedInstances


@pytest.mark.parametrize("loss", ["infonce", "softplus", "marginranking"])
def test_shared_tails_are_scored_at_once(typed: TriplesFactory, loss: str) -> None:
    """The loss of a batch is the one that PyKEEN's loop computes triple by triple."""
    model = TransE(triples_factory=typed, embedding_dim=4, loss=loss, random_seed=0)
    loop = EpisodicTrainingLoop(model=model, triples_factory=typed, num_batches=1, optimizer="adam")
    batch = next(iter(loop._create_training_data_loader(typed, sampler=None, batch_size=3, drop_last=False)))
    one = loop._process_batch(batch, 1, 3)
    torch.testing.assert_close(one, SLCWATrainingLoop._process_batch(loop, batch, 1, 3))
    if loss == "softplus":
        weights = torch.full_like(batch["negatives"][..., 0], 2.0, dtype=torch.float)
        weighted = loop._process_batch({**batch, "pos_weights": weights[:, :1], "neg_weights": weights}, 1, 3)
        torch.testing.assert_close(weighted, one)  # PyKEEN divides by the sum of the weights


def test_regularization_counts(typed: TriplesFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The regularization term of the model is added to the loss of a batch, once."""
    model = TransE(triples_factory=typed, embedding_dim=4, random_seed=0)
    loop = EpisodicTrainingLoop(model=model, triples_factory=typed, num_batches=1, optimizer="adam")
    batch = next(iter(loop._create_training_data_loader(typed, sampler=None, batch_size=3, drop_last=False)))
    plain = loop._process_batch(batch, 0, 3)
    monkeypatch.setattr(model, "collect_regularization_term", lambda: torch.tensor(5.0))
    torch.testing.assert_close(loop._process_batch(batch, 0, 3), plain + 5)


@pytest.mark.parametrize("name", ["sharedtail", "pool", "basic"])
def test_samplers_by_name(typed: TriplesFactory, name: str) -> None:
    """Both samplers are known to PyKEEN's loops and to the episodic one by their names."""
    for loop in ("slcwa", "episodic"):
        result = pipeline(
            training=typed,
            testing=typed,
            model="distmult",
            model_kwargs=dict(embedding_dim=4),
            training_loop=loop,
            negative_sampler=name,
            negative_sampler_kwargs=dict(num_negs_per_pos=2),
            training_kwargs=dict(num_epochs=1, batch_size=4, use_tqdm=False),
            evaluation_kwargs=dict(use_tqdm=False),
            random_seed=0,
        )
        assert numpy.isfinite(result.losses).all()


def test_rare_relations_come_up() -> None:
    """With the exponent 0 a relation with 3 triples is drawn as often as one with 300; with 1 hardly ever."""
    triples = torch.tensor([[i % 20, 0, i // 20] for i in range(300)] + [[1, 1, 2], [2, 1, 3], [3, 1, 4]])
    shares = {}
    for exponent in (0.0, 1.0):
        torch.manual_seed(0)
        instances = RelationBalancedInstances(
            mapped_triples=triples,
            batch_size=8,
            num_batches=100,
            relations_per_batch=4,
            exponent=exponent,
            num_entities=20,
            num_relations=2,
        )
        batches = list(instances)
        assert len(batches) == len(instances) == 100
        positives = torch.cat([batch["positives"] for batch in batches])
        assert positives.shape == (800, 3)
        assert {tuple(row) for row in positives.tolist()} <= {tuple(row) for row in triples.tolist()}
        shares[exponent] = (positives[:, 1] == 1).float().mean().item()
    assert 0.4 < shares[0.0] < 0.6 and shares[1.0] < 0.05


def test_episodic_loop_trains_any_model(typed: TriplesFactory) -> None:
    """Also one that has nothing to do with descriptions; bad options are errors."""
    model = DistMult(triples_factory=typed, embedding_dim=4, random_seed=0)
    loop = EpisodicTrainingLoop(
        model=model, triples_factory=typed, optimizer="adam", num_batches=30, negatives="types", cap=10
    )
    losses = loop.train(typed, num_epochs=8, batch_size=4, use_tqdm=False)
    assert losses is not None and losses[-1] < losses[0]
    with pytest.raises(MultimodalError, match="at least 1"):
        EpisodicTrainingLoop(model=model, triples_factory=typed, num_batches=0)
    with pytest.raises(MultimodalError, match="negatives must be"):
        EpisodicTrainingLoop(model=model, triples_factory=typed, negatives="some")
    with pytest.raises(MultimodalError, match="draws its batches itself"):
        loop.train(typed, num_epochs=1, batch_size=4, sampler="schlichtkrull", use_tqdm=False)


def test_workers_share_the_batches_of_an_epoch(typed: TriplesFactory) -> None:
    """They are as many as without workers."""
    loop = EpisodicTrainingLoop(
        model=TransE(triples_factory=typed, embedding_dim=4, random_seed=0),
        triples_factory=typed,
        num_batches=5,
        optimizer="adam",
    )
    for workers in (0, 1, 2, 3):
        loader = loop._create_training_data_loader(
            typed, sampler=None, batch_size=4, drop_last=False, num_workers=workers
        )
        assert len(list(loader)) == 5
