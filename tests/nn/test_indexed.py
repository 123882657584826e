"""Scores from unique rows against PyKEEN's scores of each triple."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.nn.modules import (
    ComplExInteraction,
    DistMultInteraction,
    Interaction,
    RotatEInteraction,
    TransEInteraction,
    TransHInteraction,
)
from pykeen.sampling import BasicNegativeSampler

from pykeen_mmkg.nn import indexed
from pykeen_mmkg.nn.indexed import group_by_query, score_indexed, supports_indexed
from pykeen_mmkg.nn.interaction import (
    QueryInteraction,
    VLComplExInteraction,
    VLDistMultInteraction,
    VLRotatEInteraction,
    VLTransEInteraction,
    fast_interaction,
)

INTERACTIONS: list[Callable[[], Interaction]] = [
    DistMultInteraction,
    ComplExInteraction,
    lambda: TransEInteraction(p=1),
    lambda: TransEInteraction(p=2),
    lambda: TransEInteraction(p=1, power_norm=True),
    lambda: TransEInteraction(p=2, power_norm=True),
    lambda: TransEInteraction(p=3),
    RotatEInteraction,
    VLDistMultInteraction,
    VLComplExInteraction,
    VLTransEInteraction,
    lambda: VLTransEInteraction(p=2, margin=1.0),
    VLRotatEInteraction,
]


def _parameters(interaction: Interaction, u: int, v: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make parameters in float64; rotations do not have modulus one, where the sides of PyKEEN's RotatE differ."""
    dtype = torch.cdouble if interaction.is_complex else torch.double
    e, r = torch.randn(u, d, dtype=dtype), torch.randn(v, d, dtype=dtype)
    if isinstance(interaction, VLRotatEInteraction):
        r = r.real.clone()
    return e.requires_grad_(), r.requires_grad_()


def _plain(interaction: Interaction, e: torch.Tensor, r: torch.Tensor, hrt: torch.Tensor) -> torch.Tensor:
    h, x, t = hrt.unbind(dim=-1)
    return interaction.score_hrt(h=e[h], r=r[x], t=e[t]).squeeze(dim=-1)


def _triples(m: int, u: int, v: int) -> torch.Tensor:
    return torch.stack([torch.randint(u, (m,)), torch.randint(v, (m,)), torch.randint(u, (m,))], dim=-1)


def _sampled(num_positives: int, num_negatives: int, u: int, v: int) -> torch.Tensor:
    """Make negatives as PyKEEN does."""
    positives = _triples(num_positives, u, v)
    sampler = BasicNegativeSampler(mapped_triples=positives, num_entities=u, num_negs_per_pos=num_negatives)
    return sampler.corrupt_batch(positives).view(-1, 3)


@settings(max_examples=40, deadline=None)
@given(
    case=st.integers(0, len(INTERACTIONS) - 1),
    u=st.integers(2, 40),
    v=st.integers(1, 6),
    d=st.integers(1, 5),
    positives=st.integers(1, 8),
    negatives=st.integers(1, 12),
    seed=st.integers(0, 9999),
)
def test_same_as_stock(case: int, u: int, v: int, d: int, positives: int, negatives: int, seed: int) -> None:
    """Scores and gradients for sampled negatives, with random triples among them."""
    torch.manual_seed(seed)
    interaction = INTERACTIONS[case]()
    e, r = _parameters(interaction, u, v, d)
    hrt = torch.cat([_sampled(positives, negatives, u, v), _triples(5, u, v)])
    hrt = hrt[torch.randperm(len(hrt))]
    weight = torch.rand(len(hrt), dtype=torch.double)
    expected = _plain(interaction, e, r, hrt)
    actual = score_indexed(interaction, e, r, hrt, min_triples=0)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)
    for x, y in zip(
        torch.autograd.grad((actual * weight).sum(), (e, r)),
        torch.autograd.grad((expected * weight).sum(), (e, r)),
        strict=True,
    ):
        torch.testing.assert_close(x, y, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("make", INTERACTIONS)
def test_gradcheck(make: Callable[[], Interaction]) -> None:
    """The gradients agree with finite differences."""
    torch.manual_seed(0)
    interaction = make()
    e, r = _parameters(interaction, 7, 2, 3)
    hrt = _sampled(3, 4, 7, 2)
    assert torch.autograd.gradcheck(lambda e, r: score_indexed(interaction, e, r, hrt, min_triples=0), (e, r))


@pytest.mark.parametrize("make", INTERACTIONS)
def test_single_precision(make: Callable[[], Interaction]) -> None:
    """In float32, with the many triples of a real batch, neither scores nor gradients drift."""
    torch.manual_seed(0)
    interaction = make()
    e, r = (
        x.detach().to(torch.cfloat if x.is_complex() else torch.float) for x in _parameters(interaction, 300, 4, 64)
    )
    hrt = _sampled(32, 50, 300, 4)
    weight = torch.rand(len(hrt))
    results = []
    for function in (_plain, lambda *a: score_indexed(*a, min_triples=0)):
        parameters = (e.clone().requires_grad_(), r.clone().requires_grad_())
        scores = function(interaction, *parameters, hrt)
        results.append((scores, *torch.autograd.grad((scores * weight).mean(), parameters)))
    for expected, actual in zip(*results, strict=True):
        scale = expected.abs().max().item()
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("make", [lambda: TransEInteraction(p=2), RotatEInteraction])
def test_exact_hits(make: Callable[[], Interaction]) -> None:
    """Triples that fit exactly, or nearly so: a distance of zero with a gradient of zero, and no digit lost."""
    torch.manual_seed(0)
    interaction = make()
    e, r = (x.detach() for x in _parameters(interaction, 6, 1, 16))
    r = torch.ones_like(r) if r.is_complex() else r
    e[:3] = e[3:] * r if r.is_complex() else e[3:] + r
    e[1] += 1e-7 * e[1]
    hrt = torch.tensor([[h, 0, t] for h in (3, 4, 5) for t in range(6)] * 2)
    results = []
    for function in (_plain, lambda *a: score_indexed(*a, min_triples=0)):
        parameters = (e.clone().requires_grad_(), r.clone().requires_grad_())
        scores = function(interaction, *parameters, hrt)
        results.append((scores, *torch.autograd.grad(scores.sum(), parameters)))
    for expected, actual in zip(*results, strict=True):
        assert actual.isfinite().all()
        torch.testing.assert_close(actual, expected, rtol=1e-7, atol=1e-7)


def test_frozen() -> None:
    """Representations without a gradient are fine, and so is evaluation."""
    torch.manual_seed(0)
    for make in INTERACTIONS:
        interaction = make()
        e, r = _parameters(interaction, 9, 2, 4)
        hrt = _sampled(4, 6, 9, 2)
        expected = _plain(interaction, e, r, hrt)
        with torch.inference_mode():
            torch.testing.assert_close(score_indexed(interaction, e, r, hrt, min_triples=0), expected)
        for x, y in ((e, r.detach()), (e.detach(), r)):
            scores = score_indexed(interaction, x, y, hrt, min_triples=0)
            torch.testing.assert_close(scores, expected)
            scores.sum().backward()


def test_group_by_query() -> None:
    """Each triple comes back exactly once, and negatives share the query of their positive."""
    torch.manual_seed(0)
    u, v = 50, 3
    hrt = _sampled(8, 20, u, v)
    queries = group_by_query(hrt, u, v)
    assert queries.order.sort().values.tolist() == list(range(len(hrt)))
    assert (queries.rows.diff() >= 0).all()
    # 8 heads with their relation, 8 tails with theirs, and a few more by accident
    assert len(queries.entity) <= 24
    for row, col, position in zip(queries.rows.tolist(), queries.cols.tolist(), queries.order.tolist(), strict=True):
        entity, relation = int(queries.entity[row]), int(queries.relation[row])
        triple = [entity, relation, col] if row < queries.num_tail else [col, relation, entity]
        assert hrt[position].tolist() == triple


def test_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of counting for graphs with very many entities gives the same counts."""
    keys = torch.randint(7, (30,)) * 10**9
    assert indexed._occurrences(keys, 7 * 10**9).tolist() == [(keys == k).sum().item() for k in keys]


def test_fallbacks() -> None:
    """What has no fast way is scored by the interaction itself."""
    torch.manual_seed(0)
    hrt = _sampled(40, 40, 20, 2)

    class MyDistMult(DistMultInteraction):
        """A subclass with another score."""

        def forward(self, h, r, t):  # type: ignore[no-untyped-def]
            return super().forward(h, r, t) ** 2

    e, r = torch.randn(20, 6), torch.randn(2, 6)
    assert not supports_indexed(MyDistMult())
    torch.testing.assert_close(score_indexed(MyDistMult(), e, r, hrt), _plain(DistMultInteraction(), e, r, hrt) ** 2)
    assert not supports_indexed(TransEInteraction(p=3))
    assert not supports_indexed(TransHInteraction(p=2))
    assert supports_indexed(TransEInteraction(p=1))
    for dtype in (torch.half, torch.bfloat16):
        x, y = e.to(dtype), r.to(dtype)
        for make in (DistMultInteraction, lambda: TransEInteraction(p=2)):
            assert torch.equal(score_indexed(make(), x, y, hrt), _plain(make(), x, y, hrt))
    assert score_indexed(DistMultInteraction(), e, r, hrt[:0]).shape == (0,)
    assert score_indexed(DistMultInteraction(), e, r, hrt[:0], min_triples=0).shape == (0,)


def test_few_triples_take_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grouping costs more than it saves there."""
    called = []
    monkeypatch.setattr(indexed, "_score_queries", lambda *_: called.append(1))
    e, r = torch.randn(20, 6), torch.randn(2, 6)
    for m in (10, indexed.MIN_TRIPLES):
        score_indexed(VLDistMultInteraction(), e, r, _triples(m, 20, 2))
    assert called == [1]


@pytest.mark.parametrize("make", [f for f in INTERACTIONS if getattr(f(), "p", 0) != 3])
def test_memory(make: Callable[[], Interaction]) -> None:
    """What the graph keeps for the backward pass does not grow with triples times dimension."""
    torch.manual_seed(0)
    interaction = make()
    d, hrt = 64, _sampled(16, 512, 128, 3)
    e, r = _parameters(interaction, 128, 3, d)

    def saved_by(function: Callable[..., torch.Tensor]) -> int:
        sizes: dict[int, int] = {}

        def pack(x: torch.Tensor) -> torch.Tensor:
            sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            function(interaction, e, r, hrt).sum()
        return sum(sizes.values())

    numbers = len(hrt) * 12 + (128 + 64 + 3) * d * 2 * 10
    assert saved_by(score_indexed) < 8 * numbers < len(hrt) * d * 8 < saved_by(_plain)


def test_every_fast_interaction_is_tested() -> None:
    """The list above has every class that is scored in the fast way."""

    def leaves(cls: type) -> set[type]:
        below = set().union(*map(leaves, cls.__subclasses__())) if cls.__subclasses__() else set()
        return below | {cls}

    tested = {type(fast_interaction(f())) for f in INTERACTIONS}
    assert tested >= {c for c in leaves(QueryInteraction) if c.__module__.startswith("pykeen_mmkg")} - {
        QueryInteraction
    }
