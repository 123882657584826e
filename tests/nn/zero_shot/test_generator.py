"""Generated relation vectors."""

import copy
import pickle

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult, ERModel
from pykeen.training import SLCWATrainingLoop

from pykeen_mmkg.errors import DataError, MultimodalError
from pykeen_mmkg.nn.zero_shot.generator import (
    Critic,
    GeneratedRelationRepresentation,
    GenerativeLearner,
    Generator,
    Real,
    SpectralLinear,
)

TEXT, DIM, R = 6, 4, 10


def _representation(**kwargs: object) -> GeneratedRelationRepresentation:
    torch.manual_seed(0)
    seen = torch.arange(R) < 7
    return GeneratedRelationRepresentation(texts=torch.randn(R, TEXT), seen=seen, shape=DIM, **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize("adversarial", [False, True])
def test_seen_relations_keep_their_vector(adversarial: bool) -> None:
    """Seen: the base's row. Unseen: the mean of seeded samples, the same at each call."""
    x = _representation(learner_kwargs={"adversarial": adversarial})
    x.eval()
    with torch.no_grad():
        table = x(None)
        assert torch.equal(table[:7], x.base(torch.arange(7))), "the rows themselves, not computed"
        expected = x.learner.sample(x.texts[7:]).mean(1)
        assert torch.allclose(table[7:], expected)
        # two generated rows or three are products of other shapes, whose last digits may differ
        some = torch.tensor([[8, 1], [0, 9]])
        torch.testing.assert_close(x(some), table[some])


def test_the_generator_learns_the_trained_vectors() -> None:
    """A linear relation between texts and vectors is found, and holds for unseen relations."""
    torch.manual_seed(0)
    texts, true = torch.randn(60, TEXT), torch.randn(TEXT, DIM)
    x = GeneratedRelationRepresentation(
        texts=texts, seen=torch.arange(60) < 50, shape=DIM, spread=0.0, learner_kwargs={"lr": 0.01, "noise_dim": 0}
    )
    with torch.no_grad():
        x.base._embeddings.weight.copy_(texts @ true)
    base = x.base._embeddings.weight.clone()
    x.train()
    for _ in range(600):
        x.post_parameter_update()
    assert torch.equal(base, x.base._embeddings.weight), "the generator must not move what it imitates"
    assert all(p.grad is None for p in x.parameters()), "no gradient may be left for another optimizer"
    error = (x(torch.arange(50, 60)) - texts[50:] @ true).norm() / (texts[50:] @ true).norm()
    assert error < 0.2


def test_losses_are_their_formulas() -> None:
    """The critic's hinge by a loop, with the critic's own features."""
    torch.manual_seed(0)
    critic = Critic(DIM).eval()
    x, own, other = torch.randn(2, 3, DIM), torch.randn(2, 1, DIM), torch.randn(2, 1, DIM)
    with torch.no_grad():
        total = 0.0
        for i in range(2):
            for j in range(3):
                m, a, b = (critic.features(v) for v in (x[i, j], own[i, 0], other[i, 0]))
                total += max(0.0, 5.0 - float(m @ a) + float(m @ b))
        realness, hinge = critic.judge(x, own[:, 0], other[:, 0], 5.0)
        assert float(hinge.mean()) == pytest.approx(total / 6, abs=1e-5)
        assert torch.allclose(realness, critic(x), atol=1e-6)


def _adversaries() -> tuple[GenerativeLearner, Critic, Real]:
    """A learner without noise whose spectral norms stand still, and something to imitate."""
    torch.manual_seed(0)
    learner = GenerativeLearner(TEXT, DIM, noise_dim=0, critic_steps=0, pivot=3.0, margin=5.0).eval()
    assert learner.critic is not None
    real = Real(torch.randn(3, 4, DIM), torch.randn(3, DIM), torch.randn(3, TEXT), torch.randn(3, DIM))
    return learner, learner.critic, real


def _hinge(critic: Critic, x: torch.Tensor, real: Real) -> torch.Tensor:
    own, other = critic.features(real.centroids)[:, None], critic.features(real.others)[:, None]
    m = critic.features(x)
    return (5 - (m * own).sum(-1) + (m * other).sum(-1)).clamp(min=0).mean()


def test_loss_of_the_critic() -> None:
    """-E D(x) + E D(G) + the mean of both hinges + 10 E (|grad D| - 1)^2, the gradient one point at a time."""
    learner, critic, real = _adversaries()
    assert real.samples is not None
    torch.manual_seed(7)
    loss = learner._critic_loss(critic, real)
    torch.manual_seed(7)
    share = torch.rand(3, 4, 1)
    fake = learner.generator(real.texts).detach().expand(3, 4, DIM)
    penalty = 0.0
    for i in range(3):
        for j in range(4):
            point = (share[i, j] * real.samples[i, j] + (1 - share[i, j]) * fake[i, j]).requires_grad_()
            (gradient,) = torch.autograd.grad(critic(point), point)
            penalty += (float(gradient.square().sum()) ** 0.5 - 1) ** 2 / 12
    expected = critic(fake).mean() - critic(real.samples).mean() + 10 * penalty
    expected = expected + (_hinge(critic, real.samples, real) + _hinge(critic, fake, real)) / 2
    assert penalty > 0.01
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def test_loss_of_the_generator() -> None:
    """-E D(G) + hinge(G) + 3 |E G - c|, and a step goes down: what is generated gets more real."""
    learner, critic, real = _adversaries()
    with torch.no_grad():
        fake = learner.generator(real.texts)
        pivot = sum(float((fake[i].mean(0) - real.centroids[i]).square().sum()) ** 0.5 for i in range(3)) / 3
        expected = -critic(fake).mean() + _hinge(critic, fake, real) + 3 * pivot
    losses = [learner.learn(lambda samples: real, 4) for _ in range(50)]
    assert losses[0] == pytest.approx(float(expected), rel=1e-4)
    assert losses[-1] < losses[0]


def test_spectral_norms() -> None:
    """A spectral map divides by the greatest singular value, and can be pickled."""
    torch.manual_seed(0)
    linear = SpectralLinear(6, 4)
    for _ in range(100):
        linear(torch.randn(2, 6))
    linear.eval()
    x = torch.randn(3, 6)
    expected = x @ linear.weight.T / torch.linalg.matrix_norm(linear.weight, 2) + linear.bias
    assert torch.allclose(linear(x), expected, atol=1e-4)
    copied = pickle.loads(pickle.dumps(linear))
    assert torch.equal(copied.weight, linear.weight) and torch.equal(copied.left, linear.left)
    torch.testing.assert_close(copied(x), linear(x))


def test_state_goes_on_bit_by_bit() -> None:
    """Saving and loading in between changes nothing; without the optimizers' states it would."""

    def real(samples: bool) -> Real:
        return Real(torch.randn(3, 4, DIM), torch.randn(3, DIM), torch.randn(3, TEXT), torch.randn(3, DIM))

    torch.manual_seed(0)
    one = GenerativeLearner(TEXT, DIM, lr=0.01)
    for _ in range(5):
        one.learn(real, 4)
    torch.manual_seed(1)
    other = GenerativeLearner(TEXT, DIM, lr=0.01)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for learner in (one, other):
        torch.manual_seed(2)
        for _ in range(5):
            learner.learn(real, 4)
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_any_interaction() -> None:
    """In an ERModel with an unchanged loop: unseen relations have a vector, and the main optimizer leaves it alone."""
    factory = Nations().training
    texts = torch.randn(factory.num_relations, TEXT, generator=torch.Generator().manual_seed(0))
    mask = factory.mapped_triples[:, 1] < 50
    training = factory.clone_and_exchange_triples(factory.mapped_triples[mask][:300])
    seen = torch.zeros(factory.num_relations, dtype=torch.bool)
    seen[training.mapped_triples[:, 1]] = True
    representation = GeneratedRelationRepresentation(texts=texts, seen=seen, shape=DIM)
    model = ERModel(
        triples_factory=training,
        interaction="distmult",
        entity_representations_kwargs={"shape": DIM},
        relation_representations=representation,
        random_seed=0,
    )
    unseen = (~seen).nonzero().view(-1)
    loop = SLCWATrainingLoop(model=model, triples_factory=training)
    # the first epoch begins with a reset of all parameters
    loop.train(training, num_epochs=1, batch_size=64, use_tqdm=False, clear_optimizer=False)
    untouched = representation.base._embeddings.weight[unseen].clone()
    before = representation(unseen).clone()
    loop.train(training, num_epochs=3, batch_size=64, use_tqdm=False, continue_training=True)
    assert torch.equal(untouched, representation.base._embeddings.weight[unseen])
    assert not torch.allclose(before, representation(unseen))
    assert isinstance(model, ERModel) and not isinstance(model, DistMult)
    scores = model.predict_t(torch.tensor([[0, int(unseen[0])]]))
    assert torch.isfinite(scores).all() and scores.std() > 0


def test_errors() -> None:
    """What is missing or does not fit is named."""
    with pytest.raises(DataError, match="needs `texts`"):
        GeneratedRelationRepresentation(shape=DIM)
    with pytest.raises(DataError, match="do not fit"):
        GeneratedRelationRepresentation(texts=torch.randn(3, 2), seen=torch.ones(4), shape=DIM)
    with pytest.raises(DataError, match="at least two seen"):
        GeneratedRelationRepresentation(texts=torch.randn(3, 2), seen=torch.tensor([1, 0, 0]), shape=DIM)
    with pytest.raises(MultimodalError, match="pivot > 0"):
        GenerativeLearner(TEXT, DIM, adversarial=False, pivot=0.0)


def test_generated_vectors_are_their_formula() -> None:
    """Noise and text side by side, through the maps one after the other; without noise there is one sample."""
    torch.manual_seed(0)
    for noise_dim in (3, 0):
        generator = Generator(TEXT, DIM, noise_dim, spectral=True).eval()
        texts, noise = torch.randn(2, TEXT), torch.randn(2, 5, noise_dim)
        made = generator(texts, noise if noise_dim else None)
        assert made.shape == (2, 5 if noise_dim else 1, DIM)
        both = torch.cat([noise, texts[:, None].expand(2, 5, TEXT)], dim=-1)
        assert torch.allclose(made.expand(2, 5, DIM), generator.norm(generator.maps(both)), atol=1e-5)
