"""Digests of what the package computes, to show that a refactoring changes no result.

python benchmarks/digests.py --out before.json
python benchmarks/digests.py --out after.json --compare before.json

Losses, scores and ranks of every model, rule and protocol, negatives of the samplers, splits, coverage and audits, on
the demo dataset and on 300 triples of WN18RR. An entry has a digest (scores and losses rounded to 5 significant digits,
ranks and ids exact) and a few raw numbers (mean, standard deviation, the first three), by which a difference can be
judged. A step that fails has an entry "error". Compare runs of one machine and one version of torch; the demo takes a
minute or two. To compare with an older commit, run that commit's own copy of this script.

One model, `relevidence`, ends in a bias that all scores share, whose gradient is zero but for rounding, of which
Adagrad makes steps of full size. Its scores are therefore compared less the mean score of the triples.

Everything is reached by PyKEEN's names or by the names of classes and functions, wherever their module is; the models'
keyword arguments stand in the first section, and nowhere else.

PyKEEN's names come from the entry points of the installed package. To test a work tree that is not the one installed,
give it entry points of its own (ignored by git), then put it first on the path:

python -c "import setuptools; setuptools.setup()" -q egg_info
PYTHONPATH=$PWD python benchmarks/digests.py ...
"""

import argparse
import csv
import dataclasses
import fnmatch
import hashlib
import importlib
import itertools
import json
import logging
import math
import pathlib
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click
import numpy
import torch
from pykeen.datasets import get_dataset
from pykeen.evaluation import evaluator_resolver
from pykeen.pipeline import pipeline
from pykeen.sampling import negative_sampler_resolver
from pykeen.triples import CoreTriplesFactory, TriplesFactory

ROOT = pathlib.Path(__file__).resolve().parents[1]

# ---- keyword arguments: what a refactoring may rename ---------------------------------------------------------------


def sources(features: Mapping[str, str]) -> dict[str, Any]:
    """Return the keyword arguments by which a model gets its features."""
    return {"sources": {"features": dict(features)}}


def representation(**options: Any) -> dict[str, Any]:
    """Return the keyword arguments by which VL-KGE gets the options of its representations."""
    own = {key: options.pop(key) for key in ("structural_dropout",) if key in options}
    return {**own, "representation_kwargs": options}


STRUCTURAL, VISUAL, TEXTUAL = "structural", "visual", "textual"
VLKGE: dict[str, Any] = dict(embedding_dim=16)
FUSIONS = ("average", "sum", "concat", "weighted", "gated", "attention")
PAPER = ("vldistmult", "vlcomplex", "vlrotate", "vltranse")
FAST = ("fastdistmult", "fastcomplex", "fastrotate", "fasttranse")
PYKEEN = ("distmult", "complex", "transe", "rotate", "transr", "quate")
#: variants of VL-KGE: name -> keyword arguments, beside :data:`VLKGE`
VARIANTS: dict[str, dict[str, Any]] = {
    **{name: dict(interaction=name) for name in (*PAPER, *FAST, *PYKEEN)},
    **{f"{name}-slow": dict(interaction=name) for name in PAPER},
    **{f"fusion-{name}": dict(interaction="vlcomplex", fusion=name) for name in FUSIONS},
    **{
        f"average-{form}": dict(interaction="vldistmult", fusion="average", fusion_kwargs=dict(form=form))
        for form in ("dense", "masked")
    },
    "unprojected": dict(embedding_dim=32, interaction="vlcomplex"),
    "shared-projection": representation(shared_projection=True),
    "adapter": representation(feature_kwargs=dict(adapter=True)),
    "normalized": representation(feature_kwargs=dict(normalize_features=True), l2_normalize=True),
    "dropout": representation(structural_dropout=0.5, modality_dropout=0.2),
    "shuffled": representation(shuffle={VISUAL: 0}),
    "text-only": dict(modalities=[TEXTUAL]),
    "structure-only": dict(modalities=[STRUCTURAL], interaction="vlcomplex"),
    "relation-texts": dict(relation_modalities=[STRUCTURAL, TEXTUAL], interaction="vlrotate"),
    **{
        f"imaginary-{name}": dict(interaction="vlcomplex")
        | representation(structural_dropout=0.5, imaginary=kind, imaginary_fit=0.5)
        for name, kind in (("distil", "distil"), ("joint", "joint"), ("free", "structural"))
    },
}
GAN: dict[str, Any] = dict(embedding_dim=12, pair_kwargs=dict(dim=10, extractor_steps=5))
SMALL: dict[str, Any] = {**GAN, "representation_kwargs": dict(dim=14)}
ADVERSARIAL: dict[str, Any] = dict(
    representation_kwargs=dict(dim=14, reconstruction_weight={VISUAL: 0.7, TEXTUAL: 0.5}),
    learner_kwargs=dict(adversarial=True, noise_dim=5, spectral=True),
)
EVIDENCE: dict[str, Any] = dict(num_weights=2, rank=6, hidden_dim=8)
#: models of unseen relations: name -> (model, keyword arguments, training loop)
DESCRIBED: dict[str, tuple[str, dict[str, Any], str]] = {
    "mre": ("mre", SMALL, "twophase"),
    "mre-adversarial": ("mre", {**GAN, **ADVERSARIAL}, "twophase"),
    "mre-no-structure": ("mre", {**GAN, "structure": False}, "twophase"),
    "mre-one-phase": ("mre", SMALL, "slcwa"),
    "zsgan": ("zsgan", GAN, "twophase"),
    "devise": ("devise", GAN, "twophase"),
    "textonly": ("textonly", EVIDENCE, "episodic"),
    "relevidence": ("relevidence", {**EVIDENCE, "similar_texts": 3}, "episodic"),
    "relevidence-slcwa": ("relevidence", {**EVIDENCE, "similar_texts": 3, "use_head": False}, "slcwa"),
}
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in ("inverserule", "symmetricrule", "duplicaterule", "degreerule", "randomrule")},
    "degreerule-global": ("degreerule", dict(per_relation=False)),
    "randomrule-1": ("randomrule", dict(seed=1)),
    **{name: (name, {}) for name in ("adamicadar", "descriptionfrequency", "blindmixture")},
}
LOOPS: dict[str, dict[str, Any]] = {
    "slcwa": dict(negative_sampler="basic", negative_sampler_kwargs=dict(num_negs_per_pos=4)),
    "lcwa": {},
    "twophase": dict(
        negative_sampler="basic",
        negative_sampler_kwargs=dict(num_negs_per_pos=4),
        training_loop_kwargs=dict(structure_epochs=1, steps_per_epoch=10),
    ),
    "episodic": dict(
        training_loop_kwargs=dict(num_batches=6, relations_per_batch=4),
        negative_sampler_kwargs=dict(num_negs_per_pos=30),
    ),
}
#: the training of all models, unless a step says otherwise
TRAINING: dict[str, Any] = dict(
    random_seed=3,
    device="cpu",
    optimizer="adagrad",
    optimizer_kwargs=dict(lr=0.05),
    evaluation_kwargs=dict(batch_size=64, use_tqdm=False),
)
#: filterers: name -> keyword arguments
FILTERERS: dict[str, dict[str, Any]] = {"plain": {}, "swapped": dict(swapped=True)}
SPLITS: dict[str, tuple[str, dict[str, Any]]] = {
    "entities": ("split_unseen_entities", dict(unseen=3, dev=2, random_state=1)),
    "entities-share": ("split_unseen_entities", dict(unseen=0.006, random_state=2)),
    **{
        f"relations-{leaks}": (
            "split_unseen_relations",
            dict(unseen=2, dev=1, leaks=leaks, min_seen=0.0, threshold=0.1),
        )
        for leaks in ("report", "remove-pairs", "remove-relations")
    },
    "relations-dropped": ("split_unseen_relations", dict(unseen=3, min_seen=0.0, drop_unseen_entities=True)),
}


def protocols(data: "Data") -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the protocols: name -> (evaluator, keyword arguments)."""
    relations = sorted(data.dataset.relation_to_id)
    entities = sorted(data.dataset.entity_to_id)
    lists = {r: [e for e in entities if code(f"{r} {e}") % 7 == 0] for r in relations}
    labels = dict(dataset=data.dataset)
    # its folder names candidates and further true triples
    own = {"zsl-folder": ("zslcandidates", labels)} if data.name == "wn18rr" else {}
    return {
        **own,
        "standard": ("standard", {}),
        "unfiltered": ("standard", dict(filtered=False)),
        "excluded": ("standard", dict(exclude_relations=[data.common_relation], **labels)),
        "vlkge-author": ("vlkgeauthor", {}),
        "zsl-candidates": ("zslcandidates", dict(candidates=lists, head_candidates=lists, **labels)),
        "zsl-types": (
            "zslcandidates",
            dict(candidates="types", candidates_kwargs=dict(types={e: e[0] for e in entities}), **labels),
        ),
        "relation-pool": ("relationpool", {}),
        "relation-pool-split": ("relationpool", dict(split_relations=[data.common_relation], **labels)),
    }


# ---- numbers --------------------------------------------------------------------------------------------------------

#: the number of significant digits of scores and losses that count
DIGITS = 5
#: the relative difference of numbers that counts in a comparison
TOLERANCE = 1e-4


def code(text: str) -> int:
    """Return a number that depends on nothing but the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def rounded(values: numpy.ndarray) -> numpy.ndarray:
    """Return floating point numbers rounded to :data:`DIGITS` digits, as integers; shape: ``(2, n)``."""
    finite = numpy.isfinite(values) & (values != 0)
    safe = numpy.where(finite, values, 1.0)
    exponent = numpy.floor(numpy.log10(numpy.abs(safe))).astype(numpy.int64)
    mantissa = numpy.rint(safe / 10.0 ** (exponent - DIGITS + 1.0)).astype(numpy.int64)
    carried = numpy.abs(mantissa) == 10**DIGITS
    mantissa, exponent = numpy.where(carried, mantissa // 10, mantissa), exponent + carried
    # zero, infinities and NaN, which have no such form
    other = numpy.select([values == 0, values > 0, values < 0], [0, 1, 2], 3)
    return numpy.stack([numpy.where(finite, mantissa, other), numpy.where(finite, exponent, 10_000)])


def entry(values: Any) -> dict[str, Any]:
    """Return the digest of numbers, and some of them.

    :param values: integers, which count exactly, or floating point numbers
    :returns: ``digest`` and ``numbers``: mean, standard deviation, and the first three
    """
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else numpy.asarray(values)
    exact = array.dtype.kind in "biu"
    flat = array.astype(numpy.int64 if exact else numpy.float64).reshape(-1)
    sha = hashlib.sha256(str(array.shape).encode())
    sha.update(numpy.ascontiguousarray(flat if exact else rounded(flat)).tobytes())
    numbers = [flat.mean(), flat.std(), *flat[:3]] if len(flat) else []
    return dict(digest=sha.hexdigest()[:12], numbers=[float(f"{x:.6g}") for x in numbers])


def document(content: Any) -> dict[str, Any]:
    """Return the digest of a JSON document, with its numbers rounded, and some of them."""
    numbers: list[float] = []

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): plain(value[key]) for key in sorted(value, key=str)}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if isinstance(value, int | float | numpy.generic) and not isinstance(value, bool):
            numbers.append(float(value))
            return f"{float(value):.{DIGITS}g}" if isinstance(value, float | numpy.floating) else int(value)
        return value if value is None or isinstance(value, bool) else str(value)

    digest = hashlib.sha256(json.dumps(plain(content)).encode()).hexdigest()[:12]
    summary = [numpy.mean(numbers), numpy.std(numbers), *numbers[:3]] if numbers else []
    return dict(digest=digest, numbers=[float(f"{x:.6g}") for x in summary])


# ---- finding what is tested -----------------------------------------------------------------------------------------


def ours(name: str) -> Any:
    """Import a class or function of the package by its name, in whatever module it is defined."""
    package = pathlib.Path(importlib.import_module("pykeen_mmkg").__file__ or "").parent
    for path in sorted(package.rglob("*.py")):
        if re.search(rf"^(class|def) {name}\b", path.read_text(encoding="utf-8"), re.MULTILINE):
            parts = path.relative_to(package.parent).with_suffix("").parts
            module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
            found = getattr(module, name)
            # the commands have functions of the same names
            if name in getattr(module, "__all__", ()) and not isinstance(found, click.Command):
                return found
    raise ImportError(f"there is no {name} in {package}")


@dataclasses.dataclass
class Data:
    """A dataset with features."""

    name: str
    dataset: Any
    features: dict[str, str]

    @property
    def training(self) -> TriplesFactory:
        """The training triples."""
        return self.dataset.training

    @property
    def testing(self) -> TriplesFactory:
        """Some test triples."""
        return some(self.dataset.testing, 100)

    @property
    def unseen(self) -> TriplesFactory:
        """Some triples of unseen relations."""
        return some(self.dataset.extra["unseen-relations"], 40)

    @property
    def common_relation(self) -> str:
        """The most frequent relation of training."""
        frequent = int(self.training.mapped_triples[:, 1].bincount().argmax())
        return self.training.relation_id_to_label[frequent]


def linked(triples: torch.Tensor, number: int) -> torch.Tensor:
    """Return triples whose pair another triple has as well, in the same or the opposite direction: rules use these."""
    pairs: dict[frozenset[int], int] = {}
    rows = triples.tolist()
    for head, _, tail in rows:
        pairs[frozenset((head, tail))] = pairs.get(frozenset((head, tail)), 0) + 1
    keep = [i for i, (head, _, tail) in enumerate(rows) if pairs[frozenset((head, tail))] > 1]
    return triples[keep[:number]]


def some(factory: TriplesFactory, number: int) -> TriplesFactory:
    """Return a factory with some triples of another, evenly spread."""
    step = max(1, factory.num_triples // number)
    return factory.clone_and_exchange_triples(factory.mapped_triples[::step][:number])


# ---- datasets -------------------------------------------------------------------------------------------------------


def read_table(path: pathlib.Path) -> dict[str, str]:
    """Read label -> text from a table of entities or relations."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {row[0]: " ".join(row[1:]).strip() for row in rows[1:]}


def bag_of_words(text: str, salt: str, dim: int = 32) -> numpy.ndarray:
    """Return a vector that depends on the words of a text only: the sum of a pseudo-random vector for each."""
    vector = numpy.zeros(dim)
    for word in text.lower().split():
        vector += numpy.frombuffer(hashlib.sha256(f"{salt} {word}".encode()).digest()[:dim], numpy.uint8) / 127.5 - 1
    return (vector / max(float(numpy.linalg.norm(vector)), 1e-9)).astype(numpy.float32)


def write_features(tables: pathlib.Path, folder: pathlib.Path) -> dict[str, str]:
    """Write feature files: texts that a tenth of the entities lacks, and "images" that only a third has."""
    entities, relations = read_table(tables / "entities.tsv"), read_table(tables / "relations.tsv")
    result = {}
    for key, items, has in (
        ("visual", entities, lambda label: code(label) % 3 == 0),
        ("textual", entities, lambda label: code(label) % 10 != 1),
        ("relation_textual", relations, lambda label: True),
    ):
        vectors = numpy.stack([bag_of_words(text or label, salt=key[:6]) for label, text in items.items()])
        mask = torch.tensor([has(label) for label in items])
        store = ours("FeatureStore").from_tensors(list(items), torch.from_numpy(vectors), mask=mask, modality=key)
        result[key] = str(store.save(folder / f"{key}.safetensors"))
    return result


def make_demo(folder: pathlib.Path) -> Data:
    """Return the demo dataset with features of our own."""
    dataset = get_dataset(dataset="wordnetemoji")
    package = pathlib.Path(importlib.import_module("pykeen_mmkg").__file__ or "").parent
    tables = next(package.rglob("wn_emoji/entities.tsv")).parent
    return Data("demo", dataset, write_features(tables, folder / "demo-features"))


def make_wn18rr(source: pathlib.Path, folder: pathlib.Path) -> Data:
    """Return the first 300 training triples of WN18RR, and mirror images of some, as one with unseen relations."""
    target = folder / "wn18rr"
    target.mkdir()
    with (source / "train.tsv").open(encoding="utf-8") as file:
        triples = [line.rstrip("\n").split("\t") for line in itertools.islice(file, 300)]
        # for the rules and the audit: what the rest of the file says of the same pairs
        pairs = {frozenset((h, t)) for h, _, t in triples}
        others = (line.rstrip("\n").split("\t") for line in file)
        images = list(itertools.islice((t for t in others if frozenset((t[0], t[2])) in pairs), 40))
    hidden = [t for t in triples if t[1] == "_member_meronym"]
    rest = [t for t in triples if t not in hidden]
    parts = {
        "train": rest[:-60] + images[::2],
        "valid": rest[-60:-30],
        "test": rest[-30:] + images[1::2],
        "test-unseen-relations": hidden,
    }
    for name, rows in parts.items():
        (target / f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    used = {label for triple in triples for label in triple}
    entities = sorted({label for triple in triples for label in (triple[0], triple[2])})
    lists = {r: [e for e in entities if code(f"{r} {e}") % 5 == 0] for r in sorted({triple[1] for triple in triples})}
    (target / "candidates.json").write_text(json.dumps(lists), encoding="utf-8")
    # further true triples, the first of another graph
    further = [("elsewhere", *rest[0][1:]), *((h, r, lists[r][0]) for h, r, _ in rest[-30:])]
    (target / "known_true.tsv").write_text("".join("\t".join(row) + "\n" for row in further), encoding="utf-8")
    for name in ("entities.tsv", "relations.tsv"):
        header, *lines = (source / name).read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.split("\t")[0] in used]
        (target / name).write_text(header + "".join(kept), encoding="utf-8")
    features = write_features(target, target / "features")
    return Data("wn18rr", get_dataset(dataset="multimodal", dataset_kwargs={"path": str(target)}), features)


# ---- steps ----------------------------------------------------------------------------------------------------------

#: what a step gives: name -> entry
Entries = dict[str, dict[str, Any]]
Steps = Iterator[tuple[str, Callable[[], Entries]]]


def make_evaluator(name: str, **kwargs: Any) -> Any:
    """Make an evaluator that keeps its ranks."""
    return evaluator_resolver.make(name, {"clear_on_finalize": False, **kwargs})


def ranks(evaluator: Any, results: Any, metrics: bool = False) -> Entries:
    """Return the ranks that an evaluator has kept, and the metrics if asked."""
    keys = sorted(key for key in evaluator.ranks if key[1] != "realistic")
    columns = [numpy.concatenate(evaluator.ranks[key]) for key in keys]
    columns += [numpy.concatenate(evaluator.num_candidates[side]) for side in sorted(evaluator.num_candidates)]
    entries = {"ranks": entry(numpy.stack(columns).astype(numpy.int64))}
    if metrics:
        flat = results.to_flat_dict()
        entries["metrics"] = document({key: value for key, value in flat.items() if isinstance(value, float | int)})
    return entries


def scores(model: Any, triples: torch.Tensor) -> Entries:
    """Return the scores of triples, and of all tails and heads in their place."""
    model.eval()
    with torch.no_grad():
        found = {
            "score_hrt": model.score_hrt(triples),
            "score_t": model.score_t(triples[:, :2]),
            "score_h": model.score_h(triples[:, 1:]),
        }
    if type(model).__name__ == "RelEvidence":  # a bias of all scores, whose gradient is zero but for rounding
        mean = found["score_hrt"].mean()
        found = {name: (values - mean) for name, values in found.items()}
    return {name: entry(values) for name, values in found.items()}


def run(
    data: Data,
    model: str,
    model_kwargs: Mapping[str, Any],
    *,
    loop: str = "slcwa",
    epochs: int = 2,
    unseen: bool = False,
    targets: Sequence[str] = ("head", "tail"),
    training: TriplesFactory | None = None,
) -> tuple[Any, Entries]:
    """Train a model in PyKEEN's pipeline; return it and its losses, scores and ranks.

    :param data: the dataset
    :param model: the model by name
    :param model_kwargs: its keyword arguments
    :param loop: the training loop, see :data:`LOOPS`
    :param epochs: the number of epochs, 0 for a rule
    :param unseen: whether to rank triples of unseen relations
    :param targets: the sides to predict
    :param training: the training triples, by default those of the dataset
    """
    testing = data.unseen if unseen else data.testing
    evaluator = make_evaluator("standard", targets=list(targets))
    result = pipeline(
        training=training or data.training,
        validation=data.dataset.validation,
        testing=testing,
        model=model,
        model_kwargs=dict(model_kwargs),
        training_loop=loop,
        training_kwargs=dict(num_epochs=epochs, batch_size=256, use_tqdm=False),
        evaluator=evaluator,
        **{**TRAINING, **LOOPS[loop]},
    )
    own = data.training.mapped_triples
    triples = torch.cat([testing.mapped_triples[:6], own[:4] if epochs else linked(own, 20)])
    entries = {"losses": entry(result.losses)} if epochs else {}
    return result.model, {**entries, **scores(result.model, triples), **ranks(evaluator, result.metric_results)}


def model_steps(data: Data) -> Steps:
    """Yield the models."""
    for name, kwargs in VARIANTS.items():
        yield f"vlkge/{name}", lambda k=kwargs: run(data, "vlkge", {**VLKGE, **k, **sources(data.features)})[1]
    # the features that come with the dataset
    yield "vlkge/shipped", lambda: run(data, "vlkge", {**VLKGE})[1]
    for loop in ("episodic", "lcwa"):
        yield (
            f"vlkge/{loop}",
            lambda x=loop: run(data, "vlkge", {**VLKGE, **sources(data.features)}, loop=x, epochs=1)[1],
        )
    yield "vlkge/inverse-triples", lambda: inverse_triples(data)
    for name, (model, kwargs, loop) in DESCRIBED.items():
        yield (
            f"{model}/{name}",
            lambda m=model, k=kwargs, x=loop: run(
                data, m, {**k, **own_sources(m, data)}, loop=x, epochs=3, unseen=True, targets=["tail"]
            )[1],
        )
    for name, (model, kwargs) in RULES.items():
        for split in ("testing", "unseen-relations"):
            yield (
                f"rule/{name}/{split}",
                lambda m=model, k=kwargs, s=split: run(data, m, k, epochs=0, unseen=s != "testing")[1],
            )
    yield "rule/table", lambda: {"metrics": document(ours("relation_baselines")(data.dataset).to_dict())}


def own_sources(model: str, data: Data) -> dict[str, Any]:
    """Return the features that a model of unseen relations reads."""
    keys = {"mre": ("visual", "textual", "relation_textual"), "zsgan": ("relation_textual",)}
    keys["devise"] = keys["zsgan"]
    return sources({key: data.features[key] for key in keys.get(model, ("textual", "relation_textual"))})


def inverse_triples(data: Data) -> Entries:
    """Train with PyKEEN's artificial inverse relations."""
    training = data.training
    doubled = TriplesFactory(
        training.mapped_triples,
        entity_to_id=training.entity_to_id,
        relation_to_id=training.relation_to_id,
        create_inverse_triples=True,
        metadata=training.metadata,
    )
    kwargs = {**VLKGE, "interaction": "vlcomplex", **sources(data.features)}
    return run(data, "vlkge", kwargs, training=doubled)[1]


def protocol_steps(data: Data) -> Steps:
    """Yield the protocols on one model, and what else is computed from ranks and scores."""
    trained: list[Any] = []

    def model() -> Any:
        if not trained:
            trained.append(run(data, "vlkge", {**VLKGE, "interaction": "vlrotate", **sources(data.features)})[0])
        return trained[0]

    def evaluate(name: str, kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
        evaluator = make_evaluator(name, **kwargs)
        known = [data.training.mapped_triples, data.dataset.validation.mapped_triples]
        results = evaluator.evaluate(
            model(), data.testing.mapped_triples, additional_filter_triples=known, batch_size=64, use_tqdm=False
        )
        return evaluator, results

    for name, (cls, kwargs) in protocols(data).items():
        yield f"protocol/{name}", lambda c=cls, k=kwargs: ranks(*evaluate(c, k), metrics=True)

    def beside(name: str, kwargs: Mapping[str, Any]) -> Entries:
        _, results = evaluate(name, {**kwargs, "full_ranking": True})
        return {other: document(dict(inner.to_flat_dict())) for other, inner in results.beside.items()}

    for name in ("zsl-candidates", "relation-pool"):
        yield f"protocol-beside/{name}", lambda n=name: beside(*protocols(data)[n])

    def parts() -> Entries:
        results = evaluate("standard", {})[1]
        keys = ("side", "relation", "query", "target", "seen")
        return {key: document(ours("breakdown")(results, data.training, by=key).to_dict("list")) for key in keys}

    yield "breakdown", parts

    def predictions() -> Entries:
        head, relation, tail = (str(x) for x in data.training.triples[0])
        questions = {"tail": dict(head=head, relation=relation), "head": dict(relation=relation, tail=tail)}
        return {
            key: document(ours("predict")(model(), data.training, k=7, **question).to_dict("list"))
            for key, question in questions.items()
        }

    yield "predict", predictions


def sampler_steps(data: Data) -> Steps:
    """Yield the samplers and the filterer."""
    triples = data.training.mapped_triples
    shape = dict(num_entities=data.training.num_entities, num_relations=data.training.num_relations)

    def sample(sampler: Any) -> Entries:
        torch.manual_seed(5)
        negatives, mask = sampler.sample(triples[:50])
        entries = {"negatives": entry(negatives)}
        return entries if mask is None else {**entries, "kept": entry(mask)}

    for name, options in FILTERERS.items():
        kwargs = dict(filtered=True, filterer="knowntriples", filterer_kwargs=options, num_negs_per_pos=20)
        # more of them, so that some are known
        many = {**kwargs, "num_negs_per_pos": 400}
        yield (
            f"sampler/basic-{name}",
            lambda k=many: sample(negative_sampler_resolver.make("basic", {"mapped_triples": triples, **shape, **k})),
        )
        yield (
            f"sampler/shared-{name}",
            lambda k=kwargs: sample(ours("SharedTailNegativeSampler")(mapped_triples=triples, **shape, **k)),
        )

    def with_splits() -> Entries:
        kwargs = dict(splits=["validation", "testing"], dataset=data.dataset, swapped=True)
        filterer = ours("KnownTriplesFilterer")(triples, **kwargs)
        asked = torch.cat([data.dataset.testing.mapped_triples, triples.flip(-1), data.unseen.mapped_triples])
        return {"known": entry(filterer.contains(asked))}

    yield "sampler/filterer", with_splits

    def typed() -> TriplesFactory:
        """Return the training triples with types in the labels of entities, as those of NELL."""
        ids = {f"concept:{code(label) % 5}:{label}": index for label, index in data.training.entity_to_id.items()}
        return TriplesFactory(triples, entity_to_id=ids, relation_to_id=data.training.relation_to_id)

    def pools() -> Entries:
        factory = typed()
        found = ours("type_pools")(triples, ours("entity_types")(factory.entity_to_id))
        kwargs = dict(pools=found, mapped_triples=triples, num_negs_per_pos=20, **shape)
        sizes = torch.tensor([[r, len(pool), int(pool.sum())] for r, pool in sorted(found.items())])
        return {"pools": entry(sizes), **sample(ours("PoolNegativeSampler")(**kwargs))}

    yield "sampler/types", pools

    def type_loop() -> Entries:
        factory = typed()
        result = pipeline(
            training=factory,
            testing=some(factory, 20),
            model="distmult",
            model_kwargs=dict(embedding_dim=8),
            training_loop="episodic",
            training_loop_kwargs=dict(num_batches=5, negatives="types"),
            training_kwargs=dict(num_epochs=2, batch_size=32, use_tqdm=False),
            **TRAINING,
        )
        return {"losses": entry(result.losses), **scores(result.model, triples[:4])}

    yield "sampler/types-episodic", type_loop


def data_steps(data: Data) -> Steps:
    """Yield what is computed of the dataset itself."""

    def factories(found: Mapping[str, CoreTriplesFactory | None]) -> Entries:
        return {name: entry(f.mapped_triples) for name, f in sorted(found.items()) if f is not None}

    def dataset() -> Entries:
        labels = {"entities": data.dataset.entity_to_id, "relations": data.dataset.relation_to_id}
        found = {key: document(sorted(value.items(), key=lambda item: item[1])) for key, value in labels.items()}
        named = dict(training=data.training, validation=data.dataset.validation, testing=data.dataset.testing)
        return {**factories({**named, **data.dataset.extra}), **found}

    yield "dataset", dataset
    if data.name == "demo":
        dev = dict(hold_out="dev")
        yield "dataset/dev", lambda: factories(get_dataset(dataset="wordnetemoji", dataset_kwargs=dev).factory_dict)
    yield "dataset/coverage", lambda: {"coverage": document(data.dataset.coverage().to_dict())}
    yield (
        "dataset/features",
        lambda: {key: document(ours("FeatureStore").load(path).digest) for key, path in data.features.items()},
    )

    def split(function: str, kwargs: Mapping[str, Any]) -> Entries:
        made = ours(function)(data.dataset, **kwargs)
        parts = dict(training=made.training, validation=made.validation, testing=made.testing, removed=made.removed)
        return {**factories({**parts, **made.extra}), "report": document(made.report.to_dict())}

    for name, (function, kwargs) in SPLITS.items():
        if name == "relations-dropped" and data.name == "wn18rr":
            continue  # too small: nothing would be left
        yield f"split/{name}", lambda f=function, k=kwargs: split(f, k)

    def audited() -> Entries:
        report = ours("audit")(data.dataset, progress=False).to_dict()
        findings = report["findings"]
        entries = {"sizes": document(report["sizes"]), "dataset": document(report["digest"])}
        for check in sorted({finding["check"] for finding in findings}):
            own = [[f["severity"], f["details"]] for f in findings if f["check"] == check]
            entries[check] = document(own)
        # apart, since new wording is no new result
        return {**entries, "messages": document([finding["message"] for finding in findings])}

    yield "audit", audited


# ---- the run --------------------------------------------------------------------------------------------------------


def compute(data: Data, only: str) -> Entries:
    """Run all steps on a dataset whose name matches a pattern; one that fails gives an entry "error"."""
    result: Entries = {}
    for make in (data_steps, model_steps, sampler_steps, protocol_steps):
        for step, function in make(data):
            name = f"{data.name}/{step}"
            if not fnmatch.fnmatch(name, only):
                continue
            start = time.time()
            try:
                result.update({f"{name}/{key}": value for key, value in function().items()})
            except Exception as error:
                result[name] = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
                print(f"{name}: {result[name]['error']}", file=sys.stderr)
            print(f"{time.time() - start:6.2f} s  {name}", file=sys.stderr, flush=True)
    return result


def distance(old: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    """Return the greatest relative difference of the numbers of two entries."""
    before, after = old["numbers"], new["numbers"]
    if len(before) != len(after):
        return math.inf
    # a mean near zero is to be seen beside the deviation
    spread = abs(before[1]) if len(before) > 1 else 0.0
    pairs = [(x, y, max(abs(x), abs(y), spread)) for x, y in zip(before, after, strict=True)]
    return max((abs(x - y) / size for x, y, size in pairs if size and x != y), default=0.0)


def compare(old: Entries, new: Entries, tolerance: float) -> bool:
    """Print what differs, and return whether anything does."""
    shared = sorted(old.keys() & new.keys())
    messages = [f"missing: {name}" for name in sorted(old.keys() - new.keys())]
    messages += [f"new: {name} {new[name].get('error', '')}" for name in sorted(new.keys() - old.keys())]
    messages += [f"{new[name]['error']}: {name}" for name in shared if "error" in new[name] and old[name] != new[name]]
    compared = [name for name in shared if "error" not in old[name] and "error" not in new[name]]
    messages += [f"was an error: {name}" for name in shared if "error" in old[name] and "error" not in new[name]]
    differing = [name for name in compared if old[name]["digest"] != new[name]["digest"]]
    messages += [f"another digest: {name}" for name in differing]
    for name in compared:
        if (far := distance(old[name], new[name])) > tolerance:
            messages.append(f"numbers differ by {far:.1e}: {name}: {old[name]['numbers']} -> {new[name]['numbers']}")
    print("\n".join([*messages, f"{len(compared)} entries compared, {len(differing)} with another digest"]))
    return bool(messages)


def write(path: pathlib.Path, entries: Entries) -> None:
    """Write entries as JSON, one a line."""
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(entries[name], separators=(',', ':'))}" for name in sorted(entries)
    )
    path.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


def main() -> None:
    """Compute the digests, write them, and compare them if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data/wn18rr", help="WN18RR's folder")
    parser.add_argument("--out", type=pathlib.Path, help="the JSON file to write")
    parser.add_argument("--compare", type=pathlib.Path, help="an earlier JSON file")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="the relative difference that counts")
    parser.add_argument("--only", default="*", help="run the steps of this name only, such as 'demo/vlkge/*'")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    print(f"testing {importlib.import_module('pykeen_mmkg').__file__}", file=sys.stderr)
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        made = [make_demo(pathlib.Path(folder))]
        skipped = not (arguments.data / "train.tsv").is_file()
        if skipped:
            print(f"no WN18RR at {arguments.data}: its steps are left out; give its folder with --data")
        else:
            made.append(make_wn18rr(arguments.data, pathlib.Path(folder)))
        new: Entries = {}
        for data in made:
            new |= compute(data, arguments.only)
    failed = sum("error" in value for value in new.values())
    print(f"{len(new)} entries, {failed} errors, {time.time() - start:.0f} seconds")
    if arguments.out:
        write(arguments.out, new)
    if arguments.compare:
        old = json.loads(arguments.compare.read_text(encoding="utf-8"))
        # what was left out on purpose is no difference
        old = {
            name: value
            for name, value in old.items()
            if any(fnmatch.fnmatch(name, pattern) for pattern in (arguments.only, f"{arguments.only}/*"))
            and not (skipped and name.startswith("wn18rr/"))
        }
        sys.exit(compare(old, new, arguments.tolerance))


if __name__ == "__main__":
    main()
