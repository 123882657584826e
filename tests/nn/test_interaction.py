"""The interactions against formulas by hand and against PyKEEN's own classes."""

import copy
import math
import pathlib
import pickle
from collections.abc import Callable
from typing import Any

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
    interaction_resolver,
)
from pykeen.triples import TriplesFactory
from torch.utils._python_dispatch import TorchDispatchMode

from pykeen_mmkg.nn import interaction as module
from pykeen_mmkg.nn.interaction import (
    QueryInteraction,
    VLComplExInteraction,
    VLDistMultInteraction,
    VLRotatEInteraction,
    VLTransEInteraction,
    fast_interaction,
)

STOCK: list[Callable[[], Interaction]] = [
    DistMultInteraction,
    ComplExInteraction,
    lambda: TransEInteraction(p=1),
    lambda: TransEInteraction(p=2),
    lambda: TransEInteraction(p=1, power_norm=True),
    lambda: TransEInteraction(p=2, power_norm=True),
    lambda: TransEInteraction(p=3),
    RotatEInteraction,
]
PAPER = [VLTransEInteraction, VLDistMultInteraction, VLComplExInteraction, VLRotatEInteraction]


class LargestTensor(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that any operation returns."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, tuple | list) else (result,):
            # an expanded tensor holds no more than what it is expanded from
            if isinstance(x, torch.Tensor) and 0 not in x.stride():
                self.largest = max(self.largest, x.numel())
        return result


def _make(interaction: Interaction, *shape: int, relation: bool = False, double: bool = True) -> torch.Tensor:
    """Make representations; relations of RotatE are off the unit circle, where the sides differ, so that we see it."""
    real = torch.double if double else torch.float
    if isinstance(interaction, VLRotatEInteraction) and relation:
        return torch.rand(*shape, dtype=real).mul_(2 * math.pi).requires_grad_()
    dtype = (torch.cdouble if double else torch.cfloat) if interaction.is_complex else real
    return torch.randn(*shape, dtype=dtype).requires_grad_()


def test_paper_transe() -> None:
    """12 - || h / |h| + r / |r| - t / |t| ||_1."""
    h, r, t = torch.randn(3, 5, 7).unbind()
    expected = [
        12 - sum(abs(hi / math.hypot(*h[k]) + ri / math.hypot(*r[k]) - ti / math.hypot(*t[k])) for hi, ri, ti in row)
        for k, row in enumerate(torch.stack([h, r, t], dim=-1).tolist())
    ]
    torch.testing.assert_close(VLTransEInteraction()(h, r, t), torch.tensor(expected))


def test_paper_distmult() -> None:
    """The sum of the products."""
    h, r, t = torch.randn(3, 5, 7).unbind()
    expected = [sum(a * b * c for a, b, c in row) for row in torch.stack([h, r, t], dim=-1).tolist()]
    torch.testing.assert_close(VLDistMultInteraction()(h, r, t), torch.tensor(expected))


def test_paper_complex() -> None:
    """The real part of the product with the conjugate of the tail."""
    h, r, t = torch.randn(3, 5, 7, dtype=torch.cfloat).unbind()
    expected = [sum((a * b * c.conjugate()).real for a, b, c in row) for row in torch.stack([h, r, t], dim=-1).tolist()]
    torch.testing.assert_close(VLComplExInteraction()(h, r, t), torch.tensor(expected))


def test_paper_rotate() -> None:
    """12 - the 2-norm over all real and imaginary parts of the head, turned by the angles, less the tail."""
    h, t = torch.randn(2, 5, 7, dtype=torch.cfloat).unbind()
    angle = torch.rand(5, 7) * 2 * math.pi
    expected = []
    for hk, ak, tk in zip(h.tolist(), angle.tolist(), t.tolist(), strict=True):
        delta = [a * complex(math.cos(x), math.sin(x)) - c for a, x, c in zip(hk, ak, tk, strict=True)]
        expected.append(12 - math.sqrt(sum(z.real**2 + z.imag**2 for z in delta)))
    torch.testing.assert_close(VLRotatEInteraction()(h, angle, t), torch.tensor(expected))
    # a relation that is a rotation already, as PyKEEN has it
    torch.testing.assert_close(VLRotatEInteraction()(h, torch.exp(1j * angle), t), torch.tensor(expected))


@pytest.mark.parametrize("cls", PAPER)
def test_paper_forms_resolve(cls: type[Interaction]) -> None:
    """By the names that configurations use."""
    name = cls.__name__.removesuffix("Interaction").lower()
    assert interaction_resolver.lookup(name) is cls
    assert type(interaction_resolver.make(name)) is cls


@settings(max_examples=25, deadline=None)
@given(
    case=st.integers(0, len(STOCK) - 1),
    b=st.integers(1, 5),
    n=st.integers(1, 9),
    d=st.integers(1, 6),
    side=st.sampled_from("htr"),
    seed=st.integers(0, 9999),
)
def test_same_as_stock(case: int, b: int, n: int, d: int, side: str, seed: int) -> None:
    """Scores and gradients of all three 1-vs-all calls are PyKEEN's."""
    torch.manual_seed(seed)
    stock = STOCK[case]()
    fast = fast_interaction(stock)
    assert isinstance(fast, QueryInteraction)
    parts = [_make(stock, n if name == side else b, d) for name in "hrt"]
    weight = torch.rand(b, n, dtype=torch.double)
    results = []
    for instance in (stock, fast):
        names = {"h": ("all_entities", "r", "t"), "r": ("h", "all_relations", "t"), "t": ("h", "r", "all_entities")}
        scores = getattr(instance, f"score_{side}")(**dict(zip(names[side], parts, strict=True)))
        results.append((scores, *torch.autograd.grad((scores * weight).sum(), parts)))
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", [*STOCK, *PAPER])
@pytest.mark.parametrize(
    ("hs", "rs", "ts"),
    [
        ((), (), ()),
        ((4,), (4,), (4,)),
        ((3, 1), (3, 1), (3, 5)),  # candidates of each query
        ((3, 5), (3, 1), (3, 1)),
        ((3, 1), (3, 5), (1, 5)),
        ((4, 1, 1), (1, 3, 1), (1, 1, 5)),  # everything with everything
        ((1, 1, 5), (1, 3, 1), (4, 1, 1)),
        ((1, 1, 5), (1, 3, 1), (1, 1, 5)),
        ((4, 1, 1), (1, 1, 3), (1, 5, 1)),
        ((1, 1), (1, 1), (1, 5)),
        ((5,), (1,), (1,)),
    ],
)
def test_any_shape(make: Callable[[], Interaction], hs: tuple, rs: tuple, ts: tuple) -> None:
    """Whatever the batch dimensions, the score is that of each triple by itself."""
    torch.manual_seed(0)
    interaction = make()
    h, t = (_make(interaction, *s, 3) for s in (hs, ts))
    r = _make(interaction, *rs, 3, relation=True)
    if type(interaction) is RotatEInteraction:
        r = r / r.abs()
    h_, r_, t_ = torch.broadcast_tensors(h, r, t)
    expected = interaction(h_.reshape(-1, 3), r_.reshape(-1, 3), t_.reshape(-1, 3)).view(h_.shape[:-1])
    torch.testing.assert_close(fast_interaction(interaction)(h, r, t), expected)


@pytest.mark.parametrize("make", [f for f in STOCK if getattr(f(), "p", 0) != 3] + PAPER)
@pytest.mark.parametrize("side", ["h", "t"])
def test_memory(make: Callable[[], Interaction], side: str) -> None:
    """No operation, forward or backward, makes a tensor of the size of queries times entities times dimension."""
    interaction = fast_interaction(make())
    b, n, d = 16, 64, 32
    query, entities = _make(interaction, b, d), _make(interaction, n, d)
    relation = _make(interaction, b, d, relation=True)
    with LargestTensor() as mode:
        if side == "t":
            scores = interaction.score_t(h=query, r=relation, all_entities=entities)
        else:
            scores = interaction.score_h(all_entities=entities, r=relation, t=query)
        scores.sum().backward()
    assert b * n <= mode.largest <= 2 * n * d


def test_memory_of_stock() -> None:
    """PyKEEN's own does, so the test above can fail."""
    with LargestTensor() as mode:
        DistMultInteraction().score_t(h=torch.rand(16, 32), r=torch.rand(16, 32), all_entities=torch.rand(64, 32))
    assert mode.largest == 16 * 64 * 32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("make", STOCK)
def test_half_precision(make: Callable[[], Interaction], dtype: torch.dtype) -> None:
    """Half precision is scored by PyKEEN's own way where a matrix form would lose what is left of the digits."""
    stock = make()
    if stock.is_complex:
        pytest.skip("torch has no complex numbers of that precision to speak of")
    h, r, t = (torch.randn(n, 16).to(dtype) for n in (3, 3, 8))
    tolerance = {"rtol": 0.0, "atol": 0.0} if isinstance(stock, TransEInteraction) else {"rtol": 0.05, "atol": 0.05}
    expected = stock.score_t(h=h, r=r, all_entities=t)
    torch.testing.assert_close(fast_interaction(stock).score_t(h=h, r=r, all_entities=t), expected, **tolerance)


def test_fast_interaction_keeps_state() -> None:
    """The parameters, the mode and the hooks of an instance stay; what has no fast equal stays itself."""
    stock = TransEInteraction(p=1, power_norm=True).eval()
    calls = []
    stock.register_forward_hook(lambda *_: calls.append(1))
    fast = fast_interaction(stock)
    assert (fast.p, fast.power_norm, fast.training) == (1, True, False)
    assert isinstance(fast, TransEInteraction)
    fast(*torch.rand(3, 2))
    assert calls == [1]
    assert fast_interaction(fast) is fast

    class MyTransE(TransEInteraction):
        """A subclass may score in another way."""

    for other in (MyTransE(p=2), TransHInteraction(p=2), VLTransEInteraction()):
        assert fast_interaction(other) is other


@pytest.mark.parametrize("make", [*(lambda f=f: fast_interaction(f()) for f in STOCK), *PAPER])
def test_copies(make: Callable[[], Interaction]) -> None:
    """Pickles and copies score the same (models are saved as pickles by PyKEEN)."""
    interaction = make()
    parts = [_make(interaction, 3, 4), _make(interaction, 3, 4, relation=True), _make(interaction, 5, 4)]
    expected = interaction.score_t(*parts)
    for other in (copy.deepcopy(interaction), pickle.loads(pickle.dumps(interaction))):
        torch.testing.assert_close(other.score_t(*parts), expected, rtol=0, atol=0)


@pytest.mark.parametrize("make", [lambda: TransEInteraction(p=2), RotatEInteraction, VLRotatEInteraction])
def test_ranks_of_near_duplicates(make: Callable[[], Interaction]) -> None:
    """Answers that differ by a millionth are ranked as exact arithmetic ranks them; equal ones are tied."""
    torch.manual_seed(0)
    interaction = make()
    fast = fast_interaction(interaction)
    h, r = _make(interaction, 1, 32).detach(), _make(interaction, 1, 32, relation=True).detach()
    if isinstance(interaction, RotatEInteraction) and r.is_complex():
        r = r / r.abs()
    answer = h + r if isinstance(interaction, TransEInteraction) else h * (r if r.is_complex() else torch.exp(1j * r))
    steps = torch.arange(1, 40).unsqueeze(-1) * 1e-5
    entities = torch.cat(
        [answer + steps * torch.ones_like(answer), _make(interaction, 60, 32).detach(), answer, answer]
    )
    order = torch.randperm(len(entities))
    entities = entities[order]

    def single(x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.cfloat if x.is_complex() else torch.float)

    exact = interaction(h.expand_as(entities), r.expand_as(entities), entities)
    scores = fast.score_t(h=single(h), r=single(r), all_entities=single(entities))[0]
    by_exact, by_fast = exact.argsort(descending=True), scores.argsort(descending=True)
    assert order[by_fast[2:41]].tolist() == order[by_exact[2:41]].tolist() == list(range(39))
    first, second = scores[by_fast[:2]].tolist()
    assert first == second


def _ranks(interaction: Interaction, e: torch.Tensor, r: torch.Tensor, hrt: torch.Tensor) -> torch.Tensor:
    """The realistic ranks of both sides among all entities, shape: (2, m)."""
    ranks = []
    for query, side in ((hrt[:, 0], 2), (hrt[:, 2], 0)):
        options = {"r": r[hrt[:, 1]], "all_entities": e}
        scores = torch.cat(
            [
                interaction.score_t(h=e[q], **{**options, "r": x})
                if side
                else interaction.score_h(t=e[q], **{**options, "r": x})
                for q, x in zip(query.split(16), options["r"].split(16), strict=True)
            ]
        )
        true = scores.gather(1, hrt[:, side].unsqueeze(-1))
        ranks.append((scores > true).sum(dim=-1) + ((scores == true).sum(dim=-1) + 1) / 2)
    return torch.stack(ranks)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("distmult", {}), ("complex", {}), ("transe", {"p": 1}), ("transe", {"p": 2}), ("rotate", {})],
)
def test_ranks_on_real_data(name: str, kwargs: dict[str, Any], shared: pathlib.Path) -> None:
    """On WN9-IMG, a model that has learned something ranks triples the same with PyKEEN's interaction and ours."""
    training = TriplesFactory.from_path(shared / "data/wn9-img/train.tsv")
    maps = {"entity_to_id": training.entity_to_id, "relation_to_id": training.relation_to_id}
    testing = TriplesFactory.from_path(shared / "data/wn9-img/test.tsv", **maps)
    stock = interaction_resolver.make(name, kwargs)
    fast = fast_interaction(stock)
    torch.manual_seed(0)
    dtype = torch.cfloat if stock.is_complex else torch.float
    e = torch.randn(training.num_entities, 24, dtype=dtype).mul_(0.5).requires_grad_()
    r = torch.randn(training.num_relations, 24, dtype=dtype).requires_grad_()
    sample = training.mapped_triples[torch.randperm(training.num_triples)[:800]]
    optimizer = torch.optim.Adam([e, r], lr=0.1)
    for batch in sample.split(200) * 5:
        scores = fast.score_t(h=e[batch[:, 0]], r=r[batch[:, 1]], all_entities=e)
        loss = torch.nn.functional.cross_entropy(scores, batch[:, 2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if name == "rotate":
            r.data /= r.data.abs()
    hrt = torch.cat([sample[:60], testing.mapped_triples[:60]])
    with torch.inference_mode():
        expected, actual = (_ranks(interaction, e, r, hrt) for interaction in (stock, fast))
    assert (1 / expected[:, :60]).mean() > 0.2, "the model must have learned for its ranks to mean something"
    # where scores differ by the last digit only, the rounding of either may decide
    assert (expected != actual).sum() <= 1
    assert (expected - actual).abs().max() <= 1


def test_every_interaction_is_tested() -> None:
    """A new interaction of the module appears in the lists above."""
    tested = {type(fast_interaction(f())) for f in STOCK} | set(PAPER)
    assert tested == {getattr(module, n) for n in module.__all__ if n.endswith("Interaction")} - {QueryInteraction}
