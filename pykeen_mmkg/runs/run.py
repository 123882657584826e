"""A saved run: a trained model, the labels of its ids, what it reads, and how it was made, in one folder.

========================= ====================================================================================
file                      content
========================= ====================================================================================
``run.json``              the model's name and keyword arguments, the pipeline's configuration, metrics, digests,
                          versions, and the structure of the state dict
``weights.safetensors``   the tensors of the state dict
``labels.json``           the labels of entities and of relations in the order of their ids
``triples.safetensors``   the training triples, as ids
``entities.tsv`` etc.     names and descriptions, where the graph has them
``features/``             the feature stores that the model reads, unless they are linked
``README.md``             the model card
========================= ====================================================================================

Nothing in it is a pickle, and to load it needs neither the dataset nor the encoder.
"""

import hashlib
import inspect
import json
import math
import numbers
import pathlib
from collections.abc import Mapping
from typing import Any

import torch
from huggingface_hub import ModelHubMixin, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from pykeen.models import Model, model_resolver
from pykeen.pipeline import PipelineResult
from pykeen.stoppers import EarlyStopper
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..datasets import labels_in_order
from ..errors import MultimodalError, RunError
from ..evaluation.description import versions
from ..io import file_digest, write_text, written_whole
from ..modalities import gathered, with_added
from .card import model_card
from .pykeen_folder import load_pykeen_run
from .safety import isolated, read_json
from .sources import FeatureMode, read_sources, without_sources, write_sources
from .state import flatten_state, restore_state

__all__ = [
    "FORMAT",
    "RUN_FILE",
    "Run",
    "amend_run",
    "graph_digest",
    "load_run",
    "open_run",
    "run_document",
    "save_run",
]

#: the version of the folder's layout
FORMAT = 1
RUN_FILE = "run.json"
WEIGHTS_FILE = "weights.safetensors"
LABELS_FILE = "labels.json"
TRIPLES_FILE = "triples.safetensors"
CARD_FILE = "README.md"

#: arguments that the pipeline adds to ``model_kwargs`` and that only training needs
TRAINING_ONLY = frozenset(["loss", "loss_kwargs", "regularizer", "regularizer_kwargs"])


def graph_digest(factory: TriplesFactory) -> str:
    """Return a SHA-256 of the labels in the order of their ids, and of the triples."""
    labels = [labels_in_order(factory.entity_to_id), labels_in_order(factory.relation_to_id)]
    sha = hashlib.sha256(json.dumps(labels).encode())
    sha.update(factory.mapped_triples.cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def _document_digest(document: Mapping[str, Any]) -> str:
    """Return a SHA-256 of the document but for its own entry ``digest``."""
    content = {key: value for key, value in document.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plain(value: Any, where: str) -> Any:
    """Return a value as plain JSON, or say what is none."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, f"{where}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{where}[{i}]") for i, entry in enumerate(value)]
    if isinstance(value, type):
        return value.__name__
    raise RunError(
        f"{where} is a {type(value).__name__}, which cannot be written as JSON. Name it (x and x_kwargs) in place of "
        "giving the object."
    )


def _without_defaults(model: type[Model], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that were given; the pipeline adds all defaults, of which some are functions."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(model).parameters.items()}
    return {
        name: value
        for name, value in kwargs.items()
        if name not in TRAINING_ONLY and not (name in defaults and value is defaults[name])
    }


def _described(value: Any) -> Any:
    """Return a value as JSON for a reader: objects by their text."""
    if isinstance(value, Mapping):
        return {str(key): _described(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_described(entry) for entry in value]
    if isinstance(value, numbers.Number) and not isinstance(value, bool | int):
        value = float(value)  # type: ignore[arg-type]
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _stopper_summary(result: PipelineResult) -> Mapping[str, Any] | None:
    """Return what an early stopper has seen: metric, frequency, results, best epoch."""
    return result.stopper.get_summary_dict() if isinstance(result.stopper, EarlyStopper) else None


class Run(
    ModelHubMixin,
    library_name="pykeen-mmkg",
    repo_url="https://pypi.org/project/pykeen-mmkg",
    tags=["knowledge-graph", "link-prediction", "multimodal", "pykeen"],
):
    """A trained model with its training triples and a description of how it was made.

    :ivar model: the model, in evaluation mode
    :ivar document: what ``run.json`` says
    """

    # not made from the arguments: the hub's file for counting downloads says no more than what this is
    _hub_mixin_config = {"library_name": "pykeen-mmkg", "format": FORMAT}

    def __init__(
        self,
        model: Model,
        training: TriplesFactory,
        document: Mapping[str, Any] | None = None,
        features: FeatureMode = "copy",
    ) -> None:
        """Initialize the run.

        :param model: the model
        :param training: the triples it was trained on
        :param document: the model's name (``model``) and keyword arguments (``model_kwargs``), and whatever else is to
            be kept
        :param features: what becomes of the feature stores when the run is saved, see :func:`save_run`
        """
        self.model, self._training, self.document, self.features = model, training, dict(document or {}), features

    @property
    def training(self) -> TriplesFactory:
        """The training triples, with labels, also of entities that the model has got since."""
        self._training = with_added(self._training, self.model)
        return self._training

    @classmethod
    def from_result(cls, result: PipelineResult, license: str | None = None, **extra: Any) -> "Run":
        """Take what there is to keep of a pipeline's result.

        :param result: the result
        :param license: the licence under which the model is shared, for the card
        :param extra: further entries of the document, such as ``baselines``
        :returns: the run
        :raises RunError: if the triples have no labels, or an argument of the model cannot be written as JSON
        """
        if not isinstance(result.training, TriplesFactory):
            raise RunError("The training triples have no labels; a run without them could never be used on other ids.")
        configuration = dict(result.configuration)
        kwargs = _without_defaults(type(result.model), configuration.pop("model_kwargs", {}))
        metrics = result.metric_results
        return cls(
            result.model,
            result.training,
            {
                "model": model_resolver.normalize_cls(type(result.model)),
                "model_kwargs": kwargs,
                "configuration": _described(configuration),
                "random_seed": result.random_seed,
                "metrics": _described(metrics.to_flat_dict()),
                "protocol": getattr(metrics, "protocol", "") or type(metrics).__name__,
                "losses": list(result.losses),
                "stopper": _described(_stopper_summary(result)),
                "seconds": {"training": result.train_seconds, "evaluation": result.evaluate_seconds},
                "license": license,
                **extra,
            },
        )

    def _save_pretrained(self, save_directory: pathlib.Path) -> None:
        folder = pathlib.Path(save_directory)
        # a folder without it is no run: one whose writing is interrupted is not taken for whole
        (folder / RUN_FILE).unlink(missing_ok=True)
        sources, kwargs = write_sources(
            self.model, self.training, self.document["model_kwargs"], folder, mode=self.features
        )
        if sources["encoder"] is None:  # the model comes from a run that knows it
            before = self.document.get("sources") or {}
            sources |= {key: before.get(key) for key in ("encoder", "encoder_kwargs")}
        state, tensors = flatten_state(self.model.state_dict())
        try:
            with written_whole(folder / WEIGHTS_FILE) as path:
                save_file(tensors, path)
            with written_whole(folder / TRIPLES_FILE) as path:
                save_file({"triples": self.training.mapped_triples.cpu().contiguous()}, path)
        except (OSError, SafetensorError) as error:
            raise RunError(
                f"Cannot write into {folder}: {error}. Is the folder writable, and is there space?"
            ) from error
        # ASCII escapes: any label that Python can hold comes back as it was
        labels = {
            "entities": labels_in_order(self.training.entity_to_id),
            "relations": labels_in_order(self.training.relation_to_id),
        }
        write_text(folder / LABELS_FILE, json.dumps(labels, indent=0))
        self.document |= {
            "format": FORMAT,
            "model_kwargs": _plain(kwargs, "model_kwargs"),
            "state": state,
            "sources": sources,
            "graph": {
                "entities": self.training.num_entities,
                "relations": self.training.real_num_relations,
                "triples": self.training.num_triples,
                "create_inverse_triples": self.training.create_inverse_triples,
                "digest": graph_digest(self.training),
            },
            "weights": file_digest(folder / WEIGHTS_FILE),
            "versions": self.document.get("versions") or versions(),
        }
        write_text(folder / CARD_FILE, model_card(self.document))
        self.document["digest"] = _document_digest(self.document)
        write_text(folder / RUN_FILE, json.dumps(self.document, indent=1, allow_nan=False))

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None = None,
        cache_dir: str | pathlib.Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **_: Any,
    ) -> "Run":
        folder = pathlib.Path(model_id)
        if not folder.is_dir():
            try:
                folder = pathlib.Path(
                    snapshot_download(
                        model_id,
                        revision=revision,
                        cache_dir=cache_dir,
                        force_download=force_download,
                        local_files_only=local_files_only,
                        token=token,
                        # whatever else a repository holds is not fetched
                        allow_patterns=["*.json", "*.safetensors", "*.tsv", CARD_FILE],
                    )
                )
            except (HfHubHTTPError, HFValidationError, OSError) as error:
                raise RunError(f"{model_id} is neither a folder nor a run on the hub: {error}") from error
        return cls._load(folder)

    @classmethod
    def _load(cls, folder: pathlib.Path) -> "Run":
        document = run_document(folder)
        try:
            with isolated(folder):
                training = cls._read_training(folder, document)
                training.metadata = read_sources(folder, document)
                kwargs = without_sources(document["model_kwargs"])
                model = model_resolver.make(document["model"], kwargs, triples_factory=training)
                weights = folder / WEIGHTS_FILE
                if not weights.is_file():
                    raise RunError(f"{folder} lacks {WEIGHTS_FILE}: the run is incomplete.")
                if file_digest(weights) != document["weights"]:
                    raise RunError(f"{weights} is not the file that was saved (its digest differs); take a whole copy.")
                state = restore_state(document["state"], load_file(weights))
                _load_state(model, state, folder, document)
                if (encoder := document["sources"].get("encoder")) is not None:
                    for sources in gathered(model).values():
                        sources.made_by = (encoder, document["sources"].get("encoder_kwargs"))
        except MultimodalError as error:
            if str(folder) in str(error):
                raise
            # a message of the model, which does not know where its arguments come from
            raise RunError(f"{folder / RUN_FILE} describes no model that can be made here: {error}") from error
        except Exception as error:  # whatever a model makes of arguments that no version of it has written
            raise RunError(
                f"{folder / RUN_FILE} describes no model that can be made here ({type(error).__name__}: {error}). Was "
                f"it saved with another version? It says {document.get('versions')}."
            ) from error
        return cls(model.eval(), training, document)

    @staticmethod
    def _read_training(folder: pathlib.Path, document: Mapping[str, Any]) -> TriplesFactory:
        labels, graph, path = read_json(folder / LABELS_FILE), document["graph"], folder / TRIPLES_FILE
        if not path.is_file():  # also a pipe, which would be waited for
            raise RunError(f"{folder} is incomplete: {TRIPLES_FILE} is missing, or no regular file.")
        try:
            triples = load_file(path)["triples"]
            maps = [{label: i for i, label in enumerate(labels[name])} for name in ("entities", "relations")]
            sizes = torch.tensor([len(maps[0]), len(maps[1]), len(maps[0])])
            if [len(labels["entities"]), len(labels["relations"])] != [len(own) for own in maps]:
                raise ValueError("a label comes twice")
            if triples.dtype != torch.long or bool(((triples < 0) | (triples >= sizes)).any()):
                raise ValueError("a triple has an id without a label")
            if not isinstance(graph["create_inverse_triples"], bool):
                raise TypeError("whether there are inverse triples is not said")
            factory = TriplesFactory(triples, maps[0], maps[1], graph["create_inverse_triples"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path} or {LABELS_FILE} beside it is missing or damaged ({error}): take a whole copy of the run."
            ) from error
        if graph_digest(factory) != graph["digest"]:
            raise RunError(
                f"{folder}: {LABELS_FILE} or {TRIPLES_FILE} is not what was saved; take a whole copy of the run."
            )
        return factory


def run_document(folder: str | pathlib.Path) -> dict[str, Any]:
    """Read what the file ``run.json`` of a run says, without its model.

    :param folder: the folder
    :returns: the document
    :raises RunError: if the folder is no run of this version, or the file was changed
    """
    folder = pathlib.Path(folder)
    document = read_json(folder / RUN_FILE)
    # true counts as 1 in Python
    if not isinstance(document, dict) or type(document.get("format")) is not int or document["format"] != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise RunError(f"{folder / RUN_FILE} has the format {found!r}; this version of pykeen-mmkg reads {FORMAT}.")
    if document.get("digest") != _document_digest(document):
        raise RunError(f"{folder / RUN_FILE} was changed after the run was saved; take a whole copy of the run.")
    return document


def amend_run(folder: str | pathlib.Path, **entries: Any) -> None:
    """Add entries to the document of a saved run, or put others in their place; model and data stay as they are.

    :param folder: the folder of the run
    :param entries: the entries, plain JSON
    :raises RunError: if the folder is no run, or an entry is no JSON
    """
    document = run_document(folder) | {name: _plain(value, name) for name, value in entries.items()}
    document["digest"] = _document_digest(document)
    write_text(pathlib.Path(folder) / RUN_FILE, json.dumps(document, indent=1, allow_nan=False))


def _load_state(model: Model, state: Mapping[str, Any], folder: pathlib.Path, document: Mapping[str, Any]) -> None:
    """Load the weights; a loss or a regularizer that only training had may be missing."""
    result = model.load_state_dict(state, strict=False)
    own = [
        name
        for name in [*result.missing_keys, *result.unexpected_keys]
        if not {"regularizer", "loss"} & set(name.split("."))
    ]
    if own:
        raise RunError(
            f"{folder}: the weights do not fit the model ({own[:5]}). Was the run saved with another version? It says "
            f"{document.get('versions')}."
        )


def save_run(
    result: PipelineResult,
    folder: str | pathlib.Path,
    features: FeatureMode = "copy",
    license: str | None = None,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
) -> Run:
    """Save a pipeline's result as a run that can be moved and shared.

    :param result: what :func:`pykeen.pipeline.pipeline` returned
    :param folder: the folder of the run; files of an earlier run in it are replaced
    :param features: what becomes of the feature stores that the model reads: ``"copy"`` them whole, keep the
        ``"needed rows"`` (those of the graph's labels), or ``"link"`` to where they are (by path and digest)
    :param license: the licence, for the model card
    :param baselines: the metrics of trivial baselines by name, as :func:`~.training_run.baseline_metrics` gives them,
        for the model card
    :returns: the run
    :raises RunError: if the triples have no labels, an argument of the model cannot be written as JSON, or the folder
        cannot be written
    """
    run = Run.from_result(result, license=license, **({"baselines": dict(baselines)} if baselines else {}))
    run.features = features
    run.save_pretrained(folder)
    return run


def load_run(folder: str | pathlib.Path) -> Run:
    """Load a run that :func:`save_run` wrote; no pickle is read, and no encoder is needed.

    :param folder: the folder
    :returns: the run, its model in evaluation mode on the CPU
    :raises RunError: if the folder is no run, or a file of it is missing or is not what was saved
    """
    return Run._load(pathlib.Path(folder))


def open_run(
    folder: str | pathlib.Path, triples_factory: CoreTriplesFactory | None = None
) -> tuple[Model, TriplesFactory]:
    """Load a run of either kind: one of :func:`save_run`, or a folder that PyKEEN saved, which holds a pickle.

    :param folder: the folder
    :param triples_factory: the training triples, for a folder of PyKEEN that was saved without them
    :returns: the model, in evaluation mode, and its training triples
    :raises RunError: if the folder is neither, or is damaged
    """
    if (pathlib.Path(folder) / RUN_FILE).is_file():
        run = load_run(folder)
        return run.model, run.training
    return load_pykeen_run(folder, triples_factory)
