"""PyKEEN's cases on our models of unseen relations."""

from collections.abc import MutableMapping
from typing import Any

import torch

from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.relevidence import RelEvidence
from tests import cases


class _DescribedCase(cases.ModelTestCase):
    """The descriptions are random vectors."""

    def _pre_instantiation_hook(self, kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kwargs = super()._pre_instantiation_hook(kwargs)
        generator = torch.Generator().manual_seed(0)
        features = {}
        for key, ids in (("textual", self.factory.entity_to_id), ("relation_textual", self.factory.relation_to_id)):
            labels = sorted(ids, key=ids.__getitem__)
            vectors = torch.randn(len(labels), 8, generator=generator)
            features[key] = FeatureStore.from_tensors(labels, vectors, modality="textual")
        kwargs["features"] = features
        return kwargs

    def _help_test_cli(self, args):
        # features as paths: a command line cannot carry tensors
        self.skipTest("needs features on the command line")


class RelEvidenceTests(_DescribedCase):
    cls = RelEvidence
    kwargs = {"num_weights": 2, "rank": 4, "hidden_dim": 8, "similar_texts": 2}


del _DescribedCase
