"""The commands, through their own interface, and PyKEEN's commands with our names."""

import json
import pathlib

import pytest
import yaml
from click.testing import CliRunner

from pykeen_mmkg.cli import main


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


def test_evaluate_other_graph(run) -> None:
    """A model of another graph is refused."""
    assert "another graph" in _invoke("evaluate", run, "nations", code=2)


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
