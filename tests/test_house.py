"""The house: which room may know which, one name and one idea a module, and a test module for each."""

import ast
import pathlib
from collections import Counter
from collections.abc import Iterator

import pytest

import pykeen_mmkg

PACKAGE = pathlib.Path(pykeen_mmkg.__file__).parent
TESTS = pathlib.Path(__file__).parent

#: the rooms from the ground up, and which ones below each may know
ROOMS: dict[str, str] = {
    "errors": "",
    "_version": "",
    "_bridge": "",
    "_entry": "datasets",
    "_compat": "errors",
    "options": "errors",
    "io": "errors",
    "processes": "errors",
    "image_formats": "",
    "image_archives": "errors io",
    "indexing": "errors",
    "features": "errors io",
    "encoders": "errors image_archives image_formats options io features",
    "datasets": "errors image_archives image_formats options _version io indexing features",
    "vector_index": "errors io",
    "nn": "errors options _compat indexing features vector_index",
    "modalities": "errors options features encoders datasets nn",
    "sampling": "errors options indexing features datasets",
    "query_scoring": "",
    "baselines": "errors options indexing datasets modalities query_scoring",
    "models": "errors options _compat indexing features encoders datasets nn modalities sampling query_scoring "
    "baselines",
    "training": "errors options _compat processes indexing datasets nn sampling models",
    "evaluation": "errors options _compat io processes indexing features datasets modalities baselines",
    "pipeline_arguments": "errors options nn",
    "runs": "errors _version _compat io processes features datasets modalities training evaluation pipeline_arguments",
    "html_parts": "errors encoders",
    "answer_table": "datasets html_parts",
    "shares": "nn",
    "names": "errors datasets",
    "kept": "",
    "best_answers": "indexing",
    "predict": "errors indexing datasets modalities answer_table shares names kept best_answers",
    "answer_reasons": "errors predict",
    "audit": "errors image_archives io encoders indexing features datasets sampling baselines evaluation html_parts",
    "study": "errors image_archives options io encoders datasets evaluation pipeline_arguments",
    "demo": "errors datasets models evaluation names predict",
    "vectors": "errors vector_index io features datasets modalities nn",
    "similar": "errors features encoders modalities names vectors",
    "run_report": "errors answer_table evaluation html_parts predict runs",
    "serving": "errors _version answer_table datasets encoders html_parts modalities predict runs similar vectors",
    "calibration": "errors options indexing predict",
    "cli_options": "datasets runs",
    "train_options": "errors datasets",
    "cli_data": "errors datasets",
    "cli_runs": "answer_reasons errors cli_options io answer_table datasets calibration predict runs",
    "cli_serving": "calibration cli_options io run_report runs serving",
    "cli_evaluation": "cli_options evaluation io runs",
    "cli": "cli_options cli_data cli_evaluation cli_runs cli_serving errors _version io datasets modalities evaluation "
    "runs predict similar vectors audit study demo processes",
    "__main__": "cli",
}

MAX_LINES = 450
MAX_PARAMETERS = 16

#: modules without a test module of their name, and where they are tested
ELSEWHERE = {
    # nothing of their own to run: names of errors, an entry point, a record, a base or a subclass of a few lines
    "_entry": "test_registry.py",
    "errors": "test_cli.py",
    "datasets.downloading": "datasets/test_image_urls.py",
    "__main__": "test_cli.py",
    "audit.subject": "audit/test_checks.py",
    "encoders.encoder": "encoders/test_encode.py",
    "models.zero_shot.devise": "models/zero_shot/test_zsgan.py",
    "models.zero_shot.textonly": "models/zero_shot/test_relevidence.py",
    # one set of cases for all kinds, through the common entrance
    "datasets.rebuilding": "datasets/test_folder.py",
    "models.zero_shot.descriptions": "models/zero_shot/test_relevidence.py",
    "models.zero_shot.mre": "conformance_cases/case_described.py",
    "runs.card": "runs/test_run.py",
    "cli_evaluation": "test_cli.py",
}


def _modules() -> dict[str, pathlib.Path]:
    """Return the modules by name, without the package's."""
    names = {path: path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py")}
    return {".".join(parts).removesuffix("__init__").removesuffix("."): path for path, parts in names.items()}


MODULES = _modules()


def _imports(name: str) -> Iterator[str]:
    """Give what a module imports of this package, at its top or later."""
    path = MODULES[name]
    package = ["pykeen_mmkg", *name.split(".")] if name else ["pykeen_mmkg"]
    if path.name != "__init__.py":
        package.pop()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            targets = [f"{origin}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            continue
        for target in targets:
            top, _, rest = target.partition(".")
            if top == "pykeen_mmkg":
                yield rest if rest in MODULES else rest.rpartition(".")[0]


IMPORTS = {name: set(_imports(name)) for name in MODULES}


def test_the_imports_are_seen() -> None:
    """The reader of imports finds relative, absolute and late ones; otherwise the tests below could not fail."""
    assert "datasets.tables" in IMPORTS["modalities"]
    assert "study" in {target.partition(".")[0] for target in IMPORTS["cli"]}
    assert sum(map(len, IMPORTS.values())) > len(MODULES)


def test_the_table_goes_one_way() -> None:
    order = list(ROOMS)
    for room, known in ROOMS.items():
        if room != "_entry":  # PyKEEN's way in: it names the datasets and nothing knows it
            assert all(order.index(other) < order.index(room) for other in known.split()), room


@pytest.mark.parametrize("room", sorted({name.partition(".")[0] for name in MODULES if name}))
def test_a_room_knows_only_what_is_below(room: str) -> None:
    assert room in ROOMS, f"{room} is a new room: give it a place in ROOMS"
    allowed = {room, *ROOMS[room].split()}
    found = {
        f"{name} imports {target}"
        for name, targets in IMPORTS.items()
        if name.partition(".")[0] == room
        for target in targets
        if target and target.partition(".")[0] not in allowed
    }
    assert found == set()


def test_no_module_imports_itself_by_a_detour() -> None:
    reached: dict[str, set[str]] = {name: set(targets) for name, targets in IMPORTS.items()}
    changed = True
    while changed:
        changed = False
        for targets in reached.values():
            further = set().union(*(reached.get(target, set()) for target in targets)) - targets
            changed |= bool(further)
            targets |= further
    assert [name for name, targets in reached.items() if name in targets] == []


def test_no_module_is_long() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name for name, count in lines.items() if count > MAX_LINES} == set()


def test_no_two_modules_have_one_name() -> None:
    names = Counter(name.rpartition(".")[2] for name, path in MODULES.items() if path.name != "__init__.py")
    assert {name for name, count in names.items() if count > 1} == set()


def test_no_constructor_is_long() -> None:
    found = {}
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for part in node.body:
                    if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                        arguments = part.args
                        count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) - 1
                        found[f"{name}.{node.name}"] = count
    assert {where for where, count in found.items() if count > MAX_PARAMETERS} == set()


def test_each_module_has_a_test_module() -> None:
    """The tests mirror the package."""
    missing = set()
    for name, path in MODULES.items():
        if path.name == "__init__.py" or name == "_version":
            continue
        *rooms, module = name.split(".")
        if not TESTS.joinpath(*rooms, f"test_{module.lstrip('_')}.py").is_file():
            missing.add(name)
    assert missing == set(ELSEWHERE)
    for where in ELSEWHERE.values():
        assert (TESTS / where).exists(), where
