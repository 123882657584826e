"""Tests for all kinds of evidence together."""

from typing import Any

import pytest
import torch

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.evidence.counts import Prior
from pykeen_mmkg.nn.evidence.horn_rules import LinkRules
from pykeen_mmkg.nn.evidence.scorer import PARTS, TEXT_PARTS, WORDS, EvidenceScorer

from .graph import Graph, N, R

Texts = tuple[torch.Tensor, torch.Tensor]


def make(graph: Graph, texts: Texts | None = None, words: bool = False, **kwargs: Any) -> EvidenceScorer:
    if texts is not None:
        kwargs.update(vectors=texts[0], mask=texts[1])
    if words:
        kwargs.update(names=[f"name {i}" for i in range(N)], descriptions=["of 1", "", *["text 2"] * (N - 2)])
    return EvidenceScorer(graph.triples, N, R, **kwargs)


def test_parts(graph: Graph, texts: Texts) -> None:
    """By default there is every part for which there are texts, but for the prior."""
    assert make(graph).parts == ("link", "path", "loop")
    assert make(graph, texts).parts == ("link", "path", "loop", *TEXT_PARTS)
    assert make(graph, texts, words=True).parts == PARTS[:-1]
    assert make(graph, texts, words=True, parts=PARTS).parts == PARTS
    assert make(graph, texts, parts=["prior", "profile_mean"]).parts == ("profile_mean", "prior")


def test_unknown_or_lacking(graph: Graph) -> None:
    """A part that is unknown, or has no texts to read, is an error if it is named."""
    for part in ("links", "copy", WORDS[0]):
        with pytest.raises(MultimodalError, match=part):
            make(graph, parts=["link", part])


def test_features(graph: Graph, texts: Texts) -> None:
    """The scores are those of each kind, in the order of the parts."""
    scorer = make(graph, texts, words=True, parts=PARTS)
    queries, _ = graph.all_queries(False)
    features = scorer.features(queries)
    assert features.shape == (len(PARTS), len(queries), N)
    torch.testing.assert_close(features[0], LinkRules(graph.index)(queries)[0])
    torch.testing.assert_close(features[-1], Prior(graph.index)(queries)[0])
    subset = ["path", "profile_mean", WORDS[1]]
    some = make(graph, texts, words=True, parts=subset)
    assert list(some.parts) == subset
    torch.testing.assert_close(some.features(queries), features[[PARTS.index(part) for part in subset]])


def test_weighted(graph: Graph, texts: Texts) -> None:
    """The weighted sum has each query's own weights."""
    scorer = make(graph, texts, words=True, parts=PARTS)
    queries, _ = graph.all_queries(False)
    weights = torch.randn(len(queries), len(PARTS), generator=torch.Generator().manual_seed(1))
    expected = torch.einsum("kbn,bk->bn", scorer.features(queries), weights)
    torch.testing.assert_close(scorer.weighted(queries, weights), expected)


def test_neighbours_of_paths_and_copies(graph: Graph, texts: Texts) -> None:
    """Paths step to their own number of neighbours, whatever is copied."""
    queries, _ = graph.all_queries(False)
    both = make(graph, texts, parts=["path", "copy"], neighbours=1, copy_neighbours=5).features(queries)
    near = make(graph, texts, parts=["path"], neighbours=1).features(queries)
    copied = make(graph, texts, parts=["copy"], copy_neighbours=5).features(queries)
    torch.testing.assert_close(both, torch.cat([near, copied]))
    assert not torch.equal(near, make(graph, texts, parts=["path"], neighbours=5).features(queries))
