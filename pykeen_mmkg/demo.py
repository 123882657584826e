"""The main job on the embedded demo: ``pykeen-mmkg demo``.

Features are reused as shipped, or encoded anew; VL-KGE is trained in PyKEEN's pipeline, evaluated beside baselines on
seen and on unseen entities, and asked for predictions; then the same for relations that training has never seen.
Everything here is what a user would write, too.
"""

import logging
import pathlib
import time
import warnings
from collections.abc import Mapping
from typing import Any, cast

import click
import pandas
import torch
from pykeen.models.base import Model
from pykeen.pipeline import PipelineResult, pipeline

from .datasets.wordnet_emoji import WordNetEmoji
from .evaluation.results import ProtocolMetricResults
from .evaluation.run import make_evaluator
from .predict import names_of, predict

__all__ = ["CONFIG", "run"]

#: the configuration of the demo's model; chosen on the validation splits. The loss of the paper, a mean over all
#: scores, learns little in so few epochs
CONFIG: dict[str, Any] = {
    "model": "vlkge",
    "model_kwargs": {
        "embedding_dim": 256,
        "interaction": "vlcomplex",
        "structural_dropout": 0.5,
        "representation_kwargs": {"feature_kwargs": {"normalize_features": True, "projection": True}},
    },
    "loss": "marginranking",
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
    "VL-KGE, pictures shuffled": {"representation_kwargs": {"shuffle": {"visual": 0}}},
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

#: how the models of unseen relations are trained; chosen on the dev relations
EPISODES: dict[str, Any] = {
    "training_loop": "episodic",
    "training_loop_kwargs": {"num_batches": 40},
    "training_kwargs": {"num_epochs": 5, "batch_size": 32, "use_tqdm_batch": False},
    "optimizer": "adam",
    "optimizer_kwargs": {"lr": 0.002},
}

#: the rows of the table of unseen relations: name -> (model, whether it is trained)
RELATION_ROWS: dict[str, tuple[str, bool]] = {
    "RelEvidence": ("relevidence", True),
    "text only": ("textonly", True),
    "links and words, blind to the relation": ("blindmixture", False),
    "degree rule": ("degreerule", False),
    "random": ("randomrule", False),
}

#: queries for tails; the second entity is known by its picture alone: training has no triple of it
QUERIES: list[dict[str, str]] = [
    {"head": "n04544161", "relation": "hypernym"},
    {"head": "n01898672", "relation": "hypernym"},
]

#: a query with a relation that no training triple has
RELATION_QUERY = {"head": "n00784581", "relation": "region_domain"}


def _config(trained: Mapping[str, Any] | None, epochs: int | None) -> dict[str, Any]:
    """Return the arguments of the pipeline for a model that is trained like this, or for a rule, with nothing to train.

    :param trained: :data:`CONFIG` or :data:`EPISODES`; None for a rule
    :param epochs: the number of epochs, in place of that of the configuration
    """
    shared = {key: CONFIG[key] for key in ("evaluation_kwargs", "device")}
    if trained is None:
        return {**shared, "training_kwargs": {"num_epochs": 0}}
    training = {**trained["training_kwargs"], **({} if epochs is None else {"num_epochs": epochs})}
    return {**shared, **trained, "training_kwargs": training}


def _train(dataset: WordNetEmoji, change: dict[str, Any], seed: int, epochs: int | None) -> PipelineResult:
    """Train one row of the table in PyKEEN's pipeline."""
    if "model" in change:
        config = {**_config(None, epochs), **change}
    else:
        config = {**_config(CONFIG, epochs), "model_kwargs": {**CONFIG["model_kwargs"], **change}}
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


def _unseen_relations(
    dataset: WordNetEmoji, own: Mapping[str, Any], seed: int, epochs: int | None
) -> tuple[pandas.DataFrame, Model]:
    """Rank tails of relations that have no training triple; return the table, and the model of its first row."""
    rows, models = [], []
    for name, (model, trained) in RELATION_ROWS.items():
        click.echo(f"{'training' if trained else 'applying'} {name}")
        result = pipeline(
            training=dataset.training,
            testing=dataset.extra["unseen-relations"],
            model=model,
            model_kwargs=own if trained else {},
            evaluator="standard",
            evaluator_kwargs={"targets": ["tail"]},
            random_seed=seed,
            **_config(EPISODES if trained else None, epochs),
        )
        metrics = result.metric_results
        rows.append(
            {
                "": name,
                "unseen relations: MRR": metrics.get_metric("tail.realistic.inverse_harmonic_mean_rank"),
                "unseen relations: Hits@10": metrics.get_metric("tail.realistic.hits_at_10"),
            }
        )
        models.append(result.model)
    return pandas.DataFrame(rows), models[0]


def _show_predictions(model: Model, dataset: WordNetEmoji, names: Mapping[str, str], query: Mapping[str, str]) -> None:
    shown = ", ".join(f"{slot} {label} ({names.get(label, label)})" for slot, label in query.items())
    click.echo(f"\nPredictions for {shown}, training triples left out\n")
    click.echo(
        predict(model, dataset.training, k=5, head=query["head"], relation=query["relation"]).to_string(index=False)
    )


def run(
    epochs: int | None = None, output: pathlib.Path | None = None, encoder: str | None = None, seed: int = 0
) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Run the demo and print what it does.

    :param epochs: the number of epochs, by default that of :data:`CONFIG`
    :param output: a folder to save the trained run in
    :param encoder: an encoder to encode text and pictures with, in place of the shipped features
    :param seed: the random seed
    :returns: the table, a row for each of :data:`ROWS`, with the filtered MRR and Hits@10 of each split; and that of
        unseen relations, a row for each of :data:`RELATION_ROWS`
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
        _show_predictions(trained.model, dataset, names, query)
    unseen = dataset.coverage().unseen_relations["unseen-relations"]
    click.echo("\nRelations without a training triple: " + ", ".join(unseen))
    relation_table, model = _unseen_relations(dataset, own, seed=seed, epochs=epochs)
    click.echo("\nFiltered, realistic ranks of tails over all entities\n")
    click.echo(relation_table.to_markdown(index=False, floatfmt=".3f"))
    _show_predictions(model, dataset, names, RELATION_QUERY)
    if output is not None:
        trained.save_to_directory(output)
        click.echo(f"\nsaved to {output}; try: pykeen-mmkg predict {output} --head dog --relation hypernym")
    click.echo(f"\n{time.time() - start:.0f} seconds")
    return table, relation_table
