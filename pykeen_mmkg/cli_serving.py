"""Commands about a saved run as a whole: ``pykeen-mmkg serve | report``."""

import pathlib
from typing import Any

import click

from .cli_options import find_dataset, json_object

__all__ = ["report", "serve"]


@click.command()
@click.argument("directory", type=click.Path(path_type=pathlib.Path))
@click.option("--dataset", help="The dataset: its pictures are shown, and triples besides those of training are known.")
@click.option("--dataset-kwargs", callback=json_object, help="Keyword arguments of the dataset, as a JSON object.")
@click.option("--encoder", help="For texts and pictures that are brought along: the encoder of the entities' features.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 for whoever can reach this machine.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option("--max-size", type=click.IntRange(1), default=8, show_default=True, help="Megabytes of a request.")
@click.option(
    "--max-pixels", type=click.FloatRange(0.01), default=16, show_default=True, help="Millions, of an upload."
)
@click.option("--max-answers", type=click.IntRange(1), default=100, show_default=True, help="Answers to a query.")
@click.option(
    "--rate", type=click.FloatRange(0), default=50, show_default=True, help="Requests a second for each client; 0: any."
)
@click.option("--cache", type=click.IntRange(0), default=64, show_default=True, help="Megabytes of answers to keep.")
def serve(
    directory: pathlib.Path,
    dataset: str | None,
    dataset_kwargs: dict[str, Any],
    encoder: str | None,
    host: str,
    port: int,
    max_size: int,
    max_pixels: float,
    max_answers: int,
    rate: float,
    cache: int,
) -> None:
    """Serve the run saved in DIRECTORY over HTTP: predictions, similar entities, and a page to explore the graph with.

    Of a folder that PyKEEN wrote the model is a pickle: load only what you saved yourself. There are neither passwords
    nor encryption: for others than yourself, put a server that has them in front of it.
    """
    from .calibration import Calibration
    from .runs import open_run, run_document
    from .runs.run import RUN_FILE
    from .serving.application import make_application, require_serving
    from .serving.limits import Limits
    from .serving.service import QueryService

    require_serving()
    import uvicorn

    data = None if dataset is None else find_dataset(dataset, dataset_kwargs)
    model, factory = open_run(directory, None if data is None else data.training)
    # a folder of PyKEEN has no such document
    document = run_document(directory) if (directory / RUN_FILE).is_file() else {}
    kept = document.get("calibration")
    calibration = None if kept is None else Calibration.from_dict(kept)
    service = QueryService(model, factory, data, encoder, directory.absolute().name, calibration)
    limits = Limits(
        max_size=max_size << 20,
        max_pixels=int(max_pixels * 1_000_000),
        max_answers=max_answers,
        rate=rate,
        cache_size=cache << 20,
    )
    application = make_application(service, limits)
    click.echo(f"serving {directory} at http://{host}:{port}/ (how to ask: /docs); Ctrl-C ends it")
    uvicorn.run(application, host=host, port=port, log_level="warning", server_header=False)


@click.command()
@click.argument("directory", type=click.Path(path_type=pathlib.Path))
@click.option("--dataset", help="The dataset, for figures by stratum, and the best and worst answers with pictures.")
@click.option("--dataset-kwargs", callback=json_object, help="Keyword arguments of the dataset, as a JSON object.")
@click.option("--protocol", default="standard", show_default=True, help="The name of a protocol.")
@click.option("--split", default="testing", show_default=True, help="testing, validation, or a further split.")
@click.option(
    "--output",
    type=click.Path(path_type=pathlib.Path),
    default="report.html",
    show_default=True,
    help="The file of the page.",
)
def report(
    directory: pathlib.Path,
    dataset: str | None,
    dataset_kwargs: dict[str, Any],
    protocol: str,
    split: str,
    output: pathlib.Path,
) -> None:
    """Write a page about the run saved in DIRECTORY: figures beside baselines, curves, strata, best and worst answers.

    Of a folder that PyKEEN wrote the model is a pickle: load only what you saved yourself.
    """
    from .io import write_text
    from .run_report import run_report

    data = None if dataset is None else find_dataset(dataset, dataset_kwargs)
    write_text(output, run_report(directory, data, protocol, split))
    click.echo(f"written to {output}")
