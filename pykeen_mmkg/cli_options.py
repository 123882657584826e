"""What several commands share: options of datasets and runs, JSON on the command line, tables on the screen."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import click

__all__ = ["dataset_options", "find_dataset", "json_object", "open_model", "print_frame", "run_options"]


def json_object(_ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any]:
    """Read the value of an option as a JSON object, which is empty where the option is not given."""
    if value is None:
        return {}
    try:
        result = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", param=param) from error
    if not isinstance(result, dict):
        raise click.BadParameter("not a JSON object", param=param)
    return result


def print_frame(df: Any, as_json: bool) -> None:
    """Print a data frame as a table, or a row a line as JSON."""
    for row in df.to_dict(orient="records") if as_json else ():
        click.echo(json.dumps(row, ensure_ascii=False))
    if not as_json:
        click.echo(df.to_string(index=False))


def find_dataset(name: str, kwargs: dict[str, Any]) -> Any:
    """Return a dataset by name, or by the path of a folder."""
    from .datasets import load_dataset

    return load_dataset(name, kwargs)


def open_model(directory: pathlib.Path, dataset: str | None, dataset_kwargs: dict[str, Any]) -> Any:
    """Return the model of a saved run and its training triples."""
    from .runs import open_run

    return open_run(directory, None if dataset is None else find_dataset(dataset, dataset_kwargs).training)


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the folder of a saved run, and the dataset that some runs need."""
    help_text = "The dataset, for a run that was saved without training triples (experiments run)."
    function = click.option(
        "--dataset-kwargs", callback=json_object, help="Keyword arguments of the dataset, as a JSON object."
    )(function)
    function = click.option("--dataset", help=help_text)(function)
    return click.argument("directory", type=click.Path(path_type=pathlib.Path))(function)


def dataset_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a dataset, by name or folder."""
    function = click.option(
        "--dataset-kwargs", callback=json_object, help="Keyword arguments of the dataset, as a JSON object."
    )(function)
    return click.argument("dataset")(function)
