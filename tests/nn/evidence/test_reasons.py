"""Reasons, against the scores that they are the reasons of: each part is made of its reasons by its own formula."""

import math

import pytest
import torch

from pykeen_mmkg.nn.evidence.scorer import EvidenceScorer

N, R = 14, 3
WORDS = ["fox", "wolf", "hare", "whale", "owl", "bear", "lynx"]


@pytest.fixture(scope="module")
def scorer() -> EvidenceScorer:
    """A random graph whose entities have texts, but for two."""
    generator = torch.Generator().manual_seed(0)
    triples = torch.stack([torch.randint(top, (70,), generator=generator) for top in (N, R, N)], dim=-1)
    triples = torch.cat([triples, torch.tensor([[i, 0, (i + 1) % N] for i in range(N)])])
    vectors = torch.nn.functional.normalize(torch.randn(N, 4, generator=generator), dim=-1)
    mask = torch.arange(N) < N - 2
    names = [WORDS[i % 7] if i < N - 2 else "" for i in range(N)]
    texts = [f"a {WORDS[(3 * i) % 7]} that runs {i}" if i < N - 2 else "" for i in range(N)]
    return EvidenceScorer(
        triples, N, R, vectors * mask[:, None], mask, names, texts, neighbours=3, copy_neighbours=4, min_support=1
    )


def _surprise(confidence: float) -> float:
    return -math.log(1 - min(confidence, 0.999))


def _noisy_or(total: float) -> float:
    return math.log1p(1000 * (1 - math.exp(-total)))


def test_scores_are_made_of_reasons(scorer: EvidenceScorer) -> None:
    """For what training does not have: links, paths, copies, profiles and words add up to the scores of the parts."""
    graph = {tuple(triple) for kind in scorer.kinds[:1] for triple in kind.graph.triples.tolist()}  # type: ignore
    met = set()
    for relation in range(2 * R):
        heads = torch.arange(N)
        table = scorer.features(scorer.queries(heads, torch.full((N,), relation)))
        for head in range(N):
            for tail in range(N):
                if head == tail or (head, relation, tail) in graph:
                    continue
                own = dict(zip(scorer.parts, table[:, head, tail].tolist(), strict=True))
                found: dict[str, list[float]] = {}
                for reason in scorer.reasons(head, relation, tail):
                    found.setdefault(reason.part, []).append(reason.strength)
                    met.add(reason.part)
                    assert all(triple in graph or triple[1] == 2 * R for triple in reason.triples)
                    assert bool(reason.triples) != bool(reason.words)
                expected = {name: 5 * sum(found.get(name, [])) for name in own if ":" in name and "char" not in name}
                expected |= {name: _noisy_or(sum(map(_surprise, found.get(name, [])))) for name in ("link", "path")}
                expected["copy"] = math.log1p(100 * sum(found.get("copy", [])))
                expected["profile_max"] = 5 * max([0.0, *found.get("profile", [])])
                for name, value in expected.items():
                    assert own[name] == pytest.approx(value, abs=2e-3), (name, head, relation, tail)
    assert met >= {"link", "path", "copy", "profile", "words:description-label"}


def test_strongest_first(scorer: EvidenceScorer) -> None:
    """Within a part, the strongest reason comes first; an entity without a text has no reasons by texts."""
    for head in range(N):
        reasons = scorer.reasons(head, 0, (head + 3) % N)
        for part in {reason.part for reason in reasons}:
            strengths = [reason.strength for reason in reasons if reason.part == part]
            assert strengths == sorted(strengths, reverse=True)
    # a path may end at it, and it has links
    assert {reason.part for reason in scorer.reasons(N - 1, 0, 3)} <= {"link", "path", "profile"}
