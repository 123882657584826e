"""What depends on private names of PyKEEN or torch: each entry says for which versions, and when it can be deleted.

Methods without a public name that our subclasses override or call stay where the subclass is; :data:`HOOKS` lists them,
and a test tells when one is gone. Nothing of PyKEEN is imported before it is asked for, since PyKEEN may be half
initialised when the plugin is loaded.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from class_resolver import OptionalKwargs

if TYPE_CHECKING:
    from pykeen.evaluation.rank_based_evaluator import _iter_ranks as iter_ranks
    from pykeen.models.nbase import _NewAbstractModel as AbstractModel
    from pykeen.training.training_loop import _get_lr_scheduler_kwargs as lr_scheduler_kwargs
    from pykeen.training.training_loop import _get_optimizer_kwargs as optimizer_kwargs

__all__ = [
    "HOOKS",
    "AbstractModel",
    "cdist_backward",
    "embedding_table",
    "evaluated_training",
    "inductive_entities",
    "iter_ranks",
    "lr_scheduler_kwargs",
    "optimizer_kwargs",
    "pipeline_without_loss",
    "state_metadata",
    "stops_without_validation",
    "tensor_version",
]

#: name here -> (module, private name). PyKEEN 1.11.1 and main.
_LATE: Mapping[str, tuple[str, str]] = {
    # the base of models that have no representations: delete once it has a public name
    "AbstractModel": ("pykeen.models.nbase", "_NewAbstractModel"),
    # the ranks of a batch by side and type of rank: delete once it has a public name
    "iter_ranks": ("pykeen.evaluation.rank_based_evaluator", "_iter_ranks"),
    # the arguments with which an optimizer or schedule was made: delete once they have public names
    "lr_scheduler_kwargs": ("pykeen.training.training_loop", "_get_lr_scheduler_kwargs"),
    "optimizer_kwargs": ("pykeen.training.training_loop", "_get_optimizer_kwargs"),
}

#: (module, class) -> methods. PyKEEN 1.11.1 and main; torch 2.6 to 2.13.
HOOKS: Mapping[tuple[str, str], Sequence[str]] = {
    ("pykeen.models.base", "Model"): ["_get_entity_len"],
    ("pykeen.nn.representation", "Representation"): ["_plain_forward"],
    ("pykeen.training", "SLCWATrainingLoop"): ["_train_epoch", "_process_batch"],
    ("pykeen.training", "TrainingLoop"): ["_load_state"],
    ("torch.nn", "Module"): ["_apply", "_load_from_state_dict"],
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, private = _LATE[name]
    return getattr(__import__(module, fromlist=[private]), private)


def ignores_default_loss(version: str) -> bool:
    """Return whether the pipeline of a version of PyKEEN ignores the loss that a model declares.

    Those up to 1.11.1 do, and of the development of 1.11.2 the commits before the mend, which have the version of those
    after it. With these, asking the frame does no harm: the answer is what their pipeline does as well.
    """
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)(-dev|\.dev)?", version)
    if numbers is None:
        return False
    release = tuple(map(int, numbers.groups()[:3]))
    return release <= (1, 11, 1) or (release == (1, 11, 2) and numbers[4] is not None)


def _pipeline_locals(function: str) -> Mapping[str, Any] | None:
    """Return the local names of the innermost running function of PyKEEN's pipeline, None if it is not running."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == function and frame.f_globals.get("__name__") == "pykeen.pipeline.api":
            return frame.f_locals
        frame = frame.f_back  # type: ignore[assignment]
    return None


def pipeline_without_loss() -> OptionalKwargs:
    """Tell whether a pipeline of PyKEEN builds a model without having been asked for a loss.

    The pipeline of 1.11.1 makes ``MarginRankingLoss()`` then, and hands it to the model, whose own ``loss_default`` is
    never looked at (https://github.com/pykeen/pykeen/issues/1612). The model cannot tell this instance from one that
    somebody chose, but the pipeline's call frame can. Up to PyKEEN 1.11.1, and on its main branch until
    https://github.com/pykeen/pykeen/pull/1613 (not in the commit 05c7bbb of December 2025). Delete once a release with
    it is required.

    :returns: the keyword arguments of the loss (possibly none of them) if no loss was asked for; None if one was, or if
        there is no such pipeline
    """
    from pykeen.version import get_version

    given = _pipeline_locals("_build_model_helper") if ignores_default_loss(get_version()) else None
    if given is None or given.get("loss", ...) is not None:
        return None
    return given.get("loss_kwargs") or {}


def stops_without_validation() -> bool:
    """Tell whether a pipeline of PyKEEN builds a model that it is going to stop early without validation triples.

    Its stopper fails then after the first epochs, by an error that names neither. PyKEEN 1.11.1 and main: with other
    names in its pipeline, this is False. Delete once PyKEEN says so itself.
    """
    given = _pipeline_locals("pipeline")
    if given is None:
        return False
    from pykeen.stoppers import NopStopper, stopper_resolver

    stopper, held_out = given.get("stopper"), given.get("validation", ...)
    asked = stopper is not None and not isinstance(stopper, NopStopper)
    if isinstance(stopper, str | type):
        asked = not issubclass(stopper_resolver.lookup(stopper), NopStopper)
    return asked and (held_out is None or (hasattr(held_out, "num_triples") and not held_out.num_triples))


def embedding_table(embedding: Any) -> torch.nn.Embedding:
    """Return the table of an embedding of PyKEEN, whose rows are flat. PyKEEN 1.11.1 and main. Delete once public."""
    return embedding._embeddings


def evaluated_training(model: torch.nn.Module) -> Any:
    """Return the training triples of the pipeline that has trained a model and now evaluates it.

    This is the one moment at which a model can tell that its training is over. PyKEEN 1.11.1 and main: with other names
    in its pipeline, this is None. Delete once models are told.

    :param model: the model
    :returns: the factory, or None if there is no such pipeline
    """
    given = _pipeline_locals("_handle_evaluation") or {}
    return given.get("training") if given.get("model_instance") is model else None


def inductive_entities(model: Any, mode: Any) -> Any:
    """Return the entity representations of a mode. PyKEEN 1.11.1 and main. Delete once there is a public way."""
    return model._get_entity_representations_from_inductive_mode(mode=mode)


def state_metadata(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the metadata of a state dict, which torch saves with it; None for a mapping by hand. torch 2.6 to 2.13."""
    metadata: Mapping[str, dict[str, Any]] | None = getattr(state, "_metadata", None)
    return None if metadata is None else metadata.get("")


def tensor_version(tensor: torch.Tensor) -> int:
    """Return the count of in-place changes. torch 2.6 to 2.13, which documents it by this private name only."""
    return tensor._version


def cdist_backward(
    grad: torch.Tensor, x: torch.Tensor, y: torch.Tensor, p: float, distances: torch.Tensor
) -> torch.Tensor:
    """Return the gradient for x of ``torch.cdist(x, y, p)``. torch 2.6 to 2.13; delete once its own needs less memory.

    :param grad: shape: ``(n, m)``, the gradient of the distances
    :param x: shape: ``(n, d)``
    :param y: shape: ``(m, d)``
    :param p: the norm
    :param distances: shape: ``(n, m)``
    :returns: shape: ``(n, d)``
    """
    return torch.ops.aten._cdist_backward(grad, x, y, p, distances)
