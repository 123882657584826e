"""The demo runs, and says what it should."""

import pytest

from pykeen_mmkg.datasets.wordnet_emoji import WordNetEmoji
from pykeen_mmkg.demo import COLUMNS, QUERIES, RELATION_ROWS, ROWS, run
from pykeen_mmkg.runs import open_run


def test_run(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    """One epoch: a row for each model and rule, numbers in each column, predictions, a run that loads."""
    table, relations = run(epochs=1, output=tmp_path / "out")
    assert table[""].tolist() == ROWS
    assert table.shape == (len(ROWS), 1 + 2 * len(COLUMNS))
    assert ((table.iloc[:, 1:] >= 0) & (table.iloc[:, 1:] <= 1)).all(axis=None)
    assert relations[""].tolist() == list(RELATION_ROWS)
    assert ((relations.iloc[:, 1:] >= 0) & (relations.iloc[:, 1:] <= 1)).all(axis=None)
    text = capsys.readouterr().out
    assert text.count("Predictions for") == len(QUERIES) + 1
    model, factory = open_run(tmp_path / "out")
    assert model.num_entities == factory.num_entities == WordNetEmoji().num_entities
