"""The configurations in examples/, run by PyKEEN on toy datasets with hardly any training; and a search."""

import inspect
import json
import pathlib
import re
from collections.abc import Callable

import pytest
import torch
import transformers
import yaml
from pykeen.models import model_resolver
from pykeen.pipeline import pipeline_from_config
from tokenizers import Tokenizer, models, pre_tokenizers

from pykeen_mmkg.models.late_fusion import LateFusion
from pykeen_mmkg.models.scorers import ScorerRecipe
from pykeen_mmkg.models.vlkge import VLKGE
from pykeen_mmkg.study import Study
from pykeen_mmkg.study.cells import dataset_of
from pykeen_mmkg.study.validation import check_cell

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples" / "zero_shot").glob("*.json"))
PAPER_MODELS = sorted((ROOT / "examples" / "wn9_img").glob("vl_*.yaml"))
#: what the configurations name, in place of which the toys come
DATA, ENCODER = "data/fb15k-237-zs", re.compile(r"sentence-transformers/all-[\w-]+")
N = 30


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A dataset laid out as FB15K-237-ZS: three seen relations, an unseen one, candidates, further known triples."""
    path = tmp_path_factory.mktemp("fb15k-237-zs")
    triples = {r: [(f"e{i}", f"r{r}", f"e{(i + 2 * r + 1) % N}") for i in range(N)] for r in range(4)}
    unseen = triples.pop(3)
    for name, rows in (("train", sum(triples.values(), [])), ("test", unseen[:20]), ("known_true", unseen[20:])):
        path.joinpath(f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    for kind, table, count in (("entity", "entities", N), ("relation", "relations", 4)):
        lines = "".join(f"{kind[0]}{i}\tname {i}\t{kind} number {i}\n" for i in range(count))
        path.joinpath(f"{table}.tsv").write_text(f"{kind}\tlabel\tdescription\n{lines}")
    path.joinpath("candidates.json").write_text(json.dumps({"r3": [f"e{i}" for i in range(0, N, 2)]}))
    return path


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A tiny random text encoder."""
    path = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "name", "entity", "relation", "number", ":", *map(str, range(N))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).save_pretrained(path)
    return path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_zero_shot_examples(
    example: pathlib.Path,
    toy: pathlib.Path,
    encoder: pathlib.Path,
    pykeen_command: Callable[..., str],
    tmp_path: pathlib.Path,
) -> None:
    """Everything but the sizes is as published; the phases of the two-phase loop both come up."""
    text = example.read_text(encoding="utf-8")
    assert DATA in text and ENCODER.search(text)
    configuration = json.loads(ENCODER.sub(encoder.as_posix(), text.replace(DATA, toy.as_posix())))
    pipeline = configuration["pipeline"]
    if pipeline["training_loop"] == "twophase":
        assert pipeline["model_kwargs"]["preset"] == "published"
        pipeline["training_loop_kwargs"] |= {"structure_epochs": 1, "steps_per_epoch": 2}
        pipeline["training_kwargs"]["num_epochs"] = 3
        pipeline["model_kwargs"]["pair_kwargs"] = {"extractor_steps": 2, "num_episodes": 2, "pairs_per_relation": 16}
    else:
        pipeline["training_loop_kwargs"]["num_batches"] = 1
        pipeline["training_kwargs"]["num_epochs"] = 2
    path = tmp_path / example.name
    path.write_text(json.dumps(configuration), encoding="utf-8")
    pykeen_command("experiments", "run", str(path), "-d", str(tmp_path / "out"), PYKEEN_HOME=str(tmp_path / "home"))
    (results,) = (tmp_path / "out").glob("*/replicates/replicate-00000/results.json")
    realistic = json.loads(results.read_text())["metrics"]["tail"]["realistic"]
    assert 0 < realistic["inverse_harmonic_mean_rank"] <= 1
    assert realistic["count"] == 20


@pytest.mark.parametrize("example", PAPER_MODELS, ids=lambda path: path.stem)
def test_paper_models(example: pathlib.Path, folder: pathlib.Path, stores: dict[str, str]) -> None:
    """The four models of the paper: all of the configuration but its dataset, encoder and number of epochs."""
    configuration = yaml.safe_load(example.read_text(encoding="utf-8"))
    pipeline = configuration["pipeline"]
    assert (pipeline["dataset"], pipeline["dataset_kwargs"]) == ("wn9img", {"path": "data/wn9-img"})
    pipeline |= {"dataset": "multimodal", "dataset_kwargs": {"path": str(folder)}}
    assert pipeline["model_kwargs"].pop("encoder") == ".encoder"
    pipeline["model_kwargs"]["sources"] = {"features": stores}
    pipeline["training_kwargs"]["num_epochs"] = 2
    pipeline["stopper_kwargs"]["frequency"] = 1
    result = pipeline_from_config(configuration)
    assert type(result.model).__name__ == "VLKGE"
    assert result.model.entity_representations[0].shape == (768,)
    assert type(result.model.interaction).__name__.lower() == f"{pipeline['model_kwargs']['interaction']}interaction"
    assert len(result.losses) == 2
    assert 0 < result.get_metric("mrr") <= 1


def test_the_papers_own_settings(folder: pathlib.Path, stores: dict[str, str], tmp_path: pathlib.Path) -> None:
    """All rows of the study, on a toy, with few epochs: they train, and select by the merged filter of all splits."""
    text = (ROOT / "examples" / "wn9_img" / "author.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text.replace("data/wn9-img", folder.as_posix()).replace("wn9img", "multimodal"))
    base = config["base"]
    assert base["model_kwargs"].pop("encoder") == "openai/clip-vit-large-patch14"
    base["model_kwargs"] |= {"embedding_dim": 8, "sources": {"features": stores}}
    base["training_kwargs"]["num_epochs"] = 2
    base["negative_sampler_kwargs"]["num_negs_per_pos"] = 3
    study = Study(config)
    table = study.run(tmp_path, progress=False)
    assert len(table) == 2 * 9 and set(table["protocol"]) == {"vlkge-author", "standard"}
    runs = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*.json")]
    stops = {run["row"]: run["stopper"] for run in runs}
    assert len(stops["VL-DistMult"]["results"]) == 2
    assert not (stops["VL-RotatE"] or {}).get("results")


def test_vlkge_by_cross_entropy() -> None:
    """The settings that the README gives for VL-KGE, for one epoch on the shipped graph."""
    path = ROOT / "examples" / "wordnet_emoji" / "vlkge_softmax.json"
    configuration = json.loads(path.read_text(encoding="utf-8"))
    assert configuration["pipeline"]["training_kwargs"].pop("num_epochs") == 30
    configuration["pipeline"]["training_kwargs"] |= {"num_epochs": 1, "use_tqdm": False}
    result = pipeline_from_config(configuration)
    assert isinstance(result.model, VLKGE) and 0 < result.losses[0] < 20
    assert result.metric_results.protocol == "standard" and result.get_metric("mrr") > 0.005


def test_a_search(
    folder: pathlib.Path, stores: dict[str, str], pykeen_command: Callable[..., str], tmp_path: pathlib.Path
) -> None:
    """``pykeen experiments optimize`` searches over the ranges that the model itself names."""
    configuration = {
        "metadata": {"title": "a search"},
        "optuna": {"n_trials": 2, "metric": "mrr", "direction": "maximize", "sampler": "random"},
        "pipeline": {
            "dataset": "multimodal",
            "dataset_kwargs": {"path": str(folder)},
            "model": "vlkge",
            "model_kwargs": {"sources": {"features": stores}},
            "training_kwargs": {"num_epochs": 1, "batch_size": 16},
            "evaluator": "standard",
        },
    }
    path = tmp_path / "search.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    pykeen_command(
        "experiments", "optimize", str(path), "-d", str(tmp_path / "out"), PYKEEN_HOME=str(tmp_path / "home")
    )
    (best,) = (tmp_path / "out").rglob("best_pipeline/pipeline_config.json")
    found = json.loads(best.read_text())["pipeline"]
    assert found["model"] == "vlkge" and found["loss"] == "softplus"
    assert set(VLKGE.hpo_default) & set(found["model_kwargs"])


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_late_fusion_examples(path: pathlib.Path) -> None:
    """The configurations of the results table name options that their models take."""
    options = json.loads(path.read_text(encoding="utf-8"))["pipeline"]
    kwargs = options["model_kwargs"]
    inspect.signature(LateFusion.__init__).bind(None, triples_factory=None, **kwargs)
    assert not set(kwargs) - set(inspect.signature(LateFusion.__init__).parameters)
    for name, change in kwargs["scorers"].items():
        recipe = ScorerRecipe.parse(name, change, {})
        accepted = inspect.signature(model_resolver.lookup(recipe.options["model"]).__init__).parameters
        assert set(recipe.options["model_kwargs"]) <= set(accepted)


STUDIES = sorted((ROOT / "examples" / "results").glob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_studies_of_the_results(path: pathlib.Path, toy: pathlib.Path, encoder: pathlib.Path, tmp_path: pathlib.Path):
    """Each row passes the checks of a study that is started, on a toy."""
    text = path.read_text(encoding="utf-8")
    assert f"pykeen-mmkg study examples/results/{path.name} --output results/{path.stem} --strata" in text
    config = yaml.safe_load(ENCODER.sub(encoder.as_posix(), text))
    assert config["seeds"] == [0, 1, 2]
    config["base"] |= {"dataset": "multimodal", "dataset_kwargs": {"path": str(toy)}}
    study = Study(config)
    for row, arguments in study.rows.items():
        check_cell({**arguments, "stopper": None}, study.protocols, dataset_of(arguments), row)


FUSED = [path for path in STUDIES if path.with_name(f"latefusion_{path.stem}.json").is_file()]


def test_zero_shot_studies_have_no_late_fusion() -> None:
    """All others have one, of which the configuration is beside the table."""
    assert {path.stem for path in STUDIES} - {path.stem for path in FUSED} == {"fb15k237zs", "nellzs"}


@pytest.mark.parametrize("path", FUSED, ids=lambda path: path.stem)
def test_late_fusion_of_the_results(path: pathlib.Path) -> None:
    """Late fusion, and each of its scorers by itself, is the configuration beside the table."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    single = json.loads(path.with_name(f"latefusion_{path.stem}.json").read_text(encoding="utf-8"))["pipeline"]
    rows, options = config["variants"], single["model_kwargs"]
    assert rows["late fusion"]["model_kwargs"] == options
    assert (config["base"]["dataset"], config["base"]["dataset_kwargs"]) == (
        single["dataset"],
        single["dataset_kwargs"],
    )
    for row, name in (("evidence",) * 2, ("content (two towers)", "content"), ("structure (the scorer)", "structure")):
        assert rows[row]["model_kwargs"] == options | {"scorers": {name: options["scorers"][name]}}
