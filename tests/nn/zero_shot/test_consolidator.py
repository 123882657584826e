"""Aligned modalities and the sampled convolution against their formulas."""

import itertools
from collections import Counter
from typing import Any

import pytest
import torch
from torch.nn import functional

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.feature import FeatureRepresentation
from pykeen_mmkg.nn.zero_shot.consolidator import AlignedRepresentation, SampledRGCNRepresentation, _distinct


def _aligned(**kwargs: Any) -> AlignedRepresentation:
    torch.manual_seed(0)
    has_image = torch.tensor([True, True, True, False, False])
    has_text = torch.tensor([True, True, False, True, False])
    return AlignedRepresentation(
        {
            "visual": FeatureRepresentation(shape=4, features=torch.randn(5, 3), mask=has_image, projection=True),
            "textual": FeatureRepresentation(shape=4, features=torch.randn(5, 6), mask=has_text, projection=True),
        },
        **kwargs,
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
    loss = x.objective.pop_regularization_term()
    assert x.objective.pop_regularization_term() == 0
    with torch.no_grad():
        v, t = x.parts["visual"](None)[:2], x.parts["textual"](None)[:2]
        s = torch.stack([torch.stack([torch.cosine_similarity(a, b, dim=0) for b in t]) for a in v]) / 0.05
        expected = sum(-s[i].log_softmax(0)[i] - s[:, i].log_softmax(0)[i] for i in range(2)) / 4
    assert torch.allclose(loss, expected, atol=1e-5)
    with pytest.raises(MultimodalError, match="no modality"):
        AlignedRepresentation({})


def test_masking() -> None:
    """The input that is reconstructed from differs in the masked share, and is scaled up elsewhere."""
    x = _aligned(mask_rate=0.75)
    vectors = torch.randn(100, 40)
    left, hidden = x.hide(vectors)
    assert hidden.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert not left[hidden].any() and torch.allclose(left[~hidden], 4 * vectors[~hidden])
    with pytest.raises(MultimodalError, match="mask_rate"):
        _aligned(mask_rate=1.0)


def test_reconstruction_is_its_formula() -> None:
    """By a loop over entities, each with its modalities; what an entity lacks is neither input nor target."""
    x = _aligned(contrastive_weight=0.0, reconstruction_weight={"visual": 0.7, "textual": 0.5}).train()
    drawn: list[tuple[torch.Tensor, torch.Tensor]] = []
    hide = x.hide
    x.hide = lambda v: drawn.append(hide(v)) or drawn[-1]  # type: ignore[assignment, func-returns-value]
    order: list[torch.Tensor] = []
    reconstruct = x._reconstruct
    x._reconstruct = lambda ids: (order.append(ids), reconstruct(ids))[1]  # type: ignore[assignment]
    x(torch.tensor([0, 1, 2, 3, 4]))
    loss = x.objective.pop_regularization_term()
    expected = 0.0
    with torch.no_grad():
        hidden_states = []
        for i, entity in enumerate(order[0].tolist()):
            own = [
                part.projection(left[i])
                for part, (left, _) in zip(x.parts.values(), drawn, strict=True)
                if part.mask[entity]
            ]
            hidden_states.append(sum(own) / len(own) if own else torch.zeros(4))
        for (name, part), (_, hidden), weight in zip(x.parts.items(), drawn, (0.7, 0.5), strict=True):
            error = scale = 0.0
            for i, entity in enumerate(order[0].tolist()):
                if part.mask[entity]:
                    true, made = part.features[entity], x.decoders[name](hidden_states[i])
                    error += float(((made - true)[hidden[i]] ** 2).sum())
                    scale += float((true[hidden[i]] ** 2).sum())
            expected += weight * error / scale
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_what_is_not_there_is_not_reconstructed() -> None:
    """Entities without an image give the decoder of images nothing to learn from."""
    x = _aligned(contrastive_weight=0.0, reconstruction_weight=1.0).train()
    x(torch.tensor([3, 4]))
    loss = x.objective.pop_regularization_term()
    loss.backward()
    assert not x.decoders["visual"].weight.grad.any() and not x.parts["visual"].projection.weight.grad.any()
    assert x.decoders["textual"].weight.grad.any()
    x = _aligned().train()
    assert not x.decoders
    x(torch.tensor([3, 4]))
    assert x.objective.pop_regularization_term() == 0


def test_reconstruction_is_learned() -> None:
    """Images and texts of few dimensions in truth: what is masked can be told from the rest."""
    torch.manual_seed(0)
    truth = torch.randn(200, 2)
    x = AlignedRepresentation(
        {
            name: FeatureRepresentation(shape=8, features=truth @ torch.randn(2, 20), projection=True)
            for name in ("visual", "textual")
        },
        contrastive_weight=0.0,
        reconstruction_weight=0.5,
        max_rows=64,
    ).train()
    optimizer = torch.optim.Adam(x.parameters(), lr=0.02)
    losses = []
    for _ in range(200):
        x(None)
        loss = x.objective.pop_regularization_term()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    x.eval()
    x(None)
    assert x.objective.pop_regularization_term() == 0


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


LINKS = torch.tensor([[1, 0, 0], [2, 0, 0], [3, 1, 0], [0, 1, 2], [0, 0, 4]])


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("per_relation", [False, True])
def test_published_convolution(train: bool, per_relation: bool) -> None:
    """Incoming links alone: the mean of each relation's, summed; or one mean of all. In training a sample of all."""
    torch.manual_seed(0)
    base = FeatureRepresentation(features=torch.randn(5, 3))
    options = dict(inverse=False, replacement=False, num_neighbors=4, eval_neighbors=None, per_relation=per_relation)
    x = SampledRGCNRepresentation(base, LINKS, num_relations=2, shape=4, num_bases=3, **options).train(train)
    e, v, a = base.features, x.bases.weight.view(3, 4, 3), x.mixture.weight
    assert a.shape == (2, 3)
    incoming = {0: {0: [1, 2], 1: [3]}, 2: {1: [0]}, 4: {0: [0]}, 1: {}, 3: {}}
    with torch.no_grad():
        for entity, relations in incoming.items():
            message = torch.zeros(4)
            for relation, heads in relations.items():
                weight = sum(a[relation, b] * v[b] for b in range(3))
                count = len(heads) if per_relation else sum(map(len, relations.values()))
                for head in heads:
                    message += weight @ e[head] / count
            expected = functional.leaky_relu(x.own(e[entity]) + message, 0.2)
            torch.testing.assert_close(x(torch.tensor([entity]))[0], expected, atol=1e-5, rtol=1e-4)
        if not train:
            torch.testing.assert_close(x(torch.tensor([3, 0, 0]))[1], x(None)[0])


def test_a_sample_without_replacement() -> None:
    """Each set of k numbers below the count comes up equally often; all of them where there are fewer."""
    torch.manual_seed(0)
    drawn = _distinct(torch.full((12_000, 1), 5), 3)
    sets = Counter(tuple(sorted(row)) for row in drawn.tolist())
    assert set(sets) == set(itertools.combinations(range(5), 3))
    assert all(abs(count - 1200) < 150 for count in sets.values())
    assert all(sorted(row[:2]) == [0, 1] for row in _distinct(torch.full((50, 1), 2), 4).tolist())


def test_xavier_of_bases() -> None:
    """Uniform, of the fans of one basis (384 and 200 in MRE) and of the table of coefficients; no bias."""
    base = FeatureRepresentation(features=torch.randn(5, 60))
    x = SampledRGCNRepresentation(base, LINKS, num_relations=2, shape=40, num_bases=8, inverse=False, xavier=True)
    x.reset_parameters()
    for weight, fans in ((x.bases.weight, 100), (x.own.weight, 100), (x.mixture.weight, 2 + 8)):
        bound = (6 / fans) ** 0.5
        assert weight.abs().max() <= bound and float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.25)
    assert not x.own.bias.any()
