"""The extractor of pairs and the generator, one after the other."""

from collections.abc import Callable

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
    for limit in (1024, 5):
        pairs = make_zsgan(extractor_steps=0, centroid_pairs=limit).pairs
        pairs.train()
        pairs.own_step()
        pairs.eval()
        for relation in (0, 7, 54):
            rows = pairs.triples[pairs.triples[:, 1] == relation]
            rows = rows[[i * len(rows) // min(len(rows), limit) for i in range(min(len(rows), limit))]]
            with torch.no_grad():
                expected = pairs.extractor(rows[:, 0], rows[:, 2]).mean(0)
            torch.testing.assert_close(pairs.centroids[relation], expected, rtol=1e-4, atol=1e-5)
