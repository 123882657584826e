"""The configurations in examples/zero_shot, run by PyKEEN's command line on a toy dataset with hardly any training."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples" / "zero_shot").glob("*.json"))
#: what the configurations name, in place of which the toys come
DATA, ENCODER = "../shared/data/fb15k-237-zs", "sentence-transformers/all-MiniLM-L6-v2"
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
    example: pathlib.Path, toy: pathlib.Path, encoder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Everything but the sizes is as published; the phases of the two-phase loop both come up."""
    text = example.read_text(encoding="utf-8")
    assert DATA in text and ENCODER in text
    configuration = json.loads(text.replace(DATA, toy.as_posix()).replace(ENCODER, encoder.as_posix()))
    pipeline = configuration["pipeline"]
    if pipeline["training_loop"] == "twophase":
        pipeline["training_loop_kwargs"] = {"structure_epochs": 1, "steps_per_epoch": 2}
        pipeline["training_kwargs"]["num_epochs"] = 3
        pipeline["model_kwargs"]["extractor_steps"] = 2
    else:
        pipeline["training_loop_kwargs"]["num_batches"] = 1
        pipeline["training_kwargs"]["num_epochs"] = 2
    path = tmp_path / example.name
    path.write_text(json.dumps(configuration), encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-m", "pykeen", "experiments", "run", str(path), "-d", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYKEEN_HOME": str(tmp_path / "home")},
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-4000:]
    (results,) = (tmp_path / "out").glob("*/replicates/replicate-00000/results.json")
    realistic = json.loads(results.read_text())["metrics"]["tail"]["realistic"]
    assert 0 < realistic["inverse_harmonic_mean_rank"] <= 1
    assert realistic["count"] == 20
