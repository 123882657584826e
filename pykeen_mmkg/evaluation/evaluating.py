"""Evaluate one model by one protocol, outside of PyKEEN's pipeline."""

from collections.abc import Mapping
from typing import Any

import torch
from pykeen.evaluation.evaluator import Evaluator
from pykeen.models.base import Model
from pykeen.typing import LongTensor

from ..errors import EvaluationError
from .protocols import ProtocolEvaluator
from .results import ProtocolMetricResults

__all__ = ["evaluate", "make_evaluator"]


def make_evaluator(
    protocol: str | Evaluator | type[Evaluator] | None = "standard",
    protocol_kwargs: Mapping[str, Any] | None = None,
    dataset: Any = None,
) -> Evaluator:
    """Make an evaluator by name, with the labels of the dataset at hand.

    :param protocol: the name of a protocol or of any other evaluator of PyKEEN, a class, or an instance
    :param protocol_kwargs: its arguments
    :param dataset: where a protocol looks labels up, unless its arguments say otherwise
    :returns: the evaluator
    :raises EvaluationError: if there is no such protocol, or it has no such argument
    """
    from pykeen.evaluation import evaluator_resolver  # late: resolvers load this package

    if isinstance(protocol, Evaluator):
        return protocol
    try:
        cls = evaluator_resolver.lookup(protocol)
    except (KeyError, TypeError):
        known = sorted(cls.protocol for cls in evaluator_resolver.lookup_dict.values() if hasattr(cls, "protocol"))
        raise EvaluationError(f"There is no protocol {protocol!r}; there are {known}.") from None
    kwargs = dict(protocol_kwargs or {})
    if dataset is not None and issubclass(cls, ProtocolEvaluator) and "entity_to_id" not in kwargs:
        kwargs.setdefault("dataset", dataset)
    try:
        return cls(**kwargs)
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise EvaluationError(f"The protocol {protocol!r} cannot be made of {protocol_kwargs}: {error}.") from error


def evaluate(
    model: Model,
    dataset: Any,
    protocol: str | Evaluator | type[Evaluator] | None = "standard",
    protocol_kwargs: Mapping[str, Any] | None = None,
    split: str = "testing",
    **kwargs: Any,
) -> ProtocolMetricResults:
    """Evaluate a model on a split of a dataset.

    Known answers are those of all splits up to the evaluated one, as in PyKEEN's pipeline: of training, of validation
    when testing.

    :param model: the model
    :param dataset: the dataset of PyKEEN that the model was trained on
    :param protocol: the protocol by name, see :mod:`pykeen_mmkg.evaluation.protocols`
    :param protocol_kwargs: its arguments
    :param split: ``"testing"``, ``"validation"``, ``"training"``, or a further one of a multimodal dataset's ``extra``
    :param kwargs: further arguments of :meth:`pykeen.evaluation.Evaluator.evaluate`, such as ``batch_size`` and
        ``targets``
    :returns: the results, with the rank of every triple
    :raises EvaluationError: if there is no such split
    """
    factories = {name: getattr(dataset, name) for name in ("training", "validation", "testing")}
    factories |= getattr(dataset, "extra", None) or {}
    factory = factories.get(split)
    if factory is None:
        options = [name for name, value in factories.items() if value is not None]
        raise EvaluationError(f"The dataset has no split {split!r}; it has {options}.")
    known: list[LongTensor] = [dataset.training.mapped_triples]
    if split not in ("training", "validation") and dataset.validation is not None:
        known.append(dataset.validation.mapped_triples)
    evaluator = make_evaluator(protocol, protocol_kwargs, dataset)
    extra = kwargs.pop("additional_filter_triples", None)
    if extra is not None:
        known += [extra] if torch.is_tensor(extra) else list(extra)
    if not isinstance(evaluator, ProtocolEvaluator):
        raise EvaluationError(
            f"{type(evaluator).__name__} is none of the named protocols; call its `evaluate` yourself."
        )
    return evaluator.evaluate(model, factory.mapped_triples, additional_filter_triples=known, **kwargs)
