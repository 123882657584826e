"""Commands that ask saved runs, and make others of them: ``pykeen-mmkg predict | calibrate | update``."""

import json
import pathlib
from typing import Any

import click

from .cli_options import find_dataset, print_frame, run_options
from .errors import MultimodalError

__all__ = ["calibrate", "predict", "update"]


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
@click.option("--explain", is_flag=True, help="What each scorer, kind of evidence or modality adds, and why.")
@click.option("--probability", is_flag=True, help="The probability of each answer, see pykeen-mmkg calibrate.")
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
    probability: bool,
    as_json: bool,
    html: pathlib.Path | None,
) -> None:
    """Answer a query, or a file of them, with the model saved in DIRECTORY.

    Of a folder that PyKEEN wrote the model is a pickle: load only what you saved yourself.
    """
    from .answer_reasons import reasons
    from .answer_table import answers_page
    from .datasets.files import map_triples, read_triples
    from .io import write_text
    from .predict import Predictor, read_queries
    from .runs import open_run, run_document

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
    calibration = None
    if probability:
        from .calibration import Calibration

        document = run_document(directory)
        if "calibration" not in document:
            raise MultimodalError(f"{directory} was not calibrated: run `pykeen-mmkg calibrate {directory}` first.")
        calibration = Calibration.from_dict(document["calibration"])
    predictor = Predictor(model, factory, others, source, encoder, calibration)
    shown = []
    for query, df in zip(asked, predictor.predict(asked, k=k, known="mark" if mark_known else "drop"), strict=True):
        why = None
        if explain:
            df = predictor.explain(query, df)
            why = reasons(predictor, query, df["label"].iloc[0]) if len(df) else None
        if queries is not None:
            line = {**query, "answers": df.to_dict(orient="records")}
            line |= {} if why is None else {"reasons": why.to_dict(orient="records")}
            click.echo(json.dumps(line, ensure_ascii=False))
        else:
            print_frame(df, as_json)
            if why is not None and len(why) and not as_json:
                click.echo(f"\nfor {df['label'].iloc[0]} there speak, of the training triples and the texts:")
                print_frame(why, as_json)
        if html is not None:
            shown.append((predictor.shown(query), df))
    if html is not None:
        write_text(html, answers_page(shown, f"Predictions of {directory.absolute().name}"))


@click.command()
@run_options
@click.option("--split", default="validation", show_default=True, help="The split that training has not seen.")
@click.option("--method", type=click.Choice(["platt", "isotonic"]), default="platt", show_default=True)
@click.option(
    "--ratio",
    type=click.FloatRange(1e-3, 1e6),
    default=1.0,
    show_default=True,
    help="How many negatives there are to a positive where the probabilities hold.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The seed of the negatives.")
def calibrate(
    directory: pathlib.Path,
    dataset: str | None,
    dataset_kwargs: dict[str, Any],
    split: str,
    method: str,
    ratio: float,
    seed: int,
) -> None:
    """Fit probabilities to the scores of the run saved in DIRECTORY, and keep them in it, for predict --probability.

    They are fitted on a split of the dataset, by default of that which the run names, against corruptions that no split
    has.
    """
    from .calibration import calibrate as fit
    from .predict import Predictor
    from .runs import AlignedDataset, amend_run, load_run

    run = load_run(directory)
    if own := dataset is None:
        configuration = run.document.get("configuration") or {}
        dataset, dataset_kwargs = configuration.get("dataset"), configuration.get("dataset_kwargs") or {}
        if not isinstance(dataset, str):
            raise MultimodalError(f"{directory} does not name its dataset: give --dataset.")
    try:
        aligned = AlignedDataset(find_dataset(dataset, dataset_kwargs), run.training)
    except MultimodalError as error:
        # a dataset that was an object for the pipeline has no more than a name in the run
        hint = f"The dataset {dataset!r} that the run names cannot be used; give --dataset. " if own else ""
        raise MultimodalError(f"{hint}{error}") from error
    splits = {**aligned.factory_dict, **aligned.extra}
    if split not in splits or split == "training":
        raise MultimodalError(f"No split {split!r} that training has not seen: {sorted(set(splits) - {'training'})}.")
    predictor = Predictor(run.model, run.training, list(splits.values()))
    made = fit(predictor, splits[split].mapped_triples, method, ratio=ratio, seed=seed)
    amend_run(directory, calibration={**made.to_dict(), "dataset": dataset, "split": split})
    click.echo(f"fitted on {made.count} triples of the split {split}, {ratio:g} negatives to a positive")
    click.echo(f"kept in {directory}; try: pykeen-mmkg predict {directory} --probability --head ... --relation ...")


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
