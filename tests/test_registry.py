"""Every class that the entry points register is documented and has a test."""

import pathlib
import re
from importlib.metadata import entry_points

import pytest
from docdata import get_docdata

from pykeen_mmkg import _bridge

TESTS = pathlib.Path(__file__).parent
GROUPS = ["pykeen.datasets", *(group for _, _, group in _bridge.GROUPS.values())]
ENTRIES = sorted(
    {(group, entry.attr, entry) for group in GROUPS for entry in entry_points(group=group) if "mmkg" in entry.module},
    key=lambda triple: triple[:2],
)
SOURCES = {
    path: path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py") if path.name != pathlib.Path(__file__).name
}


@pytest.mark.parametrize(("group", "name", "entry"), ENTRIES, ids=[name for _, name, _ in ENTRIES])
def test_registered_class(group: str, name: str, entry) -> None:
    """A registered class is named by some test, by its class or its key, and carries PyKEEN's block of docdata."""
    cls = entry.load()
    pattern = re.compile(rf"\b{name}\b|[\"']{re.escape(entry.name)}[\"']")
    assert any(pattern.search(source) for source in SOURCES.values()), f"no test names {name} or {entry.name!r}"
    assert cls.__doc__, name
    assert get_docdata(cls).get("name"), f"{name} has no docdata block with a name"


def test_there_are_entries() -> None:
    """The list above is not empty by accident."""
    assert len(ENTRIES) > 25
