"""Memory while a model trains: freed blocks are kept, and old objects are not searched for garbage.

Both change the time of a training and nothing else.

- Each step frees and asks for the same large blocks. The allocator of glibc gives such blocks back to the system at
  once, which zeroes them when they are asked for again: with large graphs this takes longer than the arithmetic. While
  a training runs, they are kept (``mallopt`` with ``M_MMAP_MAX`` 0 and a high ``M_TRIM_THRESHOLD``), and given back
  after it. The environment variable ``PYKEEN_MMKG_KEEP_MEMORY=0`` turns this off; ``MALLOC_MMAP_MAX_=0
  MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=268435456`` does the same for a whole program, and for training
  loops of one's own. Other allocators and systems are left alone.
- PyKEEN calls :func:`gc.collect` after each epoch, which looks at every object of all libraries (0.1 to 0.6 s). What
  there is before the training is frozen (:func:`gc.freeze`), so that only what came since is looked at.
"""

import contextlib
import ctypes
import functools
import gc
import os
from collections.abc import Iterator
from typing import Any

__all__ = ["KEEP_MEMORY", "frozen_garbage", "kept_memory"]

#: The environment variable that turns off, by 0, keeping freed memory while a model trains
KEEP_MEMORY = "PYKEEN_MMKG_KEEP_MEMORY"

# numbers of glibc's malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4

#: what glibc starts with; the thresholds, which no longer adapt once one option is set, as a process has them that has
#: freed large blocks
_DEFAULTS = {_MMAP_MAX: 65536, _TRIM_THRESHOLD: 64 << 20, _TOP_PAD: 128 << 10, _MMAP_THRESHOLD: 32 << 20}
_KEPT = {_MMAP_MAX: 0, _TRIM_THRESHOLD: (1 << 31) - 1, _TOP_PAD: 64 << 20}

#: the environment variables with which a user has set the allocator: theirs are not changed
_OWN = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES", "LD_PRELOAD")


@functools.cache
def _glibc() -> Any:
    """Return the C library if it is glibc, else None."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version, library.mallopt, library.malloc_trim  # noqa: B018
    except (OSError, AttributeError, TypeError):
        return None
    return library


@contextlib.contextmanager
def kept_memory() -> Iterator[bool]:
    """Keep memory that is freed, for a block of code.

    :yields: whether it is
    """
    library = None if os.environ.get(KEEP_MEMORY) == "0" or any(map(os.environ.get, _OWN)) else _glibc()
    if library is None:
        yield False
        return
    for option, value in _KEPT.items():
        library.mallopt(option, value)
    try:
        yield True
    finally:
        for option, value in _DEFAULTS.items():
            library.mallopt(option, value)
        library.malloc_trim(0)


@contextlib.contextmanager
def frozen_garbage() -> Iterator[None]:
    """Leave what exists out of the search for garbage, for a block of code.

    Blocks within each other freeze once; what somebody else has frozen stays frozen.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
