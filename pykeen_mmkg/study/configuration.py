"""The configuration of a study: rows, that is models, ablations and baselines, and the seeds and protocols of each.

The configuration is a mapping, in Python, JSON or YAML:

.. code-block:: yaml

    base:                       # what all variants share: arguments of pykeen.pipeline.pipeline
      dataset: wn9img
      dataset_kwargs: {path: data/wn9-img}
      model: vlkge
      model_kwargs: {interaction: vldistmult}
      epochs: 200
    variants:                   # rows: changes to the base, merged into it
      all three: {}
      text only: {drop: [structural, visual]}
      shuffled images: {shuffle: [visual]}
    seeds: [0, 1, 2]
    protocols: [standard, vlkge-author]
    baselines:                  # rows without training, one seed
      inverse rule: {model: inverserule}
"""

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ..evaluation.results import ProtocolMetricResults
from ..pipeline_arguments import check_arguments, named_class
from .validation import StudyError, check_plain, check_protocol, check_shape, said_of

__all__ = ["DATA_KEYS", "Cell", "Configuration", "Protocol"]

MODALITIES = ("structural", "visual", "textual")
_TOP = frozenset(
    {"name", "base", "models", "ablations", "variants", "baselines", "seeds", "protocols", "metrics", "reference"}
)
DATA_KEYS = ("dataset", "dataset_kwargs", "training", "testing", "validation")
#: what baselines take from the base
_SHARED = (*DATA_KEYS, "evaluation_kwargs", "device", "use_testing_data")
DEFAULT_METRICS = ("mrr", "hits@1", "hits@3", "hits@10")


@dataclass(frozen=True)
class Protocol:
    """How trained models are evaluated.

    :param name: what the table calls it
    :param protocol: the evaluator by name
    :param protocol_kwargs: its arguments
    :param split: the evaluated split
    :param kwargs: further arguments of ``evaluate``, such as ``batch_size`` and ``targets``
    """

    name: str
    protocol: str
    protocol_kwargs: Mapping[str, Any] = field(default_factory=dict)
    split: str = "testing"
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, options: Mapping[str, Any] | None) -> "Protocol":
        """Read one entry of ``protocols``."""
        options = dict(options or {})
        return cls(
            name=name,
            protocol=options.pop("protocol", name),
            protocol_kwargs=options.pop("protocol_kwargs", None) or {},
            split=options.pop("split", "testing"),
            kwargs=options,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON, the form that :meth:`parse` reads."""
        return {
            "protocol": self.protocol,
            "protocol_kwargs": dict(self.protocol_kwargs),
            "split": self.split,
            **self.kwargs,
        }


@dataclass(frozen=True)
class Cell:
    """One run: a row of the table with a seed.

    :param row: the name of the row
    :param seed: the seed
    :param config: the arguments of PyKEEN's pipeline
    :param protocols: the protocols by name
    :param baseline: whether the row is a baseline
    """

    row: str
    seed: int
    config: Mapping[str, Any]
    protocols: Mapping[str, Mapping[str, Any]]
    baseline: bool = False

    def key(self, contents: Mapping[str, str]) -> str:
        """Return the name of the run: a digest of all that decides its result, of which the row's name is none.

        :param contents: the digests of what the configuration names, and the versions of what reads it
        """
        content = {"config": self.config, "seed": self.seed, "protocols": self.protocols, "contents": dict(contents)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


Own = TypeVar("Own", bound="Configuration")


class Configuration:
    """The rows, seeds, protocols and metrics of a study."""

    def __init__(self, config: Mapping[str, Any], origin: str = "the study") -> None:
        """Initialize the configuration.

        :param config: a mapping with the keys

            - ``base``: arguments of :func:`pykeen.pipeline.pipeline` that all variants share
            - ``variants``: row -> changes, merged into the base mapping by mapping. Beside arguments of the pipeline a
              change may say ``drop`` and ``shuffle`` (modalities, for models with the arguments ``modalities`` and
              ``representation_kwargs``)
            - ``models`` and ``ablations``: name -> changes; each model with each ablation is a row, ``model, ablation``
            - ``baselines``: row -> arguments of the pipeline; of the base they share the data only, and they run once,
              with the first seed. Models without weights are not trained
            - ``seeds``: default ``[0, 1, 2]``
            - ``protocols``: names, or name -> ``protocol``, ``protocol_kwargs``, ``split`` and arguments of
              ``evaluate``; default ``[standard]``. The first one also serves early stopping
            - ``metrics``: default: MRR, Hits@1, @3, @10
            - ``reference``: the row that others are tested against; default: the first
            - ``name``: the title
        :param origin: where it comes from, for messages
        :raises StudyError: if it is wrong
        """
        check_plain(config, origin)
        check_shape(config, _TOP, origin)
        self.origin = origin
        self.name = str(config.get("name") or "study")
        self.base = dict(config.get("base") or {})
        seeds = config.get("seeds")
        self.seeds = [0, 1, 2] if seeds is None else list(seeds)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise StudyError(f"{origin}: the seeds {self.seeds} must be some, and distinct.")
        protocols = config.get("protocols") or ["standard"]
        if not isinstance(protocols, Mapping):
            protocols = dict.fromkeys(protocols)
        self.protocols = [Protocol.parse(str(name), options) for name, options in protocols.items()]
        for protocol in self.protocols:
            check_protocol(protocol, origin)
        self.metrics = list(config.get("metrics") or DEFAULT_METRICS)
        self._check_metrics()
        self.rows = dict(self._rows(config))
        if not self.rows:
            raise StudyError(f"{origin}: no row: give `variants`, `models` or `baselines`.")
        for row, arguments in self.rows.items():
            self._check_row(row, arguments)
        self.baselines = set(config.get("baselines") or {})
        self.reference = str(config.get("reference") or next(iter(self.rows)))
        if self.reference not in self.rows:
            raise StudyError(f"{origin}: the reference {self.reference!r} is no row; the rows are {list(self.rows)}.")

    @classmethod
    def load(cls: type[Own], path: str | Path) -> Own:
        """Read a study from a JSON or YAML file.

        :raises StudyError: if the file is absent or wrong
        """
        path = Path(path)
        if not path.is_file():
            raise StudyError(f"There is no study at {path}.")
        try:
            config = _read(path.read_text(encoding="utf-8-sig"))
        except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
            raise StudyError(f"{path} is neither JSON nor YAML: {error}") from error
        if not isinstance(config, Mapping):
            raise StudyError(f"{path} holds a {type(config).__name__}; expected a mapping with `base` and `variants`.")
        config = {"name": path.stem, **config}
        return cls(config, origin=str(path))

    def _check_metrics(self) -> None:
        for metric in self.metrics:
            try:
                ProtocolMetricResults.key_from_string(metric)
            except (ValueError, KeyError) as error:
                raise StudyError(f"{self.origin}: {metric!r} is no metric of PyKEEN: {error}") from error

    def _check_row(self, row: str, arguments: Mapping[str, Any]) -> None:
        if "random_seed" in arguments:
            raise StudyError(f"{self.origin}: row {row!r} sets `random_seed`; give `seeds` instead.")
        if not {"dataset", "training"} & set(arguments):
            raise StudyError(f"{self.origin}: row {row!r} names no `dataset`.")
        with said_of(f"{self.origin}: row {row!r}"):
            check_arguments(arguments)

    def _rows(self, config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        models = config.get("models") or {}
        ablations = config.get("ablations") or ({"": {}} if models else {})
        if not isinstance(models, Mapping):
            models = {name: {"model": name} for name in models}
        if not models and ablations:
            models = {"": {}}
        changes: list[tuple[str, list[Mapping[str, Any]]]] = [
            (", ".join(filter(None, (model, ablation))) or "base", [models[model] or {}, ablations[ablation] or {}])
            for model, ablation in itertools.product(models, ablations)
        ]
        changes += [(str(row), [change or {}]) for row, change in (config.get("variants") or {}).items()]
        names = [row for row, _ in changes] + list(config.get("baselines") or {})
        for row in names:
            if names.count(row) > 1:
                raise StudyError(f"{self.origin}: there are two rows called {row!r}.")
        for row, parts in changes:
            yield row, self._apply(row, parts)
        data = {key: self.base[key] for key in _SHARED if key in self.base}
        for row, change in (config.get("baselines") or {}).items():
            if "model" not in (change or {}):
                raise StudyError(f"{self.origin}: the baseline {row!r} names no `model`.")
            with said_of(f"{self.origin}: baseline {row!r}"):
                yield str(row), _merge(data, _untrained(change))

    def _apply(self, row: str, parts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        result = self.base
        for part in parts:
            part = dict(part)
            drop, shuffle = (_as_list(part.pop(name, [])) for name in ("drop", "shuffle"))
            for modality in (*drop, *shuffle):
                if modality not in MODALITIES:
                    raise StudyError(f"{self.origin}: row {row!r}: {modality!r} is none of {MODALITIES}.")
            result = _merge(result, part)
            kwargs = dict(result.get("model_kwargs") or {})
            if drop:
                present = kwargs.get("modalities") or MODALITIES
                kwargs["modalities"] = [name for name in present if name not in drop]
                if not kwargs["modalities"]:
                    raise StudyError(f"{self.origin}: row {row!r} drops every modality.")
            if shuffle:
                # the seed of the run is filled in by cells(): each seed deals the vectors out anew
                options = dict(kwargs.get("representation_kwargs") or {})
                options["shuffle"] = {**(options.get("shuffle") or {}), **dict.fromkeys(shuffle)}
                kwargs["representation_kwargs"] = options
            if kwargs:
                result = {**result, "model_kwargs": kwargs}
        if "model" not in result and "interaction" not in result:
            raise StudyError(f"{self.origin}: row {row!r} names no `model`.")
        return result

    def cells(self) -> list[Cell]:
        """Return all runs."""
        protocols = {protocol.name: protocol.to_dict() for protocol in self.protocols}
        result = []
        for row, config in self.rows.items():
            baseline = row in self.baselines
            for seed in self.seeds[:1] if baseline else self.seeds:
                own = copy.deepcopy(dict(config))
                options = (own.get("model_kwargs") or {}).get("representation_kwargs") or {}
                if options.get("shuffle"):
                    options["shuffle"] = {k: seed if v is None else v for k, v in options["shuffle"].items()}
                result.append(Cell(row, seed, own, protocols, baseline))
        return result


def _read(text: str) -> Any:
    """Parse JSON as such, since YAML takes its escapes of characters beyond 16 bits for two halves; else YAML."""
    try:
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a change into a mapping, mapping by mapping; everything else is replaced."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        result[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _untrained(change: Mapping[str, Any]) -> Mapping[str, Any]:
    """Save the epochs for a model without weights, which PyKEEN's pipeline would train all the same."""
    from pykeen.models.baseline.models import EvaluationOnlyModel

    cls = named_class("model", change["model"])
    if cls is not None and issubclass(cls, EvaluationOnlyModel):
        return _merge({"training_kwargs": {"num_epochs": 0}}, change)
    return change
