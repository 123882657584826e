"""Aligned modalities and the sampled convolution against their formulas."""

import pytest
import torch
from torch.nn import functional

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.consolidator import AlignedRepresentation, SampledRGCNRepresentation
from pykeen_mmkg.nn.feature import FeatureRepresentation


def _aligned(structural: bool = False) -> AlignedRepresentation:
    torch.manual_seed(0)
    has_image = torch.tensor([True, True, True, False, False])
    has_text = torch.tensor([True, True, False, True, False])
    return AlignedRepresentation(
        {
            "visual": FeatureRepresentation(shape=4, features=torch.randn(5, 3), mask=has_image, projection=True),
            "textual": FeatureRepresentation(shape=4, features=torch.randn(5, 6), mask=has_text, projection=True),
        },
        structural=structural,
    )


def test_mean_of_what_there_is() -> None:
    """Both: the mean. One: it. None: zero."""
    x = _aligned().eval()
    with torch.no_grad():
        v, t = x.parts["visual"](None), x.parts["textual"](None)
        expected = torch.stack([(v[0] + t[0]) / 2, (v[1] + t[1]) / 2, v[2], t[3], torch.zeros(4)])
        assert torch.allclose(x(None), expected, atol=1e-6)


def test_contrastive_loss() -> None:
    """Over the entities that have both, by a loop; handed over once."""
    x = _aligned().train()
    x(torch.tensor([0, 1, 2, 3, 4]))
    loss = x.pop_loss()
    assert loss is not None and x.pop_loss() is None
    with torch.no_grad():
        v, t = x.parts["visual"](None)[:2], x.parts["textual"](None)[:2]
        s = torch.stack([torch.stack([torch.cosine_similarity(a, b, dim=0) for b in t]) for a in v]) / 0.05
        expected = sum(-s[i].log_softmax(0)[i] - s[:, i].log_softmax(0)[i] for i in range(2)) / 4
    assert torch.allclose(loss, expected, atol=1e-5)
    with pytest.raises(MultimodalError, match="no modality"):
        AlignedRepresentation({})


def test_convolution_over_all_links() -> None:
    """Where the sample holds each link equally often, the result is the mean over links and bases."""
    torch.manual_seed(0)
    base = FeatureRepresentation(features=torch.randn(5, 3))
    triples = torch.tensor([[0, 0, 1], [2, 1, 0], [3, 0, 1]])
    x = SampledRGCNRepresentation(base, triples, num_relations=2, shape=4, num_bases=3, eval_neighbors=4).eval()
    e = base.features
    # entity 0 has two links, each of them twice in a sample of four; entity 4 has none
    links = {0: [(0, 1), (1 + 2, 2)], 1: [(0 + 2, 0), (0 + 2, 3)], 4: []}
    v = x.bases.weight.view(3, 4, 3)
    with torch.no_grad():
        for entity, own in links.items():
            message = torch.zeros(4)
            for relation, other in own:
                for b in range(3):
                    message += x.mixture.weight[relation, b] * (v[b] @ e[other]) / len(own)
            expected = functional.leaky_relu(x.own(e[entity]) + message, 0.2)
            assert torch.allclose(x(torch.tensor([entity]))[0], expected, atol=1e-5), entity
