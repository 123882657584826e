"""What commands share: JSON on the command line, tables on the screen."""

import click
import pandas as pd
import pytest

from pykeen_mmkg.cli_options import find_dataset, json_object, print_frame
from pykeen_mmkg.errors import DataError


def test_json_objects() -> None:
    context, param = click.Context(click.Command("x")), click.Option(["--x"])
    assert json_object(context, param, None) == {}
    assert json_object(context, param, '{"a": [1]}') == {"a": [1]}
    for value in ("[1]", "3", "{", "null"):
        with pytest.raises(click.BadParameter, match="JSON"):
            json_object(context, param, value)


def test_frames(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"label": ["\u00e9", "b"], "score": [1.5, 2.0]})
    print_frame(frame, as_json=True)
    assert capsys.readouterr().out.splitlines() == ['{"label": "\u00e9", "score": 1.5}', '{"label": "b", "score": 2.0}']
    print_frame(frame, as_json=False)
    assert "\u00e9" in capsys.readouterr().out


def test_no_dataset() -> None:
    with pytest.raises(DataError, match="nowhere"):
        find_dataset("nowhere", {})
