"""Every class that the entry points register is documented and has a test case of PyKEEN's."""

import ast
import inspect
import pathlib
import re
from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest
from docdata import get_docdata

from pykeen_mmkg import _bridge

CASES = sorted((pathlib.Path(__file__).parent / "conformance_cases").glob("case_*.py"))
GROUPS = ["pykeen.datasets", *(group for _, _, group in _bridge.GROUPS.values())]
ENTRIES = sorted(
    {(group, entry.attr, entry) for group in GROUPS for entry in entry_points(group=group) if "mmkg" in entry.module},
    key=lambda triple: triple[:2],
)


def _tested() -> Iterator[str]:
    """Yield the classes that test cases name as theirs, as PyKEEN's meta test finds them: ``cls = ...``."""
    for path in CASES:
        for case in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for statement in case.body if isinstance(case, ast.ClassDef) else ():
                match statement:
                    case ast.Assign(targets=[ast.Name("cls" | "dataset_cls")], value=ast.Name(name)):
                        yield name
                    case ast.Assign(targets=[ast.Name("cls" | "dataset_cls")], value=ast.Attribute(attr=name)):
                        yield name


TESTED = set(_tested())


@pytest.mark.parametrize(("group", "name", "entry"), ENTRIES, ids=[name for _, name, _ in ENTRIES])
def test_registered_class(group: str, name: str, entry) -> None:
    """A registered class has a conformance case, as PyKEEN's meta tests ask, and carries PyKEEN's block of docdata."""
    cls = entry.load()
    assert name in TESTED, f"no case in tests/conformance_cases has the class {name} of the group {group}"
    assert cls.__doc__, name
    assert get_docdata(cls).get("name"), f"{name} has no docdata block with a name"


@pytest.mark.parametrize(("group", "name", "entry"), ENTRIES, ids=[name for _, name, _ in ENTRIES])
def test_options_are_checked(group: str, name: str, entry) -> None:
    """A constructor of a registered class that has options of its own checks them: ``"no"`` would count as true."""
    own = [
        vars(cls)["__init__"] for cls in entry.load().__mro__ if "mmkg" in cls.__module__ and "__init__" in vars(cls)
    ]
    for function in own:
        plain = [
            parameter
            for parameter in inspect.signature(function).parameters.values()
            if re.search(r"\b(bool|int|float|str|Literal)\b", str(parameter.annotation))
        ]
        assert hasattr(function, "__wrapped__") or not plain, f"{function.__qualname__} is not @strict"


def test_every_case_is_of_a_class_that_exists() -> None:
    """The lists above are not empty by accident."""
    assert len(ENTRIES) > 25
    assert len(TESTED) >= len({name for _, name, _ in ENTRIES})
