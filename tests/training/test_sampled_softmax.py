"""The loop: what a pool holds, what the loss is, how the learning rate goes, what is regularized, and resuming."""

import pathlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.models import ComplEx, TransE
from pykeen.pipeline import pipeline
from pykeen.triples import CoreTriplesFactory
from pykeen.utils import set_random_seed

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.losses import SampledSoftmaxLoss
from pykeen_mmkg.training.sampled_softmax import PooledInstances, SampledSoftmaxTrainingLoop

ENTITIES, RELATIONS = 9, 2


def _factory(inverse: bool = False, seed: int = 0, size: int = 20) -> CoreTriplesFactory:
    """Random triples over the first 7 of 9 entities."""
    generator = torch.Generator().manual_seed(seed)
    triples = torch.stack(
        [torch.randint(n, (size,), generator=generator) for n in (ENTITIES - 2, RELATIONS, ENTITIES - 2)], dim=-1
    ).unique(dim=0)
    return CoreTriplesFactory(triples, ENTITIES, RELATIONS, create_inverse_triples=inverse)


def _loop(model, factory, **kwargs) -> SampledSoftmaxTrainingLoop:
    optimizer = torch.optim.Adam(model.get_grad_params(), lr=kwargs.pop("lr", 0.1))
    return SampledSoftmaxTrainingLoop(
        model=model, triples_factory=factory, optimizer=optimizer, automatic_memory_optimization=False, **kwargs
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_pool(seed: int, everyone: bool) -> None:
    """Own answers are in; other known answers are marked and no others; strangers come only if they are candidates."""
    factory = _factory(seed=seed)
    candidates = torch.arange(ENTITIES) if everyone else None
    instances = PooledInstances.from_triples_factory(
        factory, batch_size=5, drop_last=False, num_sampled=40, candidates=candidates, sides=["tail", "head"]
    )
    facts = {tuple(x) for x in factory.mapped_triples.tolist()}
    seen = set(factory.mapped_triples[:, [0, 2]].flatten().tolist())
    for batch in instances:
        for side, pool in batch.pools.items():
            ids = pool.ids.tolist()
            assert ids == sorted(set(ids))
            assert everyone or set(ids) <= seen
            for row, (h, r, t) in enumerate(batch.triples.tolist()):
                own = t if side == "tail" else h
                assert ids[pool.answer[row]] == own
                for column, x in enumerate(ids):
                    fact = (h, r, x) if side == "tail" else (x, r, t)
                    assert bool(pool.known[row, column]) == (fact in facts and x != own)


def test_pool_without_the_query_itself() -> None:
    """If asked for, an entity does not compete in its own query, unless the relation is reflexive."""
    triples = torch.tensor([[0, 0, 1], [1, 0, 2], [2, 1, 2], [1, 1, 0], [2, 0, 0]])
    factory = CoreTriplesFactory(triples, num_entities=3, num_relations=2)
    for mask_self in (False, True):
        instances = PooledInstances.from_triples_factory(
            factory, batch_size=5, drop_last=False, num_sampled=60, sides=["tail", "head"], mask_self=mask_self
        )
        (batch,) = instances
        facts = {tuple(x) for x in triples.tolist()}
        for side, pool in batch.pools.items():
            assert pool.ids.tolist() == [0, 1, 2]
            for row, (h, r, t) in enumerate(batch.triples.tolist()):
                for x in range(3):
                    fact, own = ((h, r, x), x == t) if side == "tail" else ((x, r, t), x == h)
                    itself = mask_self and r == 0 and x == (h if side == "tail" else t)
                    assert bool(pool.known[row, x]) == ((fact in facts or itself) and not own)


@pytest.mark.parametrize("inverse", [True, False])
def test_loss(inverse: bool) -> None:
    """One batch: the mean cross-entropy of the answers among what is not known; of heads, too, without inverses."""
    factory = _factory(inverse)
    model = TransE(triples_factory=factory, embedding_dim=4, loss=SampledSoftmaxLoss(), random_seed=0)
    loop = _loop(model, factory, num_sampled=5)
    loader = loop._create_training_data_loader(factory, sampler=None, batch_size=6, drop_last=False)
    batch = next(iter(loader))
    losses = []
    for side, pool in batch.pools.items():
        for row, (h, r, t) in enumerate(batch.triples.tolist()):
            ids = pool.ids[~pool.known[row]]
            triples = [(h, r, x) if side == "tail" else (x, r, t) for x in ids.tolist()]
            scores = model.score_hrt(torch.tensor(triples)).flatten()
            losses.append(scores.logsumexp(0) - scores[ids.tolist().index(t if side == "tail" else h)])
    assert len(losses) == 6 * (1 if inverse else 2)
    actual = loop._process_batch(batch, 0, 6)
    torch.testing.assert_close(actual, torch.stack(losses).mean())
    parts = [loop._process_batch(batch, a, b) * (b - a) for a, b in ((0, 4), (4, 6))]
    torch.testing.assert_close(sum(parts) / 6, actual)
    # another loss gets the scores of the same candidates
    model.loss = torch.nn.Module()
    model.loss.process_slcwa_scores = lambda positive_scores, negative_scores, batch_filter, **kwargs: (
        positive_scores.sum() + negative_scores.sum() + batch_filter.sum()
    )
    expected = []
    for side, pool in batch.pools.items():
        scores = model.score_t(batch.triples[:, :2]) if side == "tail" else model.score_h(batch.triples[:, 1:])
        expected.append(scores[:, pool.ids][~pool.known].sum() + (~pool.known).sum() - 6)
    torch.testing.assert_close(loop._process_batch(batch, 0, 6), torch.stack(expected).mean())


def test_learning_rate() -> None:
    """Up over 3 steps, linearly down to a fiftieth at the end; each step has its own rate, and the rate is set back."""
    factory = _factory(size=40)
    model = TransE(triples_factory=factory, embedding_dim=4, loss=SampledSoftmaxLoss(), random_seed=0)
    loop = _loop(model, factory, num_sampled=5, warmup_steps=3, decay=True, lr=0.2)
    assert [loop.rate(step, 100) for step in (0, 1, 2, 50, 99)] == pytest.approx([1 / 3, 2 / 3 * 0.99, 0.98, 0.5, 0.02])
    used = []
    update = model.post_parameter_update
    model.post_parameter_update = lambda: (used.append(loop.optimizer.param_groups[0]["lr"]), update())
    loop.train(factory, num_epochs=4, batch_size=8, use_tqdm=False, clear_optimizer=False)
    steps = 4 * -(-len(factory.mapped_triples) // 8)
    assert used[-steps:] == pytest.approx([0.2 * loop.rate(step, steps) for step in range(steps)])
    assert loop.optimizer.param_groups[0]["lr"] == 0.2


def test_regularizer_acts_on_the_triples() -> None:
    """N3: the mean of the cubes of the moduli, summed, of heads, relations and tails; not of the pool."""
    factory = _factory(inverse=True)
    model = ComplEx(
        triples_factory=factory,
        embedding_dim=3,
        loss=SampledSoftmaxLoss(),
        regularizer="powersum",
        regularizer_kwargs=dict(p=3, weight=0.7),
        random_seed=0,
    )
    loop = _loop(model, factory, num_sampled=50)
    batch = next(iter(loop._create_training_data_loader(factory, sampler=None, batch_size=6, drop_last=False)))
    plain = loop._side_loss("tail", batch.triples, batch.pools["tail"], slice(0, 6), 0.0)
    model.collect_regularization_term()
    entity, relation = model.entity_representations[0](), model.relation_representations[0]()
    h, r, t = batch.triples.unbind(-1)
    penalty = sum((x.real**2 + x.imag**2).sqrt().pow(3).sum(-1).mean() for x in (entity[h], relation[r], entity[t]))
    model.collect_regularization_term()
    torch.testing.assert_close(loop._process_batch(batch, 0, 6).squeeze(), plain + 0.7 * penalty)


@pytest.mark.parametrize("model", ["complex", "rotate", "vlkge"])
def test_any_model_learns(model: str, stores: dict[str, str], folder: pathlib.Path) -> None:
    """By name, through the pipeline, the loss falls."""
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs={"path": str(folder)},
        model=model,
        model_kwargs={"sources": {"features": stores}, "modalities": ["structural", "textual"]}
        if model == "vlkge"
        else {},
        loss="sampledsoftmax",
        loss_kwargs=dict(learned=True),
        training_loop="sampledsoftmax",
        training_loop_kwargs=dict(num_sampled=8),
        optimizer_kwargs=dict(lr=0.1),
        training_kwargs=dict(num_epochs=6, batch_size=16, use_tqdm=False),
        evaluation_kwargs=dict(use_tqdm=False),
        random_seed=0,
    )
    assert result.losses[-1] < 0.8 * result.losses[0]


def test_resume(tmp_path: pathlib.Path) -> None:
    """Stopped after two of four epochs and resumed, with the same schedule: the same weights, bit by bit."""
    factory = _factory(inverse=True, size=60)
    options = dict(batch_size=16, use_tqdm=False, checkpoint_directory=tmp_path, checkpoint_frequency=0)

    def train(name: str, stop: int | None = None) -> dict[str, torch.Tensor]:
        set_random_seed(3)
        model = TransE(triples_factory=factory, embedding_dim=4, loss=SampledSoftmaxLoss(), random_seed=3)
        loop = _loop(model, factory, num_sampled=5, warmup_steps=3, decay=True)
        if stop is not None:

            def _train_epoch(*args, epoch, **kwargs):
                if epoch > stop:
                    raise KeyboardInterrupt
                return SampledSoftmaxTrainingLoop._train_epoch(loop, *args, epoch=epoch, **kwargs)

            loop._train_epoch = _train_epoch  # type: ignore[method-assign]
        loop.train(factory, num_epochs=4, checkpoint_name=name, **options)
        return model.state_dict()

    whole = train("whole.pt")
    with pytest.raises(KeyboardInterrupt):
        train("parts.pt", stop=2)
    resumed = train("parts.pt")
    for key, value in whole.items():
        assert resumed[key].equal(value), key


@pytest.mark.parametrize(
    "options", [dict(pool="most"), dict(num_sampled=0), dict(warmup_steps=-1), dict(negative_sampler="basic")]
)
def test_bad_options(options) -> None:
    """Each is an error that says what is wanted."""
    factory = _factory()
    with pytest.raises(MultimodalError, match="option (pool|num_sampled|warmup_steps)=|negative sampler"):
        _loop(TransE(triples_factory=factory), factory, **options)
