"""What a loop refuses before it starts."""

import pytest
import torch
from pykeen.models import TransE
from pykeen.stoppers import EarlyStopper, NopStopper
from pykeen.triples import CoreTriplesFactory

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.training.sampled_softmax import SampledSoftmaxTrainingLoop

TRIPLES = torch.tensor([[0, 0, 1], [1, 0, 2]])


def _factory(count: int) -> CoreTriplesFactory:
    return CoreTriplesFactory(TRIPLES[:count], num_entities=3, num_relations=1)


def _train(number: int, **kwargs) -> list[float] | None:
    factory = _factory(number)
    model = TransE(triples_factory=factory, random_seed=0)
    loop = SampledSoftmaxTrainingLoop(model=model, triples_factory=factory)
    return loop.train(factory, **{"num_epochs": 1, "batch_size": 2, "use_tqdm": False, **kwargs})


def _stopper(validation: CoreTriplesFactory | None) -> EarlyStopper:
    model = TransE(triples_factory=_factory(2))
    return EarlyStopper(model, None, _factory(2), validation)  # type: ignore[arg-type]


def test_as_ever() -> None:
    losses = _train(2, stopper=NopStopper())
    assert losses is not None and len(losses) == 1


@pytest.mark.parametrize("validation", [None, _factory(0)])
def test_nothing_to_stop_by(validation: CoreTriplesFactory | None) -> None:
    with pytest.raises(MultimodalError, match="needs validation triples"):
        _train(2, stopper=_stopper(validation))


@pytest.mark.parametrize("options", [dict(num_epochs=-1), dict(batch_size=0), dict(num_epochs="3")])
def test_numbers(options: dict) -> None:
    with pytest.raises(MultimodalError, match=next(iter(options))):
        _train(2, **options)


def test_no_triples() -> None:
    with pytest.raises(MultimodalError, match="no training triples"):
        _train(0)
