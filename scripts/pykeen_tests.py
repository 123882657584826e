"""PyKEEN's own tests, from its source distribution, with this plugin installed: they pass as they do without it.

    python scripts/pykeen_tests.py [--fetch] [arguments of pytest]

But for :data:`EXPECTED`: tests of PyKEEN that every subclass of its base classes has a test, which see our classes.
That each of those has a test is ours to show, in ``tests/test_registry.py``. What else fails is run again without the
plugin. Exits with an error if it passes then, or if a test passes that is expected to fail.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

import pykeen.version

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".conformance"

#: meta tests that fail since they see our subclasses
EXPECTED = {
    "tests/test_evaluation/test_evaluators.py::MetricResultMetaTestCase::test_testing",
    "tests/test_evaluation/test_evaluators.py::EvaluatorMetaTestCase::test_testing",
    "tests/test_losses.py::TestLosses::test_testing",
    "tests/test_models.py::TestTesting::test_testing",
    "tests/test_nn/test_combination.py::CombinationMetaTestCase::test_testing",
    "tests/test_nn/test_modules.py::InteractionTestsTestCase::test_testing",
    "tests/test_nn/test_representation.py::RepresentationModuleMetaTestCase::test_testing",
    "tests/test_regularizers.py::TestRegularizerTests::test_testing",
    "tests/test_sampling/test_filterer.py::FiltererMetaTestCase::test_testing",
    "tests/test_sampling/test_negative_samplers.py::NegativeSamplerMetaTestCase::test_testing",
}

#: left out, with the tests that PyKEEN marks as slow: what asks Wikidata, or the hub for a model
NETWORK = ["WikidataTextRepresentationTests", "TransformerTextEncoderTestCase"]


def fetch() -> pathlib.Path:
    """Return the unpacked source distribution of the installed PyKEEN, fetched at the first call.

    :returns: its folder
    :raises SystemExit: if it cannot be fetched
    """
    version = pykeen.version.get_version()
    root = FOLDER / f"pykeen-{version}"
    if root.is_dir():
        return root
    FOLDER.mkdir(exist_ok=True)
    # whole or not at all: an interrupted call leaves nothing that looks complete
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        process = subprocess.run(
            [*command, "--dest", name, f"pykeen=={version}"], capture_output=True, text=True, check=False
        )
        if process.returncode:
            sys.exit(f"cannot fetch the source distribution of pykeen {version}: {process.stderr[-500:]}")
        with tarfile.open(pathlib.Path(name, f"pykeen-{version}.tar.gz")) as archive:
            archive.extractall(name, filter="data")
        shutil.move(pathlib.Path(name, root.name), root)
    return root


#: runs pytest, on a PyKEEN that finds no entry point of ours if told so, and writes the outcomes
RUNNER = """
import json, pathlib, sys
import class_resolver.base as base
import pytest

report, plugin, *arguments = sys.argv[1:]
if plugin == "without":
    found = base.entry_points
    base.entry_points = lambda **kwargs: [e for e in found(**kwargs) if not e.value.startswith("pykeen_mmkg")]
outcomes = {}

class Recorder:
    def pytest_runtest_logreport(self, report):
        # setup, call and teardown, and each subtest: the worst counts
        order = ["skipped", "passed", "failed"]
        before = outcomes.get(report.nodeid, "skipped")
        outcomes[report.nodeid] = max(before, report.outcome, key=order.index) if report.when == "call" or (
            report.outcome == "failed") else before

code = pytest.main(arguments, plugins=[Recorder()])
assert plugin == "with" or not any(name.startswith("pykeen_mmkg") for name in sys.modules)
pathlib.Path(report).write_text(json.dumps(outcomes))
sys.exit(code)
"""


def run(root: pathlib.Path, arguments: list[str], plugin: bool = True) -> dict[str, str]:
    """Run tests.

    :param root: the folder of the source distribution
    :param arguments: arguments of pytest
    :param plugin: whether PyKEEN is to find the plugin
    :returns: test -> ``passed``, ``failed`` or ``skipped``
    """
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        options = ["-q", "-W", "ignore", "-p", "no:cacheprovider", *arguments]
        subprocess.run(
            [sys.executable, "-c", RUNNER, str(report), "with" if plugin else "without", *options],
            check=False,
            cwd=root,
            env={**os.environ, "PYKEEN_HOME": str(pathlib.Path(folder, "home"))},
        )
        outcomes: dict[str, str] = json.loads(report.read_text())
    return outcomes


def main() -> None:
    """Fetch the tests, run them, and compare what fails with what has to."""
    root = fetch()
    if sys.argv[1:] == ["--fetch"]:
        print(root)
        return
    options = ["-m", "not slow", "-k", " and ".join(f"not {name}" for name in NETWORK)]
    outcomes = run(root, [*options, *sys.argv[1:]])
    passed = {test for test, outcome in outcomes.items() if outcome == "passed"}
    failed = {test for test, outcome in outcomes.items() if outcome == "failed"}
    unexpected = sorted(failed - EXPECTED)
    without = run(root, unexpected, plugin=False) if unexpected else {}
    ours = [test for test in unexpected if without.get(test) != "failed"]
    for test in unexpected:
        print(f"fails with the plugin only: {test}" if test in ours else f"fails without the plugin, too: {test}")
    for test in sorted(EXPECTED & passed):
        print(f"passes, so it need not be expected to fail: {test}")
    print(
        f"{len(passed)} of PyKEEN's tests passed with the plugin, {len(failed & EXPECTED)} failed as expected, "
        f"{len(unexpected) - len(ours)} fail without it, too, {len(ours)} because of it"
    )
    if ours or EXPECTED & passed or not passed:
        sys.exit(1)


if __name__ == "__main__":
    main()
