"""Commands that rank the triples of a split: ``evaluate`` and ``compare``."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import click

from .cli_options import dataset_options, find_dataset, json_object, print_frame

__all__ = ["compare", "evaluate"]

#: as :data:`~pykeen_mmkg.evaluation.breakdown.BY` and ``STRATA``, which help must not wait for
BY = ("relation", "side", "query", "target", "seen", "kind", "entities", "halflinks")
STRATA = ("query", "target", "kind", "entities", "halflinks")


def _protocol_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a protocol, a split, and what results are divided by."""
    for option in (
        click.option(
            "--by",
            multiple=True,
            type=click.Choice([*BY, "strata"]),
            help="Break down by; strata: by the modalities of query and target, the kind of relation (1-1 to n-n), "
            "and which entities and half-links training has.",
        ),
        click.option("--split", default="testing", show_default=True, help="testing, validation, or a further split."),
        click.option(
            "--protocol-kwargs", callback=json_object, help="Keyword arguments of the protocol, as a JSON object."
        ),
        click.option("--protocol", default="standard", show_default=True, help="The name of a protocol."),
    ):
        function = option(function)
    return function


def _names(by: Sequence[str]) -> list[str]:
    """Replace ``strata`` by what it stands for."""
    names = [name for aspect in by for name in (STRATA if aspect == "strata" else (aspect,))]
    return list(dict.fromkeys(names))


def _ranked(directory: pathlib.Path, data: Any, protocol: str, protocol_kwargs: dict[str, Any], split: str) -> Any:
    """Return the model saved in a folder, its results on a split, and the training triples by whose ids it ranks."""
    from .evaluation.evaluating import evaluate as run
    from .runs import AlignedDataset, open_run

    model, factory = open_run(directory, data.training)
    aligned = AlignedDataset(data, factory)
    return model, run(model, aligned, protocol, protocol_kwargs, split=split), aligned.training


@click.command()
@click.argument("directory", type=click.Path(path_type=pathlib.Path))
@dataset_options
@_protocol_options
@click.option("--output", type=click.Path(path_type=pathlib.Path), help="Also write a JSON file with all metrics.")
def evaluate(
    directory: pathlib.Path,
    dataset: str,
    dataset_kwargs: dict[str, Any],
    protocol: str,
    protocol_kwargs: dict[str, Any],
    split: str,
    by: tuple[str, ...],
    output: pathlib.Path | None,
) -> None:
    """Evaluate the model saved in DIRECTORY on DATASET by a named protocol; labels are matched, not ids.

    Of a folder that PyKEEN wrote the model is a pickle: load only what you saved yourself.
    """
    from .evaluation.breakdown import breakdown
    from .evaluation.description import describe
    from .io import write_json

    data = find_dataset(dataset, dataset_kwargs)
    model, results, training = _ranked(directory, data, protocol, protocol_kwargs, split)
    click.echo(f"protocol {results.protocol}, split {split}")
    for metric in ("mrr", "hits@1", "hits@3", "hits@10"):
        click.echo(f"  {metric:8s} {results.get_metric(metric):.4f}")
    for aspect in _names(by):
        click.echo(breakdown(results, training, by=[aspect]).to_string(index=False))
    if output is not None:
        seed = getattr(model, "_random_seed", None)
        write_json(output, describe(results, dataset=data, seeds=[] if seed is None else [seed]))
        click.echo(f"written to {output}")


@click.command()
@click.argument("first", type=click.Path(path_type=pathlib.Path))
@click.argument("second", type=click.Path(path_type=pathlib.Path))
@dataset_options
@_protocol_options
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def compare(
    first: pathlib.Path,
    second: pathlib.Path,
    dataset: str,
    dataset_kwargs: dict[str, Any],
    protocol: str,
    protocol_kwargs: dict[str, Any],
    split: str,
    by: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Compare the models saved in FIRST and SECOND on the same triples of DATASET.

    Prints the difference of their MRR, first minus second, with its 95 % interval (bootstrap over triples) and the
    p-value of the Wilcoxon signed-rank test, adjusted for the number of lines after Holm.
    """
    from .evaluation.comparison import compare as run

    data = find_dataset(dataset, dataset_kwargs)
    _, one, training = _ranked(first, data, protocol, protocol_kwargs, split)
    _, other, other_training = _ranked(second, data, protocol, protocol_kwargs, split)
    print_frame(run(one, other, training, _names(by), other_factory=other_training, seed=seed), as_json)
