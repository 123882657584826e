"""Discovery: make PyKEEN's resolvers read the entry points of plugins.

PyKEEN reads entry points for datasets only (group ``pykeen.datasets``). Through that group this module is loaded by
whichever module of PyKEEN a user imports first. From then on, each resolver that PyKEEN creates also registers the
classes of its entry-point group, :data:`GROUPS`, and the resolvers that exist already do so at once.

The module imports nothing of PyKEEN at its own import, since PyKEEN may be half initialised at that time. A class that
cannot be loaded yet for that reason stays pending until the next resolver is created, or until the outermost import of
PyKEEN is through. A plugin class that is broken for any other reason is logged and skipped: it never breaks PyKEEN.

Once PyKEEN reads these groups itself (the patch is in ``docs/upstream.md``), this module can be deleted; until then the
two get along, since a class that is already registered is left alone.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from class_resolver import ClassResolver

__all__ = ["GROUPS", "install"]

logger = logging.getLogger(__name__)

#: module of PyKEEN -> (name of the resolver in it, base class, entry-point group)
GROUPS: dict[str, tuple[str, str, str]] = {
    "pykeen.models": ("model_resolver", "pykeen.models.base.Model", "pykeen.models"),
    "pykeen.nn.modules": ("interaction_resolver", "pykeen.nn.modules.Interaction", "pykeen.interactions"),
    "pykeen.nn": ("representation_resolver", "pykeen.nn.representation.Representation", "pykeen.representations"),
    "pykeen.nn.combination": ("combination_resolver", "pykeen.nn.combination.Combination", "pykeen.combinations"),
    "pykeen.losses": ("loss_resolver", "pykeen.losses.Loss", "pykeen.losses"),
    "pykeen.training": (
        "training_loop_resolver",
        "pykeen.training.training_loop.TrainingLoop",
        "pykeen.training_loops",
    ),
    "pykeen.evaluation": ("evaluator_resolver", "pykeen.evaluation.evaluator.Evaluator", "pykeen.evaluators"),
    "pykeen.sampling": (
        "negative_sampler_resolver",
        "pykeen.sampling.negative_sampler.NegativeSampler",
        "pykeen.negative_samplers",
    ),
    # of a library, which PyKEEN takes it from
    "class_resolver.contrib.torch": ("optimizer_resolver", "torch.optim.optimizer.Optimizer", "pykeen.optimizers"),
    "pykeen.sampling.filtering": ("filterer_resolver", "pykeen.sampling.filtering.Filterer", "pykeen.filterers"),
}

_BASES = {base: group for _, base, group in GROUPS.values()}

#: modules of this package that do without PyKEEN, whose import takes seconds: the command line's help is made of these
LIGHT = frozenset(
    f"pykeen_mmkg.{name}"
    for name in (
        "__main__",
        "_entry",
        "_version",
        "cli",
        "cli_data",
        "cli_evaluation",
        "cli_options",
        "cli_runs",
        "cli_serving",
        "errors",
    )
)

#: (resolver, entry point) pairs whose class could not be loaded while PyKEEN was half initialised
_pending: list[tuple[ClassResolver[Any], EntryPoint]] = []
_installed = False


def _initializing() -> bool:
    """Return whether a module of PyKEEN, or that of its resolvers for torch, is being imported at this moment."""
    return any(
        getattr(getattr(module, "__spec__", None), "_initializing", False)
        for name, module in list(sys.modules.items())
        if name in {"pykeen", "class_resolver.contrib.torch"} or name.startswith("pykeen.")
    )


def _register(resolver: ClassResolver[Any], entry: EntryPoint) -> None:
    """Register one class; keep it for later if PyKEEN is not far enough, skip it if it is broken or taken."""
    try:
        element = entry.load()
        if element in resolver.lookup_dict.values():
            return
        resolver.register(element)
    except (ImportError, AttributeError) as error:
        if _initializing():
            _pending.append((resolver, entry))
        else:
            logger.warning("could not load %s: %s", entry.value, error)
    except Exception as error:  # a plugin must never break the import of PyKEEN for everybody
        logger.warning("could not register %s: %s", entry.value, error)


def _retry() -> None:
    pending, _pending[:] = list(_pending), []
    for resolver, entry in pending:
        _register(resolver, entry)


def _attach(resolver: ClassResolver[Any], base: type) -> None:
    """Register the entry points of a resolver's group, then whatever had to wait."""
    group = _BASES.get(f"{base.__module__}.{base.__qualname__}")
    if group is None:
        return
    for entry in entry_points(group=group):
        _register(resolver, entry)
    _retry()


def _wrap(original: Callable[..., ClassResolver[Any]]) -> Callable[..., ClassResolver[Any]]:
    def from_subclasses(cls: type[ClassResolver[Any]], base: type, **kwargs: Any) -> ClassResolver[Any]:
        resolver = original.__func__(cls, base, **kwargs)  # type: ignore[attr-defined]
        _attach(resolver, base)
        return resolver

    from_subclasses.__doc__ = original.__doc__
    return from_subclasses


class _PyKEENFirst(MetaPathFinder):
    """Imports PyKEEN whole before the first of our modules that builds on it, and finds nothing itself.

    If the plugin is imported first, its modules then find PyKEEN ready, and no resolver asks for one of them that is
    half initialised.
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> None:
        if not fullname.startswith("pykeen_mmkg.") or fullname in LIGHT or _initializing():
            return
        sys.meta_path.remove(self)
        import_module("pykeen.training")
        import_module("pykeen.models")
        import_module("pykeen.evaluation")
        _retry()


#: the module of PyKEEN that makes a command of each model
_BUILDERS = "pykeen.models.cli.builders"


class _CompletedCommands(MetaPathFinder):
    """Lets the builder of PyKEEN's commands, once it is imported, take what it leaves out from our models' docstrings.

    It is imported for PyKEEN's command line only, see :mod:`pykeen_mmkg.train_options`.
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        if fullname != _BUILDERS:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def complete(module: ModuleType) -> None:
                execute(module)
                wrap = import_module("pykeen_mmkg.train_options").complete_builder
                module.build_cli_from_cls = wrap(module.build_cli_from_cls)  # type: ignore[attr-defined]

            spec.loader.exec_module = complete  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Attach our entry-point groups to the resolvers of PyKEEN, those that exist and those to come; idempotent."""
    global _installed
    if not _installed:
        _installed = True
        ClassResolver.from_subclasses = classmethod(_wrap(ClassResolver.from_subclasses))  # type: ignore
        for name, (attribute, _, _) in GROUPS.items():
            resolver = getattr(sys.modules.get(name), attribute, None)
            if isinstance(resolver, ClassResolver):
                _attach(resolver, resolver.base)
        sys.meta_path.insert(0, _PyKEENFirst())
        if _BUILDERS not in sys.modules:
            sys.meta_path.insert(0, _CompletedCommands())
    _retry()
