"""The evidence of the training graph against loops over its triples."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.evidence.words import WordOverlap
from pykeen_mmkg.nn.zero_shot.graph import EvidenceGraph
from pykeen_mmkg.nn.zero_shot.pair_evidence import EVIDENCE, PairEvidence, score_grid, score_heads

N, R, D = 7, 3, 5


def _texts(n: int, seed: int) -> torch.Tensor:
    return functional.normalize(torch.randn(n, D, generator=torch.Generator().manual_seed(seed)), dim=-1)


def _module(triples: torch.Tensor, similar: torch.Tensor | None = None, **kwargs: object) -> PairEvidence:
    torch.manual_seed(0)
    graph = EvidenceGraph(triples, N, R, similar)
    kwargs = {"num_weights": 2, "rank": 3, "hidden_dim": 4, **kwargs}
    return PairEvidence(graph, _texts(N, 1), _texts(R, 2), **kwargs).eval()  # type: ignore[arg-type]


triple = st.tuples(st.integers(0, N - 1), st.integers(0, R - 1), st.integers(0, N - 1))


@settings(max_examples=25, deadline=None)
@given(st.lists(triple, min_size=3, max_size=25), st.integers(0, R - 1))
def test_a_relation_never_speaks_for_itself(rows: list, relation: int) -> None:
    """The evidence for a relation does not change when its own triples go, but for degrees and mean texts."""
    triples = torch.tensor(rows)
    module = _module(triples, evidence=["links"])
    heads = torch.arange(N).repeat_interleave(N)
    tails = torch.arange(N).repeat(N)
    relations = torch.full_like(heads, relation)
    with torch.no_grad():
        features = module.features(heads, relations, module.relations[relations], torch.arange(len(heads)), tails)
    linked = {(x, y) for x, s, y in rows if s != relation} | {(y, x) for x, s, y in rows if s != relation}
    expected = torch.tensor([float(pair in linked) for pair in zip(heads.tolist(), tails.tolist(), strict=True)])
    assert torch.equal(features[:, -1], expected)


@settings(max_examples=25, deadline=None)
@given(st.lists(triple, min_size=1, max_size=25), triple)
def test_the_prior_is_adamic_adar(rows: list, asked: tuple) -> None:
    """Each common neighbour counts once, however many relations link it, and it is added in evaluation only."""
    module = _module(torch.tensor(rows), prior=0.5)
    h, r, t = asked
    args = torch.tensor([h]), torch.tensor([r]), module.relations[[r]], torch.tensor([0]), torch.tensor([t])
    known = [row for row in set(rows) if row[1] != r]
    around = {e: {y for x, _, y in known if x == e} | {x for x, _, y in known if y == e} for e in (h, t)}
    degree = {e: sum((x == e) + (y == e) for x, _, y in set(rows)) for e in range(N)}
    expected = math.log1p(sum(1 / math.log(2 + degree[x]) for x in around[h] & around[t])) + 3 * (h in around[t])
    with torch.no_grad():
        with_prior = float(module(*args))
        module.prior = 0.0
        assert with_prior - float(module(*args)) == pytest.approx(0.5 * expected, abs=1e-4)


def test_scores_do_not_depend_on_what_else_is_in_the_batch() -> None:
    """A triple has the same score alone and among others."""
    triples = torch.tensor([[0, 0, 1], [1, 1, 2], [2, 2, 0], [3, 0, 4], [4, 1, 5]])
    module = _module(triples)
    heads, relations = torch.tensor([0, 3, 6]), torch.tensor([0, 2, -1])
    texts = _texts(3, 5)
    query, tails = torch.tensor([0, 1, 1, 2]), torch.tensor([2, 4, 5, 0])
    with torch.no_grad():
        together = module(heads, relations, texts, query, tails)
        for i in range(4):
            q = query[i : i + 1]
            alone = module(heads[q], relations[q], texts[q], torch.zeros(1, dtype=torch.long), tails[i : i + 1])
            assert torch.allclose(alone, together[i : i + 1], atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(triple, min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), max_size=6, unique=True),
    st.lists(st.tuples(st.integers(0, N - 1), st.integers(-1, R - 1)), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, N - 1), min_size=1, max_size=9),
    st.lists(st.sampled_from(EVIDENCE), min_size=1, unique=True),
    st.sampled_from([1, 10_000]),
)
def test_a_grid_has_the_scores_of_its_pairs(
    rows: list, alike: list, asked: list, tails: list, evidence: list, limit: int
) -> None:
    """Scores of all pairs at once are the mean of the members' scores of each pair."""
    similar = torch.tensor(alike, dtype=torch.long).view(-1, 2)
    graph = EvidenceGraph(torch.tensor(rows), N, R, similar[similar[:, 0] != similar[:, 1]])
    names = [f"a{i % 3} b{i % 2}" for i in range(N)]
    words = WordOverlap(names, [f"of a{i % 2} and b{i % 3}" for i in range(N)])
    kwargs = {"num_weights": 2, "rank": 3, "hidden_dim": 4, "prior": 0.5, "words": words, "evidence": evidence}
    torch.manual_seed(0)
    members = [PairEvidence(graph, _texts(N, 1), _texts(R, 2), **kwargs).eval() for _ in range(2)]  # type: ignore[arg-type]
    heads, relations = torch.tensor(asked).unbind(-1)
    texts = _texts(len(asked), 3)
    query = torch.arange(len(asked)).repeat_interleave(len(tails))
    with torch.no_grad():
        grid = score_grid(members, heads, relations, texts, torch.tensor(tails), limit)
        flat = torch.tensor(tails * len(asked))
        pairs = torch.stack([member(heads, relations, texts, query, flat) for member in members]).mean(0)
    assert torch.allclose(grid, pairs.view(len(asked), -1), atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(triple, min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), max_size=6, unique=True),
    st.integers(-1, R - 1),
    st.lists(st.integers(0, N - 1), min_size=1, max_size=4),
    st.lists(st.integers(0, N - 1), min_size=1, max_size=9),
    st.lists(st.sampled_from(EVIDENCE), min_size=1, unique=True),
    st.booleans(),
    st.sampled_from([1, 10_000]),
)
def test_heads_have_the_scores_of_their_triples(
    rows: list, alike: list, relation: int, tails: list, heads: list, evidence: list, use_head: bool, limit: int
) -> None:
    """Scores of all heads of some tails are the mean of the members' scores of each triple."""
    similar = torch.tensor(alike, dtype=torch.long).view(-1, 2)
    graph = EvidenceGraph(torch.tensor(rows), N, R, similar[similar[:, 0] != similar[:, 1]])
    words = WordOverlap([f"a{i % 3} b{i % 2}" for i in range(N)], [f"of a{i % 2} and b{i % 3}" for i in range(N)])
    kwargs = {"num_weights": 2, "rank": 3, "hidden_dim": 4, "prior": 0.5, "use_head": use_head, "words": words}
    torch.manual_seed(0)
    members = [PairEvidence(graph, _texts(N, 1), _texts(R, 2), evidence=evidence, **kwargs).eval() for _ in range(2)]  # type: ignore[arg-type]
    (text,) = _texts(1, 3)
    pairs = torch.cartesian_prod(torch.tensor(tails), torch.tensor(heads))
    args = pairs[:, 1], torch.full((len(pairs),), relation), text.expand(len(pairs), -1), torch.arange(len(pairs))
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        for name in ("HEADS", "RELATIONS", "ENTRIES"):  # several blocks of each, the last one smaller
            patch.setattr(f"pykeen_mmkg.nn.zero_shot.pair_evidence.{name}", 4)
        found = score_heads(members, torch.tensor(heads), relation, text, torch.tensor(tails), limit)
        expected = torch.stack([member(*args, pairs[:, 0]) for member in members]).mean(0)
    torch.testing.assert_close(found, expected.view(found.shape), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_a_grid_has_the_gradients_of_its_pairs(training: bool) -> None:
    """It makes no difference to what is learned whether pairs are scored one by one or as a grid."""
    generator = torch.Generator().manual_seed(0)
    triples = torch.stack([torch.randint(high, (25,), generator=generator) for high in (N, R, N)], dim=-1)
    heads, relations, texts, tails = torch.tensor([0, 3, 5]), torch.tensor([1, 0, -1]), _texts(3, 3), torch.arange(1, N)
    gradients = []
    for as_grid in (True, False):
        module = _module(triples, torch.tensor([[0, 1], [3, 2], [5, 6]]), dropout=0.0, prior=0.5).train(training)
        if as_grid:
            scores = score_grid([module], heads, relations, texts, tails, 10_000)
        else:
            query = torch.arange(len(heads)).repeat_interleave(len(tails))
            scores = module(heads, relations, texts, query, tails.repeat(len(heads))).view(len(heads), -1)
        (scores * torch.linspace(-1, 1, scores.numel()).view_as(scores)).sum().backward()
        gradients.append({name: p.grad for name, p in module.named_parameters()} | {"scores": scores.detach()})
    for name, gradient in gradients[0].items():
        assert gradient is not None and gradient.abs().sum() > 0, name
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-4, rtol=1e-3)


def test_weights_of_relations_by_hand() -> None:
    """The weights of each directed relation for each query, term by term."""
    generator = torch.Generator().manual_seed(3)
    triples = torch.stack([torch.randint(high, (12,), generator=generator) for high in (N, R - 1, N)], dim=-1)
    module = _module(triples, torch.tensor([[0, 1]]))
    rows = {tuple(row) for row in triples.tolist()}
    # the last relation has no triple; the second query asks for one that the graph does not have
    heads, relations = torch.tensor([int(triples[0, 0]), 5]), torch.tensor([0, -1])
    texts = torch.stack([module.relations[0], _texts(1, 9)[0]])
    double = 2 * R
    out = {s: [(h, t) if s < R else (t, h) for h, r, t in rows if r == s % R] for s in range(double)}
    sizes = torch.tensor([[math.log1p(len(out[s])), math.log1p(len({x for x, _ in out[s]}))] for s in range(double)])
    plain = torch.cat([module.relations, module.relations])
    present = torch.tensor([len(out[s]) > 0 for s in range(double)])
    bands = []
    for x in (plain, module.near, module.far):
        cosines = torch.tensor([float(a @ b) for a in module.relations[present[:R]] for b in x[present]])
        bands.append((cosines.mean(), cosines.std()))
    with torch.no_grad():
        weights = module.relation_weights(heads, relations, texts)
        for q, (head, relation) in enumerate(zip(heads.tolist(), relations.tolist(), strict=True)):
            hidden = []
            for s in range(double):
                close = [
                    (texts[q] @ x[s] - m) / d for x, (m, d) in zip((plain, module.near, module.far), bands, strict=True)
                ]
                backward = float(s >= R)
                scaled = (sizes[s] - sizes.mean(0)) / sizes.std(0)
                alike = float(texts[q] @ plain[s] > 0.8)
                key = module.key.weight @ torch.cat([plain[s], module.near[s], module.far[s]])
                first = [close[0], close[0] * (1 - backward), close[1], close[2], alike, backward]
                match = (module.query.weight @ texts[q]) * key
                x = module.hidden(torch.cat([torch.tensor(first), scaled, match]))
                own = {s: sum(x == head for x, _ in out[s]) * (s % R != relation) for s in (s, (s + R) % double)}
                count = [math.log1p(own[s]), math.log1p(own[(s + R) % double])]
                text = module.entities[head]
                second = [own[s] > 0, count[0], count[1] > 0, 4 * text @ module.near[s], 4 * text @ module.far[s]]
                match = (module.head_query.weight @ text) * key
                x = x + module.head_hidden.weight @ torch.cat([torch.tensor([float(y) for y in second]), match])
                hidden.append(module.weights(x.relu()))
            allowed = [bool(present[s]) and s % R != relation for s in range(double)]
            shares = torch.stack([hidden[s][8:] for s in range(double) if allowed[s]]).softmax(dim=0)
            for s in range(double):
                got = torch.cat([part[q, s] for part in weights[:4]])
                expected = torch.log1p(torch.exp(hidden[s][:8] - 1)) if allowed[s] else torch.zeros(8)
                torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
                share = shares[sum(allowed[:s])] if allowed[s] else torch.zeros(2)
                torch.testing.assert_close(weights.share[q, s], share, atol=1e-5, rtol=1e-4)
    learned = {name.removesuffix(".weight") for name, _ in module.named_parameters()}
    assert {"query", "key", "head_query", "head_hidden"} <= learned
    assert not {"query.bias", "key.bias", "head_query.bias", "head_hidden.bias"} & learned
    assert not {"entities", "relations", "near", "far", "keys", "static", "band"} & set(module.state_dict())


def test_errors() -> None:
    """Unknown evidence is named, and a graph without a triple."""
    with pytest.raises(MultimodalError, match="no triple"):
        _module(torch.empty(0, 3, dtype=torch.long))
    triples = torch.tensor([[0, 0, 1]])
    with pytest.raises(MultimodalError, match="evidence must be some of"):
        _module(triples, evidence=["rumours"])
    assert set(_module(triples).evidence) == set(EVIDENCE) - {"words"}
