"""Any printable Unicode label survives dataset, run, study, prediction and evaluation files as it is."""

import json
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pykeen.models import DistMult
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

from pykeen_mmkg.cli import main
from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.datasets.writing import write_dataset
from pykeen_mmkg.evaluation.breakdown import breakdown
from pykeen_mmkg.evaluation.label_maps import read_label_map
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.predict import predict
from pykeen_mmkg.runs import Run, load_pykeen_run, load_run, save_run
from pykeen_mmkg.runs.pykeen_folder import read_training_triples
from pykeen_mmkg.study import Study

#: what some reader takes for something else
WORDS = [
    *("007", "7", "7.0", "1e3", "0x1F", "1_000", "-1", "+1", "١٢", "²", "∞"),
    *("nan", "NaN", "NA", "N/A", "null", "None", "none", "true", "False", "yes", "no", "~", "inf", "-inf"),
    *('"', '""', '"x"', "'x'", 'say "x"', 'x"', '"x', "“x”", "a b", "a  b", "a,b", "a;b", "a|b", "a:b", "# x", "%20"),
    *(
        "é",
        "e\u0301",
        "ﬁ",
        "fi",
        "Å",
        "A\u030a",
        "x_inverse",
        "\\n",
        "\\",
        "/",
        "..",
        ".",
        "*",
        "{}",
        "[1]",
        "<b>",
        "=1+1",
    ),
    *("日本語", "😀", "ا", "head", "relation", "tail", "entity", "label", "id", "training"),
]


def _usable(label: str) -> bool:
    return label.isprintable() and label == label.strip() and bool(label)


printable = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1, max_size=8)
labels = st.one_of(st.sampled_from(WORDS), printable).filter(_usable)
graphs = st.tuples(
    st.lists(labels, min_size=5, max_size=9, unique=True), st.lists(labels, min_size=2, max_size=4, unique=True)
)
SLOW = settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def test_the_words_are_printable() -> None:
    assert [word for word in WORDS if not _usable(word)] == []


def _triples(entities: Sequence[str], relations: Sequence[str]) -> list[tuple[str, str, str]]:
    n, k = len(entities), len(relations)
    rows = [(entities[i % n], relations[i % k], entities[(i + 1 + i // n) % n]) for i in range(n * k)]
    return list(dict.fromkeys(rows))


class _Splits:
    """A dataset in memory."""

    def __init__(self, entities: Sequence[str], relations: Sequence[str]) -> None:
        maps = ({label: i for i, label in enumerate(own)} for own in (entities, relations))
        self.entity_to_id, self.relation_to_id = maps
        self.rows = _triples(entities, relations)
        ids = [(self.entity_to_id[h], self.relation_to_id[r], self.entity_to_id[t]) for h, r, t in self.rows]
        self.training, self.validation, self.testing = (
            TriplesFactory(torch.tensor(part), self.entity_to_id, self.relation_to_id)
            for part in (ids[:-4], ids[-4:-2], ids[-2:])
        )


@contextmanager
def _folder() -> Iterator[pathlib.Path]:
    with tempfile.TemporaryDirectory() as name:
        yield pathlib.Path(name)


def _labeled(factory: TriplesFactory) -> list[tuple[str, str, str]]:
    entities = {i: label for label, i in factory.entity_to_id.items()}
    relations = {i: label for label, i in factory.relation_to_id.items()}
    return [(entities[h], relations[r], entities[t]) for h, r, t in factory.mapped_triples.tolist()]


def _write(entities: Sequence[str], relations: Sequence[str], folder: pathlib.Path) -> _Splits:
    splits = _Splits(entities, relations)
    write_dataset(splits, folder)  # type: ignore[arg-type]
    return splits


@given(graphs)
@example((WORDS, WORDS[::-1]))
@settings(max_examples=60, deadline=None)
def test_datasets(graph: tuple[list[str], list[str]]) -> None:
    entities, relations = graph
    with _folder() as folder:
        splits = _write(entities, relations, folder / "graph")
        (folder / "graph" / "candidates.json").write_text(json.dumps({relations[0]: entities}))
        dataset = MultimodalDataset(folder / "graph")
        assert set(dataset.entity_to_id) == set(entities)
        assert set(dataset.relation_to_id) == set(relations)
        for name in ("training", "validation", "testing"):
            assert set(_labeled(getattr(dataset, name))) == set(_labeled(getattr(splits, name)))
        assert dataset.candidates == {relations[0]: entities}
        assert set(dataset.entity_table.labels) == set(entities)


@given(graphs)
@example((WORDS, WORDS[::-1]))
@settings(max_examples=25, deadline=None)
def test_runs_and_folders_of_pykeen(graph: tuple[list[str], list[str]]) -> None:
    entities, relations = graph
    training = _Splits(entities, relations).training
    model = DistMult(triples_factory=training, embedding_dim=2, random_seed=0)
    with _folder() as folder:
        Run(model, training, {"model": "distmult", "model_kwargs": {"embedding_dim": 2}}).save_pretrained(
            folder / "run"
        )
        run = load_run(folder / "run")
        assert run.training.entity_to_id == training.entity_to_id
        assert run.training.relation_to_id == training.relation_to_id
        training.to_path_binary(folder / "pykeen")
        assert read_training_triples(folder / "pykeen").entity_to_id == training.entity_to_id
        assert read_training_triples(folder / "pykeen").relation_to_id == training.relation_to_id
        for kind in ("entity", "relation"):
            path = folder / "pykeen" / f"{kind}_to_id.tsv.gz"
            assert read_label_map(path, kind) == getattr(training, f"{kind}_to_id")
        FeatureStore.from_tensors(entities, torch.eye(len(entities))).save(folder / "x.safetensors")
        assert list(FeatureStore.load(folder / "x.safetensors").labels) == entities


def _invoke(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@given(graphs)
@example((WORDS[:20], WORDS[40:]))
@SLOW
def test_predictions_and_evaluations(graph: tuple[list[str], list[str]]) -> None:
    entities, relations = graph
    with _folder() as folder:
        _write(entities, relations, folder / "graph")
        result = pipeline(
            dataset="multimodal",
            dataset_kwargs={"path": str(folder / "graph")},
            model="distmult",
            model_kwargs={"embedding_dim": 2},
            training_kwargs={"num_epochs": 1, "use_tqdm": False},
            evaluator="standard",
            evaluation_kwargs={"use_tqdm": False},
            random_seed=0,
        )
        save_run(result, folder / "run")
        result.save_to_directory(folder / "pykeen")
        assert load_pykeen_run(folder / "pykeen")[1].entity_to_id == result.training.entity_to_id
        testing = MultimodalDataset(folder / "graph").testing
        head, relation, tail = _labeled(testing)[0]
        expected = predict(result.model, result.training, head=head, relation=relation, k=None)
        assert set(expected["label"]) <= set(entities)
        for name in ("run", "pykeen"):
            query = (f"--head={head}", f"--relation={relation}", "-k", 99, "--json")
            lines = _invoke("predict", folder / name, *query).splitlines()
            assert [json.loads(line)["label"] for line in lines] == list(expected["label"])
            known = _invoke("predict", folder / name, *query, "--known", folder / "graph" / "test.tsv").splitlines()
            left = {json.loads(line)["label"] for line in known}
            answers = {t for h, r, t in _labeled(testing) if (h, r) == (head, relation)}
            assert left == set(expected["label"]) - answers
            text = _invoke(
                "evaluate", folder / name, folder / "graph", "--output", folder / "e.json", "--by", "relation"
            )
            assert relation in text
            assert json.loads((folder / "e.json").read_text(encoding="utf-8"))["metrics"]
        table = breakdown(result.metric_results, result.training, by="relation")
        assert set(table["relation"]) == {r for _, r, _ in _labeled(testing)}


@given(graphs)
@example((WORDS[:20], WORDS[40:]))
@SLOW
def test_studies(graph: tuple[list[str], list[str]]) -> None:
    """The labels of the graph, and as names of rows."""
    entities, relations = graph
    with _folder() as folder:
        _write(entities, relations, folder / "graph")
        (folder / "graph" / "candidates.json").write_text(json.dumps(dict.fromkeys(relations, entities)))
        config = {
            "base": {"dataset": str(folder / "graph"), "evaluation_kwargs": {"use_tqdm": False}},
            "baselines": {name: {"model": "degreerule"} for name in entities[:2]},
            "protocols": {
                "standard": {},
                "zsl-candidates": {},
                "without": {"protocol": "standard", "protocol_kwargs": {"exclude_relations": [relations[-1]]}},
            },
        }
        dataset = MultimodalDataset(folder / "graph")
        assume({r for _, r, _ in _labeled(dataset.testing)} - {relations[-1]})
        (folder / "s.json").write_text(json.dumps(config), encoding="utf-8")
        study = Study.load(folder / "s.json")
        table = study.run(folder / "out", progress=False)
        assert list(dict.fromkeys(table["row"])) == entities[:2]
        read = pandas.read_csv(folder / "out" / "results.csv", dtype=str, keep_default_na=False)
        assert list(read["row"]) == list(table["row"])
        content = json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))
        assert [record["row"] for record in content["table"]] == list(table["row"])
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "out" / "runs").iterdir()]
        assert {run["row"] for run in runs} <= set(entities[:2])
        assert {run["protocols"]["without"]["protocol_kwargs"]["exclude_relations"][0] for run in runs} == {
            relations[-1]
        }
