"""Commands that bring a graph of one's own into a folder: ``import-graph`` and ``fetch-images``."""

import pathlib

import click

from .errors import DataError

__all__ = ["fetch_images"]


@click.command("fetch-images")
@click.argument("folder", type=click.Path(path_type=pathlib.Path))
@click.option("--max-bytes", type=int, default=20_000_000, show_default=True, help="The largest file that is taken.")
@click.option("--max-images", type=int, default=100_000, show_default=True, help="With more, nothing is fetched.")
@click.option("--seconds", type=float, default=60.0, show_default=True, help="How long one image may take.")
@click.option("--workers", type=int, default=8, show_default=True, help="How many are asked for at a time.")
def fetch_images(folder: pathlib.Path, max_bytes: int, max_images: int, seconds: float, workers: int) -> None:
    """Fetch the images that the tables in a dataset's FOLDER name by address, and keep them beside the tables.

    An image is kept if it can be decoded. What is there is not fetched again; stopped, the command goes on where it
    was. The requests come from this machine: fetch for tables that you trust.
    """
    from .datasets.files import find_file
    from .datasets.image_urls import FetchRule
    from .datasets.labels import KINDS
    from .datasets.tables import ModalityTable

    rule = FetchRule(max_bytes, max_images, seconds, workers)
    found = [(kind, plural, path) for kind, plural in KINDS.items() if (path := find_file(folder, plural))]
    if not found:
        raise DataError(f"{folder} has no table entities.tsv or relations.tsv that could name images")
    for kind, plural, path in found:
        notes: list[str] = []
        table = ModalityTable.load(path, kind, notes, rule)
        pictured, left = sum(map(bool, table.images)), sum(map(len, table.urls.values()))
        click.echo(f"{path}: {pictured} of {len(table)} {plural} have an image by the table; {left} could not be had")
        for note in notes:
            click.secho(note, err=True)
