"""The commands, through their own interface, and PyKEEN's commands with our names."""

import json
import pathlib
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from pykeen.pipeline import pipeline
from torch.nn import functional

from pykeen_mmkg import cli_evaluation
from pykeen_mmkg._version import VERSION
from pykeen_mmkg.cli import main
from pykeen_mmkg.datasets import SPLIT_KINDS, MultimodalDataset, SplitRule
from pykeen_mmkg.evaluation import breakdown
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.runs import load_run


@pytest.fixture(scope="module")
def run(folder, stores, pykeen_command, tmp_path_factory) -> pathlib.Path:
    """A run of `pykeen experiments run` with our model, dataset, interaction and evaluator, by names in a YAML file."""
    path = tmp_path_factory.mktemp("experiment")
    config = {
        "metadata": {},
        "pipeline": {
            "dataset": "multimodal",
            "dataset_kwargs": {"path": str(folder)},
            "model": "vlkge",
            "model_kwargs": {
                "embedding_dim": 8,
                "sources": {"features": stores},
                "interaction": "vlrotate",
                "fusion": "gated",
            },
            "training_kwargs": {"num_epochs": 2},
            "evaluator": "vlkge-author",
            "stopper": "early",
            "stopper_kwargs": {"frequency": 1, "patience": 1},
        },
    }
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    pykeen_command("experiments", "run", str(path / "config.yaml"), "-d", str(path / "out"), "--replicates", "1")
    (model,) = (path / "out").rglob("trained_model.pkl")
    return model.parent


def _invoke(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result.output if code else result.stdout


def test_pykeen_lists_us(pykeen_command) -> None:
    """`pykeen ls models` and the others know our names."""
    assert "vlkge" in pykeen_command("ls", "models").lower()


def test_pykeen_train(pykeen_command, tmp_path) -> None:
    """`pykeen train vlkge` runs on the demo, whose features are shipped."""
    out = tmp_path / "out"
    options = "--number-epochs 1 --batch-size 512 --fusion weighted --embedding-dim 16 --device cpu"
    pykeen_command("train", "vlkge", "--dataset", "wordnetemoji", *options.split(), "--output-directory", str(out))
    assert list(out.rglob("results.json"))


def test_predict(run, folder) -> None:
    """Answers as a table or as JSON."""
    text = _invoke("predict", run, "--dataset", folder, "--head", "e7", "--relation", "successor 1", "-k", 3)
    assert len(text.strip().splitlines()) == 4
    query = ("--dataset", folder, "--head", "e7", "--relation", "r1", "-k", 3)
    rows = [json.loads(line) for line in _invoke("predict", run, *query, "--json").splitlines()]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    unknown = _invoke("predict", run, "--dataset", folder, "--head", "nobody", "--relation", "r1", code=2)
    assert "No entity is called 'nobody'" in unknown
    assert "name the dataset" in _invoke("predict", run, "--head", "e7", "--relation", "r1", code=2)


def test_predict_known(run, folder) -> None:
    """Further known triples are left out."""

    def labels(*args: object) -> set[str]:
        lines = _invoke(
            "predict", run, "--dataset", folder, "--head", "e21", "--relation", "r0", "-k", 30, "--json", *args
        ).splitlines()
        return {json.loads(line)["label"] for line in lines}

    assert labels() - labels("--known", folder / "test.tsv") == {"e22"}


def test_evaluate(run, folder, tmp_path) -> None:
    """A saved model by a named protocol, with a result file that names it."""
    text = _invoke("evaluate", run, folder, "--protocol", "vlkge-author", "--by", "relation", "--by", "target",
                   "--output", tmp_path / "r.json")  # fmt: skip
    assert "protocol vlkge-author" in text
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["protocol"] == "vlkge-author"
    assert content["versions"]["pykeen"]
    assert len(content["seeds"]) == 1
    assert content["dataset"]["digest"]


def test_compare(run, folder) -> None:
    """A run with itself: no difference, in all and in each stratum."""
    rows = [json.loads(line) for line in _invoke("compare", run, run, folder, "--by", "strata", "--json").splitlines()]
    assert rows[0]["group"] == "all" and {row["by"] for row in rows[1:]} == set(cli_evaluation.STRATA)
    assert all(row["difference"] == 0 and row["p"] == 1 and row["first"] == row["second"] for row in rows)


def test_names_of_strata() -> None:
    """The names on the command line, which does not wait for the library, are those of the library."""
    assert (cli_evaluation.STRATA, set(cli_evaluation.BY)) == (breakdown.STRATA, set(breakdown.BY))


def test_evaluate_other_graph(run) -> None:
    """A model of another graph is refused."""
    assert "another graph" in _invoke("evaluate", run, "nations", code=2)


@pytest.mark.parametrize("features", ["copy", "needed rows", "link"])
def test_train(features: str, folder, stores, tmp_path) -> None:
    """What is trained is a run that `predict` and `evaluate` open; options win over the file."""
    named = {"features": {key: stores[key] for key in ("visual", "textual")}}
    config = {
        "model": "distmult",
        "model_kwargs": {"embedding_dim": 4, "sources": named},
        "training_kwargs": {"num_epochs": 50, "batch_size": 16, "use_tqdm": False},
    }
    (tmp_path / "c.json").write_text(json.dumps(config))
    text = _invoke("train", "--dataset", folder, "--model", "vlkge", "--epochs", 1, "--seed", 5, "--features", features,
                   "--config", tmp_path / "c.json", "--output", tmp_path / "run", "--license", "mit")  # fmt: skip
    assert "protocol standard" in text and f"saved to {tmp_path / 'run'}" in text
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["random_seed"] == 5 and len(document["losses"]) == 1 and document["license"] == "mit"
    assert document["sources"]["features"]["visual"]["mode"] == features
    rule = pipeline(
        dataset=MultimodalDataset(folder), model="degreerule", evaluator="standard", training_kwargs={"num_epochs": 0}
    ).metric_results
    assert document["baselines"]["degreerule"]["both.realistic.hits_at_10"] == rule.get_metric("hits@10")
    card = (tmp_path / "run" / "README.md").read_text()
    assert "randomrule" in card and "No baseline" not in card
    mrr = next(line for line in text.splitlines() if "mrr" in line)
    assert mrr in _invoke("evaluate", tmp_path / "run", folder)
    query = ("--head", "e7", "--relation", "r1", "-k", 3, "--json")
    assert len(_invoke("predict", tmp_path / "run", *query).splitlines()) == 3


def test_train_from_a_file_alone(tmp_path) -> None:
    """The configuration of one of PyKEEN's experiments; the seed is 0 where none is named."""
    config = {"dataset": "nations", "model": "distmult", "training_kwargs": {"num_epochs": 1, "use_tqdm": False}}
    (tmp_path / "c.json").write_text(json.dumps({"metadata": {}, "pipeline": config}))
    _invoke("train", "--config", tmp_path / "c.json", "--output", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["random_seed"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "distmult"], "Name the dataset"),
        (["--dataset", "nations"], "Name the model"),
        (["--dataset", "nations", "--model", "nonsense"], "'nonsense' is no model"),
        (["--dataset", "nations", "--model", "distmult", "--protocol", "standart"], "did you mean 'standard'"),
        (["--dataset", "nations", "--model", "distmult", "--epochs", "-1"], "--epochs"),
        (["--dataset", "nations", "--model", "distmult", "--features", "all"], "--features"),
        (["--dataset", "nations", "--model", "distmult", "--config", "gone.json"], "gone.json"),
    ],
)
def test_train_refuses(arguments: list[str], words: str, tmp_path) -> None:
    """Before anything is trained, or written."""
    assert words in _invoke("train", *arguments, "--output", tmp_path / "run", code=2)
    assert not list(tmp_path.iterdir())
    (tmp_path / "run").touch()
    assert "is a file" in _invoke("train", "--dataset", "nations", "--model", "distmult", "--output", tmp_path / "run",
                                  code=2)  # fmt: skip


def test_audit(folder) -> None:
    """Text, JSON and the exit status."""
    assert "unseen" in _invoke("audit", folder)
    assert json.loads(_invoke("audit", folder, "--json"))
    _invoke("audit", folder, "--fail-on", "unseen-entities", code=1)


def test_encode(folder, dual_encoder, tmp_path) -> None:
    """Everything is encoded once, and written where asked."""
    text = _invoke("encode", folder, "--encoder", dual_encoder, "--store", tmp_path / "s", "--output", tmp_path / "o")
    assert "visual: 12 of 24" in text
    assert "textual: 22 of 24" in text
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        "visual.safetensors",
        "textual.safetensors",
        "relation_textual.safetensors",
    }


def test_study(folder, stores, tmp_path) -> None:
    """A study gives a table."""
    config = {
        "base": {
            "dataset": "multimodal",
            "dataset_kwargs": {"path": str(folder)},
            "model": "vlkge",
            "model_kwargs": {"embedding_dim": 8, "sources": {"features": stores}},
            "training_kwargs": {"num_epochs": 1, "use_tqdm": False},
            "device": "cpu",
        },
        "variants": {"all": {}, "no image": {"drop": ["visual"]}},
        "seeds": [0],
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    text = _invoke("study", tmp_path / "study.yaml", "--output", tmp_path / "out")
    assert "no image" in text
    assert (tmp_path / "out" / "results.csv").is_file()


@pytest.mark.parametrize("kwargs", ["{", "[1]"])
def test_bad_json(kwargs: str) -> None:
    """What is not a JSON object is told."""
    assert "JSON" in _invoke("audit", "nations", "--dataset-kwargs", kwargs, code=2)


def test_unknown_dataset() -> None:
    """Neither a name nor a folder."""
    assert "neither a folder" in _invoke("audit", "no-such-thing", code=2)


def test_new_and_split(tmp_path) -> None:
    """From nothing to a graph, and to a split of it by each rule; what is wrong is one sentence."""
    graph = tmp_path / "mygraph"
    assert "audit" in _invoke("new", graph)
    assert "is not empty" in _invoke("new", graph, code=2)
    whole = MultimodalDataset(graph)
    triples = {tuple(row) for f in whole.factories.values() for row in f.label_triples(f.mapped_triples).tolist()}
    for kind in SPLIT_KINDS:
        assert kind.removeprefix("unseen") in _invoke("split", "-h")
        if kind == "unseen-relations":
            continue  # the graph has only two
        out = tmp_path / kind
        text = _invoke("split", graph, "--output", out, "--kind", kind, "--ratios", 0.6, 0.2, 0.2, "--seed", 3)
        written = MultimodalDataset(out)
        assert f"training: {written.training.num_triples} triples" in text
        rule = SplitRule(kind, (0.6, 0.2, 0.2), 3)
        rows = {tuple(row) for row in written.training.label_triples(written.training.mapped_triples).tolist()}
        assert rows == set(rule.split(triples)["training"])
        assert all(len(images) == 1 for images in written.entity_table.images)
    assert "must be one of" in _invoke("split", graph, "--output", tmp_path / "x", "--kind", "odd", code=2)
    assert not (tmp_path / "x").exists()


def test_queries(run, folder, tmp_path) -> None:
    """A file of queries is answered a line each, as each alone."""
    (tmp_path / "q.tsv").write_text("e7\tr1\t?\n?\tr0\te2\ne7\t?\te3\n")
    common = ("predict", run, "--dataset", folder, "-k", 2)
    lines = [json.loads(line) for line in _invoke(*common, "--queries", tmp_path / "q.tsv").splitlines()]
    assert [line["tail"] for line in lines] == [None, "e2", "e3"]
    alone = [json.loads(line) for line in _invoke(*common, "--head", "e7", "--relation", "r1", "--json").splitlines()]
    assert [row["label"] for row in lines[0]["answers"]] == [row["label"] for row in alone]
    marked = _invoke(*common, "--queries", tmp_path / "q.tsv", "--mark-known")
    assert {"known"} < set(json.loads(marked.splitlines()[0])["answers"][0])
    assert "does not exist" in _invoke(*common, "--queries", tmp_path / "none.tsv", code=2)
    assert "does not exist" in _invoke(*common, "--head", "e7", "--relation", "r1", "--known", "none.tsv", code=2)
    assert "either" in _invoke(*common, "--queries", tmp_path / "q.tsv", "--head", "e7", code=2)
    assert "textual" in _invoke(*common, "--head", "e7", "--relation", "r1", "--explain")
    assert "not relations" in _invoke(*common, "--head", "e7", "--tail", "e2", "--explain", code=2)


def test_similar_and_export(run, folder, tmp_path) -> None:
    """The vectors of a saved run: the nearest, and all of them in a file that is a store of features."""
    data = (run, "--dataset", folder)
    query = (*data, "--entity", "e7", "-k", 3)
    lines = [json.loads(line) for line in _invoke("similar", *query, "--json").splitlines()]
    assert [line["rank"] for line in lines] == [1, 2, 3] and "e7" not in {line["label"] for line in lines}
    text = _invoke("export", *data, tmp_path / "fused.safetensors")
    store = FeatureStore.load(tmp_path / "fused.safetensors")
    assert f"{int(store.mask.sum())} fused vectors of {store.dim} dimensions" in text
    own = functional.normalize(store.vectors, dim=-1) @ functional.normalize(store.lookup(["e7"])[0][0], dim=-1)
    assert lines[0]["similarity"] == pytest.approx(own.sort().values[-2].item(), abs=1e-5)
    assert "textual" in _invoke("export", *data, tmp_path / "t.tsv", "--modality", "textual")
    assert "it has" in _invoke("export", *data, tmp_path / "t.tsv", "--modality", "odd", code=2)
    assert "No entity" in _invoke("similar", *data, "--entity", "nobody", code=2)


def test_interrupted(monkeypatch) -> None:
    """Ctrl-C ends a command with 130, and a word."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pykeen_mmkg.datasets.load_dataset", interrupt)
    assert "Stopped" in _invoke("audit", "nations", code=130)


def test_as_a_module() -> None:
    """`python -m pykeen_mmkg` is the command."""
    command = [sys.executable, "-m", "pykeen_mmkg", "--version"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert text == f"python -m pykeen_mmkg, version {VERSION}\n"


def test_train_by_lightning(tmp_path: pathlib.Path) -> None:
    """The options get to Lightning, and the run says so."""
    pytest.importorskip("pytorch_lightning")
    config = tmp_path / "c.json"
    training = {"batch_size": 1000, "use_tqdm": False}
    config.write_text(json.dumps({"model_kwargs": {"embedding_dim": 3}, "training_kwargs": training}))
    options = ["--dataset", "nations", "--model", "distmult", "--config", str(config), "--epochs", "1"]
    options += ["--engine", "lightning", "--devices", "1", "--precision", "bf16-mixed", "--checkpoint-every", "1"]
    options += ["--engine-kwargs", '{"accelerator": "cpu"}', "--output", str(tmp_path / "run")]
    result = CliRunner().invoke(main, ["train", *options])
    assert result.exit_code == 0, result.output
    found = load_run(tmp_path / "run").document["configuration"]["training_loop_kwargs"]
    assert found["precision"] == "bf16-mixed" and found["devices"] == 1 and found["accelerator"] == "cpu"
    assert load_run(tmp_path / "run" / "checkpoints" / "epoch-1").document["epoch"] == 1
