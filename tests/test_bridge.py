"""Whatever is imported first, in a fresh interpreter and without importing the plugin, the names resolve."""

import json
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
    "pykeen.triples",
    "pykeen.datasets",
    "pykeen.hpo",
    "pykeen.cli",
    "pykeen_mmkg",
    "pykeen_mmkg.models.vlkge",
    "pykeen_mmkg.nn.representation",
    "pykeen_mmkg.nn.interaction",
    "pykeen_mmkg.datasets",
    "pykeen_mmkg.evaluation",
    "pykeen_mmkg.encoders",
    "pykeen_mmkg.features",
]

#: imports a module first, then asks each resolver for every class that the entry points name
PROBE = """
import importlib, json, logging, sys, warnings
warnings.simplefilter("error")
records = []
class Handler(logging.Handler):
    def emit(self, record):
        records.append(record.getMessage())
logging.getLogger().addHandler(Handler(level=logging.WARNING))
# third-party deprecations that PyKEEN's own import raises without us
warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", message=".*IProgress.*")
importlib.import_module(sys.argv[1])
if sys.argv[1] != "pykeen":
    assert "pykeen_mmkg" in sys.modules, "the plugin was not discovered"
import pykeen.pipeline
found = {}
for module, attribute in json.loads(sys.argv[2]):
    resolver = getattr(importlib.import_module(module), attribute)
    found[module] = sorted(cls.__name__ for cls in resolver.lookup_dict.values() if cls.__module__.startswith("pykeen_mmkg"))
print(json.dumps({"found": found, "records": records, "heavy": "transformers" in sys.modules}))
"""

RESOLVERS = [(module, attribute) for module, (attribute, _, _) in _bridge.GROUPS.items()]


def _names(group: str) -> list[str]:
    return sorted(e.attr for e in entry_points(group=group) if e.module.startswith("pykeen_mmkg"))


def _probe(first: str, *args: str) -> dict:
    process = subprocess.run(
        [sys.executable, *args, "-c", PROBE, first, json.dumps([*RESOLVERS, ("pykeen.datasets", "dataset_resolver")])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("first", FIRST_IMPORTS)
def test_first_import(first: str) -> None:
    """Every class of every group is found, without a warning, and without loading transformers."""
    result = _probe(first)
    expected = {module: _names(group) for module, (_, _, group) in _bridge.GROUPS.items()}
    expected["pykeen.datasets"] = _names("pykeen.datasets")
    assert result["found"] == expected
    assert sum(map(len, expected.values())) > 10
    assert result["records"] == []
    assert not result["heavy"], "transformers is imported with PyKEEN: every user of PyKEEN would pay for it"


def test_install_is_idempotent() -> None:
    """A second installation changes nothing."""
    from pykeen.models import model_resolver

    before = dict(model_resolver.lookup_dict)
    _bridge.install()
    assert model_resolver.lookup_dict == before


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError", "SyntaxError"])
def test_broken_dependency(error: str, tmp_path) -> None:
    """A plugin class that cannot be loaded is skipped with a warning; PyKEEN stays whole, and so do our other classes."""
    (tmp_path / "transformers.py").write_text(f"raise {error}('broken')\n")
    (tmp_path / "safetensors.py").write_text(f"raise {error}('broken')\n")
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "import pykeen.pipeline\n"
            "from pykeen.models import model_resolver\n"
            "assert model_resolver.lookup('transe').__name__ == 'TransE'\n"
            "print('whole')",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip().endswith("whole")
