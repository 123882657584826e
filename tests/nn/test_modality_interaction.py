"""Interactions over modalities, against their formulas number by number."""

import math

import pytest
import torch
from pykeen.nn.modules import ComplExInteraction, DistMultInteraction, RotatEInteraction, TransEInteraction

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.modality_interaction import (
    IKRLInteraction,
    ModalityInteraction,
    MoMoKInteraction,
    NativEInteraction,
    RSMEInteraction,
)

NAMES = ["structural", "visual", "textual"]
M, D, N, R = len(NAMES), 4, 7, 3

Vector = list[float]


def softmax(scores: Vector) -> Vector:
    exps = [math.exp(score) for score in scores]
    return [e / sum(exps) for e in exps]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dot(x: Vector, y: Vector) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def mix(weights: Vector, xs: list[Vector]) -> Vector:
    return [sum(w * x[j] for w, x in zip(weights, xs, strict=True)) for j in range(len(xs[0]))] if xs else [0.0] * D


def rows(x: torch.Tensor) -> dict[int, Vector]:
    """Return the modalities that an entity has."""
    return {i: row for i, row in enumerate(x.tolist()) if any(row)}


def native(module: NativEInteraction, x: torch.Tensor, gates: list[torch.Tensor]) -> Vector:
    has = rows(x)
    scale = sigmoid(gates[0].item())
    scores = [dot(module.query.tolist(), [math.tanh(a) for a in row]) / scale for row in has.values()]
    return mix(softmax(scores), list(has.values()))


def momok(module: MoMoKInteraction, x: torch.Tensor, gates: list[torch.Tensor]) -> Vector:
    scale, joint = sigmoid(gates[0].item()), []
    for i, row in rows(x).items():
        inner = softmax([dot(module.gate[i, k].tolist(), row) / scale for k in range(module.num_experts)])
        outputs = []
        for k in range(module.num_experts):
            moved = [a - b for a, b in zip(row, module.centers[i, k].tolist(), strict=True)]
            outputs.append([dot(weight, moved) for weight in module.experts[i, k].tolist()])
        joint.append(mix(inner, outputs))
    return mix(softmax([dot(module.query.tolist(), row) for row in joint]), joint)


def rsme(module: RSMEInteraction, x: torch.Tensor, gates: list[torch.Tensor]) -> Vector:
    has = rows(x)
    return mix(softmax([gates[0][i].item() for i in has]), list(has.values()))


def base_score(module: ModalityInteraction, h: Vector, r: torch.Tensor, t: Vector) -> float:
    """Score fused vectors by the base of the module."""

    def pairs(x: Vector) -> list[complex]:
        return [complex(a, b) for a, b in zip(x[::2], x[1::2], strict=True)]

    rel = r.tolist()
    if isinstance(module.base, DistMultInteraction):
        return sum(a * b * c for a, b, c in zip(h, rel, t, strict=True))
    if isinstance(module.base, TransEInteraction):
        return -sum(abs(a + b - c) for a, b, c in zip(h, rel, t, strict=True))
    if isinstance(module.base, ComplExInteraction):
        return sum((a * b * c.conjugate()).real for a, b, c in zip(pairs(h), pairs(rel), pairs(t), strict=True))
    if isinstance(module.base, RotatEInteraction):
        moved = [a * b / abs(b) - c for a, b, c in zip(pairs(h), pairs(rel), pairs(t), strict=True)]
        return module.base.margin - math.sqrt(sum(abs(a) ** 2 for a in moved))
    core = module.base.core_tensor
    return torch.einsum("i,j,k,ijk->", torch.tensor(h).double(), r, torch.tensor(t).double(), core).item()


PLAIN = {"head_dropout": 0, "relation_dropout": 0, "head_relation_dropout": 0, "apply_batch_normalization": False}
FUSED = [
    (NativEInteraction, native, {}),
    (NativEInteraction, native, {"base": "distmult"}),
    (NativEInteraction, native, {"base": "complex"}),
    (NativEInteraction, native, {"base": "transe", "base_kwargs": {"p": 1}}),
    (MoMoKInteraction, momok, {"noise": False, "base_kwargs": PLAIN, "num_experts": 2}),
    (MoMoKInteraction, momok, {"base": "distmult"}),
    (RSMEInteraction, rsme, {}),
]


def build(cls: type[ModalityInteraction], **kwargs: object) -> ModalityInteraction:
    torch.manual_seed(0)
    module = cls(modalities=NAMES, dim=D, **kwargs).double().eval()
    for name, parameter in module.named_parameters():
        if not name.startswith("base"):
            torch.nn.init.normal_(parameter)
    return module


def problem(module: ModalityInteraction) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Entities, of which the first have everything, the last nothing; and relations."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(N, M, D, generator=generator, dtype=torch.double)
    x[2, 0] = x[3, 1:] = x[4, 1] = x[N - 1] = 0
    sizes = {"": (), "m": (M,), "d": (D,), "e": (D,)}
    shapes = [sizes[symbol] for symbol in module.relation_shape]
    return x, [torch.randn(R, *shape, generator=generator, dtype=torch.double) for shape in shapes]


def everything(module: ModalityInteraction, x: torch.Tensor, r: list[torch.Tensor]) -> torch.Tensor:
    """Return the scores of all triples, one by one; shape: (N, R, N)."""
    h, k, t = (part.flatten() for part in torch.meshgrid(*map(torch.arange, (N, R, N)), indexing="ij"))
    relations = [part[k] for part in r]
    scores = module.score_hrt(x[h], relations[0] if len(r) == 1 else tuple(relations), x[t])
    return scores.view(N, R, N)


@pytest.mark.parametrize(("cls", "fused", "kwargs"), FUSED, ids=lambda value: getattr(value, "__name__", str(value)))
def test_by_hand(cls, fused, kwargs) -> None:
    module = build(cls, **kwargs)
    x, r = problem(module)
    scores = everything(module, x, r)
    number = len(module.base.relation_shape)
    for h, k, t in [(0, 0, 1), (1, 1, 0), (2, 2, 3), (3, 0, 2), (4, 1, 4), (0, 2, N - 1), (N - 1, 0, N - 1)]:
        gates = [part[k] for part in r[number:]]
        expected = base_score(module, fused(module, x[h], gates), r[0][k], fused(module, x[t], gates))
        if cls is RSMEInteraction:
            v, w = x[h, 1].tolist(), x[t, 1].tolist()
            norms = math.sqrt(dot(v, v) * dot(w, w))
            cosine = dot(v, w) / norms if norms else 0.0
            expected = 0.95 * expected + 0.05 * sigmoid(gates[1].item()) * cosine
        assert scores[h, k, t].item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_ikrl_by_hand() -> None:
    """The mean of the energies over the pairs of modalities that there are."""
    module = build(IKRLInteraction)
    x, r = problem(module)
    scores = everything(module, x, r)
    for h in range(N):
        for t in range(N):
            pairs = [(v, w) for v in rows(x[h]).values() for w in rows(x[t]).values()]
            energies = [base_score(module, v, r[0][1], w) for v, w in pairs]
            expected = sum(energies) / len(energies) if energies else 0.0
            assert scores[h, 1, t].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("cls", "kwargs"), [*[(cls, kwargs) for cls, _, kwargs in FUSED], (IKRLInteraction, {})])
def test_all_candidates_at_once(cls, kwargs) -> None:
    """Scores against all heads, relations and tails are those of the single triples."""
    module = build(cls, **kwargs)
    x, r = problem(module)
    scores = everything(module, x, r)
    one = r[0] if len(r) == 1 else tuple(r)
    picked = torch.tensor([0, 2, N - 1])
    torch.testing.assert_close(module.score_t(x[picked], one, x), scores[picked, torch.arange(R)])
    torch.testing.assert_close(module.score_h(x, one, x[picked]), scores[:, torch.arange(R), picked].T)
    pairs = module.score_r(x[:4], one, x[1:5])
    torch.testing.assert_close(pairs, scores[torch.arange(4), :, torch.arange(1, 5)])


@pytest.mark.parametrize("cls", [NativEInteraction, MoMoKInteraction, RSMEInteraction])
def test_starts_as_the_mean(cls) -> None:
    """Before anything is learned, an entity is the mean of what it has (of the experts' mixtures, for MoMoK)."""
    module = cls(modalities=NAMES, dim=D, base="distmult").double().eval()
    module.reset_parameters()
    x, _ = problem(module)
    gates = [torch.zeros(N, M if symbol == "m" else 1, dtype=torch.double) for symbol in module.gate_shape]
    gates = [gate if symbol else gate[:, 0] for gate, symbol in zip(gates, module.gate_shape, strict=True)]
    parts = module.parts(x).unflatten(1, (M, -1)).mean(dim=2)
    number = (x != 0).any(dim=-1)
    expected = (parts * number[..., None]).sum(dim=1) / number.sum(dim=-1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(module.fuse(x, gates), expected)


def test_noise_of_experts() -> None:
    """In training, and only there, the gates of MoMoK's experts are noisy; an entity without anything stays zero."""
    module = build(MoMoKInteraction, base="distmult")
    x, (_, gate) = problem(module)
    gates = [gate[:1]]
    torch.testing.assert_close(module.fuse(x, gates), module.fuse(x, gates))
    module.train()
    first, second = module.fuse(x, gates), module.fuse(x, gates)
    assert (first[0] != second[0]).all() and not first[N - 1].any()
    with torch.no_grad():
        module.deviation.fill_(0.0)
    # entity 3 has one modality, so that its weights are the inner gates
    many = x[3].expand(5000, -1, -1)
    drawn = module.weights(many, module.parts(many), gates)[:, : module.num_experts]
    spread = drawn.log().sub(drawn.log()[..., :1])[..., 1].std().item() * sigmoid(gate[0].item())
    assert spread == pytest.approx(math.sqrt(2) * (math.log(2) + 0.01), rel=0.05)


def test_errors() -> None:
    with pytest.raises(MultimodalError, match="Unknown base 'mystery'"):
        NativEInteraction(modalities=NAMES, dim=D, base="mystery")
    with pytest.raises(MultimodalError, match="one vector of an entity"):
        NativEInteraction(modalities=NAMES, dim=D, base="boxe")
    with pytest.raises(MultimodalError, match="odd"):
        NativEInteraction(modalities=NAMES, dim=3)
    with pytest.raises(MultimodalError, match="'visual'"):
        RSMEInteraction(modalities=["structural", "textual"], dim=D)
    assert "modalities=('structural', 'visual', 'textual'), dim=4" in repr(NativEInteraction(NAMES, D))
