"""Mutation test: small changes of the package's code, of which the tests have to notice each.

    python benchmarks/mutants.py nn/kernels nn/fusion/learned --sample 60
    python benchmarks/mutants.py nn/kernels --again     # the survivors once more, after new tests
    python benchmarks/mutants.py --report

A mutant is the module with one change of its syntax tree: another comparison, sign, operator or number; an argument, a
``not``, a statement or a call such as ``clamp`` left out. It replaces the module in a copy of the package, and the test
modules of :data:`TESTS` run on it until the first failure, in a process forked from one that has imported torch and
PyKEEN already, so that a mutant costs little more than its tests. Results are kept in a JSON file, by which a run that
was interrupted goes on. What survives and may is in ``mutants_equivalent.json``, with the reason.
"""

import argparse
import ast
import compileall
import contextlib
import copy
import json
import os
import pathlib
import py_compile
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = "pykeen_mmkg"
EQUIVALENT = pathlib.Path(__file__).with_name("mutants_equivalent.json")

#: module -> the test modules that have to notice its mutants
TESTS: dict[str, list[str]] = {
    "nn/kernels": ["nn/test_kernels.py"],
    "nn/fusion/abstract": ["nn/fusion/test_abstract.py"],
    "nn/fusion/fixed": ["nn/fusion/test_fixed.py", "nn/fusion/test_abstract.py"],
    "nn/fusion/learned": ["nn/fusion/test_learned.py", "nn/fusion/test_abstract.py"],
    "nn/zero_shot/generator": ["nn/zero_shot/test_generator.py"],
    "nn/zero_shot/pair_evidence": ["nn/zero_shot/test_pair_evidence.py"],
    "nn/zero_shot/kinds": ["nn/zero_shot/test_kinds.py", "nn/zero_shot/test_pair_evidence.py"],
    "nn/zero_shot/running_norm": ["nn/zero_shot/test_running_norm.py"],
    "evaluation/protocols": ["evaluation/test_protocols.py", "evaluation/test_candidates.py"],
    "evaluation/evaluator": ["evaluation/test_evaluator.py", "evaluation/test_protocols.py"],
    "evaluation/ranking": [
        "evaluation/test_ranking.py",
        "evaluation/test_protocols.py",
        "evaluation/test_evaluator.py",
    ],
    "evaluation/candidates": ["evaluation/test_candidates.py", "evaluation/test_protocols.py"],
}

#: what the tests import, but for the package
PRELOAD = [
    *("pykeen.datasets", "pykeen.evaluation", "pykeen.hpo", "pykeen.models", "pykeen.pipeline", "pykeen.training"),
    *("hypothesis.strategies", "pandas", "PIL.Image", "pytest", "safetensors.torch", "scipy.sparse", "sklearn", "yaml"),
]

COMPARE: dict[type, list[type]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
}
BINARY: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
#: arguments that no test on a CPU can tell from their default, or that only guard what is checked before
UNTOLD = {"device", "location", "strict"}

#: methods without which the tensor itself is left
# fmt: off
UNWRAP = {
    "abs", "all", "any", "clamp", "clamp_", "clamp_min", "clamp_max", "clip", "clone", "cumsum", "detach",
    "double", "exp", "flip", "float", "log", "log1p", "log_softmax", "masked_fill", "masked_fill_", "neg",
    "norm", "normalize", "relu", "round", "sigmoid", "sign", "sign_", "softmax", "softplus", "sort", "sqrt",
    "square", "square_", "squeeze", "strip", "tanh", "unique", "unsqueeze",
}
# fmt: on
SWAP = {"mean": "sum", "sum": "mean", "max": "min", "min": "max", "argmax": "argmin", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """A change of a module."""

    #: what it is called in results: where, in which line, what
    key: str
    line: int
    source: str


def _name(node: ast.AST) -> str:
    return type(node).__name__


def _alternatives(node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    """Yield what an expression or a statement may be replaced by (None: nothing at all), and a name for that."""
    match node:
        case ast.Compare(ops=[op, *_]):
            for other in COMPARE.get(type(op), []):
                changed = copy.deepcopy(node)
                changed.ops[0] = other()
                yield f"{_name(op)} -> {other.__name__}", changed
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in BINARY:
            changed = copy.deepcopy(node)
            changed.op = BINARY[type(op)]()
            yield f"{_name(op)} -> {BINARY[type(op)].__name__}", changed
        case ast.UnaryOp(op=op, operand=operand):
            yield f"without {_name(op)}", operand
        case ast.BoolOp(op=op):
            changed = copy.deepcopy(node)
            changed.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield f"{_name(op)} -> {_name(changed.op)}", changed
        case ast.Constant(value=bool(value)):
            yield f"{value} -> {not value}", ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield f"{value} -> {value + 1}", ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield f"{value} -> {2 * value or 1.0}", ast.Constant(2 * value or 1.0)
        case ast.IfExp(body=body, orelse=orelse):
            yield "always the first", body
            yield "always the second", orelse
        case ast.Call(func=func, keywords=keywords):
            for i, keyword in enumerate(keywords):
                if keyword.arg is not None and keyword.arg not in UNTOLD:
                    changed = copy.deepcopy(node)
                    del changed.keywords[i]
                    yield f"without {keyword.arg}=", changed
            if isinstance(func, ast.Attribute):
                module = isinstance(func.value, ast.Name) and func.value.id in {"torch", "functional", "math", "np"}
                if func.attr in UNWRAP:
                    if not module:
                        yield f"without .{func.attr}()", func.value
                    elif node.args:
                        yield f"without {func.attr}()", node.args[0]
                if func.attr in SWAP and not module:
                    changed = copy.deepcopy(node)
                    changed.func.attr = SWAP[func.attr]  # type: ignore[attr-defined]
                    yield f"{func.attr} -> {SWAP[func.attr]}", changed
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break():
            yield "without the statement", None
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "without the statement", None
        case ast.If(body=[*_, ast.Return() | ast.Continue()], orelse=[]):
            yield "without the case", None
    if isinstance(node, ast.AugAssign):
        yield "without the statement", None
    if isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
        changed = copy.deepcopy(node)
        changed.test = ast.UnaryOp(ast.Not(), node.test)
        yield "condition negated", changed


def _places(node: ast.AST, where: str = "") -> Iterator[tuple[str, ast.AST, str, int | None, ast.AST]]:
    """Yield (function, parent, field, index in it, child), but for annotations, docstrings and messages of errors."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "type_params", "exc", "cause", "msg", "bases"}:
            continue
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or (
                isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            ):
                continue
            if isinstance(node, ast.keyword) and node.arg in UNTOLD:
                continue
            if isinstance(child, ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr):
                continue
            if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                continue
            inner = where
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inner = f"{where}.{child.name}".lstrip(".")
                if child.name in {"iter_extra_repr", "__repr__"}:
                    continue
            yield inner, node, field, index, child
            yield from _places(child, inner)


def mutants(path: pathlib.Path) -> list[Mutant]:
    """Return all mutants of a module.

    :param path: the module
    :returns: the mutants, each with the whole source; keys are unique and survive changes elsewhere in the file
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    found: list[Mutant] = []
    counts: dict[str, int] = {}
    for where, parent, field, index, child in list(_places(tree)):
        for what, other in _alternatives(child):
            owner = getattr(parent, field)
            if index is None:
                setattr(parent, field, other if other is not None else ast.Pass())
            else:
                owner[index] = other if other is not None else ast.Pass()
            try:
                source = ast.unparse(ast.fix_missing_locations(tree))
                compile(source, str(path), "exec")
            except (SyntaxError, ValueError):
                source = ""
            if index is None:
                setattr(parent, field, child)
            else:
                owner[index] = child
            if source:
                line = child.lineno  # type: ignore[attr-defined]
                key = f"{where}: {lines[line - 1].strip()} | {what}"
                counts[key] = counts.get(key, 0) + 1
                if counts[key] > 1:
                    key += f" #{counts[key]}"
                found.append(Mutant(key, line, source))
    plain = ast.unparse(tree)
    return [mutant for mutant in found if mutant.source != plain]


def _run_tests(folder: pathlib.Path, tests: list[str], log: pathlib.Path) -> int:
    """Run tests on the package in a folder; the process is a child that ends with them."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    import hypothesis
    import pytest

    # the same examples for each mutant; what fails need not be made simpler
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile(
        "mutants", max_examples=30, derandomize=True, database=None, deadline=None, phases=phases
    )
    hypothesis.settings.load_profile("mutants")
    # PyKEEN is there, without plugins: it gets this one now
    from pykeen.datasets import dataset_resolver

    file = import_module(PACKAGE).__file__
    assert file is not None and file.startswith(str(folder))
    dataset_resolver.register_entrypoint("pykeen.datasets")
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=short", "-W", "ignore"]
    return int(pytest.main([*arguments, "--rootdir", str(ROOT), *(str(ROOT / "tests" / test) for test in tests)]))


def _in_child(folder: pathlib.Path, tests: list[str], limit: float, log: pathlib.Path) -> tuple[str, float]:
    """Fork, run tests, wait.

    :param limit: the CPU seconds after which the child ends, so that a busy machine kills no mutant; in real time it
        has twenty times as many
    :returns: ``killed``, ``survived`` or ``timeout``; and the CPU seconds it took
    """
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 2))
            code = _run_tests(folder, tests, log)
        except BaseException as error:
            print("not even importable:", repr(error))
        finally:
            sys.stdout.flush()
            os._exit(code)
    while time.monotonic() - start < 20 * limit:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            outcome = "timeout" if os.WIFSIGNALED(status) else "killed" if status else "survived"
            return outcome, usage.ru_utime + usage.ru_stime
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout", limit


def _preload() -> None:
    """Import what all tests need, and PyKEEN without its plugins, so that the mutated package registers itself."""
    import class_resolver.base

    entry_points = class_resolver.base.entry_points

    def others(**kwargs: Any) -> Any:
        found = entry_points(**kwargs)
        return type(found)(entry for entry in found if not entry.value.startswith(PACKAGE))

    class_resolver.base.entry_points = others
    for module in PRELOAD:
        with contextlib.suppress(ImportError):
            import_module(module)
    class_resolver.base.entry_points = entry_points
    # an editable installation has a finder of its own
    sys.meta_path[:] = [finder for finder in sys.meta_path if PACKAGE not in getattr(finder, "__module__", "")]
    assert PACKAGE not in sys.modules


def _copy(folder: pathlib.Path) -> None:
    """Copy the package and the entry points, compiled."""
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / f"{PACKAGE}.egg-info", folder / f"{PACKAGE}.egg-info")
    # what is compiled is checked by content: a mutant may have the size and the time of the one before
    compileall.compile_dir(folder / PACKAGE, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)


def _write(path: pathlib.Path, content: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)


def _report(results: dict[str, dict[str, str]], verbose: bool = True) -> float:
    """Print the share of mutants killed, of those that matter; return the least."""
    equivalent: dict[str, dict[str, str]] = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    shares = []
    for module, found in sorted(results.items()):
        current = {mutant.key: mutant for mutant in mutants(ROOT / PACKAGE / f"{module}.py")}
        found = {key: status for key, status in found.items() if key in current}
        survivors = [key for key, status in found.items() if status == "survived"]
        excused = [key for key in survivors if key in equivalent.get(module, {})]
        matter = len(found) - len(excused)
        shares.append((matter - len(survivors) + len(excused)) / max(1, matter))
        print(
            f"{module}: {len(found)} of {len(current)} mutants run, {len(excused)} equivalent; of the others "
            f"{shares[-1]:.1%} killed, {len(survivors) - len(excused)} survived"
        )
        for key in sorted(set(survivors) - set(excused), key=lambda key: current[key].line):
            if verbose:
                print(f"  {current[key].line}: {key}")
    return min(shares, default=1.0)


def main() -> None:
    """Run the mutants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(TESTS)}; all unless said otherwise")
    parser.add_argument("--sample", type=int, help="how many mutants of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--timeout", type=float, default=5.0, help="in times of the CPU seconds of the tests on the code as it is"
    )
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "results" / "mutants.json")
    parser.add_argument("--again", action="store_true", help="only what survived so far")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--fail-under", type=float, default=0.0, help="the least share killed of each module")
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, str]] = json.loads(args.output.read_text()) if args.output.is_file() else {}
    modules = args.modules or list(TESTS)
    if not args.report:
        _preload()
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name).resolve()
            _copy(folder)
            for module in modules:
                _run_module(module, folder, args, results)
    if _report({module: results.get(module, {}) for module in modules}) < args.fail_under:
        sys.exit(1)


def _run_module(
    module: str, folder: pathlib.Path, args: argparse.Namespace, results: dict[str, dict[str, str]]
) -> None:
    path = folder / PACKAGE / f"{module}.py"
    tests, log = TESTS[module], folder / "log"
    plain = path.read_text(encoding="utf-8")
    found = results.setdefault(module, {})
    chosen = mutants(path)
    if args.sample is not None:
        chosen = random.Random(args.seed).sample(chosen, min(args.sample, len(chosen)))
    keys = {mutant.key for mutant in chosen}
    todo = [m for m in chosen if (found.get(m.key) == "survived" if args.again else m.key not in found)]
    if args.again and args.sample is None:
        todo = [m for m in chosen if found.get(m.key) == "survived"]
    if not todo:
        return
    status, taken = _in_child(folder, tests, 600.0, log)
    if status != "survived":
        sys.exit(f"the tests of {module} fail on the code as it is:\n{log.read_text()[-3000:]}")
    print(f"{module}: {len(todo)} of {len(keys)} mutants to run; the tests take {taken:.1f} s of CPU time", flush=True)
    try:
        for mutant in todo:
            path.write_text(mutant.source, encoding="utf-8")
            status, _ = _in_child(folder, tests, max(5.0, args.timeout * taken), log)
            found[mutant.key] = status
            if status == "survived":
                print(f"  {mutant.line}: {mutant.key}", flush=True)
            _write(args.output, results)
    finally:
        path.write_text(plain, encoding="utf-8")


if __name__ == "__main__":
    main()
