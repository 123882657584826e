"""What PyKEEN's training loops do for models of this package."""

import gc

import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult
from pykeen.training import SLCWATrainingLoop
from pykeen.training.callbacks import TrainingCallback
from pykeen.training.training_loop import TrainingLoop

from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.vlkge import VLKGE
from pykeen_mmkg.training.large_graphs import guard


class _Frozen(TrainingCallback):
    """Looks whether objects are frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: object) -> None:
        self.counts.append(gc.get_freeze_count())


def test_models_of_this_package_only() -> None:
    """Garbage is frozen while they train; a model of PyKEEN's trains as ever."""
    factory = Nations().training
    store = FeatureStore.from_tensors(factory.entity_to_id, torch.randn(14, 4), modality="textual")
    ours = VLKGE(triples_factory=factory, embedding_dim=4, sources={"features": {"textual": store}})
    for model, frozen in ((ours, True), (DistMult(triples_factory=factory, embedding_dim=4), False)):
        callback = _Frozen()
        loop = SLCWATrainingLoop(model=model, triples_factory=factory, optimizer="adagrad")
        loop.train(factory, num_epochs=2, use_tqdm=False, callbacks=callback)
        assert [count > 0 for count in callback.counts] == [frozen, frozen]
        assert gc.get_freeze_count() == 0


def test_guards_once() -> None:
    """A second call changes nothing."""
    before = TrainingLoop.train
    guard()
    assert TrainingLoop.train is before
