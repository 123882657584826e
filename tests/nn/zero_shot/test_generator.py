"""Generated relation vectors."""

import copy

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult, ERModel
from pykeen.nn import Embedding
from pykeen.training import SLCWATrainingLoop
from pykeen.triples import TriplesFactory

from pykeen_mmkg.errors import DataError, MultimodalError
from pykeen_mmkg.nn.zero_shot.generator import GeneratedRelationRepresentation, GenerativeLearner, Real
from pykeen_mmkg.nn.zero_shot.layers import SpectralLinear
from pykeen_mmkg.nn.zero_shot.networks import Generator
from pykeen_mmkg.nn.zero_shot.self_trained import SelfTrained

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


def _seen(training: TriplesFactory) -> torch.Tensor:
    """Return which relations have a triple."""
    seen = torch.zeros(training.num_relations, dtype=torch.bool)
    seen[training.mapped_triples[:, 1]] = True
    return seen


def _model(training: TriplesFactory) -> tuple[GeneratedRelationRepresentation, ERModel]:
    """Return a generated representation, and a model of PyKEEN's whose relations it represents."""
    texts = torch.randn(training.num_relations, TEXT, generator=torch.Generator().manual_seed(0))
    representation = GeneratedRelationRepresentation(texts=texts, seen=_seen(training), shape=DIM)
    model = ERModel(
        triples_factory=training,
        interaction="distmult",
        entity_representations_kwargs={"shape": DIM},
        relation_representations=representation,
        random_seed=0,
    )
    return representation, model


def test_any_interaction() -> None:
    """In an ERModel with an unchanged loop: unseen relations have a vector, and the main optimizer leaves it alone."""
    factory = Nations().training
    mask = factory.mapped_triples[:, 1] < 50
    training = factory.clone_and_exchange_triples(factory.mapped_triples[mask][:300])
    representation, model = _model(training)
    unseen = (~_seen(training)).nonzero().view(-1)
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


def test_a_step_for_each_of_the_loop() -> None:
    """As many steps of the generator as batches: the resets at the making and before the first epoch take none."""
    factory = Nations().training
    training = factory.clone_and_exchange_triples(factory.mapped_triples[:100])
    representation, model = _model(training)
    assert "generator" not in representation.learner.get_extra_state()
    loop = SLCWATrainingLoop(model=model, triples_factory=training)
    loop.train(training, num_epochs=3, batch_size=30, use_tqdm=False, clear_optimizer=False)
    state = representation.learner.get_extra_state()["generator"]["state"]
    assert {int(entry["step"]) for entry in state.values()} == {3 * 4}


def test_errors() -> None:
    """What is missing or does not fit is named."""
    with pytest.raises(DataError, match="needs `texts`"):
        GeneratedRelationRepresentation(shape=DIM)
    with pytest.raises(DataError, match="do not fit"):
        GeneratedRelationRepresentation(texts=torch.randn(3, 2), seen=torch.ones(4), shape=DIM)
    with pytest.raises(DataError, match="at least two seen"):
        GeneratedRelationRepresentation(texts=torch.randn(3, 2), seen=torch.tensor([1, 0, 0]), shape=DIM)
    with pytest.raises(MultimodalError, match="no pairs"):
        _representation(learner_kwargs={"adversarial": True, "hinge": "pairs"})
    with pytest.raises(MultimodalError, match="pivot > 0"):
        GenerativeLearner(TEXT, DIM, adversarial=False, pivot=0.0)


def _batch(b: int = 3, n: int = 4) -> Real:
    return Real(torch.randn(b, n, DIM), torch.randn(b, DIM), torch.randn(b, TEXT), torch.randn(b, DIM))


@pytest.mark.parametrize(("penalty", "hinge"), [(7.0, "centroids"), (0.0, "centroids"), (10.0, "pairs")])
def test_the_two_players_descend_their_losses(penalty: float, hinge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses of discriminator and generator with their gradients, sample by sample, and who asks for what."""
    torch.manual_seed(0)
    b, n, margin = 3, 4, 1.5
    options = dict(noise_dim=3, pivot=2.0, margin=margin, gradient_penalty=penalty, critic_steps=2, lr=0.3)
    options |= dict(hinge=hinge, critic_kwargs={"norm": "unbiasedlayernorm"} if hinge == "pairs" else None)
    learner = GenerativeLearner(TEXT, DIM, **options).eval()
    critic, generator, batch = learner.critic, learner.generator, _batch(b, n)
    if learner.needs_negatives:
        batch = batch._replace(negatives=torch.randn(b, n, DIM))

    def hinge_of(x: torch.Tensor, i: int, j: int) -> torch.Tensor:
        """Of a sample: above another class's score, or above that of another pair for the same class."""
        own = critic.features(batch.centroids[i])
        if hinge == "pairs":
            below = critic.features(batch.negatives[i, j]) @ own
        else:
            below = critic.features(x) @ critic.features(batch.others[i])
        return (margin - critic.features(x) @ own + below).clamp(min=0)

    asked, steps = [], []

    def draw(samples: bool) -> Real:
        asked.append(samples)
        return batch if samples else batch._replace(samples=None)

    monkeypatch.setattr(learner, "descend", lambda optimizer, loss: steps.append((optimizer, loss)))
    torch.manual_seed(5)
    returned = learner.learn(draw, n)
    assert asked == [True, True, False] and len(steps) == 3
    torch.manual_seed(5)
    for optimizer, loss in steps[:2]:
        fake = generator(batch.texts, torch.randn(b, n, 3)).detach()
        share = torch.rand(b, n, 1) if penalty else torch.zeros(b, n, 1)
        expected = torch.zeros(())
        for i in range(b):
            for j in range(n):
                x, made = batch.samples[i, j], fake[i, j]
                expected = expected + critic(made) - critic(x)
                for vector in (x, made):
                    expected = expected + hinge_of(vector, i, j) / 2
                between = (share[i, j] * x + (1 - share[i, j]) * made).requires_grad_()
                (slope,) = torch.autograd.grad(critic(between), between, create_graph=True)
                expected = expected + penalty * (slope.square().sum().sqrt() - 1) ** 2
        _check_step(loss, expected / (b * n), optimizer, critic)
    optimizer, loss = steps[2]
    fake = generator(batch.texts, torch.randn(b, n, 3))
    expected = torch.zeros(())
    for i in range(b):
        expected = expected + 2.0 * (fake[i].mean(0) - batch.centroids[i]).square().sum().sqrt() / b
        for j in range(n):
            expected = expected + (hinge_of(fake[i, j], i, j) - critic(fake[i, j])) / (b * n)
    _check_step(loss, expected, optimizer, generator)
    assert returned == pytest.approx(float(expected.detach()), abs=1e-5)


def _check_step(loss: torch.Tensor, expected: torch.Tensor, optimizer, module: torch.nn.Module) -> None:
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    (group,) = optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in module.parameters()}
    assert (group["lr"], group["betas"]) == (0.3, (0.5, 0.9))
    gradients = (torch.autograd.grad(x, list(module.parameters()), allow_unused=True) for x in (loss, expected))
    for actual, by_hand in zip(*gradients, strict=True):
        if by_hand is None:
            assert actual is None or not actual.any()
        else:
            torch.testing.assert_close(actual, by_hand, rtol=1e-3, atol=1e-4)


def test_without_noise_and_without_a_critic(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sample, and the pivot alone: a regression."""
    torch.manual_seed(0)
    learner = GenerativeLearner(TEXT, DIM, noise_dim=0, adversarial=False).eval()
    assert learner.critic is None and learner.sample(torch.randn(2, TEXT)).shape == (2, 1, DIM)
    batch = _batch()._replace(samples=None)
    loss = learner.learn(lambda samples: batch, 4)
    other = GenerativeLearner(TEXT, DIM, noise_dim=0, adversarial=False).eval()
    assert loss > 0 and other.pivot == 3.0
    torch.manual_seed(0)
    again = GenerativeLearner(TEXT, DIM, noise_dim=0, adversarial=False).eval()
    made = again.generator(batch.texts)[:, 0]
    assert loss == pytest.approx(3 * float((made - batch.centroids).norm(dim=-1).mean()), abs=1e-5)


def test_defaults_are_those_of_the_papers() -> None:
    """Noise of 15 dimensions, 20 samples, a margin of 5, a gradient penalty of 10, a pivot of 3, a rate of 1e-4."""
    learner = GenerativeLearner(TEXT, DIM)
    assert learner.noise.shape == (20, 15) and learner.generator.noise_dim == 15
    assert learner.noise.std() == pytest.approx(0.1, abs=0.01)
    assert (learner.margin, learner.gradient_penalty, learner.pivot, learner.lr) == (5.0, 10.0, 3.0, 1e-4)
    assert learner.critic_steps == 1 and not learner.needs_negatives
    assert not GenerativeLearner(TEXT, DIM, adversarial=False, hinge="pairs").needs_negatives
    assert all(isinstance(layer, SpectralLinear) for layer in learner.generator.maps)
    assert isinstance(learner.generator.norm, torch.nn.LayerNorm)
    assert not learner.state_dict().keys() & {"noise"}
    texts = torch.randn(2, TEXT)
    learner.eval()
    torch.testing.assert_close(learner.sample(texts), learner.generator(texts, learner.noise))
    # what imitates trained vectors is plain: of any scale, by regression
    plain = _representation().learner
    assert not any(isinstance(layer, SpectralLinear) for layer in plain.generator.maps)
    assert isinstance(plain.generator.norm, torch.nn.Identity) and plain.critic is None and plain.lr == 1e-3
    generator = Generator(TEXT, DIM)
    assert generator.noise_dim == 15 and isinstance(generator.norm, torch.nn.LayerNorm)
    assert [type(layer) for layer in generator.maps] == [SpectralLinear] * 3


class Counter(SelfTrained):
    """A parameter that counts its own steps."""

    def __init__(self) -> None:
        super().__init__()
        self.x = torch.nn.Parameter(torch.zeros(1))
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def own_step(self) -> float:
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        loss = (self.x - 1).square().sum()
        self.descend(self.optimizer("x", self.parameters(), 0.1, (0.9, 0.999)), loss)
        return float(loss.detach())


def test_when_it_trains_itself() -> None:
    """In training, unless a loop of two phases switches it off, and not by the call that ends a reset."""
    module = Counter()
    module.post_parameter_update()
    assert module.x.item() == pytest.approx(0.1)  # Adam's first step is its learning rate
    assert not module.unused.any()
    module.eval().post_parameter_update()
    module.train().joint = False
    module.post_parameter_update()
    assert module.x.item() == pytest.approx(0.1)
    module.joint = True
    with torch.inference_mode():
        module.post_parameter_update()
    second = module.x.item()
    assert second == pytest.approx(0.2, abs=0.01)
    state = copy.deepcopy(module.state_dict())
    module.forget()
    assert module.get_extra_state() == {}
    module.post_parameter_update()
    assert module.x.item() == second
    module.post_parameter_update()
    assert module.x.item() == pytest.approx(second + 0.1)  # its optimizer has no memory
    # a state that was loaded and never used can be saved again, and is forgotten, too
    other = Counter()
    other.post_parameter_update()
    other.load_state_dict(state)
    assert other.get_extra_state()["x"]["state"][0]["step"] == 2
    other.post_parameter_update()
    assert other.get_extra_state()["x"]["state"][0]["step"] == 3
    other.load_state_dict(state)
    other.forget()
    assert other.get_extra_state() == {}
    with pytest.raises(NotImplementedError):
        SelfTrained().own_step()


def test_what_is_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen relations only, the trained vector of each with noise, and another relation's."""
    x = _representation(batch_size=5, num_real=400, spread=0.2)
    drawn = []
    monkeypatch.setattr(x.learner, "learn", lambda draw, n: drawn.append((draw(True), draw(False), n)) or 7.0)
    vectors = x.base(torch.arange(R)).detach()
    others = set()
    for _ in range(60):
        assert x.own_step() == 7.0
        real, bare, n = drawn.pop()
        assert n == 400 and bare.samples is None and real.samples.shape == (5, 400, DIM)
        for part in (real, bare):
            own = [(vectors == row).all(-1).nonzero().item() for row in part.centroids]
            other = [(vectors == row).all(-1).nonzero().item() for row in part.others]
            assert len(set(own)) == 5 and {*own, *other} <= set(range(7))
            assert all(a != b for a, b in zip(own, other, strict=True))
            others |= set(zip(own, other, strict=True))
            assert torch.equal(part.texts, x.texts[own])
        shift = real.samples - real.centroids[:, None]
        torch.testing.assert_close(shift.mean(), torch.zeros(()), atol=0.02, rtol=0)
        torch.testing.assert_close(shift.std(), 0.2 * real.centroids.std(), rtol=0.1, atol=0)
    assert len(others) == 7 * 6
    whole = _representation()
    assert (whole.batch_size, whole.num_real, whole.spread) == (32, 8, 0.05)


def test_complex_vectors() -> None:
    """Real and imaginary parts are generated side by side, and one index gives one vector."""
    base = Embedding(max_id=R, shape=DIM, dtype=torch.cfloat)
    options = dict(texts=torch.randn(R, TEXT), seen=torch.arange(R) < 7, base=base, unique=False)
    x = GeneratedRelationRepresentation(**options).eval()
    assert x.shape == (DIM,)
    with torch.no_grad():
        made = x.learner.sample(x.texts[7:]).mean(1)
        assert made.shape == (3, 2 * DIM)
        torch.testing.assert_close(x(torch.arange(7, R)), torch.complex(made[:, ::2], made[:, 1::2]))
        assert torch.equal(x(torch.arange(7)), base(torch.arange(7)))
        for relation in (3, 8):
            torch.testing.assert_close(x(torch.tensor(relation)), x(None)[relation])
    flat = x._flat(torch.arange(2))
    torch.testing.assert_close(flat, torch.view_as_real(base(torch.arange(2))).flatten(1))


def test_vectors_of_more_dimensions() -> None:
    """A matrix for each relation, as some interactions want."""
    seen = torch.arange(R) < 7
    x = GeneratedRelationRepresentation(texts=torch.randn(R, TEXT), seen=seen, shape=(2, 3)).eval()
    with torch.no_grad():
        assert x(torch.tensor([[0, 9]])).shape == (1, 2, 2, 3)
        torch.testing.assert_close(x(torch.tensor([9]))[0].flatten(), x.learner.sample(x.texts[9:]).mean(1)[0])


def test_no_gradient_through_what_is_generated() -> None:
    """The loop's optimizer trains the vectors of seen relations, and nothing else."""
    x = _representation()
    x(torch.tensor([2, 8])).sum().backward()
    gradient = x.base._embeddings.weight.grad
    assert gradient[2].eq(1).all() and gradient.count_nonzero() == DIM
    assert all(p.grad is None for p in x.learner.parameters())


def test_added_relations_and_state() -> None:
    """They are numbered on, have generated vectors, and come back with the state; texts are no weights."""
    x = _representation().eval()
    before = x(None).detach()
    texts = torch.randn(2, TEXT)
    assert [x.add(text) for text in texts] == [R, R + 1] and x.max_id == R + 2
    with torch.no_grad():
        table = x(None)
        torch.testing.assert_close(table[:R], before)
        torch.testing.assert_close(table[R:], x.learner.sample(texts).mean(1))
        assert torch.equal(x(torch.tensor([1])), table[1:2])
    state = copy.deepcopy(x.state_dict())
    assert not state.keys() & {"texts", "seen"}
    for other in (_representation(), copy.deepcopy(x)):
        other.load_state_dict(state)
        assert other.max_id == R + 2 and torch.equal(other.texts, x.texts) and torch.equal(other.seen, x.seen)
        with torch.no_grad():
            torch.testing.assert_close(other.eval()(None), table)
    assert _representation().get_extra_state()["texts"].shape == (0, TEXT)


def test_reset() -> None:
    """Everything that is trained is drawn anew, and the optimizers forget."""
    x = _representation(learner_kwargs={"adversarial": True, "spectral": True, "normalize": True})
    for _ in range(2):
        x.own_step()
    assert x.learner.get_extra_state().keys() == {"critic", "generator"}
    with torch.no_grad():
        for p in x.parameters():
            p.fill_(7)
    x.reset_parameters()
    assert all(not (p == 7).any() for p in x.parameters())
    assert x.learner.get_extra_state() == {}


def test_bases() -> None:
    """A name, an instance or the default; of the same number and shape."""
    options = dict(texts=torch.randn(R, TEXT), seen=torch.arange(R) < 7)
    x = GeneratedRelationRepresentation(base="embedding", base_kwargs={"shape": 3, "trainable": False}, **options)
    assert x.shape == (3,) and not x.base._embeddings.weight.requires_grad
    assert GeneratedRelationRepresentation(max_id=R, shape=DIM, **options).base.shape == (DIM,)
    for base in (Embedding(max_id=R + 1, shape=DIM), Embedding(max_id=R, shape=DIM + 1)):
        with pytest.raises(DataError, match="base has"):
            GeneratedRelationRepresentation(shape=DIM, base=base, **options)
    for wrong in ({"max_id": R + 1}, {"texts": torch.randn(R)}, {"seen": None}):
        with pytest.raises(DataError, match="do not fit|needs `texts`"):
            GeneratedRelationRepresentation(shape=DIM, **{**options, **wrong})
    two = GeneratedRelationRepresentation(shape=DIM, texts=torch.randn(3, TEXT), seen=torch.tensor([1, 0, 1]))
    assert two.own_step() > 0
    GenerativeLearner(TEXT, DIM, adversarial=False, pivot=0.5)
    GenerativeLearner(TEXT, DIM, adversarial=True, pivot=0.0)
