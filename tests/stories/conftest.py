"""What a user has before a story begins: a folder ``mygraph``, an encoder, and, later, a trained model."""

import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from pykeen.pipeline import PipelineResult, pipeline

from pykeen_mmkg.datasets.example import write_example


@pytest.fixture(scope="session")
def _graph(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("story") / "mygraph"
    write_example(folder)
    return folder


@pytest.fixture(autouse=True)
def here(_graph: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The working directory, with a graph in the folder ``mygraph``."""
    shutil.copytree(_graph, tmp_path / "mygraph")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def encoder(dual_encoder: pathlib.Path) -> str:
    """In a user's place: ``openai/clip-vit-base-patch32``."""
    return str(dual_encoder)


@pytest.fixture(scope="session")
def _train(_graph: pathlib.Path, encoder: str) -> Callable[[], Any]:
    def train() -> PipelineResult:
        return pipeline(
            dataset="multimodal",
            dataset_kwargs={"path": str(_graph)},
            model="vlkge",
            model_kwargs={"encoder": encoder, "embedding_dim": 16, "structural_dropout": 0.3},
            training_kwargs={"num_epochs": 5, "use_tqdm": False},
            evaluator="standard",
            evaluation_kwargs={"use_tqdm": False},
            random_seed=0,
        )

    return train


@pytest.fixture(scope="session")
def result(_train: Callable[[], Any]) -> Any:
    """What training gave, as in :func:`test_train`; the stories that get it do not change it."""
    return _train()


@pytest.fixture
def own_result(_train: Callable[[], Any]) -> Any:
    """The same for a story that changes it."""
    return _train()
