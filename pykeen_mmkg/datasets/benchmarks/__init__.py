"""The benchmarks of multimodal and zero-shot link prediction, by name."""

from collections.abc import Sequence

from ...errors import DataError
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
    "select_benchmarks",
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


def select_benchmarks(names: Sequence[str] = ()) -> tuple[type[Benchmark], ...]:
    """Return benchmarks by name, in the order of the names; all of them if there are none.

    :param names: the names, as in ``pipeline(dataset=...)``
    :returns: the classes
    :raises DataError: if there is no such benchmark
    """
    known = {cls.__name__.lower(): cls for cls in BENCHMARKS}
    if unknown := [name for name in names if name.lower() not in known]:
        raise DataError(f"{unknown[0]!r} is no benchmark; there are {', '.join(known)}")
    return tuple(known[name.lower()] for name in names) or BENCHMARKS
