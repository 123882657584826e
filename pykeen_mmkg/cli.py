"""Commands: ``pykeen-mmkg new | split | encode | train | predict | similar | export | evaluate | ...``.

PyKEEN's own commands know our names as well: ``pykeen train vlkge``, ``pykeen experiments run``, ``pykeen optimize``.
"""

import pathlib
import sys
from typing import Any

import click

from ._version import VERSION
from .cli_data import fetch_images, import_graph
from .cli_evaluation import compare, evaluate
from .cli_options import dataset_options, find_dataset, json_object, open_model, print_frame, run_options
from .cli_runs import calibrate, predict, update
from .cli_serving import report, serve
from .errors import MultimodalError

__all__ = ["main"]


class _Group(click.Group):
    """A group whose commands turn bad input into one line on stderr, with exit status 2, and Ctrl-C into 130."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (MultimodalError, OSError) as error:
            click.secho(f"Error: {error}", fg="red", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.secho("Stopped.", err=True)
            sys.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION)
def main() -> None:
    """Multimodal knowledge graphs for PyKEEN."""


main.add_command(import_graph)
main.add_command(fetch_images)
main.add_command(predict)
main.add_command(serve)
main.add_command(report)
main.add_command(update)
main.add_command(calibrate)
main.add_command(evaluate)
main.add_command(compare)


@main.command()
@click.option("--epochs", type=click.IntRange(0), default=None, help="Training epochs; by default those of the demo.")
@click.option("--output", type=click.Path(path_type=pathlib.Path), default=None, help="Where to save the run.")
@click.option("--encoder", default=None, help="Encode anew with this encoder, rather than reuse the shipped features.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
def demo(epochs: int | None, output: pathlib.Path | None, encoder: str | None, seed: int) -> None:
    """Run the main job on the embedded demo: features, training, evaluation beside baselines, predictions."""
    from .demo import run

    run(epochs=epochs, output=output, encoder=encoder, seed=seed)


@main.command()
@click.argument("folder", type=click.Path(path_type=pathlib.Path))
def new(folder: pathlib.Path) -> None:
    """Write a small graph with texts and pictures to FOLDER, to begin one's own with."""
    from .datasets.example import write_example

    write_example(folder)
    click.echo(f"written to {folder}; try: pykeen-mmkg audit {folder}")


@main.command()
@click.argument("folder", type=click.Path(path_type=pathlib.Path))
@click.option("--output", type=click.Path(path_type=pathlib.Path), required=True, help="The new folder.")
@click.option(
    "--kind", default="random", show_default=True, help="random, leak-aware, unseen-entities, unseen-relations."
)
@click.option("--ratios", type=float, nargs=3, default=(0.8, 0.1, 0.1), show_default=True, help="Shares of the splits.")
@click.option("--seed", type=int, default=0, show_default=True)
def split(folder: pathlib.Path, output: pathlib.Path, kind: str, ratios: tuple[float, float, float], seed: int) -> None:
    """Split the triples of a dataset's FOLDER anew, and write it whole to another one.

    The three shares are those of training, validation and testing: of the triples, or, of a kind with unseen items, of
    the entities or relations. "leak-aware" keeps all triples of two entities, inverses and duplicates, together.
    """
    from .datasets import MultimodalDataset, write_dataset

    made = MultimodalDataset(folder, split={"kind": kind, "ratios": list(ratios), "seed": seed})
    write_dataset(made, output)
    for name, factory in made.factories.items():
        click.echo(f"{name}: {factory.num_triples} triples")
    click.echo(f"written to {output}; try: pykeen-mmkg audit {output}")


@main.command()
@dataset_options
@click.option("--encoder", default=None, help="Name on the hub, or local folder.")
@click.option("--encoder-kwargs", callback=json_object, help="Keyword arguments of the encoder, as a JSON object.")
@click.option("--store", type=click.Path(path_type=pathlib.Path), help="The folder of the encoded features.")
@click.option("--output", type=click.Path(path_type=pathlib.Path), help="Also write one .safetensors per modality.")
@click.option("--strict", is_flag=True, help="Stop at the first image that cannot be decoded.")
@click.option("--reduce-to", type=click.IntRange(1), help="Decode photographs reduced to so many pixels a side.")
@click.option("--engine", type=click.Choice(["ray"]), help="What encodes, rather than this process.")
@click.option("--engine-kwargs", callback=json_object, help='Of the engine, such as {"workers": 8, "num_gpus": 1}.')
def encode(
    dataset: str,
    dataset_kwargs: dict[str, Any],
    encoder: str | None,
    encoder_kwargs: dict[str, Any],
    store: pathlib.Path | None,
    output: pathlib.Path | None,
    strict: bool,
    reduce_to: int | None,
    engine: str | None,
    engine_kwargs: dict[str, Any],
) -> None:
    """Encode the text and the images of DATASET (a name or a folder) once, ahead of training.

    A training run finds what is encoded here as long as it uses the same encoder; interrupted, it resumes.
    """
    from .modalities import DEFAULT_ENCODER, FEATURE_KEYS, ModalitySources, labels_of

    factory = find_dataset(dataset, dataset_kwargs).training
    given: dict[str, Any] = {
        "encoder_kwargs": encoder_kwargs or None,
        "store": store,
        "strict": strict,
        "reduce_to": reduce_to,
    }
    given |= {"engine": engine, "engine_kwargs": engine_kwargs or None}
    sources = ModalitySources.from_factory(factory, given, encoder=encoder or DEFAULT_ENCODER)
    # texts first, which are the lesser work: what an encoder lacks then shows before all images are encoded
    for (kind, modality), key in sorted(FEATURE_KEYS.items(), key=lambda item: item[1].endswith("visual")):
        if not sources.provides(kind, modality):
            continue
        if not sources.offers(kind, modality, labels_of(factory, kind, inverse=False)):
            click.echo(f"{key}: skipped, since no {kind} has {'a text' if modality == 'textual' else 'an image'}")
            continue
        features = sources.gather(kind, modality, labels_of(factory, kind))
        has = int(features.mask.sum())
        click.echo(f"{key}: {has} of {len(features.labels)} have a vector of {features.dim} dimensions")
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            features.save(output / f"{key}.safetensors")
            click.echo(f"  written to {output / f'{key}.safetensors'}")


@main.command("import")
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@click.option("--dataset", required=True, help="Name of a dataset, or folder.")
@click.option("--dataset-kwargs", callback=json_object, help="Keyword arguments of the dataset, as a JSON object.")
@click.option("--modality", required=True, help="visual, textual, relation_visual or relation_textual.")
@click.option(
    "--ids", help='Which row is whose: a file of label and row by line, or "dataset" for the order of its ids.'
)
@click.option("--several", type=click.Choice(["mean"]), help="What becomes of several vectors of one label.")
@click.option("--output", type=click.Path(path_type=pathlib.Path), help="The store, default: the dataset's folder.")
def import_(
    file: pathlib.Path,
    dataset: str,
    dataset_kwargs: dict[str, Any],
    modality: str,
    ids: str | None,
    several: Any,
    output: pathlib.Path | None,
) -> None:
    """Import the feature vectors in FILE, which something else computed, for DATASET; FILE stays as it is.

    Read are .npy, .npz, .pt, .safetensors, .h5, .csv, .tsv, and pickles of plain arrays (nothing in them is run).
    """
    from .datasets.feature_import import import_features

    made = import_features(file, find_dataset(dataset, dataset_kwargs), modality, ids, output, several)
    click.echo(f"{modality}: {made}")
    click.echo(f"  written to {made.path}")
    if not made.found:
        click.echo(f"  name it to a model: sources={{'features': {{'{modality}': '{made.path}'}}}}")


@main.command()
@click.option("--dataset", help="Name of a dataset, or folder.")
@click.option("--dataset-kwargs", callback=json_object, help="Keyword arguments of the dataset, as a JSON object.")
@click.option("--model", help="Name of a model, such as latefusion or vlkge.")
@click.option("--epochs", type=click.IntRange(min=0), help="Training epochs, by default PyKEEN's.")
@click.option("--encoder", help="What encodes texts and images: name on the hub, or local folder.")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="The random seed.  [default: 0]")
@click.option("--protocol", default="standard", show_default=True, help="The name of a protocol.")
@click.option("--config", type=click.Path(path_type=pathlib.Path), help="JSON file of all else; the options here win.")
@click.option("--output", type=click.Path(path_type=pathlib.Path), required=True, help="The folder of the run.")
@click.option(
    "--features",
    type=click.Choice(["copy", "needed rows", "link"]),
    default="copy",
    show_default=True,
    help="What becomes of the feature files that the model reads.",
)
@click.option("--license", help="The licence under which the run is shared, for its model card.")
@click.option(
    "--engine",
    type=click.Choice(["pykeen", "lightning"]),
    default="pykeen",
    show_default=True,
    help="What does the steps; lightning: on several devices.",
)
@click.option("--devices", type=click.IntRange(1), help="Of lightning: how many devices of this machine.")
@click.option("--precision", help="Of lightning: such as bf16-mixed or 16-mixed.")
@click.option("--engine-kwargs", callback=json_object, help="Of lightning: further arguments, as a JSON object.")
@click.option("--checkpoint-every", type=click.IntRange(1), help="Save a run each so many epochs, in checkpoints/.")
def train(
    dataset: str | None,
    dataset_kwargs: dict[str, Any],
    model: str | None,
    epochs: int | None,
    encoder: str | None,
    seed: int | None,
    protocol: str,
    config: pathlib.Path | None,
    output: pathlib.Path,
    features: Any,
    license: str | None,
    engine: str,
    devices: int | None,
    precision: str | None,
    engine_kwargs: dict[str, Any],
    checkpoint_every: int | None,
) -> None:
    """Train a model in PyKEEN's pipeline, evaluate it, and save it as a run that can be moved and shared.

    CONFIG holds arguments of pykeen.pipeline.pipeline, such as {"model_kwargs": {"embedding_dim": 64}}.
    """
    from .processes import Division
    from .runs import save_run
    from .runs.training_run import baseline_metrics, read_arguments, train_run

    if output.exists() and not output.is_dir():
        raise MultimodalError(f"{output} is a file; name a folder for the run.")
    given = {"dataset": dataset, "model": model, "epochs": epochs, "random_seed": seed}
    arguments: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if config is not None:
        arguments = read_arguments(config, **given)
    named: dict[str, Any] = {name: arguments.pop(name, None) for name in ("dataset", "model")}
    for name, value in named.items():
        if value is None:
            raise click.UsageError(f"Name the {name}: --{name}, or in the file of --config.")
    own_kwargs = arguments.pop("dataset_kwargs", None)
    if dataset is None:
        dataset_kwargs = dataset_kwargs or own_kwargs or {}
    if encoder is not None:
        arguments["model_kwargs"] = {**(arguments.get("model_kwargs") or {}), "encoder": encoder}
    arguments.setdefault("random_seed", 0)
    engine_kwargs |= {
        key: value for key, value in (("devices", devices), ("precision", precision)) if value is not None
    }
    result = train_run(
        **named,
        arguments=arguments,
        dataset_kwargs=dataset_kwargs,
        protocol=protocol,
        engine=engine,
        engine_kwargs=engine_kwargs,
        checkpoints=None if checkpoint_every is None else output / "checkpoints",
        checkpoint_every=checkpoint_every or 1,
    )
    if Division.current().rank:
        return  # the first process has the same, and saves it
    # an evaluator of the file's own may be none of our protocols, and then there is nothing to compare by
    own = arguments.get("evaluator") is not None
    baselines = {} if own else baseline_metrics(named["dataset"], dataset_kwargs, protocol)
    run = save_run(result, output, features=features, license=license, baselines=baselines)
    click.echo(f"protocol {run.document['protocol']}, split testing")
    for metric in ("mrr", "hits@1", "hits@3", "hits@10"):
        click.echo(f"  {metric:8s} {result.metric_results.get_metric(metric):.4f}")
    click.echo(f"saved to {output}; try: pykeen-mmkg predict {output} --head ... --relation ...")


@main.command()
@run_options
@click.option("--entity", help="Label or name of an entity.")
@click.option("--text", help="A text, to be encoded.")
@click.option("--image", type=click.Path(path_type=pathlib.Path), help="A picture, to be encoded.")
@click.option("--modality", help="By which vectors: fused, structural, textual, visual, or a scorer's name.")
@click.option("--encoder", help="For a text or a picture: the encoder of the entities' features.")
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="How many entities.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def similar(
    directory: pathlib.Path, dataset: str | None, dataset_kwargs: dict[str, Any], as_json: bool, **query: Any
) -> None:
    """Show the entities like an entity, a text or a picture, by the vectors of the run saved in DIRECTORY.

    Of a folder that PyKEEN wrote the model is a pickle: load only what you saved yourself.
    """
    from .similar import similar as nearest

    model, factory = open_model(directory, dataset, dataset_kwargs)
    print_frame(nearest(model, factory, **query), as_json)


@main.command()
@run_options
@click.argument("path", type=click.Path(path_type=pathlib.Path))
@click.option("--kind", type=click.Choice(["entity", "relation"]), default="entity", show_default=True)
@click.option("--modality", help="Which vectors: fused, structural, textual, visual, or a scorer's name.")
def export(
    directory: pathlib.Path,
    dataset: str | None,
    dataset_kwargs: dict[str, Any],
    path: pathlib.Path,
    kind: Any,
    modality: str | None,
) -> None:
    """Write the vectors of the run saved in DIRECTORY, with labels, to PATH: .safetensors, .npy, .parquet, .tsv.

    Or as an index of nearest neighbours, by cosine: .faiss, .usearch.

    Of a folder that PyKEEN wrote the model is a pickle: load only what you saved yourself.
    """
    from .vectors import export_vectors, vectors_of

    model, factory = open_model(directory, dataset, dataset_kwargs)
    store = vectors_of(model, factory, modality=modality, kind=kind)
    export_vectors(store, path)
    dtype = store.provenance.get("dtype", "real")
    click.echo(f"{path}: {int(store.mask.sum())} {store.modality} vectors of {store.dim} dimensions ({dtype})")


@main.command()
@dataset_options
@click.option("--json", "as_json", is_flag=True, help="JSON in place of text.")
@click.option(
    "--html", type=click.Path(path_type=pathlib.Path), help="Also write a page, with pictures that occur twice."
)
@click.option("--fail-on", default=None, help="Exit with 1 at findings of these severities or checks.")
def audit(
    dataset: str, dataset_kwargs: dict[str, Any], as_json: bool, html: pathlib.Path | None, fail_on: str | None
) -> None:
    """Look for leaks between the splits of DATASET, unseen items, duplicates, broken images and placeholder vectors."""
    from .audit.checks import audit as run

    report = run(find_dataset(dataset, dataset_kwargs))
    if html is not None:
        from .audit.page import audit_page
        from .io import write_text

        write_text(html, audit_page(report))
    click.echo(report.to_json() if as_json else report.to_text())
    if fail_on is not None and report.failed(fail_on):
        sys.exit(1)


@main.command()
@click.argument("names", nargs=-1)
@click.option("--audit", "audited", is_flag=True, help="Fetch and audit each, and print the findings as a table.")
@click.option("--format", "fmt", default="simple", show_default=True, help="A format of tabulate, such as github.")
def datasets(names: tuple[str, ...], audited: bool, fmt: str) -> None:
    """Print the benchmarks (NAMES, or all): sizes, texts, sources, licences, known leaks."""
    from .datasets.benchmarks import select_benchmarks
    from .datasets.benchmarks.facts import facts_table

    benchmarks = select_benchmarks(names)
    if not audited:
        click.echo(facts_table(benchmarks, fmt))
        return
    from .audit.checks import audit as run
    from .audit.overview import audit_table

    click.echo(audit_table([run(cls()) for cls in benchmarks], fmt))


@main.command()
@click.argument("path", type=click.Path(path_type=pathlib.Path))
@click.option("--output", type=click.Path(path_type=pathlib.Path), required=True, help="The folder of the runs.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes at a time.")
@click.option("--strata", is_flag=True, help="Also the MRR by modality, kind of relation, ...")
def study(path: pathlib.Path, output: pathlib.Path, workers: int, strata: bool) -> None:
    """Run the study described in PATH (YAML or JSON); what is finished in the output folder is not done again."""
    from .study.study import Study

    run = Study.load(path)
    run.run(output, workers=workers)
    click.echo(run.markdown(output, strata=strata))
