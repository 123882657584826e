"""The best candidates of a batch against sorting each query in Python."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.best_answers import best_answers

SCORE = st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0]) | st.sampled_from([math.inf, math.nan, 3.0])


@given(
    st.integers(1, 30).flatmap(lambda n: st.lists(st.lists(SCORE, min_size=n, max_size=n), min_size=1, max_size=4)),
    st.none() | st.integers(1, 4),
)
@settings(deadline=None)
def test_best_answers_equal_the_loop(rows, k):
    scores = torch.tensor(rows).view(len(rows), -1)
    found = best_answers(scores, k)
    bounds = found.offsets.tolist()
    for i, row in enumerate(rows):
        finite = [j for j, score in enumerate(row) if math.isfinite(score)]
        expected = sorted(finite, key=lambda j: (-row[j], j))[:k]
        ids = found.ids[bounds[i] : bounds[i + 1]].tolist()
        assert ids == expected
        assert found.scores[bounds[i] : bounds[i + 1]].tolist() == [row[j] for j in ids]
        assert found.candidates[i] == len(finite)
        if len(finite) == len(row):
            expected = math.log(sum(map(math.exp, row)))
            assert found.log_sum_exp[i].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_no_query():
    found = best_answers(torch.empty(0, 7), 3)
    assert found.ids.tolist() == [] and found.offsets.tolist() == [0]
