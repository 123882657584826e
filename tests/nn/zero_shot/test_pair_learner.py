"""The extractor of pairs and the generator, one after the other."""

from collections.abc import Callable

import pytest
import torch

from pykeen_mmkg.models.zero_shot.zsgan import ZSGAN


def test_generated_scores_are_mean_cosines(make_zsgan: Callable[..., ZSGAN]) -> None:
    """The score of an unseen relation, by a loop over samples."""
    model = make_zsgan(extractor_steps=1)
    model.train()
    for _ in range(3):
        model.pairs.own_step()
    model.eval()
    with torch.no_grad():
        text = model.described.vectors[3]
        samples = model.pairs.learner.sample(text[None])[0]
        pair = model.pairs.extractor(torch.tensor(2), torch.tensor(5))
        expected = sum(float(torch.cosine_similarity(pair, sample, dim=0)) for sample in samples) / len(samples)
        prototype = model.pairs.prototypes(text[None])
        score = model.pairs.scores(torch.tensor([2]), prototype, torch.tensor([5]))
    assert abs(float(score) - expected) < 1e-5


def test_centroids_are_means_of_pairs(make_zsgan: Callable[..., ZSGAN]) -> None:
    """The centroid of a relation is the mean over its triples, or over some of them, evenly spaced."""
    for limit in (1024, 5, None):
        pairs = make_zsgan(extractor_steps=0, centroid_pairs=limit).pairs
        pairs.train()
        pairs.own_step()
        pairs.eval()
        for relation in (0, 7, 54):
            rows = pairs.sampler.triples[pairs.sampler.triples[:, 1] == relation]
            n = min(len(rows), limit or len(rows))
            rows = rows[[i * len(rows) // n for i in range(n)]]
            with torch.no_grad():
                expected = pairs.extractor(rows[:, 0], rows[:, 2]).mean(0)
            torch.testing.assert_close(pairs.centroids[relation], expected, rtol=1e-4, atol=1e-5)


def test_centroids_of_more_pairs_than_fit_at_once(
    make_zsgan: Callable[..., ZSGAN], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, in parts of other sizes."""
    monkeypatch.setattr("pykeen_mmkg.nn.zero_shot.pair_learner.CHUNK_SIZE", 7)
    pairs = make_zsgan(extractor_steps=0, centroid_pairs=None).pairs.train()
    pairs.own_step()
    rows = pairs.sampler.triples[pairs.sampler.triples[:, 1] == 0]
    assert len(rows) % 7
    with torch.no_grad():
        expected = pairs.extractor.eval()(rows[:, 0], rows[:, 2]).mean(0)
    torch.testing.assert_close(pairs.centroids[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("published", [False, True])
def test_the_extractors_loss(
    published: bool, make_zsgan: Callable[..., ZSGAN], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pair by pair: what a query's dot product with the mean support lacks above that of its corrupted tail."""
    options = dict(num_episodes=3, filtered=True, replacement=False) if published else {}
    pairs = make_zsgan(num_support=3, num_queries=5, margin=2.0, **options).pairs.eval()
    pairs.extractor.freeze(torch.randn(pairs.extractor.entities.shape))
    episodes, losses = [], []
    draw = pairs.sampler.episodes
    monkeypatch.setattr(pairs.sampler, "episodes", lambda: episodes.append(draw()) or episodes[-1])
    monkeypatch.setattr(pairs, "descend", lambda optimizer, loss: losses.append((optimizer, loss)))
    returned = pairs._extractor_step()
    ((support, queries, negatives),) = episodes
    extractor = pairs.extractor
    with torch.no_grad():
        center = sum(extractor(h, t) for h, _, t in support) / len(support)
        total = 0.0
        for (h, _, t), (head, _, other) in zip(queries, negatives, strict=True):
            assert h == head
            score, below = float(extractor(h, t) @ center), float(extractor(h, other) @ center)
            total += max(0.0, 2.0 - (score - below))
    ((optimizer, loss),) = losses
    assert returned == pytest.approx(total / len(queries), abs=1e-4) == float(loss)
    assert total > 0 and len(queries) == (15 if published else 5)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"]) == (1e-4, (0.9, 0.999))


def test_pairs_with_other_tails(make_zsgan: Callable[..., ZSGAN]) -> None:
    """What the published hinge compares with, for the discriminator and for the generator; the default draws none."""
    pairs = make_zsgan(filtered=True, pairs_per_relation=6).pairs.eval()
    pairs._texts = pairs.sources()[1]
    for needed in (False, True):
        pairs.learner.needs_negatives = needed
        for samples in (False, True):
            real = pairs._draw(samples)
            assert (real.samples is not None, real.negatives is not None) == (samples, needed)
            shapes = [tuple(x.shape) for x in (real.samples, real.negatives) if x is not None]
            assert shapes == [(2, 6, 4)] * (samples + needed)


def test_rounds(make_zsgan: Callable[..., ZSGAN], monkeypatch: pytest.MonkeyPatch) -> None:
    """Extractor, generator, and again, with the vectors as they are then; the generator's optimizer is a new one."""
    model = make_zsgan(extractor_steps=2, generator_steps=3).train()
    pairs, order, frozen = model.pairs, [], []
    freeze, learn, step, center = pairs.extractor.freeze, pairs.learner.learn, pairs._extractor_step, pairs._center
    monkeypatch.setattr(pairs.extractor, "freeze", lambda x: order.append("f") or frozen.append(x) or freeze(x))
    monkeypatch.setattr(pairs, "_extractor_step", lambda: order.append("e") or step())
    monkeypatch.setattr(pairs, "_center", lambda: order.append("c") or center())
    monkeypatch.setattr(pairs.learner, "learn", lambda *args: order.append("g") or learn(*args))
    for i in range(8):
        if i == 5:
            with torch.no_grad():
                model.entity_representations[0]._embeddings.weight.add_(1)
        pairs.own_step()
    assert "".join(order) == "feecgggfeecg"
    torch.testing.assert_close(frozen[1], frozen[0] + 1)
    steps = {name: state["state"][0]["step"].item() for name, state in pairs.learner.get_extra_state().items()}
    assert steps == {"critic": 5 * 4, "generator": 1}
