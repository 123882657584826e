"""What an autoencoder keeps, and how its error reaches the loss."""

import pytest
import torch
from pykeen.models import ERModel
from pykeen.nn.representation import Embedding
from pykeen.triples import CoreTriplesFactory

from pykeen_mmkg.nn.fusion import AutoencoderFusion
from pykeen_mmkg.nn.multimodal import MultimodalRepresentation

NAMES = ["visual", "textual"]


def test_error_by_hand() -> None:
    """The mean square over what is there; nothing in evaluation, and nothing where there is nothing."""
    torch.manual_seed(0)
    fusion = AutoencoderFusion(NAMES, 4, hidden_dim=3, weight=0.5)
    xs = [torch.randn(5, 4, requires_grad=True) for _ in NAMES]
    mask = torch.tensor([[True, True], [True, False], [False, True], [False, False], [True, True]])
    fused = fusion(xs, mask)
    squares = []
    for item in range(5):
        hidden = torch.tanh(fusion.decode.weight @ fused[item] + fusion.decode.bias)
        for i, part in enumerate((hidden[:3], hidden[3:])):
            if mask[item, i]:
                again = fusion.decoders[i].weight @ part + fusion.decoders[i].bias
                squares += (again - xs[i][item]).square().tolist()
    term = fusion.error.pop_regularization_term()
    assert term.item() == pytest.approx(0.5 * sum(squares) / len(squares), rel=1e-5)
    fusion(xs, torch.zeros_like(mask))
    fusion.eval()(xs, mask)
    assert not fusion.error.pop_regularization_term().any()


def test_what_is_to_be_reproduced_gets_no_gradient() -> None:
    """With a decoder that gives zero, the error is that of the inputs alone: they must not shrink for it."""
    fusion = AutoencoderFusion(NAMES, 4)
    for decoder in fusion.decoders:
        torch.nn.init.zeros_(decoder.weight)
    xs = [torch.randn(5, 4, requires_grad=True) for _ in NAMES]
    fusion(xs)
    fusion.error.pop_regularization_term().backward()
    assert all(x.grad is None or not x.grad.any() for x in xs)
    assert fusion.decoders[0].bias.grad.any()


def test_loss_of_a_model() -> None:
    """PyKEEN collects the error; by it alone, the middle layer learns to hold both modalities."""
    torch.manual_seed(0)
    triples = torch.tensor([[i, 0, (i + 1) % 8] for i in range(8)])
    factory = CoreTriplesFactory.create(triples)
    entities = MultimodalRepresentation(
        max_id=8,
        embedding_dim=6,
        features={name: torch.randn(8, 6) * 0.5 for name in NAMES},
        modalities=NAMES,
        fusion="autoencoder",
    )
    model = ERModel(
        triples_factory=factory,
        interaction="distmult",
        entity_representations=entities,
        relation_representations=Embedding(1, shape=6),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    errors = []
    for _ in range(150):
        optimizer.zero_grad()
        model.score_hrt(triples)
        error = model.collect_regularization_term()
        error.backward()
        optimizer.step()
        model.post_parameter_update()
        errors.append(error.item())
    assert errors[-1] < 0.4 * errors[0]
