"""Each fusion against a loop over items and modalities, and what all have in common."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pykeen.nn.combination import ConcatCombination, GatedCombination, combination_resolver
from pykeen.nn.representation import CombinedRepresentation, Embedding

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.fusion import (
    AdaptiveFusion,
    AttentionFusion,
    AutoencoderFusion,
    AverageFusion,
    ConcatFusion,
    Fusion,
    GatedFusion,
    InstanceAttentionFusion,
    SumFusion,
    TransformerFusion,
    TransportFusion,
    WeightedFusion,
    fused_dim,
    fusion_resolver,
    make_fusion,
    masked_softmax,
)

from .cases import KINDS, NAMES, build


def softmax(scores: dict[int, float]) -> dict[int, float]:
    top = max(scores.values(), default=0.0)
    total = sum(math.exp(score - top) for score in scores.values())
    return {i: math.exp(score - top) / total for i, score in scores.items()}


def by_hand(fusion: Fusion, kind: str, xs: list[list[float]], has: list[bool]) -> list[float]:
    """Fuse the vectors of one item, number by number."""
    present = [i for i in range(len(xs)) if has[i]]
    dims = range(fusion.dim)
    if kind == "concat":
        return [xs[i][j] if has[i] else 0.0 for i in range(len(xs)) for j in dims]
    if kind == "sum":
        return [sum(xs[i][j] for i in present) for j in dims]
    if kind == "dense":
        return [sum(xs[i][j] for i in present) / len(xs) for j in dims]
    if kind in {"average", "masked"}:
        others = [i for i in present if fusion.modalities[i] != "structural"]
        slot = "structural" in fusion.modalities if kind == "average" else len(others) < len(present)
        count = int(slot) + len(others)
        return [sum(xs[i][j] for i in present) / count if count else 0.0 for j in dims]
    if kind == "weighted":
        weights = softmax({i: fusion.logits[i].item() for i in present})
        return [sum(weights[i] * xs[i][j] for i in present) for j in dims]
    if kind in {"asymmetric", "dense weights"}:
        # what keeps its weight although it is missing: everything, or structure
        kept = {i for i in range(len(xs)) if kind == "dense weights" or fusion.modalities[i] == "structural"}
        weights = softmax({i: fusion.logits[i].item() for i in kept | set(present)})
        return [sum(weights[i] * xs[i][j] for i in present) for j in dims]
    if kind == "attention":
        scores = {}
        for i in present:
            key = [
                math.tanh(sum(fusion.key.weight[k, j].item() * xs[i][j] for j in dims) + fusion.key.bias[k].item())
                for k in range(len(fusion.query))
            ]
            scores[i] = sum(q * k for q, k in zip(fusion.query.tolist(), key, strict=True)) + fusion.bias[i].item()
        weights = softmax(scores)
        return [sum(weights[i] * xs[i][j] for i in present) for j in dims]
    if kind == "adaptive":
        weights = softmax(
            {i: sum(q * math.tanh(x) for q, x in zip(fusion.query.tolist(), xs[i], strict=True)) for i in present}
        )
        return [sum(weights[i] * xs[i][j] for i in present) for j in dims]
    if kind == "instanceattention":
        structure = xs[fusion.query] if has[fusion.query] else [0.0 for _ in dims]
        pictures = [i for i in present if i != fusion.query]
        weights = softmax({i: sum(a * b for a, b in zip(xs[i], structure, strict=True)) for i in pictures})
        return structure + [sum(weights[i] * xs[i][j] for i in pictures) for j in dims]
    if kind == "transport":
        weights = softmax({i: fusion.logits[i].item() for i in present})
        fused = [0.0 for _ in dims]
        for i in present:
            for j in dims:
                moves = fusion.dim * fusion.plans[i, :, j] + fusion.correction[i, :, j]
                moved = (
                    xs[i][j] if i == fusion.target else sum(m * x for m, x in zip(moves.tolist(), xs[i], strict=True))
                )
                fused[j] += weights[i] * moved
        return fused
    if kind == "autoencoder":
        return _encoded(fusion, xs, has)
    if kind == "transformer":
        return _transformed(fusion, xs, present)
    assert kind == "gated"
    flat = torch.tensor([xs[i][j] if has[i] else 0.0 for i in range(len(xs)) for j in dims], dtype=torch.double)
    hidden = (fusion.hidden.weight.double() @ flat + fusion.hidden.bias.double()).tanh()
    scores_ = (fusion.gate.weight.double() @ hidden + fusion.gate.bias.double()).tolist()
    fused = []
    for j in dims:
        gates = softmax({i: scores_[i * fusion.dim + j] for i in present})
        fused.append(sum(gates[i] * xs[i][j] for i in present))
    return fused


def _encoded(fusion: Fusion, xs: list[list[float]], has: list[bool]) -> list[float]:
    if not any(has):
        return [0.0] * fusion.dim
    hidden = []
    for x, there, layer in zip(xs, has, fusion.encoders, strict=True):
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        hidden += [
            math.tanh(sum(a * b for a, b in zip(row, x, strict=True)) + bias) if there else 0.0 for row, bias in rows
        ]
    rows = zip(fusion.encode.weight.tolist(), fusion.encode.bias.tolist(), strict=True)
    return [math.tanh(sum(a * b for a, b in zip(row, hidden, strict=True)) + bias) for row, bias in rows]


def _transformed(fusion: Fusion, xs: list[list[float]], present: list[int]) -> list[float]:
    """A layer with one head: attention, a hidden layer, and a normalization after each."""
    if not present:
        return [0.0] * fusion.dim
    w = {name: parameter.detach().double() for name, parameter in fusion.layers[0].named_parameters()}

    def norm(rows: torch.Tensor, name: str) -> torch.Tensor:
        centered = rows - rows.mean(dim=1, keepdim=True)
        scale = (centered.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
        return centered / scale * w[f"{name}.weight"] + w[f"{name}.bias"]

    tokens = [fusion.item.double()]
    tokens += [torch.tensor(xs[i], dtype=torch.double) + fusion.types[i].double() for i in present]
    x = torch.stack(tokens)
    q, k, v = (x @ w["self_attn.in_proj_weight"].T + w["self_attn.in_proj_bias"]).chunk(3, dim=1)
    attended = (q @ k.T / math.sqrt(fusion.dim)).softmax(dim=1) @ v
    x = norm(x + attended @ w["self_attn.out_proj.weight"].T + w["self_attn.out_proj.bias"], "norm1")
    hidden = (x @ w["linear1.weight"].T + w["linear1.bias"]).relu()
    return norm(x + hidden @ w["linear2.weight"].T + w["linear2.bias"], "norm2")[0].tolist()


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Modalities, vectors (M, n, d) and a mask (n, M)."""
    number = draw(st.integers(1, 4))
    names = draw(st.permutations(NAMES))[:number]
    n, dim = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    mask = torch.tensor(draw(st.lists(st.booleans(), min_size=n * number, max_size=n * number))).view(n, number)
    scale = draw(st.sampled_from([0.1, 1.0, 10.0]))
    return list(names), scale * torch.randn(number, n, dim, generator=generator), mask


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(problem=problems())
def test_by_hand(kind: str, problem: tuple[list[str], torch.Tensor, torch.Tensor]) -> None:
    names, xs, mask = problem
    assume(kind != "instanceattention" or len(names) > 1)
    fusion = build(kind, names, xs.shape[-1])
    fused = fusion(list(xs), mask)
    expected = [by_hand(fusion, kind, xs[:, item].tolist(), mask[item].tolist()) for item in range(len(mask))]
    torch.testing.assert_close(fused, torch.tensor(expected, dtype=torch.float), rtol=1e-4, atol=1e-4)
    # an item without any modality is the zero vector, exactly
    assert not fused[~mask.any(dim=-1)].any()
    # nothing missing
    torch.testing.assert_close(fusion(list(xs)), fusion(list(xs), torch.ones_like(mask)))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(problem=problems())
def test_what_is_missing_has_no_influence(kind: str, problem: tuple[list[str], torch.Tensor, torch.Tensor]) -> None:
    names, xs, mask = problem
    assume(kind != "instanceattention" or len(names) > 1)
    fusion = build(kind, names, xs.shape[-1])
    inputs = [x.clone().requires_grad_() for x in xs]
    fused = fusion(inputs, mask)
    fused.square().sum().backward()
    for i, x in enumerate(inputs):
        assert x.grad is None or not x.grad[~mask[:, i]].any()
        assert x.grad is None or x.grad.isfinite().all()
    # with nothing present the parameters may have no gradient, but never a NaN
    assert all(p.grad is None or p.grad.isfinite().all() for p in fusion.parameters())
    # in place: the same computation on the same memory, so to the last digit
    with torch.no_grad():
        for i, x in enumerate(inputs):
            x[~mask[:, i]] = 1e4
        assert torch.equal(fusion(inputs, mask), fused)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", [(), (2,), (2, 3)])
def test_shapes(kind: str, prefix: tuple[int, ...]) -> None:
    """Any batch shape, and the same numbers in each."""
    torch.manual_seed(0)
    fusion = build(kind, NAMES, 5)
    xs = [torch.randn(*prefix, 5) for _ in NAMES]
    mask = torch.rand(*prefix, 4) < 0.5
    fused = fusion(xs, mask)
    assert fused.shape == fusion.output_shape([x.shape for x in xs]) == (*prefix, fusion.output_dim)
    flat = fusion([x.view(-1, 5) for x in xs], mask.view(-1, 4))
    torch.testing.assert_close(fused.view(-1, fusion.output_dim), flat)


@pytest.mark.parametrize("kind", sorted(fusion_resolver.options))
def test_dimension_without_building(kind: str) -> None:
    """The dimension is known before there is a fusion, and is that of what it makes."""
    for names in (NAMES, NAMES[:2]):
        fusion = make_fusion(kind, None, modalities=names, dim=5)
        expected = fusion([torch.ones(2, 5)] * len(names)).shape[-1]
        assert fused_dim(kind, None, len(names), 5) == fused_dim(fusion, None, len(names), 5) == expected
    with pytest.raises(MultimodalError, match="adaptive, attention"):
        fused_dim("mean", None, 2, 5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.double, torch.bfloat16])
def test_precision(kind: str, dtype: torch.dtype) -> None:
    """The result has the precision of the inputs, with and without a mask."""
    fusion = build(kind, NAMES, 3).to(dtype)
    xs, mask = [torch.randn(5, 3, dtype=dtype) for _ in NAMES], torch.rand(5, 4) < 0.5
    assert fusion(xs).dtype == fusion(xs, mask).dtype == dtype


def test_one_modality() -> None:
    """A fusion of one thing, by a string or a list, and the default."""
    fusion = make_fusion(None, None, modalities=["visual"], dim=3)
    assert type(fusion) is AverageFusion and fusion.form == "uneven"
    assert fusion.output_shape([(2, 3)]) == (2, 3)
    assert SumFusion("visual", 3).modalities == ("visual",)
    assert ConcatFusion(["visual", "textual"], 3).output_shape([(2, 3), (2, 3)]) == (2, 6)
    with pytest.raises(MultimodalError, match="got 2 inputs"):
        fusion.output_shape([(2, 3), (2, 3)])


def test_extreme_scores() -> None:
    """Scores that overflow an exponential, beside a masked one that is higher still."""
    scores = torch.tensor([[1000.0, 2000.0, -1e30], [1e30, 0.0, 0.0]], requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    weights = masked_softmax(scores, mask)
    assert weights.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    weights.sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all()


def test_resolver() -> None:
    """All have their name, and PyKEEN's combinations keep theirs."""
    assert {name: fusion_resolver.lookup(name) for name in fusion_resolver.options} == {
        "average": AverageFusion,
        "sum": SumFusion,
        "concat": ConcatFusion,
        "weighted": WeightedFusion,
        "gated": GatedFusion,
        "attention": AttentionFusion,
        "adaptive": AdaptiveFusion,
        "autoencoder": AutoencoderFusion,
        "instanceattention": InstanceAttentionFusion,
        "transformer": TransformerFusion,
        "transport": TransportFusion,
    }
    assert combination_resolver.lookup("concat") is ConcatCombination
    assert combination_resolver.lookup("gated") is GatedCombination


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("mean", None, NAMES, 3),
            "adaptive, attention, autoencoder, average, concat, gated, instanceattention, sum, ",
        ),
        (("average", {"form": "odd"}, NAMES, 3), "uneven, dense, masked"),
        (("weighted", {"form": "uneven"}, NAMES, 3), "masked, asymmetric, dense"),
        (("sum", {"form": "dense"}, NAMES, 3), "form"),
        (("sum", None, ["visual", "visual"], 3), "each once"),
        (("sum", None, [], 3), "at least one"),
        ((SumFusion(["visual"], 3), None, ["visual"], 4), "dimension 3"),
        ((SumFusion(["visual"], 3), None, ["textual"], 3), "visual"),
        # an instance takes its inputs in the order of its own modalities
        ((SumFusion(["visual", "textual"], 3), None, ["textual", "visual"], 3), "visual"),
        ((WeightedFusion(["visual", "textual"], 3), None, ["textual", "visual"], 3), r"\['visual', 'textual'\]"),
    ],
)
def test_bad_fusions(arguments: tuple, message: str) -> None:
    with pytest.raises(MultimodalError, match=message):
        make_fusion(*arguments)


@pytest.mark.parametrize(
    ("xs", "mask", "message"),
    [
        ([torch.zeros(2, 3)], None, "but got 1 inputs"),
        ([torch.zeros(2, 3), torch.zeros(2, 4)], None, "'textual' has the shape"),
        ([torch.zeros(2, 4), torch.zeros(2, 4)], None, "'visual' has the shape"),
        ([torch.zeros(2, 3), torch.zeros(1, 3)], None, "'textual' has the shape"),
        ([torch.zeros(2, 3), torch.zeros(2, 3)], torch.ones(2, 3, dtype=torch.bool), "mask"),
    ],
)
def test_bad_inputs(xs: list[torch.Tensor], mask: torch.Tensor | None, message: str) -> None:
    with pytest.raises(MultimodalError, match=message):
        AverageFusion(["visual", "textual"], 3)(xs, mask)


def test_in_pykeens_combined_representation() -> None:
    bases = [Embedding(max_id=4, shape=3) for _ in range(2)]
    combined = CombinedRepresentation(
        max_id=4, base=bases, combination=AverageFusion(["visual", "textual"], 3), unique=False
    )
    assert combined.shape == (3,)
    torch.testing.assert_close(combined(), (bases[0]() + bases[1]()) / 2)
