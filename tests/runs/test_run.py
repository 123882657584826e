"""A saved run: whole, safe and portable."""

import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import pytest
import torch
from pykeen.pipeline import PipelineResult, pipeline

from pykeen_mmkg.errors import MultimodalError, RunError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.runs import Run, load_run, save_run
from pykeen_mmkg.runs.run import _document_digest

ENTITIES = ["007", "08", "NA", "nan", 'say "x"', "e\u0301", "é", "true"]
RELATIONS = ["1", "01", "likes_inverse"]


def _store(labels: list[str], seed: int, without: str | None = None) -> FeatureStore:
    vectors = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(seed))
    return FeatureStore.from_tensors(labels, vectors, mask=[label != without for label in labels])


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A graph whose labels are what pandas takes for numbers and missing values, with features."""
    folder = tmp_path_factory.mktemp("graph")
    n, k = len(ENTITIES), len(RELATIONS)
    rows = [(ENTITIES[i % n], RELATIONS[i % k], ENTITIES[(3 * i + 1) % n]) for i in range(18)]
    text = ["\t".join(row) + "\n" for row in dict.fromkeys(rows)]
    (folder / "train.tsv").write_text("".join(text[:-2]), encoding="utf-8")
    (folder / "valid.tsv").write_text(text[-2], encoding="utf-8")
    (folder / "test.tsv").write_text(text[-1], encoding="utf-8")
    for kind, labels in ("entity", ENTITIES), ("relation", RELATIONS):
        table = [
            f"{kind}\tname\tdescription\n",
            *(f"{label}\tname of {i}\ttext {i}\n" for i, label in enumerate(labels)),
        ]
        (folder / f"{'entities' if kind == 'entity' else 'relations'}.tsv").write_text("".join(table), encoding="utf-8")
    for name, labels in (("visual", ENTITIES), ("textual", ENTITIES), ("relation_textual", RELATIONS)):
        _store([*labels, "of no use"], len(name), without="NA").save(folder / "features" / f"{name}.safetensors")
    return folder


FEW = {"training_kwargs": {"num_epochs": 1, "batch_size": 8, "use_tqdm": False}}
TOWER = {**FEW, "model_kwargs": {"embedding_dim": 4}}
RELATIONS_READER = {**FEW, "model_kwargs": {"rank": 2, "hidden_dim": 4}}

#: name, or name and what is special -> keyword arguments; every model of ours, and some of PyKEEN
MODELS: dict[str, dict[str, Any]] = {
    "vlkge": {"embedding_dim": 4},
    "vlkge complex": {"embedding_dim": 4, "interaction": "vlcomplex", "relation_modalities": ["structural", "textual"]},
    "vlkge prepared": {"embedding_dim": 4, "representation_kwargs": {"shuffle": {"visual": 1}}},
    "complexn3": {"embedding_dim": 4},
    "latefusion": {"scorers": {"content": TOWER, "structure": FEW, "evidence": {}}},
    "latefusion described": {"scorers": {"structure": FEW, "relevidence": RELATIONS_READER}, "shrinkage": 1.0},
    "twotower": {"embedding_dim": 4},
    "evidence": {},
    "relevidence": {"rank": 2, "hidden_dim": 4},
    "textonly": {},
    "mre": {"embedding_dim": 4},
    "zsgan": {"embedding_dim": 4},
    "devise": {"embedding_dim": 4},
    **dict.fromkeys(["adamicadar", "descriptionfrequency", "blindmixture"], {}),
    **dict.fromkeys(["inverserule", "symmetricrule", "degreerule", "duplicaterule", "randomrule"], {}),
    **dict.fromkeys(["distmult", "complex", "rotate", "transe", "compgcn"], {"embedding_dim": 4}),
    "nodepiece": {"embedding_dim": 4, "num_tokens": 2},
}

#: those that need inverse triples
INVERSE = {"compgcn", "nodepiece"}


def test_no_model_is_forgotten() -> None:
    assert {entry.name for entry in entry_points(group="pykeen.models")} <= {name.split()[0] for name in MODELS}


@pytest.fixture(scope="module")
def trained(graph: pathlib.Path) -> Callable[[str], PipelineResult]:
    results: dict[str, PipelineResult] = {}

    def train(name: str) -> PipelineResult:
        if name not in results:
            results[name] = pipeline(
                dataset="multimodal",
                dataset_kwargs={"path": str(graph), "create_inverse_triples": name in INVERSE},
                model=name.split()[0],
                model_kwargs=MODELS[name],
                training_kwargs={"num_epochs": 1, "batch_size": 8, "use_tqdm": False},
                evaluation_kwargs={"batch_size": 8, "use_tqdm": False},
                random_seed=0,
            )
        return results[name]

    return train


def _scores(result: PipelineResult | Run) -> torch.Tensor:
    queries = torch.cartesian_prod(torch.arange(len(ENTITIES)), torch.arange(len(RELATIONS)))
    return result.model.eval().predict_t(queries)


@pytest.mark.parametrize("name", MODELS)
def test_a_moved_run_gives_equal_scores(
    name: str, trained: Callable[[str], PipelineResult], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = trained(name)
    saved = save_run(result, tmp_path / "run")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    monkeypatch.setenv("PYKEEN_HOME", str(tmp_path / "home"))
    run = load_run(tmp_path / "moved")
    torch.testing.assert_close(_scores(run), _scores(result))
    assert run.training.entity_to_id == result.training.entity_to_id
    assert run.training.relation_to_id == result.training.relation_to_id
    assert not list(tmp_path.rglob("*.pkl")) and not list(tmp_path.rglob("*.pt*"))
    metric = "both.realistic.inverse_harmonic_mean_rank"
    assert run.document["metrics"][metric] == pytest.approx(result.metric_results.to_flat_dict()[metric])
    assert saved.document["model"] == run.document["model"] == name.split()[0]
    card = (tmp_path / "moved" / "README.md").read_text(encoding="utf-8")
    assert "MRR" in card and run.document["graph"]["digest"][:16] in card and "seed 0" in card


def test_a_run_is_read_without_its_dataset_in_another_process(
    trained: Callable[[str], PipelineResult], tmp_path: pathlib.Path
) -> None:
    result = trained("vlkge")
    save_run(result, tmp_path / "run")
    code = (
        "import sys, pickle, torch, json\n"
        "def refuse(*a, **k): raise SystemExit('a pickle was read')\n"
        "pickle.load = pickle.loads = torch.load = refuse\n"
        "from pykeen_mmkg.runs import Run\n"
        "run = Run.from_pretrained(sys.argv[1])\n"
        "print(json.dumps(run.model.predict_t(torch.tensor([[0, 0], [5, 2]])).tolist()))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "run")]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=None)
    expected = result.model.eval().predict_t(torch.tensor([[0, 0], [5, 2]]))
    torch.testing.assert_close(torch.tensor(json.loads(output.stdout.splitlines()[-1])), expected)


@pytest.mark.parametrize(("mode", "labels"), [("copy", 9), ("needed rows", 8), ("link", 9)])
def test_what_becomes_of_features(
    mode: Any, labels: int, trained: Callable[[str], PipelineResult], tmp_path: pathlib.Path
) -> None:
    result = trained("vlkge")
    save_run(result, tmp_path / "run", features=mode)
    run = load_run(tmp_path / "run")
    torch.testing.assert_close(_scores(run), _scores(result))
    assert (tmp_path / "run" / "features").is_dir() is (mode != "link")
    entry = run.document["sources"]["features"]["visual"]
    assert (entry["labels"], entry["present"], entry["dim"]) == (labels, labels - 1, 5)
    assert set(run.document["sources"]["features"]) == {"visual", "textual"}


def test_an_unknown_mode_is_refused(trained: Callable[[str], PipelineResult], tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match="features='all' must be one of"):
        save_run(trained("vlkge"), tmp_path / "run", features="all")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["run.json", "weights.safetensors", "labels.json", "triples.safetensors"])
def test_a_missing_file_is_named(name: str, trained: Callable[[str], PipelineResult], tmp_path: pathlib.Path) -> None:
    save_run(trained("distmult"), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(RunError, match=name):
        load_run(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "weights.safetensors",
        "labels.json",
        "triples.safetensors",
        "run.json",
        "features/visual.safetensors",
        "entities.tsv",
    ],
)
def test_a_flipped_byte_is_noticed(name: str, trained: Callable[[str], PipelineResult], tmp_path: pathlib.Path) -> None:
    save_run(trained("vlkge"), tmp_path)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    place = len(data) - 3 if name.endswith("safetensors") else data.index(b'"') + 1
    data[place] ^= 0x04
    path.write_bytes(data)
    with pytest.raises(MultimodalError, match=path.stem):
        load_run(tmp_path)


def test_a_run_that_names_files_outside_of_itself_is_refused(
    trained: Callable[[str], PipelineResult], graph: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    save_run(trained("vlkge"), tmp_path)
    path = tmp_path / "run.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["sources"]["features"]["visual"]["path"] = "../visual.safetensors"
    document["digest"] = _document_digest(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RunError, match="outside of itself"):
        load_run(tmp_path)


def test_what_json_cannot_hold_is_refused(tmp_path: pathlib.Path) -> None:
    result = pipeline(
        dataset="nations",
        model="distmult",
        model_kwargs={"embedding_dim": 2, "entity_initializer": torch.nn.init.ones_},
        training_kwargs={"num_epochs": 1, "use_tqdm": False},
        evaluation_kwargs={"use_tqdm": False},
    )
    with pytest.raises(RunError, match="model_kwargs.entity_initializer is a function"):
        save_run(result, tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()
