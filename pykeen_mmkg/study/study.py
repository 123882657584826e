"""A study: models x ablations x seeds from one configuration, resumable, as one table.

Each cell, a row with a seed, is one run of PyKEEN's unchanged pipeline, evaluated by every protocol from one training.
A finished run is one JSON file, named by a digest of all that decides it: its configuration, the content of whatever
that names, the versions of what reads it. Started again, a study does what is missing, and what is no longer the same.
"""

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pandas
from tqdm.auto import tqdm

from ..evaluation.description import versions
from ..evaluation.results import ProtocolMetricResults
from ..evaluation.significance import PairedTest, holm, paired_test
from ..io import write_json, write_text, written_whole
from .cells import dataset_of, execute, read_cell
from .configuration import DATA_KEYS, Cell, Configuration
from .contents import contents_of, data_contents
from .validation import StudyError, check_cell, said_of

__all__ = ["Study"]

logger = logging.getLogger(__name__)


class Study(Configuration):
    """The runs of a configuration and the table of their results."""

    def run(self, directory: str | Path, workers: int = 1, progress: bool = True) -> pandas.DataFrame:
        """Do the runs that are missing, and write the report.

        :param directory: where runs (``runs/<key>.json``) and the report are stored
        :param workers: the number of processes
        :param progress: whether to show a progress bar
        :returns: the table, see :meth:`table`
        :raises StudyError: if runs failed; the others are finished and stored before
        """
        directory = Path(directory)
        self._contents.clear()
        todo = [(cell, path) for cell, path in self._paths(directory) if not path.is_file()]
        self._check(todo)
        failed: list[str] = []
        total = len(self.cells())
        bar = tqdm(total=total, initial=total - len(todo), desc=self.name, unit="run", disable=not progress)
        with bar:
            for cell, error in execute(todo, workers):
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

    @functools.cached_property
    def _contents(self) -> dict[str, dict[str, str]]:
        """The contents of data and other files, by what names them, as they were when :meth:`run` was last started."""
        return {}

    def _paths(self, directory: Path) -> list[tuple[Cell, Path]]:
        result = []
        for cell in self.cells():
            with said_of(f"{self.origin}: row {cell.row!r}"):
                data, others = _split_config(cell)
                if data not in self._contents:
                    self._contents[data] = data_contents(dataset_of(cell.config))
                if others not in self._contents:
                    self._contents[others] = contents_of(json.loads(others))
            key = cell.key({**self._contents[data], **self._contents[others]})
            result.append((cell, directory / "runs" / f"{key}.json"))
        return result

    def _check(self, todo: Sequence[tuple[Cell, Path]]) -> None:
        """Check each row that has a run to do, each dataset being loaded once."""
        rows = {cell.row: cell for cell, _ in todo}
        for data in dict.fromkeys(_split_config(cell)[0] for cell in rows.values()):
            cells = [cell for cell in rows.values() if _split_config(cell)[0] == data]
            dataset = dataset_of(cells[0].config)
            for cell in cells:
                check_cell(cell.config, self.protocols, dataset, f"{self.origin}: row {cell.row!r}")

    def results(self, directory: str | Path) -> dict[str, list[dict[str, Any]]]:
        """Return the finished runs by row.

        :raises StudyError: if a row has none, or the file of one is damaged
        """
        result: dict[str, list[dict[str, Any]]] = {row: [] for row in self.rows}
        for cell, path in self._paths(Path(directory)):
            if path.is_file():
                result[cell.row].append(read_cell(path, [protocol.name for protocol in self.protocols]))
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
                test = PairedTest(*[float("nan")] * 4)
                if row != self.reference:
                    test = paired_test(_reciprocal(runs, protocol.name), reference)
                record |= {"difference": test.difference, "low": test.low, "high": test.high, "p": test.p_value}
                block.append(record)
            tested = [record for record in block if record["row"] != self.reference]
            for record, p_value in zip(tested, holm([record["p"] for record in tested]), strict=True):
                record["p"] = p_value
            records += block
        return pandas.DataFrame(records)

    def strata(self, directory: str | Path) -> pandas.DataFrame:
        """Return the MRR of each row in each stratum, averaged over seeds.

        :param directory: the folder of the runs
        :returns: one row per protocol, stratum (see :data:`~pykeen_mmkg.evaluation.breakdown.STRATA`) and group, with
            its ``count`` of ranks, and a column per row of the study
        :raises StudyError: if a run was made before runs kept their strata
        """
        records: dict[tuple[str, str, str], dict[str, Any]] = {}
        for row, runs in self.results(directory).items():
            for protocol in self.protocols:
                for run in runs:
                    own = run["results"][protocol.name].get("strata")
                    if own is None:
                        raise StudyError(
                            f"{Path(directory) / 'runs' / run['key']}.json has no strata, which an older version left "
                            "out: delete it, and start the study again."
                        )
                    for stratum, groups in own.items():
                        for group, means in groups.items():
                            record = records.setdefault((protocol.name, stratum, group), {"count": means["count"]})
                            record[row] = record.get(row, 0.0) + means["mrr"] / len(runs)
        names = ["protocol", "stratum", "group"]
        return pandas.DataFrame([dict(zip(names, key, strict=True)) | value for key, value in records.items()])

    def markdown(self, directory: str | Path, strata: bool = False) -> str:
        """Return the table as Markdown, one part per protocol.

        :param directory: the folder of the runs
        :param strata: whether the MRR of each stratum follows
        :returns: the text
        """
        table = self.table(directory)
        parts = [f"# {self.name}", ""]
        for protocol in self.protocols:
            part = table[table["protocol"] == protocol.name]
            rows = []
            for record in part.to_dict(orient="records"):
                cells = {"": record["row"], "runs": record["runs"]}
                for metric in self.metrics:
                    deviation = "" if numpy.isnan(record[f"{metric} std"]) else f" ± {record[f'{metric} std']:.3f}"
                    cells[_title(metric)] = f"{record[metric]:.3f}{deviation}"
                cells |= {"Δ MRR [95 %]": "reference", "p (Holm)": ""}
                if record["row"] != self.reference:
                    cells["Δ MRR [95 %]"] = "{difference:+.3f} [{low:+.3f}, {high:+.3f}]".format(**record)
                    cells["p (Holm)"] = _p_text(record["p"])
                rows.append(cells)
            name = "" if protocol.name == protocol.protocol else f", {protocol.name}"
            split = "" if protocol.split == "testing" else f", split `{protocol.split}`"
            table_text = pandas.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
            parts += [f"## Protocol `{protocol.protocol}`{name}{split}", "", table_text, ""]
            if strata:
                groups = self.strata(directory)
                groups = groups[groups["protocol"] == protocol.name].drop(columns="protocol")
                parts += ["MRR by stratum:", "", groups.to_markdown(index=False, floatfmt=".3f"), ""]
        parts += [
            "Mean ± sample deviation over seeds. Δ MRR: difference to the reference row, with the bootstrap interval "
            "over test triples; p: Wilcoxon signed-rank test over the reciprocal ranks of the same triples (averaged "
            "over seeds), adjusted after Holm.",
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
            axis.set(title=protocol.name, xlabel=_title(metric))
        figure.tight_layout()
        with written_whole(path) as temporary:
            figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:] or "png")
        pyplot.close(figure)


def _title(metric: str) -> str:
    return metric.upper() if metric == "mrr" else metric


def _split_config(cell: Cell) -> tuple[str, str]:
    """Return what names the data of a cell, and what else may name files, as JSON."""
    data = {key: cell.config[key] for key in DATA_KEYS if key in cell.config}
    others = {key: value for key, value in cell.config.items() if key.endswith("_kwargs") and key not in DATA_KEYS}
    return json.dumps(data, sort_keys=True), json.dumps([others, cell.protocols], sort_keys=True)


def _p_text(p_value: float) -> str:
    return "< .001" if p_value < 0.001 else f"{p_value:.3f}".removeprefix("0")


def _reciprocal(runs: Sequence[Mapping[str, Any]], protocol: str) -> numpy.ndarray:
    """Return the reciprocal ranks of each triple, averaged over runs."""
    return numpy.mean([1 / numpy.asarray(run["results"][protocol]["ranks"]) for run in runs], axis=0)
