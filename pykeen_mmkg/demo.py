"""The main job on the embedded demo: ``pykeen-mmkg demo``.

Features are reused as shipped, or encoded anew; VL-KGE is trained in PyKEEN's pipeline, evaluated beside baselines on
seen and on unseen entities, and asked for predictions. Everything here is what a user would write, too.
"""

import logging
import pathlib
import time
import warnings
from typing import Any, cast

import click
import pandas
import torch
from pykeen.models.base import Model
from pykeen.pipeline import PipelineResult, pipeline

from .datasets.demo import WordNetEmoji
from .evaluation.results import ProtocolMetricResults
from .evaluation.run import make_evaluator
from .predict import names_of, predict

__all__ = ["CONFIG", "run"]

#: the configuration of the demo's model; chosen on the validation splits
CONFIG: dict[str, Any] = {
    "model": "vlkge",
    "model_kwargs": {
        "embedding_dim": 256,
        "interaction": "vlcomplex",
        "normalize_features": True,
        "project": True,
        "structural_dropout": 0.5,
    },
    "optimizer": "adagrad",
    "optimizer_kwargs": {"lr": 0.03, "fused": True},
    "negative_sampler_kwargs": {"num_negs_per_pos": 50},
    "training_kwargs": {"num_epochs": 30, "batch_size": 512, "use_tqdm_batch": False},
    "evaluation_kwargs": {"batch_size": 256, "use_tqdm": False},
    "device": "cpu",
}

#: the rows of the table: name -> change of the configuration, or a rule, which needs no training
ROWS: dict[str, dict[str, Any]] = {
    "VL-KGE": {},
    "VL-KGE, pictures shuffled": {"shuffle": {"visual": 0}},
    "text + picture": {"modalities": ["visual", "textual"]},
    "text only": {"modalities": ["textual"]},
    "structure only": {"modalities": ["structural"]},
    "degree rule": {"model": "degreerule"},
    "inverse rule": {"model": "inverserule"},
    "random": {"model": "randomrule"},
}

#: the columns of the table: name -> (split, what is known of the unseen entity of a triple, or None for all)
COLUMNS: dict[str, tuple[str, str | None]] = {
    "seen": ("testing", None),
    "unseen entities": ("unseen-entities", None),
    "known by picture only": ("unseen-entities", "image"),
}

#: queries for tails; the second entity is known by its picture alone: training has no triple of it
QUERIES: list[dict[str, str]] = [
    {"head": "n04544161", "relation": "hypernym"},
    {"head": "n01898672", "relation": "hypernym"},
]


def _train(dataset: WordNetEmoji, change: dict[str, Any], seed: int, epochs: int | None) -> PipelineResult:
    """Train one row of the table in PyKEEN's pipeline."""
    if "model" in change:  # a rule: nothing to train
        config = {**change, "training_kwargs": {"num_epochs": 0}, "evaluation_kwargs": CONFIG["evaluation_kwargs"]}
    else:
        config = {**CONFIG, "model_kwargs": {**CONFIG["model_kwargs"], **change}}
        config["training_kwargs"] = {**CONFIG["training_kwargs"], **({"num_epochs": epochs} if epochs else {})}
    return pipeline(dataset=dataset, random_seed=seed, **config)


def _evaluate(model: Model, dataset: WordNetEmoji, split: str, modalities: str | None) -> ProtocolMetricResults:
    """Evaluate on a split, or on its triples whose unseen entity is known by these modalities only."""
    factory = dataset.testing if split == "testing" else dataset.extra[split]
    triples = factory.mapped_triples
    if modalities is not None:
        labels = [label for label, entity in dataset.unseen.items() if entity.modalities == modalities]
        ids = torch.as_tensor([dataset.entity_to_id[label] for label in labels])
        triples = triples[torch.isin(triples[:, [0, 2]], ids).any(dim=-1)]
    splits = (dataset.training, dataset.validation, factory)
    known = [split.mapped_triples for split in splits if split is not None]
    evaluator = make_evaluator("standard", dataset=dataset)
    results = evaluator.evaluate(model, triples, additional_filter_triples=known, batch_size=256, use_tqdm=False)
    return cast(ProtocolMetricResults, results)


def run(
    epochs: int | None = None, output: pathlib.Path | None = None, encoder: str | None = None, seed: int = 0
) -> pandas.DataFrame:
    """Run the demo and print what it does.

    :param epochs: the number of epochs, by default that of :data:`CONFIG`
    :param output: a folder to save the trained run in
    :param encoder: an encoder to encode text and pictures with, in place of the shipped features
    :param seed: the random seed
    :returns: the table: a row for each of :data:`ROWS`, with the filtered MRR and Hits@10 of each split
    """
    start = time.time()
    logging.getLogger("pykeen").setLevel(logging.ERROR)
    logging.getLogger("torch_max_mem").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    dataset = WordNetEmoji()
    click.echo(dataset.summary_str(show_examples=3))
    rows, trained = [], None
    own: dict[str, Any] = {} if encoder is None else {"encoder": encoder}
    for name, change in ROWS.items():
        click.echo(f"{'applying' if 'model' in change else 'training'} {name}")
        change = change if "model" in change else {**own, **change}
        result = _train(dataset, change, seed=seed, epochs=epochs)
        trained = trained or result
        row: dict[str, Any] = {"": name}
        for column, (split, modalities) in COLUMNS.items():
            metrics = _evaluate(result.model, dataset, split, modalities)
            row[f"{column}: MRR"] = metrics.get_metric("mrr")
            row[f"{column}: Hits@10"] = metrics.get_metric("hits@10")
        rows.append(row)
    table = pandas.DataFrame(rows)
    click.echo("\nFiltered, realistic ranks over all entities, both sides (protocol: standard)\n")
    click.echo(table.to_markdown(index=False, floatfmt=".3f"))
    assert trained is not None
    names = {**names_of(dataset.training), **{label: entity.label for label, entity in dataset.unseen.items()}}
    for query in QUERIES:
        shown = ", ".join(f"{slot} {label} ({names.get(label, label)})" for slot, label in query.items())
        click.echo(f"\nPredictions for {shown}, training triples left out\n")
        click.echo(
            predict(trained.model, dataset.training, k=5, head=query["head"], relation=query["relation"]).to_string(
                index=False
            )
        )
    if output is not None:
        trained.save_to_directory(output)
        click.echo(f"\nsaved to {output}; try: pykeen-mmkg predict {output} --head dog --relation hypernym")
    click.echo(f"\n{time.time() - start:.0f} seconds")
    return table
