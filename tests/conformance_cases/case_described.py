"""PyKEEN's cases on models of described entities and relations."""

from collections.abc import MutableMapping
from typing import Any

import torch
from pykeen.nn import Embedding

from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.complex_n3 import ComplExN3
from pykeen_mmkg.models.late_fusion import LateFusion
from pykeen_mmkg.models.two_tower import TwoTower
from pykeen_mmkg.models.zero_shot.devise import DeViSE
from pykeen_mmkg.models.zero_shot.mre import MRE
from pykeen_mmkg.models.zero_shot.relevidence import RelEvidence
from pykeen_mmkg.models.zero_shot.textonly import TextOnly
from pykeen_mmkg.models.zero_shot.zsgan import ZSGAN
from pykeen_mmkg.nn.feature import FeatureRepresentation
from pykeen_mmkg.nn.zero_shot.consolidator import AlignedRepresentation, SampledRGCNRepresentation
from pykeen_mmkg.nn.zero_shot.generator import GeneratedRelationRepresentation
from tests import cases


class _DescribedCase(cases.ModelTestCase):
    """The descriptions are random vectors."""

    embeddings = True

    def _pre_instantiation_hook(self, kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kwargs = super()._pre_instantiation_hook(kwargs)
        if not self.embeddings:
            kwargs.pop("embedding_dim")
        generator = torch.Generator().manual_seed(0)
        features = {}
        for key, ids in (("textual", self.factory.entity_to_id), ("relation_textual", self.factory.relation_to_id)):
            labels = sorted(ids, key=ids.__getitem__)
            vectors = torch.randn(len(labels), 8, generator=generator)
            features[key] = FeatureStore.from_tensors(labels, vectors, modality="textual")
        kwargs["sources"] = {"features": features}
        return kwargs

    def _help_test_cli(self, args):
        self.skipTest("a command line cannot carry features in memory")


class TwoTowerTests(_DescribedCase):
    cls = TwoTower
    # the scales of the relations, and the temperature
    num_constant_init = 2


class ComplExN3Tests(cases.ModelTestCase):
    cls = ComplExN3


class LateFusionTests(_DescribedCase):
    """It fits its scorers at the first step of a loop, and its own number stays what it is."""

    cls = LateFusion
    embeddings = False
    # that number, and what the two towers start from
    num_constant_init = 3
    kwargs = {
        "scorers": {
            name: {"training_kwargs": {"num_epochs": 1, "use_tqdm": False}} for name in ("content", "structure")
        }
    }


class RelEvidenceTests(_DescribedCase):
    cls = RelEvidence
    embeddings = False
    num_constant_init = 4
    kwargs = {"num_weights": 2, "rank": 4, "hidden_dim": 8, "similar_texts": 2}


class TextOnlyTests(_DescribedCase):
    cls = TextOnly
    embeddings = False
    num_constant_init = 2
    kwargs = {"num_weights": 2, "rank": 4, "hidden_dim": 8}


class ZSGANTests(_DescribedCase):
    num_constant_init = 6
    cls = ZSGAN
    kwargs = {"pair_kwargs": {"dim": 6, "extractor_steps": 2}, "learner_kwargs": {"num_samples": 3}}


class DeViSETests(_DescribedCase):
    num_constant_init = 4
    cls = DeViSE
    kwargs = {"pair_kwargs": {"dim": 6, "extractor_steps": 2}}


class MRETests(_DescribedCase):
    num_constant_init = 4
    cls = MRE
    kwargs = {"pair_kwargs": {"dim": 6, "extractor_steps": 2}, "representation_kwargs": {"dim": 5}}


class PublishedMRETests(_DescribedCase):
    # norms, and the biases that Xavier's distribution comes with
    num_constant_init = 15
    cls = MRE
    kwargs = {
        "preset": "published",
        "pair_kwargs": {"extractor_steps": 2, "num_support": 2, "num_queries": 3, "pairs_per_relation": 4},
        "representation_kwargs": {"dim": 5, "reconstruction_weight": 0.5},
        "consolidator_kwargs": {"num_bases": 3},
    }


class GeneratedRelationRepresentationTests(cases.RepresentationTestCase):
    cls = GeneratedRelationRepresentation
    kwargs = {"texts": torch.randn(7, 5), "seen": torch.arange(7) < 4, "shape": 3}
    max_id = 7


class AlignedRepresentationTests(cases.RepresentationTestCase):
    cls = AlignedRepresentation
    max_id = 7
    kwargs = {"structural": True}

    def _pre_instantiation_hook(self, kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kwargs = super()._pre_instantiation_hook(kwargs)
        kwargs.pop("max_id")
        generator = torch.manual_seed(0)
        kwargs["parts"] = {
            name: FeatureRepresentation(
                features=torch.rand(7, dim, generator=generator), mask=torch.arange(7) != dim, shape=4
            )
            for name, dim in (("visual", 6), ("textual", 5))
        }
        return kwargs


class SampledRGCNRepresentationTests(cases.RepresentationTestCase):
    cls = SampledRGCNRepresentation
    max_id = 7
    kwargs = {"shape": 3, "num_bases": 2, "num_relations": 2}

    def _pre_instantiation_hook(self, kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kwargs = super()._pre_instantiation_hook(kwargs)
        kwargs.pop("max_id")
        kwargs["base"] = Embedding(max_id=7, shape=5)
        kwargs["triples"] = torch.tensor([[0, 0, 1], [1, 1, 2], [4, 0, 0], [5, 1, 5]])
        return kwargs


del _DescribedCase
