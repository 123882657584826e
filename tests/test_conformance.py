"""PyKEEN's own abstract test cases, from its source distribution, on our classes.

Each file of ``conformance_cases/`` subclasses them. They run in a process of their own, since PyKEEN's test package is
called ``tests`` like ours.
"""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
CASES = sorted((pathlib.Path(__file__).parent / "conformance_cases").glob("case_*.py"))


@pytest.fixture(scope="module")
def sdist() -> pathlib.Path:
    """The unpacked source distribution of the installed PyKEEN, fetched once."""
    process = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "pykeen_tests.py"), "--fetch"],
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        # where it has to be there, a test that is skipped is one that is missing
        (pytest.fail if os.environ.get("CI") else pytest.skip)(process.stderr[-1000:])
    return pathlib.Path(process.stdout.strip())


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_conformance(path: pathlib.Path, sdist: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """All of PyKEEN's cases pass, and there are some."""
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
        + ["--rootdir", str(tmp_path), str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(sdist), os.environ.get("PYTHONPATH")])),
            "PYKEEN_HOME": str(tmp_path / "home"),
        },
    )
    assert process.returncode == 0, process.stdout[-5000:] + process.stderr[-2000:]
    assert " passed" in process.stdout
