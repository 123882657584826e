"""The table of ranks."""

import numpy

from pykeen_mmkg.evaluation.results import RankTable


def test_rank_table():
    table = RankTable(
        triples=numpy.array([[0, 0, 1], [2, 1, 3]]),
        side=numpy.array(["head", "tail"]),
        optimistic=numpy.array([1, 2]),
        pessimistic=numpy.array([2, 2]),
        num_candidates=numpy.array([5, 6]),
    )
    assert len(table) == 2
    assert table.ranks().tolist() == [1.5, 2.0] == table.ranks("realistic").tolist()
    assert table.ranks("optimistic").tolist() == [1, 2] and table.ranks("pessimistic").tolist() == [2, 2]
    assert table.to_frame().iloc[1].to_dict() == {
        "side": "tail",
        "head": 2,
        "relation": 1,
        "tail": 3,
        "optimistic": 2,
        "realistic": 2.0,
        "pessimistic": 2,
        "candidates": 6,
    }
