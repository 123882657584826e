"""The imaginary part: a table for what is seen, a projection that trains for what is not."""

import pytest
import torch
from pykeen.losses import SoftplusLoss
from pykeen.models import ERModel
from pykeen.training import SLCWATrainingLoop
from pykeen.triples import CoreTriplesFactory

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.indexing import seen_entities
from pykeen_mmkg.nn.imaginary import ComplexMultimodalRepresentation

N, D = 30, 6


def make(**kwargs: object) -> ComplexMultimodalRepresentation:
    generator = torch.Generator().manual_seed(1)
    visual, textual = (torch.randn(N, D, generator=generator) for _ in range(2))
    defaults: dict = {
        "max_id": N,
        "embedding_dim": D,
        "features": {"visual": visual, "textual": (textual, torch.arange(N) % 4 != 2)},
        "seen": torch.arange(N) < 25,
    }
    return ComplexMultimodalRepresentation(**{**defaults, **kwargs})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def factory() -> CoreTriplesFactory:
    """Triples over the first 25 of 30 entities."""
    triples = torch.stack([torch.randint(high, (200,)) for high in (25, 3, 25)], dim=-1)
    return CoreTriplesFactory(triples, num_entities=N, num_relations=3)


def model(factory: CoreTriplesFactory, interaction: str = "complex", **kwargs: object) -> ERModel:
    return ERModel(
        triples_factory=factory,
        interaction=interaction,
        entity_representations=make(seen=seen_entities(factory), **kwargs),
        relation_representations_kwargs={"shape": D, "dtype": torch.cfloat},
        loss=SoftplusLoss(),
        random_seed=0,
    )


@pytest.mark.parametrize("fusion", ["average", "concat"])
def test_paper_form_for_what_is_seen(fusion: str) -> None:
    representation = make(fusion=fusion)
    torch.nn.init.normal_(representation.projection)
    x = representation()
    assert x.is_complex() and x.shape == (N, *representation.shape)
    real = representation.fusion([part() for part in representation.parts.values()], representation.mask)
    torch.testing.assert_close(x.real, real)
    torch.testing.assert_close(x.imag[:25], representation.table()[:25])
    # unseen: W times the features, which the masked real part consists of
    torch.testing.assert_close(x.imag[25:], real[25:] @ representation.projection.T)
    indices = torch.tensor([[29, 0], [3, 3]])
    torch.testing.assert_close(representation(indices), x[indices])


def test_table_initialisation() -> None:
    representation = make()
    assert not representation.projection.any()
    assert 0.8 < representation.table().abs().max() / (6 / (N + D)) ** 0.5 <= 1


def test_everything_seen_needs_no_projection() -> None:
    representation = make(seen=None)
    assert representation.projection is None and representation.distillation is None
    assert torch.equal(representation().imag, representation.table())


def gradients(model: ERModel, batch: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    model.train()
    scores = model.score_hrt(batch)
    loss = torch.nn.functional.softplus(-scores).mean()
    term = model.collect_regularization_term()
    (loss + term).backward()
    return {name: p.grad for name, p in model.named_parameters()}, loss


@pytest.mark.parametrize("options", [{}, {"fusion": "gated", "feature_kwargs": {"adapter": True, "projection": True}}])
def test_distillation_touches_nothing_else(factory: CoreTriplesFactory, options: dict) -> None:
    """The gradients are those of a model without it, unseen entities among the negatives included."""
    batch = torch.cat([factory.mapped_triples[:40], torch.tensor([[26, 0, 1], [2, 1, 29]])])
    (with_, loss), (without, same) = (
        gradients(model(factory, imaginary_fit=weight, **options), batch) for weight in (1.0, 0.0)
    )
    projection = "entity_representations.0.projection"
    assert with_[projection].any() and without.pop(projection) is None
    assert with_.pop(projection).isfinite().all()
    torch.testing.assert_close(loss, same)
    assert with_.keys() == without.keys() and len(without) >= 3
    for name, gradient in without.items():
        torch.testing.assert_close(gradient, with_[name], msg=name)


def test_gradient_of_the_regression(factory: CoreTriplesFactory) -> None:
    """One call with known rows: the gradient of the mean squared error by hand."""
    representation = make().train()
    torch.nn.init.normal_(representation.projection)
    representation(torch.tensor([3, 7, 7, 27]))
    term = representation.distillation.pop_regularization_term()
    term.backward()
    visual, textual = (representation.parts[name]() for name in ("visual", "textual"))
    total, gradient = 0.0, torch.zeros(D, D)
    for e, count in ((3, 3), (7, 3)):
        f = (visual[e] + textual[e]) / count  # the structural slot counts
        residual = representation.projection.detach() @ f - representation.table()[e].detach()
        total += residual.square().sum().item() / (2 * D)
        gradient += 2 * torch.outer(residual, f) / (2 * D)
    assert term.item() == pytest.approx(total, rel=1e-5)
    torch.testing.assert_close(representation.projection.grad, gradient)


def test_few_rows_at_a_time() -> None:
    """Every seen id has its turn, and the count of turns is part of the state."""
    representation = make(fit_rows=8).train()
    wholes = make(fit_rows=100).train()
    gradients = []
    for _ in range(4):  # 25 rows, every 4th
        representation.zero_grad()
        representation()
        representation.distillation.pop_regularization_term().backward()
        gradients.append(representation.projection.grad * len(range(len(gradients), 25, 4)) / 25)
    wholes.load_state_dict(representation.state_dict())
    wholes()
    wholes.distillation.pop_regularization_term().backward()
    torch.testing.assert_close(sum(gradients), wholes.projection.grad)
    assert representation.state_dict()["fit_step"] == 4


def test_projection_learns_in_the_unchanged_loop(factory: CoreTriplesFactory) -> None:
    """The table follows the features here, so the projection can find out how, and tells the unseen rows."""
    network = model(factory, interaction="rotate", imaginary_fit=1.0)
    representation = network.entity_representations[0]
    loop = SLCWATrainingLoop(
        model=network, triples_factory=factory, optimizer=torch.optim.Adam(network.parameters(), lr=0.05)
    )
    hidden = torch.randn(D, D)

    def truth() -> torch.Tensor:
        mask = representation.mask.clone()
        mask[:, 0] = False
        return (representation.fusion([p() for p in representation.parts.values()], mask) @ hidden.T).detach()

    representation.table._embeddings.weight.data.copy_(truth())
    representation.table.requires_grad_(False)
    loop.model.reset_parameters_ = lambda: None  # keep the table
    error = []
    for _ in range(2):
        representation.eval()
        with torch.no_grad():
            error.append((representation().imag - truth())[25:].square().mean().item())
        loop.train(triples_factory=factory, num_epochs=8, batch_size=5, use_tqdm=False, pin_memory=False)
    with torch.no_grad():
        error.append((representation.eval()().imag - truth())[25:].square().mean().item())
    assert error[-1] < 0.05 * error[0]


@pytest.mark.parametrize("mode", ["distil", "joint"])
def test_structural_dropout_trains_it_through_the_loss(mode: str) -> None:
    representation = make(structural_dropout=1.0, imaginary=mode, imaginary_fit=0.0).train()
    torch.nn.init.normal_(representation.projection)
    indices = torch.arange(5)
    x = representation(indices)
    torch.testing.assert_close(x.imag, x.real @ representation.projection.T)
    x.abs().sum().backward()
    assert representation.projection.grad.any()
    assert not representation.table._embeddings.weight.grad.any()
    assert not representation.parts["structural"]._embeddings.weight.grad.any()


@pytest.mark.parametrize(("mode", "expected"), [("distil", False), ("joint", True)])
def test_unseen_negatives(mode: str, expected: bool) -> None:
    """They train the projection only if it is to be trained by the loss."""
    representation = make(imaginary=mode, imaginary_fit=0.0).train()
    torch.nn.init.normal_(representation.projection)
    representation(torch.tensor([26, 27])).imag.sum().backward()
    assert (representation.projection.grad is not None and bool(representation.projection.grad.any())) is expected


def test_inductive_mode_of_the_authors() -> None:
    """With text the row of the table, seen or not; without it zero, also for a seen entity."""
    representation = make(imaginary="author")
    rows = representation.table._embeddings.weight.tolist()
    expected = [[0.0] * D if i % 4 == 2 else rows[i] for i in range(N)]
    torch.testing.assert_close(representation().imag, torch.tensor(expected))
    indices = torch.tensor([[29, 2], [26, 0]])
    torch.testing.assert_close(representation(indices).imag, torch.tensor(expected)[indices])
    assert representation.projection is None
    with pytest.raises(MultimodalError, match="textual"):
        make(imaginary="author", modalities=["structural", "visual"])


def test_structural() -> None:
    representation = make(imaginary="structural")
    assert representation.projection is None
    assert torch.equal(representation().imag, representation.table())
    with pytest.raises(MultimodalError, match="distil, joint, structural, author"):
        make(imaginary="other")


def test_without_structure_there_is_no_table() -> None:
    """A table would be structure."""
    representation = make(modalities=["visual", "textual"])
    assert representation.table is None
    x = representation()
    torch.testing.assert_close(x.imag, x.real @ representation.projection.T)
    x.imag.square().sum().backward()
    assert representation.projection.grad.any()


@pytest.mark.parametrize("options", [{}, {"imaginary": "joint"}, {"structural_dropout": 0.3}])
def test_reset(options: dict) -> None:
    representation = make(**options)
    before = {name: p.clone() for name, p in representation.named_parameters()}
    with torch.no_grad():
        for p in representation.parameters():
            p.fill_(7)
    representation.reset_parameters()
    for name, p in representation.named_parameters():
        assert not (p == 7).any()
        assert torch.equal(p, before[name]) is (not before[name].any()), name
