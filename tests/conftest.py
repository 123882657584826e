"""Fixtures that several test modules share."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real benchmark data beside the checkout; absent on most machines."""
    path = ROOT.parent / "shared"
    if not path.joinpath("data").is_dir():
        pytest.skip(f"no benchmark data at {path}")
    return path


@pytest.fixture(scope="session")
def dual_encoder() -> pathlib.Path:
    """The folder of the real dual encoder, built by scripts/build_encoder.py."""
    path = pathlib.Path(os.environ.get("PYKEEN_MMKG_TEST_ENCODER", ROOT / ".encoder"))
    if not path.joinpath("config.json").is_file():
        pytest.skip(f"no encoder at {path}: build it with `python scripts/build_encoder.py {path}`")
    return path
