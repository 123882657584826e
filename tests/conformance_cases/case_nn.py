"""PyKEEN's cases on our fusions and representations."""

from collections.abc import MutableMapping, Sequence
from typing import Any

import torch

from pykeen_mmkg.nn import fusion, representation
from tests import cases

DIM = 5


class _FusionCase(cases.CombinationTestCase):
    """The modalities have one dimension, and there are as many inputs as modalities."""

    kwargs = {"modalities": ["structural", "visual", "textual"], "dim": DIM}
    input_dims: Sequence[Sequence[int]] = [[DIM] * 3]


class AverageFusionTests(_FusionCase):
    cls = fusion.AverageFusion


class DenseAverageFusionTests(_FusionCase):
    cls = fusion.AverageFusion
    kwargs = {**_FusionCase.kwargs, "form": "dense"}


class MaskedAverageFusionTests(_FusionCase):
    cls = fusion.AverageFusion
    kwargs = {**_FusionCase.kwargs, "form": "masked"}


class SumFusionTests(_FusionCase):
    cls = fusion.SumFusion


class ConcatFusionTests(_FusionCase):
    cls = fusion.ConcatFusion


class WeightedFusionTests(_FusionCase):
    cls = fusion.WeightedFusion


class GatedFusionTests(_FusionCase):
    cls = fusion.GatedFusion


class AttentionFusionTests(_FusionCase):
    cls = fusion.AttentionFusion


class AdaptiveFusionTests(_FusionCase):
    cls = fusion.AdaptiveFusion


class AutoencoderFusionTests(_FusionCase):
    cls = fusion.AutoencoderFusion


class InstanceAttentionFusionTests(_FusionCase):
    cls = fusion.InstanceAttentionFusion


class TransformerFusionTests(_FusionCase):
    cls = fusion.TransformerFusion


class TransportFusionTests(_FusionCase):
    cls = fusion.TransportFusion


del _FusionCase


class FeatureRepresentationTests(cases.RepresentationTestCase):
    cls = representation.FeatureRepresentation

    def _pre_instantiation_hook(self, kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kwargs = super()._pre_instantiation_hook(kwargs)
        kwargs["features"] = torch.rand(self.max_id, 6, generator=torch.manual_seed(0))
        return kwargs


class ProjectedFeatureRepresentationTests(FeatureRepresentationTests):
    kwargs = {"shape": DIM, "adapter": True, "mask": [False] + [True] * 6, "storage": "cpu"}


class MultimodalRepresentationTests(cases.RepresentationTestCase):
    cls = representation.MultimodalRepresentation
    kwargs = {"embedding_dim": DIM, "seen": [False] + [True] * 6}

    def _pre_instantiation_hook(self, kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kwargs = super()._pre_instantiation_hook(kwargs)
        generator = torch.manual_seed(0)
        visual, textual = (torch.rand(self.max_id, dim, generator=generator) for dim in (6, DIM))
        kwargs["features"] = {"visual": (visual, torch.arange(self.max_id) != 2), "textual": textual}
        return kwargs


class ConcatMultimodalRepresentationTests(MultimodalRepresentationTests):
    kwargs = {**MultimodalRepresentationTests.kwargs, "fusion": "concat", "structural_dropout": 0.5}


class ComplexMultimodalRepresentationTests(MultimodalRepresentationTests):
    cls = representation.ComplexMultimodalRepresentation

    def _check_result(self, x: torch.Tensor, prefix_shape: tuple[int, ...]) -> None:
        # PyKEEN's case asks for the default (real) type
        assert x.dtype == torch.cfloat
        assert x.shape == prefix_shape + self.instance.shape
