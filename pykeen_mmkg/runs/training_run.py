"""A run from a few names: PyKEEN's pipeline on a dataset by name or folder, evaluated by a named protocol."""

import pathlib
from collections.abc import Mapping
from typing import Any

from pykeen.models import model_resolver
from pykeen.pipeline import PipelineResult, pipeline

from ..datasets.loading import load_dataset
from ..errors import MultimodalError, RunError
from ..evaluation.evaluating import evaluate, make_evaluator
from ..pipeline_arguments import accepted, check_arguments, check_known, named_class
from .card import METRICS
from .run_checkpoints import RunCheckpoints
from .safety import read_json

__all__ = ["BASELINES", "baseline_metrics", "read_arguments", "train_run"]

#: what every figure is to be read beside
BASELINES = ("inverserule", "degreerule", "randomrule")

#: what is said apart from the other arguments
_DATA = ("dataset", "dataset_kwargs", "training", "testing", "validation")


def read_arguments(path: str | pathlib.Path, **others: Any) -> dict[str, Any]:
    """Read arguments of PyKEEN's pipeline from a JSON file, also one of an experiment, which has them in ``pipeline``.

    :param path: the file
    :param others: arguments that win over those of the file; those that are None do not count
    :returns: the arguments
    :raises RunError: if it cannot be read, or something in it is unknown or of the wrong type
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise RunError(f"There is no configuration at {path}.")
    content = read_json(path)
    if isinstance(content, dict) and set(content) <= {"metadata", "pipeline"} and "pipeline" in content:
        content = content["pipeline"]
    if not isinstance(content, dict):
        raise RunError(f"{path} holds a {type(content).__name__}; expected a JSON object of the pipeline's arguments.")
    content |= {name: value for name, value in others.items() if value is not None}
    try:
        check_arguments(content)
    except MultimodalError as error:
        raise RunError(f"{path}: {error}") from error
    return content


def train_run(
    dataset: str | pathlib.Path,
    model: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    dataset_kwargs: Mapping[str, Any] | None = None,
    protocol: str = "standard",
    engine: str = "pykeen",
    engine_kwargs: Mapping[str, Any] | None = None,
    checkpoints: str | pathlib.Path | None = None,
    checkpoint_every: int = 1,
) -> PipelineResult:
    """Train a model in PyKEEN's pipeline, and evaluate it by a protocol that the result names.

    :param dataset: the name of a dataset, or the path of a folder
    :param model: the name of the model
    :param arguments: further arguments of :func:`pykeen.pipeline.pipeline`, such as ``epochs`` and ``model_kwargs``
    :param dataset_kwargs: keyword arguments of the dataset
    :param protocol: the protocol, unless the arguments name an ``evaluator``
    :param engine: what does the steps: ``pykeen`` the training loop of the arguments by itself, ``lightning`` the same
        on any number of devices, see :class:`~pykeen_mmkg.training.lightning_loop.LightningTrainingLoop`. Then each
        process has the result, and the first one is to save it
    :param engine_kwargs: of ``lightning``: its keyword arguments, such as ``devices`` and ``precision``
    :param checkpoints: a folder in which runs are saved meanwhile, see :class:`.RunCheckpoints`; by default none are
    :param checkpoint_every: the number of epochs between two of these
    :returns: the result, for :func:`~pykeen_mmkg.runs.save_run`; its metrics are those of the test split
    :raises MultimodalError: if a name is unknown, or an argument is unknown or of the wrong type
    """
    arguments = {**(arguments or {}), "model": model}
    if doubled := [name for name in _DATA if name in arguments]:
        raise RunError(f"The dataset is named already, so {doubled[0]!r} must not stand among the other arguments.")
    if engine == "lightning":
        arguments = _on_lightning(arguments, engine_kwargs or {})
    elif engine != "pykeen" or engine_kwargs:
        raise RunError(f"The engine {engine!r} takes no {dict(engine_kwargs or {})}; engines: 'pykeen', 'lightning'.")
    check_arguments(arguments)
    named_class("evaluator", protocol)
    data = load_dataset(str(dataset), dataset_kwargs)
    if arguments.get("evaluator") is None:
        arguments["evaluator"] = make_evaluator(protocol, arguments.pop("evaluator_kwargs", None), data)
    if hasattr(arguments["evaluator"], "shared"):
        arguments["evaluator"].shared = engine == "lightning"
    if checkpoints is not None:
        document = {
            "model": model_resolver.normalize(model),
            "model_kwargs": dict(arguments.get("model_kwargs") or {}),
            "configuration": {"dataset": str(dataset), "dataset_kwargs": dict(dataset_kwargs or {})},
            "random_seed": arguments.get("random_seed"),
        }
        saving = RunCheckpoints(checkpoints, data.training, document, every=checkpoint_every)
        arguments["training_kwargs"] = {**(arguments.get("training_kwargs") or {}), "callbacks": saving}
    result = pipeline(dataset=data, **arguments)
    # the pipeline has seen objects; whoever reads the run wants the names
    result.configuration = {
        **{key: value for key, value in result.configuration.items() if key != "callbacks"},
        "dataset": str(dataset),
        "dataset_kwargs": dict(dataset_kwargs or {}),
    }
    return result


def _on_lightning(arguments: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same arguments with the training loop, and what the pipeline would give it, inside of Lightning's."""
    arguments = dict(arguments)
    name = arguments.pop("training_loop", None) or "slcwa"
    own = dict(arguments.pop("training_loop_kwargs", None) or {})
    check_known(f"argument of the training loop {name}", own, accepted(named_class("training_loop", name)))
    for key in ("negative_sampler", "negative_sampler_kwargs"):
        if (value := arguments.pop(key, None)) is not None:
            own[key] = value
    inner = {"training_loop": name, "training_loop_kwargs": own, "seed": arguments.get("random_seed") or 0}
    return {**arguments, "training_loop": "lightning", "training_loop_kwargs": {**inner, **options}}


def baseline_metrics(
    dataset: str | pathlib.Path, dataset_kwargs: Mapping[str, Any] | None = None, protocol: str = "standard"
) -> dict[str, dict[str, float]]:
    """Evaluate the trivial baselines on the test split, for a run's model card.

    :param dataset: the name of a dataset, or the path of a folder
    :param dataset_kwargs: keyword arguments of the dataset
    :param protocol: the protocol of the run
    :returns: the metrics of each of :data:`BASELINES`
    """
    data = load_dataset(str(dataset), {**(dataset_kwargs or {}), "create_inverse_triples": False})
    found = {}
    for name in BASELINES:
        model = model_resolver.make(name, triples_factory=data.training, random_seed=0)
        result = evaluate(model, data, protocol, use_tqdm=False)
        found[name] = {key: float(value) for key, value in result.to_flat_dict().items() if key in METRICS}
    return found
