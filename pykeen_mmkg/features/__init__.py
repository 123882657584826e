"""Feature stores: one frozen vector per label, and the import of others' feature files."""

from .pickles import import_pickle
from .store import FeatureStore

__all__ = ["FeatureStore", "import_pickle"]
