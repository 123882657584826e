"""The representations of this package.

They are built in short modules: :mod:`~pykeen_mmkg.nn.cached` (once per evaluation), :mod:`~pykeen_mmkg.nn.feature`
(frozen features), :mod:`~pykeen_mmkg.nn.multimodal` (fused) and :mod:`~pykeen_mmkg.nn.imaginary` (complex).
"""

from .cached import CachedRepresentation
from .feature import FEATURE_PATH, FeatureRepresentation
from .imaginary import ComplexMultimodalRepresentation
from .multimodal import MultimodalRepresentation

__all__ = [
    "FEATURE_PATH",
    "CachedRepresentation",
    "ComplexMultimodalRepresentation",
    "FeatureRepresentation",
    "MultimodalRepresentation",
]
