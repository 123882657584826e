"""Memory while a model trains."""

import gc
import subprocess
import sys

import pytest

from pykeen_mmkg.training import memory
from pykeen_mmkg.training.memory import KEEP_MEMORY, _glibc, frozen_garbage, kept_memory


def test_garbage_of_before_is_left_out() -> None:
    """Within, what existed is frozen, also in an inner block; afterwards, also after an error, nothing is."""
    old: list[list[int]] = [[]]

    def frozen(item: list[list[int]]) -> bool:
        # what is frozen is not listed
        return all(item is not other for other in gc.get_objects())

    with pytest.raises(KeyError), frozen_garbage():
        assert gc.get_freeze_count() > 1000 and frozen(old)
        new: list[list[int]] = [[]]
        with frozen_garbage():
            assert frozen(old) and not frozen(new)
        assert frozen(old) and not frozen(new)
        raise KeyError
    assert gc.get_freeze_count() == 0 and not frozen(old)


def test_frozen_by_others() -> None:
    """What the user has frozen stays so."""
    gc.freeze()
    try:
        with frozen_garbage():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment, and by an allocator that the user has set."""
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    for name, value in ((KEEP_MEMORY, "0"), ("MALLOC_MMAP_MAX_", "1000")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with kept_memory() as kept:
                assert not kept


COUNT = """
import resource, runpy, sys
kept_memory = runpy.run_path(sys.argv[1])["kept_memory"]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        b'x' * 48_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

outside = faults()
with kept_memory() as kept:
    assert kept
    within = faults()
after = faults()
print(outside, within, after)
"""


@pytest.mark.skipif(_glibc() is None, reason="another allocator than glibc's")
def test_pages_are_kept() -> None:
    """Blocks of 48 MB that are freed and asked for again fault once while memory is kept, and each time otherwise."""
    process = subprocess.run([sys.executable, "-c", COUNT, memory.__file__], capture_output=True, text=True, check=True)
    outside, within, after = map(int, process.stdout.split())
    assert within < outside / 5
    assert after > outside / 2
