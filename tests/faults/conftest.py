"""Each test of this folder has a time limit: a hang is a failure."""

import pathlib

import pytest

HERE = pathlib.Path(__file__).parent
LIMIT = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT))
