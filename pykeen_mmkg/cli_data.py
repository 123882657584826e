"""Commands that bring a graph of one's own into a folder: ``import-graph`` and ``fetch-images``."""

import pathlib
from typing import Any

import click

from .errors import DataError

__all__ = ["fetch_images", "import_graph"]


@click.command("import-graph")
@click.argument("source")
@click.option("--output", type=click.Path(path_type=pathlib.Path), required=True, help="The folder, new or empty.")
@click.option("--valid", help="The validation triples, where they are in a file of their own.")
@click.option("--test", help="The test triples, where they are in a file of their own.")
@click.option("--entities", help="A table of entities: entity, and some of name, description, image.")
@click.option("--relations", help="A table of relations: relation, and some of name, description.")
@click.option(
    "--columns", nargs=3, default=("head", "relation", "tail"), show_default=True, help="The columns of the triples."
)
@click.option("--kind", default="random", show_default=True, help="How triples without splits are split; see split.")
@click.option("--ratios", type=float, nargs=3, default=(0.8, 0.1, 0.1), show_default=True, help="Shares of the splits.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split.")
@click.option("--language", default="en", show_default=True, help="Of names and descriptions, if there are several.")
@click.option("--image-urls", type=click.Choice(["skip", "fetch"]), default="skip", show_default=True)
def import_graph(
    source: str, output: pathlib.Path, valid: str | None, test: str | None, columns: tuple[str, str, str], **given: Any
) -> None:
    """Write the graph in SOURCE to a folder that every other command takes.

    SOURCE is a table of triples: .csv, .tsv, .parquet, a folder of Parquet files or one that Hugging Face datasets
    saved, or hf://datasets/OWNER/NAME. Or it is a whole graph with texts and pictures: .nt or .ttl (RDF), or .json or
    .jsonl with an entity a line, as Wikidata's dumps are. Nothing is left out without a word.
    """
    from .datasets import MultimodalDataset
    from .datasets.importing import import_graph as run

    parts = {"train": source, "valid": valid, "test": test}
    splits = {name: path for name, path in parts.items() if path is not None}
    run(output, source if len(splits) == 1 else splits, columns=columns, **given)
    made = MultimodalDataset(output)
    table, sizes = made.entity_table, {name: factory.num_triples for name, factory in made.factories.items()}
    texts, images = sum(map(bool, table.texts().values())), sum(map(bool, table.images))
    click.echo(
        f"{len(table)} entities, {texts} with a text and {images} with an image; {len(made.relation_table)} relations; "
        f"triples: {', '.join(f'{count} {name}' for name, count in sizes.items())}"
    )
    click.echo(f"written to {output}; try: pykeen-mmkg audit {output}")


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
