"""The table of unseen relations: one row, one dataset and one seed a call; results are appended to a file.

python benchmarks/zero_shot.py encode --data data/fb15k-237-zs --encoder <folder> --out <features>
python benchmarks/zero_shot.py run --data data/fb15k-237-zs --features <features> --row relevidence --seed 0
python benchmarks/zero_shot.py pictures --seed 0   # what pictures are worth, on the shipped graph
"""

import json
import pathlib
import time
from typing import Any

import click
import torch
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets.benchmarks import NELLZS, FB15k237ZS
from pykeen_mmkg.datasets.tables import ModalityTable
from pykeen_mmkg.datasets.wordnet_emoji import WordNetEmoji
from pykeen_mmkg.features import FeatureStore

#: two epochs of structure, then 10,000 steps of the extractor and 1,000 of the generator
GAN: dict[str, Any] = dict(
    training_loop="twophase",
    training_kwargs=dict(num_epochs=13, batch_size=512),
    training_loop_kwargs=dict(structure_epochs=2, steps_per_epoch=1000),
    negative_sampler="basic",
    negative_sampler_kwargs=dict(num_negs_per_pos=4),
    optimizer="adam",
    optimizer_kwargs=dict(lr=1e-3),
)
#: a step costs as much as there are entities to embed: larger batches are cheaper, and no worse on the dev relations
EMBEDDED: dict[str, Any] = {**GAN, "training_kwargs": dict(num_epochs=13, batch_size=2048)}
#: 3,000 steps of the generator, as published
ADVERSARIAL: dict[str, Any] = {**EMBEDDED, "training_kwargs": dict(num_epochs=15, batch_size=2048)}
EPISODES = dict(
    training_loop="episodic",
    training_loop_kwargs=dict(num_batches=80),
    training_kwargs=dict(num_epochs=10, batch_size=32),
    optimizer="adam",
    optimizer_kwargs=dict(lr=2e-3),
    lr_scheduler="CosineAnnealingLR",
    lr_scheduler_kwargs=dict(T_max=10),
)
NOTHING = dict(training_kwargs=dict(num_epochs=0))
#: 30 bases and 384 dimensions, as published, take hours on a CPU
SMALL = dict(representation_kwargs=dict(dim=128), consolidator_kwargs=dict(num_bases=8))
#: with the discriminator, but our hinge, norm, aggregation, batches and weights
WITH_CRITIC = dict(
    consolidator_kwargs=dict(num_bases=8),
    representation_kwargs=dict(dim=128, reconstruction_weight=dict(visual=0.7, textual=0.5)),
    learner_kwargs=dict(adversarial=True, noise_dim=15, spectral=True),
)
#: what the episodic loop does differently on NELL-ZS
NELL_LOOP: dict[str, Any] = dict(negatives="types", relations_per_batch=4, num_batches=40)
#: selected on the dev relations
NELL_KWARGS: dict[str, Any] = dict(similar_texts=5)
#: the rows: name -> (model, its keyword arguments, the rest of the pipeline's arguments)
ROWS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "tail degree": ("degreerule", {}, NOTHING),
    "Adamic-Adar + link": ("adamicadar", {}, NOTHING),
    "TF-IDF": ("descriptionfrequency", {}, NOTHING),
    "both": ("blindmixture", {}, NOTHING),
    "devise": ("devise", {}, EMBEDDED),
    "zsgan": ("zsgan", {}, ADVERSARIAL),
    "mre-adversarial": ("mre", WITH_CRITIC, GAN),
    # all of the method, in one round of its phases, and smaller
    "mre-published": ("mre", dict(preset="published", **SMALL), GAN),
    "zsgan-published": ("zsgan", dict(preset="published"), {**ADVERSARIAL, "training_kwargs": dict(num_epochs=21)}),
    "mre": ("mre", SMALL, GAN),
    "mre-no-structure": ("mre", dict(structure=False), GAN),
    "textonly": ("textonly", {}, EPISODES),
    "relevidence": ("relevidence", {}, EPISODES),
    "relevidence-no-head": ("relevidence", dict(use_head=False), EPISODES),
    **{
        f"relevidence-no-{name}": (
            "relevidence",
            dict(evidence=[x for x in ("profile", "links", "paths", "text", "words") if x != name]),
            EPISODES,
        )
        for name in ("profile", "links", "paths", "text", "words")
    },
}


def held_out(dataset: FB15k237ZS, fold: int, size: int = 29, cap: int = 150) -> tuple[TriplesFactory, TriplesFactory]:
    """Return the training triples without some relations that are no dev relations, and up to `cap` triples of each."""
    factory = dataset.training
    triples = factory.mapped_triples
    dev = {dataset.relation_to_id[relation] for relation in dataset.dev_relations or ()}
    seen = [relation for relation in triples[:, 1].unique().tolist() if relation not in dev]
    order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(7)).tolist()
    hidden = torch.tensor([seen[i] for i in order[(fold - 1) * size : fold * size]])
    ranked = []
    for relation in hidden.tolist():
        own = triples[triples[:, 1] == relation]
        ranked.append(own[torch.randperm(len(own), generator=torch.Generator().manual_seed(relation))[:cap]])
    keep = ~torch.isin(triples[:, 1], hidden)
    return factory.clone_and_exchange_triples(triples[keep]), factory.clone_and_exchange_triples(torch.cat(ranked))


@click.group()
def main() -> None:
    """Measure unseen relations."""


@main.command()
@click.option("--data", type=click.Path(path_type=pathlib.Path), required=True)
@click.option("--encoder", required=True, help="The folder of a VisionTextDualEncoderModel, or of a text model.")
@click.option("--out", type=click.Path(path_type=pathlib.Path), required=True)
@click.option("--max-length", default=64)
def encode(data: pathlib.Path, encoder: str, out: pathlib.Path, max_length: int) -> None:
    """Encode the texts of entities and relations: the mean of the tokens' vectors of the text tower."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(encoder).eval()
    model = getattr(model, "text_model", model)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    for kind, name in (("entity", "textual"), ("relation", "relation_textual")):
        table = ModalityTable.load(data / ("entities.tsv" if kind == "entity" else "relations.tsv"), kind=kind)
        texts = [text or "" for text in table.texts().values()]
        vectors = torch.zeros(len(texts), model.config.hidden_size)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), 64):
            ids = order[start : start + 64]
            batch = tokenizer(
                [texts[i] for i in ids], padding=True, truncation=True, max_length=max_length, return_tensors="pt"
            )
            with torch.inference_mode():
                hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].float()
            vectors[ids] = ((hidden * mask).sum(1) / mask.sum(1)).half().float()
        FeatureStore.from_tensors(
            list(table.labels),
            vectors,
            mask=torch.tensor([bool(text) for text in texts]),
            modality="textual",
            provenance={"encoder": encoder, "pooling": "mean", "max_length": str(max_length)},
        ).save(out / f"{name}.safetensors")


@main.command()
@click.option("--data", type=click.Path(path_type=pathlib.Path), required=True)
@click.option("--features", type=click.Path(path_type=pathlib.Path), required=True)
@click.option("--row", type=click.Choice(list(ROWS)), required=True)
@click.option("--seed", default=0)
@click.option("--dev", is_flag=True, help="Hide the dev relations from training and evaluate on them.")
@click.option("--fold", type=click.IntRange(1, 4), help="Hide 29 other seen relations of FB15K-237-ZS, and rank them.")
@click.option("--kwargs", default="{}", help="JSON, merged into the model's keyword arguments.")
@click.option("--loop", default="{}", help="JSON, merged into the training loop's keyword arguments.")
@click.option("--training", default="{}", help="JSON, merged into the arguments of the training, such as num_epochs.")
@click.option("--out", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("zero_shot.jsonl"))
@click.option("--sample", type=int, help="Rank this many random triples of the split only.")
@click.option("--full", is_flag=True, help="Rank among all entities, too.")
def run(
    data: pathlib.Path,
    features: pathlib.Path,
    row: str,
    seed: int,
    dev: bool,
    fold: int | None,
    kwargs: str,
    loop: str,
    training: str,
    out: pathlib.Path,
    sample: int | None,
    full: bool,
) -> None:
    """Train and evaluate one row."""
    torch.set_num_threads(1)
    fb = (data / "candidates.json").is_file()
    stores = {name: str(features / f"{name}.safetensors") for name in ("textual", "relation_textual")}
    cls = FB15k237ZS if fb else NELLZS
    dataset = cls(path=data, features=stores, **(dict(hold_out="dev") if dev and fb else {}))
    model, model_kwargs, rest = ROWS[row]
    rest = json.loads(json.dumps(rest))
    if rest.get("training_loop") == "episodic" and not fb:
        # the competitors on NELL-ZS are of the answer's type
        rest["training_loop_kwargs"].update(NELL_LOOP)
        model_kwargs = {**NELL_KWARGS, **model_kwargs}
    rest.setdefault("training_loop_kwargs", {}).update(json.loads(loop))
    if not rest["training_loop_kwargs"]:
        del rest["training_loop_kwargs"]
    rest["training_kwargs"].update(json.loads(training), use_tqdm=False)
    protocol: dict[str, Any] = dict(dataset=dataset, full_ranking=full)
    protocol["candidates"] = str(data / "candidates.json") if fb else "types"
    # further true answers that are left out of the ranks
    known_true = [str(data / "known_true.tsv")] if fb else []
    training_triples, ranked = dataset.training, dataset.validation if dev else dataset.testing
    if fold is not None:
        if dev or not fb:
            raise click.UsageError("--fold is for FB15K-237-ZS, and hides other relations than --dev.")
        training_triples, ranked = held_out(dataset, fold)
        known_true.append(str(data / "train.tsv"))
    if sample is not None:
        # other true answers are still left out, see known_true; on NELL-ZS the types of all tails still count
        triples = ranked.mapped_triples
        chosen = torch.randperm(len(triples), generator=torch.Generator().manual_seed(0))[:sample]
        known_true.append(str(data / "test.tsv"))
        if dev:
            raise click.UsageError("--sample is for the test relations.")
        ranked = ranked.clone_and_exchange_triples(triples[chosen])
    if known_true:
        protocol["known_true"] = known_true
    start = time.time()
    result = pipeline(
        training=training_triples,
        # the pipeline takes known answers out of this split, too
        validation=None if dev else dataset.validation,
        testing=ranked,
        model=model,
        model_kwargs={**model_kwargs, **json.loads(kwargs)},
        random_seed=seed,
        evaluator="zslcandidates",
        evaluator_kwargs=protocol,
        evaluation_kwargs=dict(use_tqdm=False, targets=["tail"], batch_size=16),
        **rest,
    )
    metrics = {
        name: round(result.get_metric(f"tail.realistic.{key}"), 4)
        for name, key in (
            ("mrr", "inverse_harmonic_mean_rank"),
            ("hits10", "hits_at_10"),
            ("hits5", "hits_at_5"),
            ("hits1", "hits_at_1"),
        )
    }
    record = dict(
        data=data.name,
        row=row,
        sample=sample,
        seed=seed,
        split="dev" if dev else "test" if fold is None else f"fold {fold}",
        kwargs=json.loads(kwargs),
        loop=json.loads(loop),
        training=json.loads(training),
    )
    record |= metrics | dict(train_seconds=round(result.train_seconds), seconds=round(time.time() - start))
    record["cpu_seconds"] = round(time.process_time())
    if full:
        everyone = result.metric_results.beside["standard"]
        record["full_mrr"] = round(everyone.get_metric("tail.realistic.inverse_harmonic_mean_rank"), 4)
    click.echo(json.dumps(record))
    with out.open("a") as file:
        file.write(json.dumps(record) + "\n")


@main.command()
@click.option("--row", type=click.Choice([name for name in ROWS if ROWS[name][0] == "mre"]), default="mre")
@click.option("--seed", default=0)
@click.option("--dev", is_flag=True, help="Hide the dev relations from training and evaluate on them.")
@click.option("--out", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("zero_shot.jsonl"))
def pictures(row: str, seed: int, dev: bool, out: pathlib.Path) -> None:
    """Train MRE on the shipped graph with the texts of entities, and with their pictures, too."""
    torch.set_num_threads(1)
    dataset = WordNetEmoji(hold_out="dev") if dev else WordNetEmoji()
    model, model_kwargs, rest = ROWS[row]
    for modalities in (["textual"], ["visual", "textual"]):
        start = time.process_time()
        result = pipeline(
            training=dataset.training,
            testing=dataset.validation if dev else dataset.extra["unseen-relations"],
            model=model,
            model_kwargs={**model_kwargs, "modalities": modalities},
            random_seed=seed,
            evaluator="standard",
            evaluator_kwargs={"targets": ["tail"]},
            evaluation_kwargs=dict(use_tqdm=False, batch_size=16),
            **{**rest, "training_kwargs": {**rest["training_kwargs"], "use_tqdm": False}},
        )
        record = dict(data="wordnetemoji", row=row, seed=seed, split="dev" if dev else "test", modalities=modalities)
        record["mrr"] = round(result.get_metric("tail.realistic.inverse_harmonic_mean_rank"), 4)
        record["hits10"] = round(result.get_metric("tail.realistic.hits_at_10"), 4)
        record["cpu_seconds"] = round(time.process_time() - start)
        click.echo(json.dumps(record))
        with out.open("a") as file:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
