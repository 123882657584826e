"""Batches shared out: together they are those of one process, in rows, negatives, loss and gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.datasets import Nations
from pykeen.models import DistMult
from pykeen.training import LCWATrainingLoop, SLCWATrainingLoop, SymmetricLCWATrainingLoop, TrainingLoop

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.processes import Division
from pykeen_mmkg.training import sharded_batches
from pykeen_mmkg.training.episodic import EpisodicTrainingLoop
from pykeen_mmkg.training.sampled_softmax import SampledSoftmaxTrainingLoop
from pykeen_mmkg.training.sharded_batches import ShardedBatches

LOOPS = {
    "slcwa": (SLCWATrainingLoop, {"negative_sampler_kwargs": {"num_negs_per_pos": 3}}),
    "lcwa": (LCWATrainingLoop, {}),
    "symmetric": (SymmetricLCWATrainingLoop, {}),
    "sampledsoftmax": (SampledSoftmaxTrainingLoop, {"num_sampled": 5}),
}


def _loop(name: str) -> TrainingLoop:
    factory = Nations().training
    # the loss of the loop that masks competitors is a mean over rows, and not over those that remain
    loss = "sampledsoftmax" if name == "sampledsoftmax" else "softplus"
    model = DistMult(triples_factory=factory, embedding_dim=4, random_seed=0, loss=loss)
    cls, kwargs = LOOPS[name]
    return cls(model=model, triples_factory=factory, optimizer="sgd", **kwargs)


def _batches(loop: TrainingLoop, size: int = 1, **kwargs) -> list[ShardedBatches]:
    loader = loop._create_training_data_loader(Nations().training, sampler=None, batch_size=300, drop_last=False)
    return [ShardedBatches(loader, division=Division(rank, size), **kwargs) for rank in range(size)]


def _triples(rows) -> torch.Tensor:
    """The rows of a batch of any loop."""
    if isinstance(rows, dict):
        return torch.cat([rows["positives"], *rows["negatives"].unbind(1)], 1) if "positives" in rows else rows["pairs"]
    return rows[0]


@pytest.mark.parametrize("name", LOOPS)
@settings(max_examples=4, deadline=None)
@given(size=st.integers(2, 4), batch_size=st.integers(300, 700), epoch=st.integers(0, 3), last=st.booleans())
def test_together_they_are_the_batches_of_one(name: str, size: int, batch_size: int, epoch: int, last: bool) -> None:
    loop = _loop(name)
    options = {"batch_size": batch_size, "drop_last": last, "seed": 3}
    (whole,), parts = _batches(loop, **options), _batches(loop, size, **options)
    for batches in (whole, *parts):
        batches.epoch = epoch
    assert {len(own) for own in parts} == {len(whole)}
    weights = [parameter for parameter in loop.model.parameters() if parameter.requires_grad]
    for number, (batch, *shares) in enumerate(zip(whole, *parts, strict=True)):
        assert batch.weight == 1
        torch.testing.assert_close(_triples(batch.rows), torch.cat([_triples(share.rows) for share in shares]))
        if number:
            continue
        loss = loop._process_batch(batch.rows, 0, batch.num_rows)
        mean = sum(share.weight * loop._process_batch(share.rows, 0, share.num_rows) for share in shares) / size
        torch.testing.assert_close(mean, loss)
        for own, expected in zip(torch.autograd.grad(mean, weights), torch.autograd.grad(loss, weights), strict=True):
            torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("name", LOOPS)
def test_each_triple_once_an_epoch(name: str) -> None:
    loop = _loop(name)
    first, second = _batches(loop, 2, batch_size=256)
    orders = []
    for epoch in (0, 1):
        first.epoch = second.epoch = epoch
        rows = torch.cat([_triples(batch.rows)[:, :3] for batches in (first, second) for batch in batches])
        orders.append(rows)
    triples = Nations().training.mapped_triples
    expected = triples[:, :2].unique(dim=0) if name == "lcwa" else triples
    for rows in orders:
        assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, expected.tolist()))
    assert (orders[0] != orders[1]).any()


def test_negatives_differ_by_block_batch_and_epoch() -> None:
    """No seed serves twice: corruptions of an epoch are as varied as those that are drawn without."""
    (batches,) = _batches(_loop("slcwa"), batch_size=1024)
    drawn = set()
    for batches.epoch in (0, 1):
        for batch in batches:
            positive, negative = batch.rows["positives"][:, None], batch.rows["negatives"]
            # which side is corrupted, and by what
            code = torch.where(positive[..., 0] != negative[..., 0], negative[..., 0], 100 + negative[..., 2])
            drawn |= {tuple(block.flatten().tolist()) for block in code.split(sharded_batches.BLOCK)}
    assert len(drawn) == 2 * (8 + (len(Nations().training.mapped_triples) - 1024 + 127) // 128)


def test_fewer_rows_than_processes() -> None:
    """A process without a row computes one that counts nothing."""
    loop = _loop("slcwa")
    parts = _batches(loop, 3, batch_size=len(Nations().training.mapped_triples) - 1)
    last = [list(batches)[-1] for batches in parts]
    assert [batch.num_rows for batch in last] == [1, 1, 1]
    assert sorted(batch.weight for batch in last) == [0, 0, 3]


def test_workers_share_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which a loader asks its workers, the batches are those without workers."""
    (batches,) = _batches(_loop("slcwa"), batch_size=500)
    expected = [_triples(batch.rows) for batch in batches]
    found = {}
    for worker in range(2):
        info = type("Info", (), {"id": worker, "num_workers": 2})
        monkeypatch.setattr(sharded_batches, "get_worker_info", lambda info=info: info)
        for i, batch in enumerate(batches):
            found[2 * i + worker] = _triples(batch.rows)
    assert len(found) == len(expected)
    for i, rows in enumerate(expected):
        assert (found[i] == rows).all()


def test_a_loop_of_its_own_way_is_refused() -> None:
    factory = Nations().training
    model = DistMult(triples_factory=factory, embedding_dim=4)
    loop = EpisodicTrainingLoop(model=model, triples_factory=factory, num_batches=1, optimizer="adam")
    loader = loop._create_training_data_loader(factory, sampler=None, batch_size=8, drop_last=False)
    with pytest.raises(MultimodalError, match="RelationBalancedInstances draws its batches in a way of its own"):
        ShardedBatches(loader, batch_size=8)
