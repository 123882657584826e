"""Drawing what to hold out: the promises hold on random graphs, and a seed says it all."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.datasets.drawing import draw_entities, draw_relations
from pykeen_mmkg.errors import DataError

triples = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 9)), min_size=5, max_size=60, unique=True
).map(torch.as_tensor)


@given(triples=triples, seed=st.integers(0, 3))
def test_drawn_entities_leave_the_rest_in_training(triples: torch.Tensor, seed: int):
    for number in range(6, -1, -1):
        try:
            unseen, dev = draw_entities(triples, (None, None), (number, 1), num_entities=10, num_relations=4, seed=seed)
            break
        except DataError:
            continue
    else:
        return
    held = set(unseen) | set(dev)
    assert (len(unseen), len(dev), len(held)) == (number, 1, number + 1)
    rest = [row for row in triples.tolist() if not {row[0], row[2]} & held]
    occur = {e for h, _, t in triples.tolist() for e in (h, t)}
    assert held <= occur
    assert {e for h, _, t in rest for e in (h, t)} == occur - held
    assert {r for _, r, _ in rest} == {r for _, r, _ in triples.tolist()}


def test_entities_of_a_star():
    """The centre cannot go; a leaf takes nothing with it, but one of them has to stay for the centre."""
    star = torch.as_tensor([[0, 0, leaf] for leaf in range(1, 5)])
    unseen, _ = draw_entities(star, (None, []), (3, 0), num_entities=5, num_relations=1, seed=0)
    assert 0 not in unseen
    with pytest.raises(DataError, match="only 3 of 4 entities"):
        draw_entities(star, (None, []), (4, 0), num_entities=5, num_relations=1, seed=0)
    # what is given by label is not questioned
    assert draw_entities(star, ([0], []), (0, 0), num_entities=5, num_relations=1, seed=0) == ([0], [])


def test_self_loop_does_not_keep_a_neighbour():
    triples = torch.as_tensor([[0, 0, 0], [0, 0, 1], [1, 0, 2], [2, 0, 3]])
    unseen, _ = draw_entities(triples, (None, []), (1, 0), num_entities=4, num_relations=1, seed=0)
    rest = [row for row in triples.tolist() if not {row[0], row[2]} & set(unseen)]
    assert {e for h, _, t in rest for e in (h, t)} == set(range(4)) - set(unseen)


@given(triples=triples, seed=st.integers(0, 3))
def test_drawn_relations_have_their_entities_in_training(triples: torch.Tensor, seed: int):
    try:
        (relation,), _ = draw_relations(
            triples, (None, []), (1, 0), num_relations=4, min_triples=2, min_seen=0.5, seed=seed
        )
    except DataError:
        relation = None
    good = set()
    for candidate in range(4):
        rest = {e for h, r, t in triples.tolist() if r != candidate for e in (h, t)}
        own = [(h, t) for h, r, t in triples.tolist() if r == candidate]
        if len(own) >= 2 and sum(h in rest and t in rest for h, t in own) >= 0.5 * len(own):
            good.add(candidate)
    assert relation in good if good else relation is None


def test_seed():
    triples = torch.as_tensor([[i % 20, i % 10, (7 * i + 3) % 20] for i in range(200)])
    draw = [
        draw_relations(triples, (None, None), (3, 2), num_relations=10, min_triples=1, min_seen=0, seed=seed)
        for seed in (0, 0, 1)
    ]
    assert draw[0] == draw[1] != draw[2]
    assert [len(ids) for ids in draw[0]] == [3, 2]
    assert not set(draw[0][0]) & set(draw[0][1])
