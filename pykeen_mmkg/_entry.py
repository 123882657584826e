"""The entry points of our datasets, guarded.

PyKEEN loads the group ``pykeen.datasets`` itself and survives an ImportError only; whatever else goes wrong in one of
our modules becomes one here. The other groups are loaded by :mod:`pykeen_mmkg._bridge`, which has a guard of its own.
"""

from importlib import import_module
from typing import Any

_MODULES = {
    "MultimodalDataset": "folder",
    "WordNetEmoji": "wordnet_emoji",
}


def __getattr__(name: str) -> Any:
    try:
        module = import_module(f"pykeen_mmkg.datasets.{_MODULES.get(name, 'benchmarks')}")
    except Exception as error:
        raise ImportError(f"pykeen_mmkg.datasets: {error}") from error
    return getattr(module, name)
