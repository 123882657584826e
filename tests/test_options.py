"""Options by their annotations: what fits, what does not, and what a decorated constructor still is."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy
import pytest
from class_resolver import ClassResolver
from pykeen.evaluation import evaluator_resolver
from pykeen.losses import loss_resolver
from pykeen.models import DistMult, model_resolver
from pykeen.optimizers import optimizer_resolver
from pykeen.sampling import negative_sampler_resolver

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.options import accepted, check_keys, check_option, check_training, look_up, strict


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (True, bool),
        (3, int),
        (numpy.int64(3), int),
        (3, float),
        (0.5, float),
        (numpy.float32(0.5), float),
        ("a", str),
        (None, int | None),
        ("a", str | Path),
        (Path("a"), str | Path),
        ("a", Literal["a", "b"]),
        ([1, 2], Sequence[int]),
        ((1, "a"), Sequence[int | str]),
        ("ab", str | Sequence[str]),
        ({"a": 1}.keys(), Collection[str]),
        (numpy.arange(3), Sequence[int]),
        (["head"], Collection[Literal["head", "tail"]]),
        ({"a": 1}, Mapping[str, int]),
        ({"a": [1]}, Mapping[str, Sequence[int]]),
        ({"head"}, Collection[str]),
        (range(3), Sequence[int]),
        (object(), Any),
        (3, Path | int),
    ],
)
def test_what_fits(value: object, hint: object) -> None:
    assert check_option("x", value, hint) is value


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        ("no", bool, "true or false"),
        (1, bool, "true or false"),
        (None, bool, "true or false"),
        ("12", int, "a whole number"),
        (True, int, "a whole number"),
        (1.0, int, "a whole number"),
        ("1e-3", float, "a finite number"),
        (float("nan"), float, "a finite number"),
        (float("inf"), float | None, "a finite number or none"),
        (3, str, "a text"),
        (3, str | Path, "a text"),
        ("c", Literal["a", "b"], r"one of \['a', 'b'\]"),
        (True, Literal[1, "x"], "one of"),
        ("12", Sequence[int], "a list"),
        ([0, "1"], Sequence[int], "a list"),
        (3, Sequence[int], "a list"),
        ({"a": 1}, Sequence[str], "a list"),
        ("ab", Sequence[str], "a list"),
        (["no"], Collection[Literal["a"]], r"each entry is one of \['a'\]"),
        (10**400, float, "a finite number"),
        ([1], Mapping[str, int], "a mapping"),
        ({"a": "1"}, Mapping[str, int], "a mapping"),
        ({1: 1}, Mapping[str, int], "a mapping"),
    ],
)
def test_what_does_not(value: object, hint: object, words: str) -> None:
    with pytest.raises(MultimodalError, match=f"The option some={'.*'}must be .*{words}"):
        check_option("some", value, hint)


def test_bounds() -> None:
    assert check_option("x", 0, int, 0) == 0
    assert check_option("x", None, int | None, 1) is None
    with pytest.raises(MultimodalError, match="x=-1 must be at least 0"):
        check_option("x", -1, int, 0)
    with pytest.raises(MultimodalError, match=r"x=1.1 must be from 0 to 1"):
        check_option("x", 1.1, float, (0, 1))


def test_a_decorated_constructor_is_what_it_was() -> None:
    class Some:
        @strict(size=1)
        def __init__(self, size: int, *rest: int, name: "str" = "x", **kwargs: int) -> None:
            """Say something."""
            self.given = (size, rest, name, kwargs)

    assert Some(2, 3, name="y", other="z").given == (2, (3,), "y", {"other": "z"})  # type: ignore[arg-type]
    assert list(inspect.signature(Some).parameters) == ["size", "rest", "name", "kwargs"]
    assert Some.__init__.__doc__ == "Say something."
    for bad in (dict(size=0), dict(size="2"), dict(size=2, name=3)):
        with pytest.raises(MultimodalError, match="The option"):
            Some(**bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Some()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no parameter"):
        strict(sise=1)(Some.__init__)


def test_keys() -> None:
    check_keys("shuffle", {"visual": 1}, ["visual"])
    with pytest.raises(MultimodalError, match=r"shuffle names 'visaul', which is none of \['visual'\]"):
        check_keys("shuffle", {"visaul": 1}, ["visual"])


@pytest.mark.parametrize(
    "options", [{"num_epochs": -1}, {"num_epochs": "5"}, {"batch_size": 0}, {"batch_size": 1.5}, 3]
)
def test_training(options: object) -> None:
    check_training("row", {"num_epochs": 0, "batch_size": None, "lr": "?"})
    check_training("row", None)
    with pytest.raises(MultimodalError, match="option row: "):
        check_training("row", options)


def test_on_the_command_line() -> None:
    """PyKEEN's commands read annotations: what an object or its name may fill is a text there, other things stay."""

    @strict()
    def f(
        a: str | Path | None = None, b: str | Sequence[str] | None = None, c: type[int] | str | None = None, d: int = 0
    ) -> None: ...

    assert f.__annotations__ == {"a": str | None, "b": str | Sequence[str] | None, "c": str | None, "d": int,
                                 "return": None}  # fmt: skip
    f(a=Path("x"), c=int)  # what is checked is what was said
    with pytest.raises(MultimodalError, match="a=3"):
        f(a=3)


def test_keywords_of_a_function() -> None:
    assert accepted(lambda a, *, b=1: None) == {"a", "b"}
    assert accepted(lambda a, **kwargs: None) is None


def test_keywords_go_up_the_bases() -> None:
    class Base:
        def __init__(self, x: int) -> None:
            """Nothing."""

    class Open(Base):
        def __init__(self, y: int, **kwargs: int) -> None:
            """Nothing."""

    class Closed(Open):
        def __init__(self, z: int) -> None:
            """Nothing."""

    assert accepted(Open) == {"x", "y"}
    assert accepted(Closed) == {"z"}
    assert {"embedding_dim", "entity_initializer", "predict_with_sigmoid"} <= (accepted(DistMult) or set())


@pytest.mark.parametrize(
    "resolver", [model_resolver, loss_resolver, optimizer_resolver, evaluator_resolver, negative_sampler_resolver]
)
def test_each_class_has_a_known_set_of_keywords(resolver: ClassResolver[Any]) -> None:
    for name, cls in resolver.lookup_dict.items():
        own = {key for key, p in inspect.signature(cls).parameters.items() if p.kind is p.KEYWORD_ONLY}
        assert own <= (accepted(cls) or set()), name


def test_a_class_by_name() -> None:
    """A name or a class gives the class; another name is refused with those that there are."""
    assert look_up("loss", loss_resolver, "softplus") is look_up(
        "loss", loss_resolver, loss_resolver.lookup("softplus")
    )
    with pytest.raises(MultimodalError, match="Unknown loss 'hard'; choose one of .*softplus"):
        look_up("loss", loss_resolver, "hard")
