"""Whatever is imported first, in a fresh interpreter and without importing the plugin, the names resolve."""

import json
import pathlib
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from pykeen_mmkg import _bridge

FIRST_IMPORTS = [
    "pykeen",
    "pykeen.pipeline",
    "pykeen.models",
    "pykeen.nn",
    "pykeen.nn.modules",
    "pykeen.nn.representation",
    "pykeen.training",
    "pykeen.training.callbacks",
    "pykeen.evaluation",
    "pykeen.predict",
    "pykeen.stoppers",
    "pykeen.sampling",
    "pykeen.losses",
    "pykeen.regularizers",
    "pykeen.triples",
    "pykeen.datasets",
    "pykeen.hpo",
    "pykeen.cli",
    "pykeen_mmkg",
    "pykeen_mmkg.models.vlkge",
    "pykeen_mmkg.nn.representation",
    "pykeen_mmkg.nn.interaction",
    "pykeen_mmkg.datasets",
    "pykeen_mmkg.evaluation.protocols",
    "pykeen_mmkg.encoders",
    "pykeen_mmkg.features.store",
    "pykeen_mmkg.cli",
    # a part of PyKEEN that needs no model, then one of our models, whose base others of our models import
    "pykeen.datasets pykeen_mmkg.models.zero_shot.zsgan",
]

#: For each module: in a process that has not imported PyKEEN, import it first; then ask each resolver for our classes.
#: The processes are forked from one that has imported what PyKEEN builds on, which saves most of the time.
PROBE = """
import importlib, json, logging, os, sys, traceback, warnings
import class_resolver, numpy, pandas, scipy.sparse, torch, torch.utils.data, tqdm, optuna

def probe(first, resolvers):
    records = []
    class Handler(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())
    logging.getLogger().addHandler(Handler(level=logging.WARNING))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in first.split():
            importlib.import_module(name)
        import pykeen.pipeline
    records += [str(w.message) for w in caught if "pykeen_mmkg" in w.filename]
    found = {}
    for module, attribute in resolvers:
        resolver = getattr(importlib.import_module(module), attribute)
        classes = resolver.lookup_dict.values()
        found[module] = sorted(cls.__name__ for cls in classes if cls.__module__.startswith("pykeen_mmkg"))
    return {"found": found, "records": records, "transformers": "transformers" in sys.modules}

for first in json.loads(sys.argv[1]):
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            assert not any(name.split(".")[0] in ("pykeen", "pykeen_mmkg") for name in sys.modules)
            result = probe(first, json.loads(sys.argv[2]))
        except BaseException:
            result = {"error": traceback.format_exc()}
        os.write(write, json.dumps(result).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        print(json.dumps([first, json.load(file)]), flush=True)
    os.wait()
"""

RESOLVERS = [(module, attribute) for module, (attribute, _, _) in _bridge.GROUPS.items()]


def _names(group: str) -> list[str]:
    return sorted(entry.attr for entry in entry_points(group=group) if entry.module.startswith("pykeen_mmkg"))


@pytest.fixture(scope="module")
def probes() -> dict[str, dict]:
    """What each first import leads to."""
    resolvers = [*RESOLVERS, ("pykeen.datasets", "dataset_resolver")]
    process = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(FIRST_IMPORTS), json.dumps(resolvers)],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(line) for line in process.stdout.splitlines() if line.startswith('["pykeen'))


@pytest.mark.parametrize("first", FIRST_IMPORTS)
def test_first_import(first: str, probes: dict[str, dict]) -> None:
    """Every class of every group is found, without a warning, and without loading transformers."""
    result = probes[first]
    assert "error" not in result, result["error"]
    expected = {module: _names(group) for module, (_, _, group) in _bridge.GROUPS.items()}
    expected["pykeen.datasets"] = _names("pykeen.datasets")
    assert result["found"] == expected
    assert sum(map(len, expected.values())) > 20
    assert result["records"] == []
    assert not result["transformers"], "every user of PyKEEN would pay for the import of transformers"


def test_help_is_light() -> None:
    """The command line's help does without PyKEEN and torch; what is imported after it is whole."""
    code = "import sys, pykeen_mmkg.cli; assert not {'torch', 'pykeen', 'pandas'} & set(sys.modules), 'heavy'"
    code += "; from pykeen_mmkg.datasets import MultimodalDataset; import pykeen.models; "
    code += "assert 'vlkge' in pykeen.models.model_resolver.lookup_dict"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_of_ours_before_pykeen_is_whole() -> None:
    """PyKEEN knows the plugin, and its models come in by ours: no name is missing afterwards."""
    code = "from pykeen.datasets import Nations; import pykeen_mmkg.models.zero_shot.zsgan, pykeen.models; "
    code += "assert 'vlkge' in pykeen.models.model_resolver.lookup_dict"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_install_is_idempotent() -> None:
    """A second installation changes nothing."""
    from pykeen.models import model_resolver

    before = dict(model_resolver.lookup_dict)
    _bridge.install()
    assert model_resolver.lookup_dict == before


def test_resolvers_of_others() -> None:
    """A base class that is called as one of PyKEEN's, in another package, does not get our classes."""
    from class_resolver import ClassResolver

    for base in _bridge.GROUPS.values():
        name = base[1].rpartition(".")[2]
        for module in ("another.package", "pykeen.extension"):
            other = type(name, (), {"__module__": module})
            assert not ClassResolver.from_subclasses(other).lookup_dict


def test_upstream_patch() -> None:
    """The patch that makes the bridge needless names every resolver that it attaches."""
    text = pathlib.Path(__file__).parents[1].joinpath("docs", "upstream.md").read_text(encoding="utf-8")
    for attribute, _, group in _bridge.GROUPS.values():
        assert f'+{attribute}.register_entrypoint("{group}")' in text


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError"])
def test_broken_dependency(error: str, tmp_path) -> None:
    """A dependency of ours that is broken breaks neither PyKEEN nor the classes that do without it."""
    for name in ("transformers", "safetensors"):
        (tmp_path / f"{name}.py").write_text(f"raise {error}('broken')\n")
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "import pykeen.pipeline\n"
            "from pykeen.models import model_resolver\n"
            "from pykeen.nn.modules import interaction_resolver\n"
            "assert model_resolver.lookup('transe').__name__ == 'TransE'\n"
            "assert interaction_resolver.lookup('vlrotate').__name__ == 'VLRotatEInteraction'\n"
            "print('whole')",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip().endswith("whole")
