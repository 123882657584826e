"""Multimodal knowledge graphs for PyKEEN.

Nothing here has to be imported by a user: after ``pip install pykeen-mmkg`` the unchanged PyKEEN finds the models,
representations, interactions, datasets, evaluators and training loops of this package by name, see
:mod:`pykeen_mmkg._bridge`.
"""

from . import _bridge
from ._version import VERSION as __version__

__all__ = ["__version__"]

_bridge.install()
