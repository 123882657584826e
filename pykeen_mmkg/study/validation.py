"""The checks of a study: of its configuration when it is read, of data and models before the first training."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import MultimodalError
from ..evaluation.evaluating import make_evaluator
from ..evaluation.protocols import ProtocolEvaluator
from ..options import accepted, check_known
from ..pipeline_arguments import named_class

__all__ = ["StudyError", "check_cell", "check_plain", "check_protocol", "check_shape", "said_of"]

#: the most values that a configuration may hold: in YAML, a few lines of aliases can stand for more than fit in memory
MAX_VALUES = 100_000

#: the entries whose values are mappings, each of a row or a protocol
_GROUPS = ("models", "ablations", "variants", "baselines", "protocols")


class StudyError(MultimodalError):
    """The configuration of a study is wrong, or a run of it failed."""


@contextmanager
def said_of(where: str) -> Iterator[None]:
    """Let an error within say what it is about.

    :param where: the file, and the row
    :yields: nothing
    :raises StudyError: for whatever the package raises within
    """
    try:
        yield
    except StudyError:
        raise
    except MultimodalError as error:
        raise StudyError(f"{where}: {error}") from error


def check_plain(config: Any, origin: str) -> None:
    """Check that a configuration is plain JSON of bounded size, of which no part contains itself.

    :param config: the configuration
    :param origin: where it comes from
    :raises StudyError: if it is not
    """
    waiting, count = [("the top", config)], 0
    while waiting:
        where, value = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            raise StudyError(
                f"{origin} holds more than {MAX_VALUES:,} values, or an alias of YAML that contains itself."
            )
        if isinstance(value, Mapping):
            waiting += [(str(key), entry) for key, entry in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(where, entry) for entry in value]
        elif value is not None and not isinstance(value, str | bool | int | float):
            raise StudyError(
                f"{origin}: {where} is a {type(value).__name__}, which is not plain JSON; name things instead, and put "
                "dates and the like in quotes."
            )


def check_shape(config: Mapping[str, Any], known: frozenset[str], origin: str) -> None:
    """Check the keys and types at the top of a configuration.

    :param config: the configuration
    :param known: its keys
    :param origin: where it comes from
    :raises StudyError: if one is unknown, or of the wrong type
    """
    with said_of(origin):
        check_known("key of a study", config, known)
    for name, value in config.items():
        if value is None:
            continue
        if name == "base" and not isinstance(value, Mapping):
            raise StudyError(f"{origin}: `base` is a {type(value).__name__}; expected a mapping.")
        if name in ("name", "reference") and not isinstance(value, str):
            raise StudyError(f"{origin}: `{name}` is {value!r}; expected a text: put it in quotes.")
        if name == "seeds" and not _is_list(value, lambda seed: type(seed) is int and seed >= 0):
            raise StudyError(f"{origin}: the seeds {value!r} must be a list of whole numbers.")
        if name == "metrics" and not _is_list(value, lambda metric: isinstance(metric, str)):
            raise StudyError(f"{origin}: the metrics {value!r} must be a list of names.")
        if name not in _GROUPS:
            continue
        if name in ("models", "protocols") and _is_list(value, lambda entry: isinstance(entry, str)):
            continue
        if not isinstance(value, Mapping):
            raise StudyError(f"{origin}: `{name}` is a {type(value).__name__}; expected a mapping of names.")
        for key, entry in value.items():
            if not isinstance(key, str):
                # YAML takes 007 for 7, `no` for false and `nan` for a number
                raise StudyError(f"{origin}: `{name}` has the name {key!r}, which is no text: put it in quotes.")
            if not isinstance(entry, Mapping | None):
                raise StudyError(f"{origin}: `{name}`, {key!r} is a {type(entry).__name__}; expected a mapping.")


def _is_list(value: Any, entry: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and all(map(entry, value))


def check_protocol(protocol: Any, origin: str) -> None:
    """Check the names and keywords of a protocol.

    :param protocol: the protocol
    :param origin: where it comes from
    :raises StudyError: if one is unknown, or of the wrong type
    """
    from pykeen.evaluation import Evaluator  # late: resolvers load this package

    with said_of(f"{origin}: protocol {protocol.name!r}"):
        if not isinstance(protocol.protocol, str) or not isinstance(protocol.split, str):
            raise MultimodalError("`protocol` and `split` must be names.")
        cls = named_class("evaluator", protocol.protocol)
        if not issubclass(cls, ProtocolEvaluator):
            raise MultimodalError(f"{protocol.protocol!r} is an evaluator of PyKEEN, but none of the named protocols.")
        if not isinstance(protocol.protocol_kwargs, Mapping):
            raise MultimodalError("`protocol_kwargs` must be a mapping.")
        check_known(f"argument of {protocol.protocol}", protocol.protocol_kwargs, accepted(cls))
        options = (accepted(Evaluator.evaluate) or frozenset()) - {"self", "model", "mapped_triples"}
        check_known("option", protocol.kwargs, {*options, "protocol", "protocol_kwargs", "split"})
        targets = protocol.kwargs.get("targets") or []
        check_known("target", [targets] if isinstance(targets, str) else targets, ["head", "relation", "tail"])


def check_cell(config: Mapping[str, Any], protocols: list[Any], dataset: Any, where: str) -> None:
    """Check a row against its dataset: the splits are there, the evaluators and the model can be made.

    :param config: the arguments of PyKEEN's pipeline
    :param protocols: the protocols
    :param dataset: the dataset
    :param where: the file and the row
    :raises StudyError: if not
    """
    from pykeen.models import model_resolver

    names = {"training": dataset.training, "validation": dataset.validation, "testing": dataset.testing}
    splits = [name for name, factory in names.items() if factory is not None] + list(
        getattr(dataset, "extra", None) or {}
    )
    with said_of(where):
        for protocol in protocols:
            check_known("split of the dataset", [protocol.split], splits)
            make_evaluator(protocol.protocol, protocol.protocol_kwargs, dataset)
        if config.get("stopper") not in (None, "nop") and dataset.validation is None:
            raise MultimodalError(f"there is no validation split for the stopper {config['stopper']!r}.")
        if config.get("model") is None:
            return
        try:
            # what a constructor refuses is known now, not after the rows before it
            model_resolver.make(config["model"], {"random_seed": 0, **(config.get("model_kwargs") or {})},
                                triples_factory=dataset.training)  # fmt: skip
        except MultimodalError:
            raise
        except Exception as error:
            raise MultimodalError(f"the model cannot be made ({type(error).__name__}: {error}).") from error
