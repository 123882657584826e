"""The stories are short, and the README leads to each of them."""

import ast
import pathlib
import re

HERE = pathlib.Path(__file__).parent
README = HERE.parents[1] / "README.md"
MOST_LINES = 9


def stories() -> dict[str, ast.FunctionDef]:
    """The stories, as ``test_answers.py::test_predict``."""
    found = {}
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and path != pathlib.Path(__file__):
                found[f"{path.name}::{node.name}"] = node
    return found


def code_lines(story: ast.FunctionDef) -> int:
    """Count the lines that a user writes: neither the docstring nor what is asserted of the outcome."""
    body = story.body[1:] if ast.get_docstring(story) else story.body
    return sum(node.end_lineno - node.lineno + 1 for node in body if not isinstance(node, ast.Assert))


def test_the_stories_are_short():
    lengths = {name: code_lines(node) for name, node in stories().items()}
    assert len(lengths) > 20
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
    assert all(ast.get_docstring(node) for node in stories().values())
    assert all(any(isinstance(part, ast.Assert | ast.With) for part in ast.walk(node)) for node in stories().values())


def test_the_readme_leads_to_each():
    """Each story stands in the list of tasks, with a link to its module."""
    links = re.findall(r"\[`(test_\w+)`\]\(tests/stories/(test_\w+\.py)\)", README.read_text(encoding="utf-8"))
    assert sorted(f"{module}::{name}" for name, module in links) == sorted(stories())
