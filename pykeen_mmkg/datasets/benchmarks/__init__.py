"""The benchmarks of multimodal and zero-shot link prediction, by name."""

from .base import DATA_VARIABLE, Benchmark
from .freebase import FB15k237Text, FB15k237ZS
from .inductive import FB15k237Inductive, WN18RRInductive
from .mmkb import MKGW, MKGY, DB15k
from .tasks import NELLZS, WikiZS
from .wikiart import WikiArtMKG
from .wordnet import WN9Img, WN18RRText

__all__ = [
    "BENCHMARKS",
    "DATA_VARIABLE",
    "MKGW",
    "MKGY",
    "NELLZS",
    "Benchmark",
    "DB15k",
    "FB15k237Inductive",
    "FB15k237Text",
    "FB15k237ZS",
    "WN9Img",
    "WN18RRInductive",
    "WN18RRText",
    "WikiArtMKG",
    "WikiZS",
]

#: all of them
BENCHMARKS: tuple[type[Benchmark], ...] = (
    WN9Img,
    WN18RRText,
    FB15k237Text,
    DB15k,
    MKGW,
    MKGY,
    WN18RRInductive,
    FB15k237Inductive,
    FB15k237ZS,
    NELLZS,
    WikiZS,
    WikiArtMKG,
)
