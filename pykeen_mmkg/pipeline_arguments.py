"""Arguments of PyKEEN's pipeline that come from a file: names and keys are checked before anything is trained.

The pipeline itself finds out about a wrong name of an evaluator, or a keyword that nothing takes, when it gets there,
after hours of training where that is at the end.
"""

from collections.abc import Mapping
from typing import Any

from .errors import MultimodalError
from .nn.fusion import fusion_resolver
from .options import accepted, check_known, check_option, check_training

__all__ = ["check_arguments", "named_class"]

#: what arguments must be where they are given
_TYPES: Mapping[str, Any] = {
    **dict.fromkeys(["epochs", "random_seed"], int | None),
    **dict.fromkeys(["clear_optimizer", "use_testing_data", "evaluation_fallback"], bool | None),
    **dict.fromkeys(["filter_validation_when_testing", "use_tqdm"], bool | None),
}


def named_class(what: str, name: Any) -> Any:
    """Return the class that a name in a configuration means.

    :param what: the argument of the pipeline, such as ``"model"``
    :param name: its value
    :returns: the class; None if the value is no text (a list of trackers), or nothing is looked up by it
    :raises MultimodalError: if there is none of this name
    """
    resolver = _resolvers().get(what)
    if resolver is None or not isinstance(name, str):
        return None
    try:
        return resolver.lookup(name)
    except KeyError:
        check_known(what.replace("_", " "), [name], resolver.options)
        raise


def _resolvers() -> Mapping[str, Any]:
    # late: PyKEEN imports this package while it makes its resolvers
    from pykeen.evaluation import evaluator_resolver
    from pykeen.losses import loss_resolver
    from pykeen.lr_schedulers import lr_scheduler_resolver
    from pykeen.models import model_resolver
    from pykeen.nn.modules import interaction_resolver
    from pykeen.optimizers import optimizer_resolver
    from pykeen.regularizers import regularizer_resolver
    from pykeen.sampling import negative_sampler_resolver
    from pykeen.stoppers import stopper_resolver
    from pykeen.training import training_loop_resolver

    return {
        "evaluator": evaluator_resolver,
        "loss": loss_resolver,
        "lr_scheduler": lr_scheduler_resolver,
        "model": model_resolver,
        "interaction": interaction_resolver,
        "optimizer": optimizer_resolver,
        "regularizer": regularizer_resolver,
        "negative_sampler": negative_sampler_resolver,
        "stopper": stopper_resolver,
        "training_loop": training_loop_resolver,
    }


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check arguments of :func:`pykeen.pipeline.pipeline`: their names and types, the names and keywords in them.

    :param arguments: the arguments, as JSON holds them
    :raises MultimodalError: if something in them is unknown or of the wrong type
    """
    from pykeen.evaluation import Evaluator
    from pykeen.pipeline import pipeline
    from pykeen.training import TrainingLoop

    check_known("argument of PyKEEN's pipeline", arguments, accepted(pipeline))
    for name, value in arguments.items():
        if name.endswith("_kwargs") and name != "result_tracker_kwargs":
            check_option(name, value, Mapping[str, Any] | None)
        if name in _TYPES:
            check_option(name, value, _TYPES[name], 0)
        if name in _resolvers() and not isinstance(value, str | None):
            raise MultimodalError(f"{name} is a {type(value).__name__}; expected a name.")
    for what in _resolvers():
        cls = named_class(what, arguments.get(what))
        kwargs = arguments.get(f"{what}_kwargs") or {}
        if cls is not None:
            check_known(f"argument of the {what.replace('_', ' ')} {arguments[what]}", kwargs, accepted(cls))
    check_training("The pipeline", arguments.get("training_kwargs"))
    loop = named_class("training_loop", arguments.get("training_loop")) or TrainingLoop
    check_known("argument of training", arguments.get("training_kwargs") or {}, accepted(loop.train))
    check_known("argument of evaluation", arguments.get("evaluation_kwargs") or {}, accepted(Evaluator.evaluate))
    # what our models and PyKEEN's look up by name themselves
    model_kwargs = arguments.get("model_kwargs") or {}
    named_class("interaction", model_kwargs.get("interaction"))
    if isinstance(fusion := model_kwargs.get("fusion"), str):
        check_known("fusion", [fusion_resolver.normalize(fusion)], fusion_resolver.options)
