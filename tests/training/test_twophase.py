"""The loop of two phases."""

from collections.abc import Callable

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult
from pykeen.triples import TriplesFactory

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.models.zero_shot.zsgan import ZSGAN
from pykeen_mmkg.training.twophase import TwoPhaseTrainingLoop


def test_second_phase_needs_a_generator(typed: TriplesFactory) -> None:
    """A model without one is an error."""
    model = DistMult(triples_factory=typed, embedding_dim=4, random_seed=0)
    with pytest.raises(MultimodalError, match="no generator"):
        TwoPhaseTrainingLoop(model=model, triples_factory=typed)


def test_each_phase_trains_its_own_parameters(make_zsgan: Callable[..., ZSGAN]) -> None:
    """First entities and relations, then the extractor, then the generator; the others stand still."""
    model = make_zsgan(extractor_steps=3)
    factory = Nations().training
    loop = TwoPhaseTrainingLoop(
        model=model, triples_factory=factory, optimizer="adam", structure_epochs=1, steps_per_epoch=3
    )

    def snapshot() -> dict[str, torch.Tensor]:
        return {
            "structure": torch.cat([p.detach().flatten() for p in model.get_grad_params()]),
            "extractor": torch.cat([p.detach().flatten() for p in model.pairs.extractor.parameters()]),
            "generator": torch.cat([p.detach().flatten() for p in model.pairs.learner.parameters()]),
        }

    changed = []
    options = dict(batch_size=256, use_tqdm=False, clear_optimizer=False)
    loop.train(factory, num_epochs=1, **options)
    steps = int(model.pairs.steps)
    before = snapshot()
    for epoch in (2, 3):
        loop.train(factory, num_epochs=epoch, continue_training=True, **options)
        after = snapshot()
        changed.append({name for name in after if not torch.equal(before[name], after[name])})
        before = after
    assert steps == 0, "the reset before the first epoch is no step, though PyKEEN calls post_parameter_update"
    frozen = model.pairs.extractor.entities
    assert torch.equal(frozen, model.entity_representations[0](None)), "the vectors as the first phase left them"
    assert changed[0] <= {"extractor", "generator"} and "extractor" in changed[0]
    assert changed[1] == {"generator"}


def test_back_and_forth(make_zsgan: Callable[..., ZSGAN]) -> None:
    """All epochs are the loop's, and after every second one come the other steps, within it."""
    model = make_zsgan(extractor_steps=2, generator_steps=1)
    factory = Nations().training
    options = dict(structure_epochs=2, steps_per_epoch=3, alternate=True)
    loop = TwoPhaseTrainingLoop(model=model, triples_factory=factory, optimizer="adam", **options)
    steps, moved = [], []
    for epoch in range(1, 6):
        before = model.entity_representations[0](None).detach().clone()
        kwargs = dict(batch_size=512, use_tqdm=False, clear_optimizer=False, continue_training=epoch > 1)
        losses = loop.train(factory, num_epochs=epoch, **kwargs)
        steps.append(int(model.pairs.steps))
        moved.append(not torch.equal(before, model.entity_representations[0](None)))
    assert steps == [0, 3, 3, 6, 6] and all(moved) and len(losses) == 5
    with pytest.raises(MultimodalError, match="structure_epochs"):
        TwoPhaseTrainingLoop(model=model, triples_factory=factory, structure_epochs=0, alternate=True)
