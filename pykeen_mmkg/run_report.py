"""A saved run as one page of HTML: figures beside baselines, curves, parts of the graph, best and worst answers.

What the run does not hold, and what would be needed to show it, is said in its place.
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import pandas
from pykeen.models import Model
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from .answer_table import Item
from .errors import EvaluationError, RunError
from .evaluation.breakdown import BY, breakdown
from .evaluation.evaluating import evaluate
from .evaluation.results import ProtocolMetricResults
from .html_parts import html_curve, html_page, html_picture, html_table
from .predict import Predictor
from .runs import AlignedDataset, open_run
from .runs.card import METRICS
from .runs.run import RUN_FILE
from .runs.safety import read_json

__all__ = ["run_report"]

#: what PyKEEN calls its own record of a run
RESULTS_FILE = "results.json"

#: pixels of a picture, and rows of a gallery
SIZE, ROWS = 64, 8

#: rows of a table by stratum
STRATA = 20


@dataclasses.dataclass(frozen=True)
class _Record:
    """What a run's folder says of how it came to be; whatever is missing is empty."""

    model: str
    metrics: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    losses: Sequence[float]
    stopper: Mapping[str, Any]
    facts: Mapping[str, str]

    @classmethod
    def read(cls, folder: pathlib.Path, model: Model, training: TriplesFactory) -> "_Record":
        own, theirs = folder / RUN_FILE, folder / RESULTS_FILE
        content = read_json(own if own.is_file() else theirs) if own.is_file() or theirs.is_file() else {}
        if not isinstance(content, Mapping):
            raise RunError(f"{own if own.is_file() else theirs} holds no JSON object; take a whole copy of the run.")
        facts = {
            "graph": f"{training.num_triples:,} training triples of {training.num_entities:,} entities and "
            f"{training.real_num_relations:,} relations",
            "dataset": (content.get("configuration") or {}).get("dataset"),
            "protocol": content.get("protocol"),
            "random seed": content.get("random_seed"),
            "versions": ", ".join(f"{name} {version}" for name, version in (content.get("versions") or {}).items()),
        }
        return cls(
            model=str(content.get("model") or type(model).__name__),
            metrics=_flat(content.get("metrics") or {}),
            baselines={name: _flat(metrics) for name, metrics in (content.get("baselines") or {}).items()},
            losses=[loss for loss in content.get("losses") or () if isinstance(loss, int | float)],
            stopper=content.get("stopper") or {},
            facts={name: str(value) for name, value in facts.items() if value not in (None, "")},
        )


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return metrics by their flat names: PyKEEN's file nests them."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            found[prefix + name] = float(value)
    return found


def run_report(
    folder: str | pathlib.Path,
    dataset: Any = None,
    protocol: str = "standard",
    split: str = "testing",
) -> str:
    """Write a report of a saved run.

    :param folder: the folder of the run, also one of PyKEEN
    :param dataset: the dataset, for figures by stratum and a gallery of best and worst answers
    :param protocol: the protocol of these
    :param split: the split of these
    :returns: a page of HTML that needs nothing else; everything of the run and the graph is escaped
    :raises RunError: if the folder is no run, or of another graph than the dataset
    :raises EvaluationError: if there is no such protocol or split
    """
    folder = pathlib.Path(folder)
    model, training = open_run(folder, None if dataset is None else dataset.training)
    record = _Record.read(folder, model, training)
    parts = [f"<p>{escape(name)}: {escape(value)}</p>" for name, value in record.facts.items()]
    parts += ["<h2>Results</h2>", *_results(record), "<h2>Training</h2>", *_curves(record)]
    if dataset is None:
        parts.append(
            _missing("Figures by stratum, and the best and worst answers, need the dataset: name it (--dataset).")
        )
    else:
        aligned = AlignedDataset(dataset, training)
        results = evaluate(model, aligned, protocol, split=split, use_tqdm=False)
        assert results.ranks is not None
        parts += [f"<h2>Parts of the split {escape(split)}, protocol {escape(protocol)}</h2>"]
        parts += _strata(results, aligned.training)
        predictor = Predictor(model, training, described_by=dataset.training)
        parts += _gallery(results.ranks.to_frame(), predictor)
    return html_page(f"{record.model}: {folder.absolute().name}", parts)


def _missing(what: str) -> str:
    return f'<p class="note">{escape(what)}</p>'


def _results(record: _Record) -> Iterator[str]:
    rows = [[record.model, *(record.metrics.get(key, "") for key in METRICS)]]
    if not any(isinstance(value, float) for value in rows[0]):
        yield _missing("The run's folder holds no metrics.")
        return
    rows += [[name, *(metrics.get(key, "") for key in METRICS)] for name, metrics in record.baselines.items()]
    yield html_table(["", *METRICS.values()], rows)
    if not record.baselines:
        yield _missing("No baseline was evaluated beside it: read the figures with care.")


def _curves(record: _Record) -> Iterator[str]:
    losses = record.losses
    if len(set(losses)) > 1:
        yield html_curve(list(enumerate(losses, start=1)), "epoch", "loss of training")
    elif losses:
        yield _missing(
            f"The loss of training is the same in all {len(losses)} epochs: late fusion trains its scorers each on its "
            "own, and their curves are not kept."
        )
    else:
        yield _missing("The run's folder holds no losses.")
    stopper = record.stopper
    results, frequency = stopper.get("results") or [], stopper.get("frequency") or 1
    if results:
        points = [((i + 1) * frequency, float(value)) for i, value in enumerate(results) if value is not None]
        yield html_curve(points, "epoch", f"{stopper.get('metric')} on validation")
        yield f"<p>Best epoch: {escape(str(stopper.get('best_epoch')))}.</p>"
    else:
        yield _missing(
            "There is no curve of validation: the run was trained without early stopping, or does not keep it."
        )


def _strata(results: ProtocolMetricResults, training: CoreTriplesFactory) -> Iterator[str]:
    for name in BY:
        yield f"<h2>By {escape(name)}</h2>"
        try:
            table = breakdown(results, training, by=name)
        except EvaluationError as error:
            yield _missing(str(error))
            continue
        yield html_table(map(str, table.columns), table.head(STRATA).itertuples(index=False))
        if len(table) > STRATA:
            yield _missing(f"The largest {STRATA} of {len(table)} groups.")


def _gallery(ranks: pandas.DataFrame, predictor: Predictor) -> Iterator[str]:
    """Show the triples whose answers are ranked best and worst, those with pictures first, each triple once."""
    labels = predictor.labels
    pictured = [
        bool(predictor.item("entity", labels["entity"][tail if side == "tail" else head]).images)
        for side, head, tail in zip(ranks["side"], ranks["head"], ranks["tail"], strict=True)
    ]
    ranks = ranks.assign(plain=[not has for has in pictured])
    for title, ascending in (("The best answers", True), ("The worst answers", False)):
        order = ranks.sort_values(["realistic", "plain"], ascending=[ascending, True], kind="stable")
        chosen = order.drop_duplicates(["head", "relation", "tail"]).head(ROWS)
        yield f"<h2>{title}</h2>"
        yield "<table><tr><th>query</th><th></th><th>answer</th><th></th><th>rank</th><th>first instead</th></tr>"
        for row in chosen.to_dict(orient="records"):
            yield from _gallery_row(row, predictor)
        yield "</table>"


def _gallery_row(row: Mapping[str, Any], predictor: Predictor) -> Iterator[str]:
    head, tail = (predictor.labels["entity"][row[slot]] for slot in ("head", "tail"))
    relation = predictor.labels["relation"][row["relation"]]
    given, answer = (head, tail) if row["side"] == "tail" else (tail, head)
    query = {"head": head, "relation": relation, "tail": tail} | {row["side"]: None}
    own, named, true = (
        predictor.item("entity", given),
        predictor.item("relation", relation),
        predictor.item("entity", answer),
    )
    words = [escape(own.name), escape(named.name), "?"]
    first = ""
    if row["realistic"] > 1:
        (answers,) = predictor.predict([query], k=1)
        found = [predictor.item("entity", label) for label in answers["label"]]
        first = "".join(_picture(item) + escape(item.name) for item in found)
    rank = row["realistic"]
    yield (
        f"<tr><td>{' &ndash; '.join(words if row['side'] == 'tail' else reversed(words))}</td><td>{_picture(own)}</td>"
        f'<td>{escape(true.name)}</td><td>{_picture(true)}</td><td class="number">'
        f"{rank if rank != math.floor(rank) else int(rank):,} of {int(row['candidates']):,}</td><td>{first}</td></tr>"
    )


def _picture(item: Item) -> str:
    return html_picture(item.images[0], SIZE) if item.images else ""
