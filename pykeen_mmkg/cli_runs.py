"""Commands that ask saved runs, and make others of them: ``pykeen-mmkg predict | update``."""

import json
import pathlib
from typing import Any

import click

from .cli_options import find_dataset, print_frame, run_options

__all__ = ["predict", "update"]


def _given(label: str | None, text: str | None, images: tuple[str, ...], slot: str) -> Any:
    """Return what stands in a slot: a label, or what is known of an entity that the graph does not have."""
    if text is None and not images:
        return label
    if label is not None:
        raise click.UsageError(f"Give --{slot}, or an entity by --{slot}-text and --{slot}-image, but not both.")
    return {key: value for key, value in (("text", text), ("images", list(images))) if value}


@click.command()
@run_options
@click.option("--head", help="Label or name of the head; leave open the slot to predict.")
@click.option("--relation", help="Label or name of the relation.")
@click.option("--tail", help="Label or name of the tail.")
@click.option("--head-text", help="In place of the head: the text of an entity that the graph does not have.")
@click.option("--head-image", multiple=True, help="In place of the head: its image; repeatable.")
@click.option("--tail-text", help="In place of the tail: the text of an entity that the graph does not have.")
@click.option("--tail-image", multiple=True, help="In place of the tail: its image; repeatable.")
@click.option("--encoder", help="For these, the encoder of the entities' features: name on the hub, or local folder.")
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="How many answers.")
@click.option("--known", multiple=True, help="File of further true triples to leave out; repeatable.")
@click.option("--mark-known", is_flag=True, help="Show what is known already, and mark it, rather than leave it out.")
@click.option("--queries", help="File of queries: head, relation, tail a row, the open one empty or '?'.")
@click.option("--explain", is_flag=True, help="What each scorer adds to the score of an answer (late fusion).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: an answer, or of --queries a query.")
@click.option("--html", type=click.Path(path_type=pathlib.Path), help="Also write a page, with texts and pictures.")
def predict(
    directory: pathlib.Path,
    head: str | None,
    relation: str | None,
    tail: str | None,
    head_text: str | None,
    head_image: tuple[str, ...],
    tail_text: str | None,
    tail_image: tuple[str, ...],
    encoder: str | None,
    k: int,
    dataset: str | None,
    dataset_kwargs: dict[str, Any],
    known: tuple[str, ...],
    mark_known: bool,
    queries: str | None,
    explain: bool,
    as_json: bool,
    html: pathlib.Path | None,
) -> None:
    """Answer a query, or a file of them, with the model saved in DIRECTORY.

    Of a folder that PyKEEN wrote the model is a pickle: load only what you saved yourself.
    """
    from .answer_table import answers_page
    from .datasets.files import map_triples, read_triples
    from .io import write_text
    from .predict import Predictor, read_queries
    from .runs import open_run

    one = {
        "head": _given(head, head_text, head_image, "head"),
        "relation": relation,
        "tail": _given(tail, tail_text, tail_image, "tail"),
    }
    if queries is not None and any(one.values()):
        raise click.UsageError("Give either --queries, or two of --head, --relation and --tail.")
    asked = [one] if queries is None else read_queries(queries)
    source = None if dataset is None else find_dataset(dataset, dataset_kwargs).training
    model, factory = open_run(directory, source)
    others = []
    for path in known:
        rows = read_triples(pathlib.Path(path), tuple(factory.relation_to_id))
        triples, foreign = map_triples(rows, factory.entity_to_id, factory.relation_to_id)
        if foreign:
            click.secho(
                f"{path}: {foreign} triples have a label that the graph lacks; they leave out nothing", err=True
            )
        others.append(triples)
    predictor = Predictor(model, factory, others, source, encoder)
    shown = []
    for query, df in zip(asked, predictor.predict(asked, k=k, known="mark" if mark_known else "drop"), strict=True):
        if explain:
            df = predictor.explain(query, df)
        if queries is not None:
            click.echo(json.dumps({**query, "answers": df.to_dict(orient="records")}, ensure_ascii=False))
        else:
            print_frame(df, as_json)
        if html is not None:
            shown.append((predictor.shown(query), df))
    if html is not None:
        write_text(html, answers_page(shown, f"Predictions of {directory.absolute().name}"))


@click.command()
@click.argument("directory", type=click.Path(path_type=pathlib.Path))
@click.argument("triples", type=click.Path(path_type=pathlib.Path))
@click.option("--output", type=click.Path(path_type=pathlib.Path), required=True, help="The folder of the new run.")
@click.option("--entities", type=click.Path(path_type=pathlib.Path), help="Table of entities that the run has not.")
@click.option("--encoder", help="For these, the encoder of the run's features: name on the hub, or local folder.")
@click.option("--steps", type=click.IntRange(0), default=50, show_default=True, help="Steps of training.")
@click.option("--learning-rate", type=click.FloatRange(0), help="By default by the size of the numbers in each table.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def update(
    directory: pathlib.Path,
    triples: pathlib.Path,
    output: pathlib.Path,
    entities: pathlib.Path | None,
    encoder: str | None,
    steps: int,
    learning_rate: float | None,
    seed: int,
) -> None:
    """Make a run that knows new TRIPLES of the one saved in DIRECTORY, which is not changed.

    A few steps train the rows of the entities that the triples name, in the tables of structure; all else is frozen.
    """
    from .runs import update_run

    run = update_run(
        directory,
        triples,
        output,
        entities=entities,
        encoder=encoder,
        num_steps=steps,
        learning_rate=learning_rate,
        seed=seed,
    )
    step = run.document["updates"][-1]
    click.echo(f"{step['triples']} new triples, {step['entities']} new entities, {step['steps']} steps of training")
    click.echo(f"saved to {output}; try: pykeen-mmkg predict {output} --head ... --relation ...")
