"""The runs of a study: each cell is trained by PyKEEN's pipeline and evaluated by every protocol, in processes."""

import copy
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from ..datasets.loading import dataset_digest, load_dataset
from ..evaluation.breakdown import means_by_stratum
from ..evaluation.description import versions
from ..evaluation.evaluating import evaluate, make_evaluator
from ..evaluation.results import ProtocolMetricResults
from ..io import write_json
from .configuration import DATA_KEYS, Cell, Protocol
from .validation import StudyError

__all__ = ["dataset_of", "execute", "read_cell", "run_cell"]

logger = logging.getLogger(__name__)


def dataset_of(config: Mapping[str, Any]) -> Any:
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

    start = time.time()
    path = Path(path)
    dataset = dataset_of(cell.config)
    protocols = [Protocol.parse(name, options) for name, options in cell.protocols.items()]
    # the pipeline changes some of its arguments
    config = copy.deepcopy({key: value for key, value in cell.config.items() if key not in DATA_KEYS})
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
            "strata": means_by_stratum(metrics.ranks, dataset.training),
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


def read_cell(path: Path, protocols: Sequence[str]) -> dict[str, Any]:
    """Read a finished run.

    :param path: the file
    :param protocols: the names of the protocols
    :returns: its content
    :raises StudyError: if the file is damaged, or is that of another run
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != path.stem:
            raise ValueError(f"it is the run {content['key']!r}")
        for name in protocols:
            own = content["results"][name]
            if not own["ranks"] or not all(rank >= 1 for rank in own["ranks"]) or not dict(own["metrics"]):
                raise ValueError(f"it has no ranks of the protocol {name!r}")
        if not isinstance(content["dataset"]["digest"], str):
            raise ValueError("it does not say of which data it is")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StudyError(
            f"{path} is damaged ({type(error).__name__}: {error}): delete it, and start the study again."
        ) from error
    return dict(content)


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


def execute(todo: Sequence[tuple[Cell, Path]], workers: int) -> Iterator[tuple[Cell, str | None]]:
    """Run cells, and give each with what went wrong, None if nothing did, as soon as it ends.

    :param todo: the cells and their files
    :param workers: the number of processes
    :yields: the cells in the order in which they end
    """
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
