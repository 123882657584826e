"""Checks of options that come from people, by keyword, JSON, YAML or command line: nothing is guessed, nothing ignored.

A constructor that is decorated with :func:`strict` gets what its annotations say, or raises an error that names the
option: ``"no"`` is no bool (it would count as true), ``"12"`` no number, ``True`` none either, and -1 no size.
"""

import difflib
import functools
import inspect
import math
import numbers
import pathlib
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from .errors import MultimodalError

__all__ = [
    "NO_VALIDATION",
    "accepted",
    "check_keys",
    "check_known",
    "check_option",
    "check_training",
    "look_up",
    "strict",
]

#: the least value that a number may have, or the least and the largest one
Bounds = float | tuple[float, float]

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

F = TypeVar("F", bound=Callable[..., Any])

#: the message where a stopper has nothing to evaluate on
NO_VALIDATION = (
    "Early stopping needs validation triples, and the dataset has none: add a validation split (`split` of a "
    "multimodal dataset draws one), or leave the stopper out."
)

#: what options of PyKEEN's training have to be
_TRAINING: Mapping[str, tuple[Any, Bounds]] = {"num_epochs": (int, 0), "batch_size": (int | None, 1)}


def strict(**bounds: Bounds) -> Callable[[F], F]:
    """Check the arguments of a function by its annotations: bool, int, float, str, literals, and collections of them.

    What is annotated otherwise is not looked at, nor are the values of further keyword arguments.

    :param bounds: by name, the least value that a number may have, or the least and the largest one
    :returns: the decorator; the decorated function raises :class:`~pykeen_mmkg.errors.MultimodalError`
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        if unknown := set(bounds) - set(signature.parameters):
            raise TypeError(f"{function.__qualname__} has no parameter {unknown}")

        @functools.lru_cache(maxsize=1)
        def hints() -> Mapping[str, Any]:
            # late: a module may import what its annotations name after the class is made
            return typing.get_type_hints(function)

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            try:
                given = signature.bind_partial(*args, **kwargs).arguments
            except TypeError:
                return function(*args, **kwargs)  # Python's own message names the class as well
            for name, value in given.items():
                if name in hints() and signature.parameters[name].kind not in _VARIABLE:
                    check_option(name, value, hints()[name], bounds.get(name))
            return function(*args, **kwargs)

        checked.__annotations__ = {name: _on_command_line(hint) for name, hint in function.__annotations__.items()}
        return checked  # type: ignore[return-value]

    return decorate


def _on_command_line(hint: Any) -> Any:
    """Return what PyKEEN's command line makes an option of: a text, where an object or its name may be given."""
    args = get_args(hint)
    named = get_origin(hint) in (Union, types.UnionType) and {str, type(None)} < set(args)
    # under Python 3.10, Sequence[str] is a type as well
    objects = all(get_origin(arg) is type or (get_origin(arg) is None and isinstance(arg, type)) for arg in args)
    return str | None if named and objects and not {bool, int, float} & set(args) else hint


def check_option(name: str, value: Any, hint: Any, bounds: Bounds | None = None) -> Any:
    """Check one option.

    :param name: what the message calls it
    :param value: the value
    :param hint: the type that it must have
    :param bounds: the least value that a number may have, or the least and the largest one
    :returns: the value
    :raises MultimodalError: if the value is of another type, not finite, or out of bounds
    """
    if not _fits(value, hint):
        raise MultimodalError(f"The option {name}={value!r} must be {_words(hint)}.")
    if bounds is not None and isinstance(value, int | float | numbers.Real):
        low, high = bounds if isinstance(bounds, tuple) else (bounds, math.inf)
        if not low <= float(value) <= high:
            wanted = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise MultimodalError(f"The option {name}={value!r} must be {wanted}.")
    return value


def check_keys(name: str, given: Iterable[Any], known: Collection[str]) -> None:
    """Check the keys of a mapping, or the names in a list.

    :param name: the option
    :param given: the keys
    :param known: those that mean something
    :raises MultimodalError: if there is another one
    """
    if unknown := [key for key in given if key not in known]:
        raise MultimodalError(f"The option {name} names {unknown[0]!r}, which is none of {sorted(known)}.")


def accepted(function: Callable[..., Any] | type) -> frozenset[str] | None:
    """Return the keywords that a function, or the constructor of a class with those of its bases, takes.

    :param function: the function or class
    :returns: the names; None if it takes any
    """
    found: set[str] = set()
    levels = (
        [vars(base).get("__init__") for base in inspect.getmro(function)] if isinstance(function, type) else [function]
    )
    for level in filter(None, levels):
        parameters = inspect.signature(level).parameters.values()
        found |= {parameter.name for parameter in parameters if parameter.kind in _NAMED}
        # further keywords go on to the next base
        if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            return frozenset(found - {"self"})
    return None


def check_known(what: str, given: Collection[Any], known: Collection[str] | None) -> None:
    """Refuse what is not known, with what comes near it.

    :param what: what it would be, for the message
    :param given: the names
    :param known: those that there are; None: any
    :raises MultimodalError: if one is unknown
    """
    for name in given:
        if known is not None and name not in known:
            near = difflib.get_close_matches(str(name), sorted(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {sorted(known)}."
            raise MultimodalError(f"{name!r} is no {what}; {hint}")


def look_up(what: str, resolver: Any, hint: Any) -> Any:
    """Return the class that a hint means.

    :param what: what it is, for the message
    :param resolver: the resolver of these classes
    :param hint: a name, a class, or none for the default
    :raises MultimodalError: if there is none of this name
    """
    try:
        return resolver.lookup(hint)
    except KeyError as error:
        known = ", ".join(sorted(resolver.lookup_dict))
        raise MultimodalError(f"Unknown {what} {hint!r}; choose one of {known}.") from error


def check_training(where: str, options: Any) -> None:
    """Check the options of training that PyKEEN takes as they are, and which then train nothing or fail late.

    :param where: whose options these are
    :param options: the keyword arguments of PyKEEN's training
    :raises MultimodalError: if they are no mapping, or a number of epochs or a batch size is none
    """
    check_option(f"{where}: training_kwargs", options, Mapping[str, Any] | None)
    for name, (hint, bounds) in _TRAINING.items():
        if name in (options or {}):
            check_option(f"{where}: {name}", options[name], hint, bounds)


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of a type; what is no plain type of JSON fits unseen."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and _is_finite(value)
    if hint is str:
        return isinstance(value, str)
    if hint is pathlib.Path:
        return isinstance(value, pathlib.Path)
    if origin is Literal:
        return any(value is arg or (type(value) is type(arg) and value == arg) for arg in args)
    if not isinstance(origin, type) or not issubclass(origin, Collection):
        return True
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_fits(k, args[0]) and _fits(v, args[1]) for k, v in value.items())
    # a text would pass for its letters, and a mapping for its keys
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return False
    plain = isinstance(value, list | tuple | set | frozenset) and origin is not tuple
    return not plain or all(_fits(entry, args[0]) for entry in value)


def _is_finite(value: numbers.Real) -> bool:
    """Return whether a number is finite; an integer that no float can hold counts as infinite."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _words(hint: Any) -> str:
    """Say what a type is."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(arg) for arg in args))
    if origin is Literal:
        return f"one of {list(args)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping" if Any in args[1:] else f"a mapping, of which each value is {_words(args[1])}"
    if isinstance(origin, type) and issubclass(origin, Collection):
        return "a list" if Any in args else f"a list, of which each entry is {_words(args[0])}"
    plain = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text", type(None): "none"}
    return plain.get(hint) or str(hint).replace("collections.abc.", "").replace("typing.", "")
