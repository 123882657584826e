"""Graphs of one entity, one relation, one triple or none: the right result, or one error that says what is missing."""

import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from pykeen.pipeline import pipeline
from pykeen.pipeline.api import PipelineResult

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.evaluation.evaluating import evaluate
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.runs import save_run

from .harness import Case, Refused, Right, cases, cli, settle

Rows = list[tuple[str, str, str]]

#: training and test triples
GRAPHS: Mapping[str, tuple[Rows, Rows]] = {
    "one relation": ([("a", "r", "b"), ("b", "r", "c")], [("a", "r", "c")]),
    "two entities": ([("a", "r", "b")], [("b", "r", "a")]),
    "one triple": ([("a", "r", "b")], [("c", "r", "b")]),
    "an unseen relation": ([("a", "r", "b"), ("b", "r", "c")], [("a", "s", "c")]),
}
NORMAL = ([("a", "r", "b"), ("b", "r", "c"), ("c", "r", "d"), ("d", "s", "a")], [("a", "r", "c")])

_PAIRS = dict(extractor_steps=1, dim=4, num_support=1, num_queries=2)
_FEW = {"training_kwargs": {"num_epochs": 1}}
#: model -> what the pipeline gets
MODELS: Mapping[str, Mapping[str, Any]] = {
    "vlkge": dict(model_kwargs=dict(embedding_dim=4)),
    "mre": dict(
        model_kwargs=dict(embedding_dim=4, pair_kwargs=_PAIRS),
        training_loop="twophase",
        training_loop_kwargs=dict(structure_epochs=1, steps_per_epoch=1),
    ),
    "latefusion": dict(model_kwargs=dict(scorers={"content": _FEW, "structure": _FEW, "evidence": {}})),
    "relevidence": dict(),
    "evidence": dict(training_kwargs=dict(num_epochs=0)),
    "twotower": dict(model_kwargs=dict(embedding_dim=4), training_loop="sampledsoftmax"),
}


def write(folder: pathlib.Path, training: Rows, testing: Rows) -> MultimodalDataset:
    """Write a folder with texts and features of all that the triples name."""
    folder = folder / "graph"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for name, rows in (("train", training), ("test", testing)):
        (folder / f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    labels = {
        "entities": sorted({label for h, _, t in training + testing for label in (h, t)}),
        "relations": sorted({r for _, r, _ in training + testing}),
    }
    for table, column in (("entities", "entity"), ("relations", "relation")):
        body = "".join(f"{label}\tname {label}\tthing {label}\n" for label in labels[table])
        (folder / f"{table}.tsv").write_text(f"{column}\tname\tdescription\n{body}")
    for name, table in (("textual", "entities"), ("visual", "entities"), ("relation_textual", "relations")):
        vectors = torch.randn(len(labels[table]), 4, generator=generator)
        store = FeatureStore.from_tensors(labels[table], vectors, modality=name.split("_")[-1])
        store.save(folder / "features" / f"{name}.safetensors")
    return MultimodalDataset(folder)


def train(model: str, data: MultimodalDataset, **changes: Any) -> PipelineResult:
    """Train a model for an epoch or two."""
    options: dict[str, Any] = {"training_kwargs": dict(num_epochs=1), **MODELS[model]}
    options["training_kwargs"] = {**options["training_kwargs"], "use_tqdm": False}
    return pipeline(
        model=model,
        random_seed=0,
        device="cpu",
        evaluation_kwargs=dict(use_tqdm=False),
        **{"training": data.training, "testing": data.testing, **options, **changes},
    )


def _ranked(number: int) -> Right:
    def check(result: PipelineResult) -> None:
        # the answer is one of the entities, whatever the model says
        assert 1 / number <= result.get_metric("mrr") <= 1
        assert torch.isfinite(result.model.score_t(torch.zeros(1, 2, dtype=torch.long))).all()

    return Right(check)


def _models() -> Iterator[Case]:
    for graph, (training, testing) in GRAPHS.items():
        number = len({label for h, _, t in training + testing for label in (h, t)})
        for model in MODELS:

            def make(folder: pathlib.Path, triples=(training, testing), model: str = model) -> Callable[[], Any]:
                data = write(folder, *triples)
                return lambda: train(model, data)

            yield Case(f"{model}: {graph}", make, _ranked(number))


def _refused() -> Iterator[Case]:
    def one_entity(folder: pathlib.Path) -> Callable[[], Any]:
        data = write(folder, [("a", "r", "a")], [("a", "r", "a")])
        return lambda: data.training

    yield Case("one entity", one_entity, Refused("graph", "the one entity 'a'"))

    for model in ("twotower", "mre", "vlkge"):

        def unstopped(folder: pathlib.Path, model: str = model) -> Callable[[], Any]:
            data = write(folder, *NORMAL)
            return lambda: train(model, data, stopper="early", stopper_kwargs=dict(frequency=1))

        def untrained(folder: pathlib.Path, model: str = model) -> Callable[[], Any]:
            training = write(folder, *NORMAL).training
            none = training.clone_and_exchange_triples(training.mapped_triples[:0])
            return lambda: train(model, MultimodalDataset(folder / "graph"), training=none)

        yield Case(f"{model}: early stopping without validation", unstopped, Refused("validation", "stopper"))
        if model == "vlkge":
            continue  # PyKEEN's own loop
        yield Case(f"{model}: no training triples", untrained, Refused("no training triples"))

    for protocol in ("standard", "vlkge-author", "relation-pool"):

        def empty(folder: pathlib.Path, protocol: str = protocol) -> Callable[[], Any]:
            data = write(folder, *NORMAL)
            data._testing = data.testing.clone_and_exchange_triples(data.testing.mapped_triples[:0])
            model = train("evidence", MultimodalDataset(folder / "graph")).model
            return lambda: evaluate(model, data, protocol=protocol)

        yield Case(f"{protocol}: an empty test split", empty, Refused("no triple to evaluate"))

    for protocol, options, words in (
        ("full-ranking", {}, ("'full-ranking'", "'standard'")),
        (3, {}, ("protocol 3",)),
        ("standard", {"fo": 1}, ("'standard'", "'fo'")),
    ):

        def unknown(folder: pathlib.Path, protocol=protocol, options=options) -> Callable[[], Any]:
            data = write(folder, *NORMAL)
            model = train("evidence", data).model
            return lambda: evaluate(model, data, protocol=protocol, protocol_kwargs=options)

        yield Case(f"protocol {protocol!r} {options}", unknown, Refused(*words))


@cases([*_models(), *_refused()])
def test_small_graph(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    settle(case, lambda run: run(), tmp_path, caplog)


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_commands(graph: str, tmp_path: pathlib.Path) -> None:
    data = write(tmp_path, *GRAPHS[graph])
    save_run(train("vlkge", data), tmp_path / "run")
    cli("audit", data.path, words=["testing"])
    cli("evaluate", tmp_path / "run", data.path, words=["mrr"])
    cli("predict", tmp_path / "run", "--head", "a", "--relation", "r", "-k", "50", words=[])


def test_the_commands_say_what_is_missing(tmp_path: pathlib.Path) -> None:
    data = write(tmp_path, *NORMAL)
    save_run(train("vlkge", data), tmp_path / "run")
    cli("evaluate", tmp_path / "run", data.path, "--split", "validation", status=2, words=["'validation'", "testing"])
    cli("evaluate", tmp_path / "run", data.path, "--protocol", "no", status=2, words=["'no'", "'standard'"])
    (data.path / "train.tsv").write_text("head\trelation\ttail\n")
    cli("audit", data.path, status=2, words=["train.tsv", "no triple"])
