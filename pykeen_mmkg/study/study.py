"""A study: models x ablations x seeds from one configuration, resumable, as one table.

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

Each cell, a row with a seed, is one run of PyKEEN's unchanged pipeline, evaluated by every protocol from one training.
A finished run is one JSON file, named by a digest of its configuration and its data: started again, a study does what
is missing.
"""

import copy
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy
import pandas
import torch
import yaml
from tqdm.auto import tqdm

from ..datasets.loading import dataset_digest, load_dataset
from ..errors import MultimodalError
from ..evaluation.description import versions
from ..evaluation.results import ProtocolMetricResults
from ..evaluation.significance import holm, paired_test
from ..io import write_json, write_text, written_whole

__all__ = ["Cell", "Protocol", "Study", "StudyError", "run_cell"]

logger = logging.getLogger(__name__)

MODALITIES = ("structural", "visual", "textual")
_TOP = {"name", "base", "models", "ablations", "variants", "baselines", "seeds", "protocols", "metrics", "reference"}
_DATA = ("dataset", "dataset_kwargs", "training", "testing", "validation")
#: what baselines take from the base
_SHARED = (*_DATA, "evaluation_kwargs", "device", "use_testing_data")
DEFAULT_METRICS = ("mrr", "hits@1", "hits@3", "hits@10")


class StudyError(MultimodalError):
    """The configuration of a study is wrong, or a run of it failed."""


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

    def key(self, digest: str = "") -> str:
        """Return the name of the run: a digest of its configuration and its data, not of the row's name."""
        content = {"config": self.config, "seed": self.seed, "protocols": self.protocols, "data": digest}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


class Study:
    """The runs of a configuration and the table of their results."""

    def __init__(self, config: Mapping[str, Any], origin: str = "the study") -> None:
        """Initialize the study.

        :param config: the configuration, with the keys

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
        unknown = sorted(set(config) - _TOP)
        if unknown:
            raise StudyError(f"{origin}: unknown key {unknown[0]!r}; expected some of {sorted(_TOP)}.")
        self.origin = origin
        self.name = str(config.get("name", "study"))
        self.base = dict(config.get("base") or {})
        self.seeds = [int(seed) for seed in config.get("seeds", (0, 1, 2))]
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise StudyError(f"{origin}: the seeds {self.seeds} must be some, and distinct.")
        protocols = config.get("protocols") or ["standard"]
        if not isinstance(protocols, Mapping):
            protocols = dict.fromkeys(protocols)
        self.protocols = [Protocol.parse(str(name), options) for name, options in protocols.items()]
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
    def load(cls, path: str | Path) -> "Study":
        """Read a study from a JSON or YAML file.

        :raises StudyError: if the file is absent or wrong
        """
        path = Path(path)
        if not path.is_file():
            raise StudyError(f"There is no study at {path}.")
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
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
        try:
            json.dumps(arguments)
        except TypeError as error:
            raise StudyError(f"{self.origin}: row {row!r} is not plain JSON ({error}); name things instead.") from error

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

    # ---- running ----------------------------------------------------------------------------------------------------

    def run(self, directory: str | Path, workers: int = 1, progress: bool = True) -> pandas.DataFrame:
        """Do the runs that are missing, and write the report.

        :param directory: where runs (``runs/<key>.json``) and the report are stored
        :param workers: the number of processes
        :param progress: whether to show a progress bar
        :returns: the table, see :meth:`table`
        :raises StudyError: if runs failed; the others are finished and stored before
        """
        directory = Path(directory)
        todo = [(cell, path) for cell, path in self._paths(directory) if not path.is_file()]
        failed: list[str] = []
        total = len(self.cells())
        bar = tqdm(total=total, initial=total - len(todo), desc=self.name, unit="run", disable=not progress)
        with bar:
            for cell, error in _execute(todo, workers):
                if error is not None:
                    failed.append(f"{cell.row!r}, seed {cell.seed}: {error}")
                    logger.error("run failed: %s", failed[-1])
                bar.update()
        if failed:
            raise StudyError(
                f"{len(failed)} of {total} runs failed. First: {failed[0]}\nThe other runs are stored in {directory}; "
                f"start the study again to repeat what failed."
            )
        return self.report(directory)

    def _paths(self, directory: Path) -> list[tuple[Cell, Path]]:
        digests: dict[str, str] = {}
        result = []
        for cell in self.cells():
            data = {key: cell.config[key] for key in _DATA if key in cell.config}
            name = json.dumps(data, sort_keys=True)
            if name not in digests:
                digests[name] = dataset_digest(_dataset(cell.config))
            result.append((cell, directory / "runs" / f"{cell.key(digests[name])}.json"))
        return result

    # ---- reporting --------------------------------------------------------------------------------------------------

    def results(self, directory: str | Path) -> dict[str, list[dict[str, Any]]]:
        """Return the finished runs by row.

        :raises StudyError: if a row has none
        """
        result: dict[str, list[dict[str, Any]]] = {row: [] for row in self.rows}
        for cell, path in self._paths(Path(directory)):
            if path.is_file():
                result[cell.row].append(json.loads(path.read_text(encoding="utf-8")))
        missing = [row for row, runs in result.items() if not runs]
        if missing:
            raise StudyError(f"{directory} has no finished run of the row {missing[0]!r}: run the study first.")
        return result

    def table(self, directory: str | Path) -> pandas.DataFrame:
        """Return one row per row of the study and protocol.

        Columns: ``row``, ``protocol``, ``runs``; for each metric its mean and ``<metric> std``, the sample deviation
        over seeds (missing for a single run); ``difference`` in MRR to the reference row, ``low`` and ``high`` of its
        95 % interval and ``p``, adjusted for the number of rows after Holm; see
        :func:`~pykeen_mmkg.evaluation.significance.paired_test`.
        """
        results = self.results(directory)
        records = []
        for protocol in self.protocols:
            block = []
            reference = _reciprocal(results[self.reference], protocol.name)
            for row, runs in results.items():
                record: dict[str, Any] = {"row": row, "protocol": protocol.name, "runs": len(runs)}
                for metric in self.metrics:
                    key = ProtocolMetricResults.key_to_string(metric)
                    values = numpy.array([run["results"][protocol.name]["metrics"][key] for run in runs], dtype=float)
                    record[metric] = values.mean()
                    record[f"{metric} std"] = values.std(ddof=1) if len(values) > 1 else float("nan")
                test = None if row == self.reference else paired_test(_reciprocal(runs, protocol.name), reference)
                for name in ("difference", "low", "high"):
                    record[name] = float("nan") if test is None else getattr(test, name)
                record["p"] = float("nan") if test is None else test.p_value
                block.append(record)
            tested = [record for record in block if record["row"] != self.reference]
            for record, p_value in zip(tested, holm([record["p"] for record in tested]), strict=True):
                record["p"] = p_value
            records += block
        return pandas.DataFrame(records)

    def markdown(self, directory: str | Path) -> str:
        """Return the table as Markdown, one part per protocol."""
        table = self.table(directory)
        parts = [f"# {self.name}", ""]
        for protocol in self.protocols:
            part = table[table["protocol"] == protocol.name]
            rows = []
            for record in part.to_dict(orient="records"):
                cells = {"": record["row"], "runs": record["runs"]}
                for metric in self.metrics:
                    std = record[f"{metric} std"]
                    cells[metric.upper() if metric == "mrr" else metric] = f"{record[metric]:.3f}" + (
                        "" if numpy.isnan(std) else f" ± {std:.3f}"
                    )
                cells["Δ MRR [95 %]"] = (
                    "reference"
                    if numpy.isnan(record["difference"])
                    else f"{record['difference']:+.3f} [{record['low']:+.3f}, {record['high']:+.3f}]"
                )
                cells["p (Holm)"] = "" if numpy.isnan(record["p"]) else _p_text(record["p"])
                rows.append(cells)
            title = f"Protocol `{protocol.protocol}`"
            if protocol.name != protocol.protocol:
                title += f", {protocol.name}"
            split = "" if protocol.split == "testing" else f", split `{protocol.split}`"
            parts += [
                f"## {title}{split}",
                "",
                pandas.DataFrame(rows).to_markdown(index=False, disable_numparse=True),
                "",
            ]
        parts += [
            "Mean ± sample deviation over seeds. Δ MRR: difference to the reference row, with the bootstrap interval "
            "over test triples; "
            "p: Wilcoxon signed-rank test over the reciprocal ranks of the same triples (averaged over seeds), "
            "adjusted "
            "after Holm.",
            "",
        ]
        return "\n".join(parts)

    def report(self, directory: str | Path) -> pandas.DataFrame:
        """Write ``results.csv``, ``results.md``, ``results.json`` and, if there is matplotlib, ``results.png``."""
        directory = Path(directory)
        table = self.table(directory)
        with written_whole(directory / "results.csv") as path:
            table.to_csv(path, index=False)
        markdown = self.markdown(directory)
        write_text(directory / "results.md", markdown)
        runs = [run for runs in self.results(directory).values() for run in runs]
        write_json(
            directory / "results.json",
            {
                "name": self.name,
                "protocols": {protocol.name: protocol.to_dict() for protocol in self.protocols},
                "seeds": self.seeds,
                "datasets": sorted({run["dataset"]["digest"] for run in runs}),
                "versions": versions(),
                "runs": [run["key"] for run in runs],
                "table": table.to_dict(orient="records"),
            },
        )
        try:
            self.plot(directory, directory / "results.png")
        except ImportError:
            logger.info("no plot: pip install pykeen-mmkg[plotting]")
        return table

    def plot(self, directory: str | Path, path: str | Path, metric: str | None = None) -> None:
        """Draw the means of one metric with their deviations, one panel per protocol.

        :param directory: the folder of the runs
        :param path: the picture; its suffix decides the format
        :param metric: the metric, default: the first
        :raises ImportError: if matplotlib is not installed
        """
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        metric = metric or self.metrics[0]
        table = self.table(directory)
        width, height = 4.5 * len(self.protocols) + 2, 0.4 * len(self.rows) + 1.5
        figure, axes = pyplot.subplots(1, len(self.protocols), sharey=True, squeeze=False, figsize=(width, height))
        for axis, protocol in zip(axes[0], self.protocols, strict=True):
            part = table[table["protocol"] == protocol.name][::-1]
            colours = ["tab:gray" if row in self.baselines else "tab:blue" for row in part["row"]]
            axis.barh(part["row"], part[metric], xerr=part[f"{metric} std"].fillna(0), color=colours)
            axis.set(title=protocol.name, xlabel=metric.upper() if metric == "mrr" else metric)
        figure.tight_layout()
        with written_whole(path) as temporary:
            figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:] or "png")
        pyplot.close(figure)


def _p_text(p_value: float) -> str:
    return "< .001" if p_value < 0.001 else f"{p_value:.3f}".removeprefix("0")


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
    from pykeen.models import model_resolver
    from pykeen.models.baseline.models import EvaluationOnlyModel

    if issubclass(model_resolver.lookup(change["model"]), EvaluationOnlyModel):
        return _merge({"training_kwargs": {"num_epochs": 0}}, change)
    return change


def _reciprocal(runs: Sequence[Mapping[str, Any]], protocol: str) -> numpy.ndarray:
    """Return the reciprocal ranks of each triple, averaged over runs."""
    return numpy.mean([1 / numpy.asarray(run["results"][protocol]["ranks"]) for run in runs], axis=0)


def _dataset(config: Mapping[str, Any]) -> Any:
    """Load the dataset of a configuration, as PyKEEN's pipeline does; also from the path of a folder."""
    if config.get("dataset") is not None:
        return load_dataset(config["dataset"], config.get("dataset_kwargs"))
    from pykeen.datasets import get_dataset

    return get_dataset(**{key: config[key] for key in ("training", "testing", "validation") if key in config})


def run_cell(cell: Cell, path: str | Path) -> None:
    """Train, evaluate by every protocol, and store the run as one JSON file.

    :param cell: the run
    :param path: the file
    """
    from pykeen.pipeline import pipeline

    from ..evaluation.run import evaluate, make_evaluator

    start = time.time()
    path = Path(path)
    dataset = _dataset(cell.config)
    protocols = [Protocol.parse(name, options) for name, options in cell.protocols.items()]
    # the pipeline changes some of its arguments
    config = copy.deepcopy({key: value for key, value in cell.config.items() if key not in _DATA})
    first = protocols[0]
    # the first protocol also serves early stopping, and the pipeline's own evaluation counts as its result
    shared = first.split == "testing" and "evaluator" not in config and config.get("use_testing_data", True)
    if shared:
        config["evaluator"] = make_evaluator(first.protocol, first.protocol_kwargs, dataset)
        config["evaluation_kwargs"] = {**(config.get("evaluation_kwargs") or {}), **first.kwargs}
    config.setdefault("random_seed", cell.seed)
    result = pipeline(dataset=dataset, **config)
    results = {}
    options = {"use_tqdm": False, **(cell.config.get("evaluation_kwargs") or {})}
    for protocol in protocols:
        if shared and protocol is first:
            metrics = result.metric_results
        else:
            metrics = evaluate(
                result.model,
                dataset,
                protocol.protocol,
                protocol.protocol_kwargs,
                split=protocol.split,
                **{**options, **protocol.kwargs},
            )
        assert isinstance(metrics, ProtocolMetricResults) and metrics.ranks is not None
        results[protocol.name] = {
            "protocol": metrics.protocol,
            "metrics": dict(metrics.to_flat_dict()),
            "beside": {name: dict(other.to_flat_dict()) for name, other in metrics.beside.items()},
            "ranks": metrics.ranks.realistic.tolist(),
        }
    write_json(
        path,
        {
            "key": path.stem,
            "row": cell.row,
            "seed": cell.seed,
            "config": cell.config,
            "protocols": cell.protocols,
            "dataset": {"name": type(dataset).__name__, "digest": dataset_digest(dataset)},
            "versions": versions(),
            "losses": list(result.losses),
            "stopper": None if result.stopper is None else dict(result.stopper.get_summary_dict()),
            "seconds": {
                "train": result.train_seconds,
                "evaluate": result.evaluate_seconds,
                "total": time.time() - start,
            },
            "results": results,
        },
    )


def _attempt(cell: Cell, path: Path, threads: int | None = None) -> str | None:
    """Run a cell; return what went wrong, as text, since not every exception survives the way between processes."""
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        run_cell(cell, path)
    except Exception as error:
        logger.exception("row %r, seed %d", cell.row, cell.seed)
        return f"{type(error).__name__}: {error}"
    return None


def _execute(todo: Sequence[tuple[Cell, Path]], workers: int) -> Iterator[tuple[Cell, str | None]]:
    if workers <= 1 or len(todo) <= 1:
        for cell, path in todo:
            yield cell, _attempt(cell, path)
        return
    threads = max(1, torch.get_num_threads() // workers)
    # a forked process would inherit torch's thread pools in an undefined state
    with ProcessPoolExecutor(max_workers=min(workers, len(todo)), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_attempt, cell, path, threads): cell for cell, path in todo}
        for future in as_completed(futures):
            error = future.exception()
            yield futures[future], future.result() if error is None else f"{type(error).__name__}: {error}"
