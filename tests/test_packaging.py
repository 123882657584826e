"""What is declared is what is used: imported packages, shipped files, and the version wherever it is told."""

import ast
import configparser
import pathlib
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pykeen_mmkg

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")


def declared(text: str) -> set[str]:
    """Return the names of the distributions in a list of requirements."""
    return {canonicalize_name(Requirement(line).name) for line in text.split("\n") if line.strip()}


REQUIRED = declared(CONFIG["options"]["install_requires"])
EXTRAS = {name: declared(text) for name, text in CONFIG["options.extras_require"].items()}


def imports(path: pathlib.Path) -> Iterator[tuple[str, bool]]:
    """Yield the top-level packages that a file imports from elsewhere, and whether it does so when it is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"pykeen_mmkg"}:
            yield name, id(node) not in later


#: packages of extras whose distribution is called otherwise
OTHERWISE = {"faiss": "faiss-cpu"}


def test_imports_are_declared() -> None:
    """Every import has a requirement; one that only an extra brings is not needed to import the module."""
    distributions = packages_distributions()
    optional = REQUIRED.union(*(names for extra, names in EXTRAS.items() if extra not in ("tests", "docs")))
    used = set()
    for path in sorted((ROOT / "pykeen_mmkg").rglob("*.py")):
        for name, at_once in imports(path):
            # a package that is absent here (an extra) is called like its distribution, or listed above
            absent = [OTHERWISE.get(name, name)]
            candidates = {canonicalize_name(found) for found in distributions.get(name, absent)}
            used |= candidates
            allowed = REQUIRED if at_once else optional
            assert candidates & allowed, f"{path.relative_to(ROOT)} imports {name}, which setup.cfg does not declare"
    assert used >= REQUIRED, f"declared and not imported: {REQUIRED - used}"


def test_an_undeclared_import_is_found(tmp_path: pathlib.Path) -> None:
    """The reader of imports sees plain ones, parts, those within functions, and no relative ones."""
    path = tmp_path / "module.py"
    path.write_text("import os\nimport a.b\nfrom c.d import e\nfrom . import f\ndef g():\n    import h as i\n")
    assert set(imports(path)) == {("a", True), ("c", True), ("h", False)}


def test_lowest_versions() -> None:
    """Each requirement of the package says from which release on."""
    for line in CONFIG["options"]["install_requires"].split("\n"):
        assert not line.strip() or re.search(r">=\d", line), f"{line} has no lowest version"


def test_lowest_versions_are_tried() -> None:
    """``tox -e lowest`` installs exactly the lowest releases that are declared."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    pinned = {canonicalize_name(r.name): str(r.specifier) for r in _requirements(tox["testenv:lowest"]["deps"])}
    options = CONFIG["options"]["install_requires"], CONFIG["options.extras_require"]["plotting"]
    lowest = _requirements("\n".join(options))
    for requirement in lowest:
        expected = str(requirement.specifier).replace(">=", "==")
        assert pinned[canonicalize_name(requirement.name)] == expected, requirement.name


def test_each_library_has_its_reason() -> None:
    """CONTRIBUTING.md says of each declared library why it is this one, and names none that is not declared."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Libraries, and why each")[2]
    rows = re.findall(r"^\| ([\w, -]+) \| ([^|]+) \| ([^|]+) \|$", text, flags=re.MULTILINE)
    listed = {canonicalize_name(name) for names, _, _ in rows for name in names.split(", ")} - {"library"}
    for_developers = {"tests", "docs", "demo-build"}
    named = REQUIRED.union(*(names for extra, names in EXTRAS.items() if extra not in for_developers))
    assert listed == named
    words = {canonicalize_name(word) for word in re.findall(r"[\w-]*\w", text.rpartition("What developers need")[2])}
    assert {name for extra in for_developers for name in EXTRAS[extra]} - named <= words


def _requirements(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.split("\n") if line.strip() and not line.strip().startswith(("#", "{"))]


@pytest.mark.parametrize("name", ["py.typed", "datasets/wn_emoji/NOTICE", "serving/explore.html"])
def test_package_data(name: str) -> None:
    """Files beside the modules, which an installation must have as well."""
    assert (pathlib.Path(pykeen_mmkg.__file__).parent / name).is_file()


def test_version() -> None:
    """The citation names the version of the package, and the changelog has a place for what is new."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == pykeen_mmkg.__version__
    assert citation["license"] == CONFIG["metadata"]["license"]
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
