"""What the benchmarks share: time on one thread, the data, and a table with targets."""

import argparse
import logging
import pathlib
import sys
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from pykeen.triples import TriplesFactory
from tabulate import tabulate

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Row(NamedTuple):
    """A measured ratio: how often the fast way fits into the time of the slow one."""

    name: str
    unit: str
    slow: float
    fast: float
    target: float | None = None
    #: what the matrix product does alone, if that is what takes the time
    product: float | None = None

    @property
    def ratio(self) -> float:
        """How many times as much per second."""
        return self.fast / self.slow

    @property
    def failed(self) -> bool:
        """Whether there is a target that is missed."""
        return self.target is not None and self.ratio < self.target


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of all benchmarks."""
    result = argparse.ArgumentParser(description=doc, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    result.add_argument(
        "--data", type=pathlib.Path, default=ROOT.parent / "shared/data/wn9-img", help="the data folder"
    )
    result.add_argument("--dim", type=int, default=768, help="the dimension of the vectors")
    result.add_argument("--repeats", type=int, default=5, help="how often each time is taken; the least one counts")
    result.add_argument("--assert", dest="check", action="store_true", help="fail if a target is missed")
    return result


def prepare() -> None:
    """Use one thread, and say nothing but the results."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")


def load(folder: pathlib.Path) -> tuple[TriplesFactory, TriplesFactory, TriplesFactory]:
    """Load the training, validation and test triples with common ids.

    :param folder: the data folder
    :returns: the three factories
    """
    training = TriplesFactory.from_path(folder / "train.tsv")
    ids = {"entity_to_id": training.entity_to_id, "relation_to_id": training.relation_to_id}
    valid, test = (TriplesFactory.from_path(folder / f"{name}.tsv", **ids) for name in ("valid", "test"))
    return training, valid, test


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the least processor time of several runs, which are long enough to need no rehearsal.

    :param function: what to measure
    :param repeats: the number of runs
    :returns: processor seconds, which other programs on the machine do not add to
    """
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def report(title: str, slow: str, fast: str, rows: list[Row]) -> None:
    """Print a table of measured ratios and their targets.

    :param title: the title
    :param slow: the name of what is compared with
    :param fast: the name of what is compared
    :param rows: the measured ratios
    """
    shares = any(row.product is not None for row in rows)
    table = [
        (
            row.name,
            f"{row.slow:,.0f}",
            f"{row.fast:,.0f}",
            f"{row.ratio:.2g} x" if row.ratio < 10 else f"{row.ratio:.0f} x",
            "" if row.target is None else f"{row.target:.3g} x",
            "" if row.target is None else "missed" if row.failed else "met",
            row.unit,
            *(["" if row.product is None else f"{row.fast / row.product:.0%}"] if shares else []),
        )
        for row in rows
    ]
    headers = ["", slow, fast, "ratio", "target", "", "per CPU-second", *(["of the matrix product"] if shares else [])]
    print(f"\n{title}\n")
    print(tabulate(table, headers=headers, tablefmt="github", disable_numparse=True), flush=True)


def finish(rows: list[Row], check: bool) -> None:
    """Exit with an error if asked to and a target is missed.

    :param rows: the measured ratios
    :param check: whether a missed target is an error
    """
    missed = [row.name for row in rows if row.failed]
    if missed:
        print(f"\nmissed: {', '.join(missed)}")
    if check and missed:
        sys.exit(1)
