"""A run that is moved to another folder and another home, its dataset and its features gone, answers as before."""

import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import torch
from pykeen.pipeline import pipeline
from safetensors.torch import load_file

from pykeen_mmkg.runs import save_run

FEW: dict[str, Any] = {"training_kwargs": {"num_epochs": 1, "batch_size": 16, "use_tqdm": False}}
EPISODES: dict[str, Any] = {**FEW, "training_loop": "episodic", "training_loop_kwargs": {"num_batches": 2}}

#: model -> its keyword arguments, and those of the pipeline
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vlkge": ({"embedding_dim": 8, "interaction": "vlcomplex"}, FEW),
    "mre": ({"embedding_dim": 8}, EPISODES),
    "latefusion": ({"scorers": {"content": FEW, "structure": FEW, "evidence": {}}, "max_held_out": 20}, FEW),
    "relevidence": ({"rank": 2, "hidden_dim": 4}, EPISODES),
    "distmult": ({"embedding_dim": 8}, FEW),
}

#: loads all runs of a folder, without pickles, and writes their scores; an encoder or a download would be an error
CODE = """
import pathlib, pickle, sys
import torch
from safetensors.torch import save_file
from pykeen_mmkg import encoders
from pykeen_mmkg.runs import load_run

def refuse(*args, **kwargs):
    raise SystemExit("an encoder is made, or a pickle is read")

pickle.load = pickle.loads = torch.load = refuse
encoders.VisionLanguageEncoder.encode_texts = encoders.VisionLanguageEncoder.encode_images = refuse
queries = torch.cartesian_prod(torch.arange(24), torch.arange(3))
scores = {}
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    model = load_run(folder).model
    scores[f"{folder.name} tails"] = model.predict_t(queries)
    scores[f"{folder.name} heads"] = model.predict_h(queries.flip(-1).contiguous())
save_file(scores, sys.argv[2])
"""


def test_elsewhere_it_answers_as_here(folder: pathlib.Path, dual_encoder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(folder, tmp_path / "data" / "graph")
    queries = torch.cartesian_prod(torch.arange(24), torch.arange(3))
    expected = {}
    for name, (kwargs, options) in MODELS.items():
        sources = {"encoder": str(dual_encoder), "sources": {"store": str(tmp_path / "data" / "store")}}
        result = pipeline(
            dataset="multimodal",
            dataset_kwargs={"path": str(tmp_path / "data" / "graph")},
            model=name,
            model_kwargs={**({} if name == "distmult" else sources), **kwargs},
            evaluation_kwargs={"use_tqdm": False},
            random_seed=0,
            **options,
        )
        save_run(result, tmp_path / "data" / "runs" / name)
        model = result.model.eval()
        expected[f"{name} tails"] = model.predict_t(queries)
        expected[f"{name} heads"] = model.predict_h(queries.flip(-1).contiguous())
    assert list((tmp_path / "data" / "store").rglob("*.safetensors")), "features were encoded into the store"
    shutil.move(tmp_path / "data" / "runs", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "data")
    home = {"PYKEEN_HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "ignore", "-c", CODE, str(tmp_path / "elsewhere"), str(tmp_path / "scores")]
    process = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **home}, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    found = load_file(tmp_path / "scores")
    assert set(found) == set(expected)
    for name, scores in expected.items():
        # another process may align memory otherwise, which changes the last bits of a sum
        torch.testing.assert_close(found[name], scores, rtol=1e-5, atol=1e-6, msg=name)
