"""PyKEEN's cases of samplers, filterers, losses and training loops on ours."""

import unittest
from collections.abc import MutableMapping
from typing import Any
from unittest import mock

import pytest
import torch
from pykeen.losses import InfoNCELoss, MarginRankingLoss, SoftplusLoss
from pykeen.models import ConvE, TransE
from pykeen.pipeline import pipeline
from pykeen.sampling import NegativeSampler
from tests.test_sampling import cases as sampling_cases
from tests.test_sampling import test_filterer
from tests.test_training import cases as training_cases

from pykeen_mmkg.nn.lazy_adam import LazyAdam
from pykeen_mmkg.nn.losses import SampledSoftmaxLoss
from pykeen_mmkg.nn.zero_shot.self_trained import SelfTrained
from pykeen_mmkg.sampling.filterer import KnownTriplesFilterer
from pykeen_mmkg.sampling.hard_negatives import SimilarNegativeSampler
from pykeen_mmkg.sampling.negatives import DistinctNegativeSampler, PoolNegativeSampler, SharedTailNegativeSampler
from pykeen_mmkg.training.episodic import EpisodicTrainingLoop
from pykeen_mmkg.training.lightning_loop import LightningTrainingLoop
from pykeen_mmkg.training.sampled_softmax import SampledSoftmaxTrainingLoop
from pykeen_mmkg.training.twophase import TwoPhaseTrainingLoop
from tests import cases


class KnownTriplesFiltererTests(test_filterer.FiltererTest):
    cls = KnownTriplesFilterer


class PoolNegativeSamplerTests(sampling_cases.NegativeSamplerGenericTestCase):
    cls = PoolNegativeSampler

    def _pre_instantiation_hook(self, kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kwargs = super()._pre_instantiation_hook(kwargs)
        kwargs["pools"] = {relation: torch.arange(relation % 7 + 2) for relation in range(kwargs["num_relations"])}
        return kwargs


class DistinctNegativeSamplerTests(sampling_cases.NegativeSamplerGenericTestCase):
    """A known negative is drawn again, so that a mask is needed only where there are not enough."""

    cls = DistinctNegativeSampler

    def check_sample(self, instance: NegativeSampler) -> None:
        negatives, mask = instance.sample(positive_batch=self.positive_batch)
        assert negatives.shape == (self.batch_size, instance.num_negs_per_pos, 3)
        # the Nations are few: a triple may lack unknown answers
        kept = torch.ones(negatives.shape[:-1], dtype=torch.bool) if mask is None else mask
        assert kept.any(dim=-1).float().mean() > 0.9
        assert instance.filterer is not None and not instance.filterer.contains(negatives[kept]).any()


class SharedTailNegativeSamplerTests(sampling_cases.NegativeSamplerGenericTestCase):
    """Its batches are as wide as there are different tails, and a triple's own is always masked."""

    cls = SharedTailNegativeSampler

    def check_sample(self, instance: NegativeSampler) -> None:
        negatives, mask = instance.sample(positive_batch=self.positive_batch)
        assert mask is not None and mask.dtype == torch.bool
        assert mask.shape == negatives.shape[:-1] and negatives.shape[::2] == (self.batch_size, 3)
        assert (negatives[..., :2] == self.positive_batch[:, None, :2]).all()
        assert (negatives[..., 2] == negatives[:1, :, 2]).all()
        assert negatives.min() >= 0 and negatives[..., 2].max() < self.triples_factory.num_entities
        positives = self.positive_batch[:, None].expand_as(negatives)
        assert (negatives[mask] != positives[mask]).any(dim=-1).all()


class SimilarNegativeSamplerTests(sampling_cases.NegativeSamplerGenericTestCase):
    cls = SimilarNegativeSampler

    def _pre_instantiation_hook(self, kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kwargs = super()._pre_instantiation_hook(kwargs)
        kwargs["features"] = torch.rand(kwargs["num_entities"], 3, generator=torch.manual_seed(0))
        return kwargs


class EpisodicTrainingLoopTests(training_cases.TrainingLoopTestCase):
    cls = EpisodicTrainingLoop
    loss_cls = InfoNCELoss
    num_epochs = 4
    kwargs = {"num_batches": 3}

    def test_error_on_no_batch(self):
        """Batches are drawn with replacement, so that none is too large."""
        assert self.instance.train(self.triples_factory, num_epochs=1, drop_last=True, batch_size=5_000)


class MarginEpisodicTrainingLoopTests(EpisodicTrainingLoopTests):
    loss_cls = MarginRankingLoss
    kwargs = {"num_batches": 3, "negative_sampler": "basic"}


class SampledSoftmaxLossTests(cases.SetwiseLossTestCase):
    cls = SampledSoftmaxLoss


class SampledSoftmaxTrainingLoopTests(training_cases.TrainingLoopTestCase):
    cls = SampledSoftmaxTrainingLoop
    loss_cls = SampledSoftmaxLoss
    num_epochs = 4
    kwargs = {"num_sampled": 8, "decay": True}


class Part(SelfTrained):
    """A number that finds its way to three."""

    def __init__(self) -> None:
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(()))

    def reset_parameters(self) -> None:
        torch.nn.init.zeros_(self.number)
        self.forget()

    def own_step(self) -> float:
        loss = (self.number - 3).square()
        self.descend(self.optimizer("number", [self.number], 0.1, (0.9, 0.99)), loss)
        return float(loss.detach())


class _WithPart:
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = Part()

    def get_grad_params(self):
        return [p for p in super().get_grad_params() if p is not self.part.number]


class TwoPhaseTrainingLoopTests(training_cases.SLCWATrainingLoopTestCase):
    cls = TwoPhaseTrainingLoop
    loss_cls = SoftplusLoss
    num_epochs = 4
    kwargs = {"structure_epochs": 2, "steps_per_epoch": 4}

    def pre_setup_hook(self) -> None:
        # the case makes its models itself, and this loop needs some with a part that trains itself
        for model in (TransE, ConvE):
            patch = mock.patch.object(training_cases, model.__name__, type(model.__name__, (_WithPart, model), {}))
            patch.start()
            self.addCleanup(patch.stop)
        super().pre_setup_hook()


class LazyAdamTests(unittest.TestCase):
    """PyKEEN has no cases of optimizers: its pipeline finds ours by name, and trains."""

    cls = LazyAdam

    def test_pipeline(self) -> None:
        results = [
            pipeline(
                dataset="nations",
                model="transe",
                optimizer=optimizer,
                training_kwargs=dict(num_epochs=2, use_tqdm=False),
                evaluation_kwargs=dict(use_tqdm=False),
                random_seed=0,
            )
            for optimizer in ("lazyadam", "adam")
        ]
        assert results[0].configuration["optimizer"] == self.cls.__name__
        # TransE's gradients are dense, for which it is Adam
        assert results[0].losses == pytest.approx(results[1].losses)


class LightningTrainingLoopTests(unittest.TestCase):
    """PyKEEN's cases look into the steps of a loop, which Lightning does here; the pipeline finds it, and it learns."""

    cls = LightningTrainingLoop

    def test_pipeline(self) -> None:
        pytest.importorskip("pytorch_lightning")
        result = pipeline(
            dataset="nations",
            model="transe",
            training_loop="lightning",
            training_loop_kwargs=dict(training_loop="slcwa", accelerator="cpu", devices=1),
            training_kwargs=dict(num_epochs=4, use_tqdm=False),
            evaluation_kwargs=dict(use_tqdm=False),
            random_seed=0,
        )
        assert result.configuration["training_loop"] == self.cls.__name__
        assert len(result.losses) == 4 and result.losses[-1] < result.losses[0]
