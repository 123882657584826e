"""Tests for counting paths; that the rules of a random graph have the right confidence is tested with the rules."""

import torch

from pykeen_mmkg.nn.evidence.mining import mine_paths
from pykeen_mmkg.nn.evidence.queries import DirectedTriples


def test_counts_pairs_once() -> None:
    """Two middles make one pair, and a pair of an entity with itself is none."""
    # relation 0: parent of, 1: grandparent of; 0 -> {1, 2} -> 3, and 4 -> 5 -> 6 without a link
    triples = torch.tensor([[0, 0, 1], [0, 0, 2], [1, 0, 3], [2, 0, 3], [0, 1, 3], [4, 0, 5], [5, 0, 6]])
    graph = DirectedTriples(triples, 7, 2)
    rules, support, pairs = mine_paths(graph, graph.triples, max_paths=100, min_support=1, chunk_size=100)
    found = {tuple(rule): (s, p) for rule, s, p in zip(rules.tolist(), support.tolist(), pairs.tolist(), strict=True)}
    assert found == {
        (1, 0, 0): (1, 2),  # parent of a parent: 0-3 is known, 4-6 is not
        (3, 2, 2): (1, 2),  # the same, seen from below
        (0, 1, 2): (2, 2),  # grandparent of somebody and that one's parent: 0-1, 0-2
        (2, 0, 3): (2, 2),
        (0, 2, 1): (2, 2),  # child of somebody who is grandparent of: 1-3, 2-3
        (2, 3, 0): (2, 2),
    }
