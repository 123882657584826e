"""The main job on the embedded demo: ``pykeen-mmkg demo``.

Features are reused as shipped, or encoded anew; late fusion is trained in PyKEEN's pipeline, evaluated beside its own
scorers, controls, VL-KGE and baselines on seen and on unseen entities, and asked for predictions; then the same for
relations that training has never seen. Everything here is what a user would write, too.
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
from .evaluation.evaluating import make_evaluator
from .evaluation.results import ProtocolMetricResults
from .models.late_fusion import LateFusion
from .names import names_of
from .predict import predict

__all__ = ["CONFIG", "run"]

#: what all models share
SHARED: dict[str, Any] = {"evaluation_kwargs": {"batch_size": 256, "use_tqdm": False}, "device": "cpu"}

#: late fusion as it is, nothing else said
LATE: dict[str, Any] = {"model": "latefusion", "training_kwargs": {"use_tqdm": False}}

#: the configuration of VL-KGE; chosen on the validation splits. The loss of the paper, a mean over all scores, learns
#: little in so few epochs
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
}

RULE: dict[str, Any] = {"training_kwargs": {"num_epochs": 0}}

#: what is trained or applied: the row of the table -> arguments of the pipeline
MODELS: dict[str, dict[str, Any]] = {
    "late fusion": LATE,
    "late fusion, pictures shuffled": {**LATE, "model_kwargs": {"shuffle": {"visual": 0}}},
    "late fusion, no pictures": {**LATE, "model_kwargs": {"scorer_kwargs": {"impute": None}}},
    "VL-KGE": CONFIG,
    "VL-KGE, text only": {**CONFIG, "model_kwargs": {**CONFIG["model_kwargs"], "modalities": ["textual"]}},
    "degree rule": {**RULE, "model": "degreerule"},
    "inverse rule": {**RULE, "model": "inverserule"},
    "random": {**RULE, "model": "randomrule"},
}

#: further rows, of the scorers of the first model as they are trained: the row -> which of them, and the prior or not
SUBSETS: dict[str, tuple[tuple[str, ...], bool]] = {
    "content": (("content",), False),
    "structure": (("structure",), False),
    "evidence": (("evidence",), False),
    "content + structure": (("content", "structure"), False),
    "content + evidence": (("content", "evidence"), False),
    "structure + evidence": (("structure", "evidence"), False),
    "late fusion and prior": ((), True),
}

#: the rows of the table, in order
ROWS: list[str] = [*list(MODELS)[:1], *SUBSETS, *list(MODELS)[1:]]

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

#: a test triple of an entity without a training triple
EXPLAINED: dict[str, Any] = {"head": "n04544161", "relation": "hypernym", "tail": "n02883788"}

#: a query with a relation that no training triple has
RELATION_QUERY = {"head": "n00784581", "relation": "region_domain"}


def _shortened(config: Mapping[str, Any], epochs: int | None) -> dict[str, Any]:
    """Return arguments of the pipeline, with the number of epochs of whatever is trained replaced if there is one."""
    config = {**SHARED, **config}
    if epochs is None or config["training_kwargs"].get("num_epochs") == 0:
        return config
    if config.get("model") == "latefusion":
        few = {"training_kwargs": {"num_epochs": epochs}}
        scorers = {"content": few, "structure": few, "evidence": {}}
        return {**config, "model_kwargs": {**config.get("model_kwargs", {}), "scorers": scorers}}
    return {**config, "training_kwargs": {**config["training_kwargs"], "num_epochs": epochs}}


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


def _row(name: str, model: Model, dataset: WordNetEmoji) -> dict[str, Any]:
    """Return a row of the table."""
    row: dict[str, Any] = {"": name}
    for column, (split, modalities) in COLUMNS.items():
        metrics = _evaluate(model, dataset, split, modalities)
        row[f"{column}: MRR"] = metrics.get_metric("mrr")
        row[f"{column}: Hits@10"] = metrics.get_metric("hits@10")
    return row


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
            **_shortened(EPISODES if trained else RULE, epochs),
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

    :param epochs: the number of epochs, of whatever is trained, by default those of :data:`MODELS`
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
    own: dict[str, Any] = {} if encoder is None else {"encoder": encoder}
    rows: dict[str, dict[str, Any]] = {}
    trained: PipelineResult | None = None
    for name, change in MODELS.items():
        rule = change["training_kwargs"].get("num_epochs") == 0
        click.echo(f"{'applying' if rule else 'training'} {name}")
        config = _shortened(change, epochs)
        if not rule:
            config["model_kwargs"] = {**own, **config.get("model_kwargs", {})}
        result = pipeline(dataset=dataset, random_seed=seed, **config)
        rows[name] = _row(name, result.model, dataset)
        if trained is None:
            trained = result
            fusion = cast(LateFusion, result.model)
            for part, (chosen, prior) in SUBSETS.items():
                click.echo(f"of its scorers: {part}")
                rows[part] = _row(part, fusion.subset(*chosen, prior=prior), dataset)
    table = pandas.DataFrame([rows[name] for name in ROWS])
    click.echo("\nFiltered, realistic ranks over all entities, both sides (protocol: standard)\n")
    click.echo(table.to_markdown(index=False, floatfmt=".3f"))
    assert trained is not None
    click.echo("\nWhat each scorer adds to a triple\n")
    click.echo(fusion.explain(**EXPLAINED).to_markdown(floatfmt=".2f"))
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
