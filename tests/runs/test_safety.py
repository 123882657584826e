"""What a run of foreign origin cannot do."""

import json
import pathlib
import pickle
import urllib.request

import pytest
import torch
from pykeen.models import NodePiece
from pykeen.triples import TriplesFactory

from pykeen_mmkg.errors import RunError
from pykeen_mmkg.runs import Run, load_run
from pykeen_mmkg.runs.run import _document_digest
from pykeen_mmkg.runs.safety import isolated, read_json


class _Touch:
    """Touches a file when it is read from a pickle."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def _read(path: pathlib.Path) -> None:
    torch.load(path, weights_only=False) if path.suffix == ".pt" else pickle.loads(path.read_bytes())


@pytest.mark.parametrize("name", ["x.pt", "x.pkl"])
def test_a_pickle_runs_nothing_within_the_block(name: str, tmp_path: pathlib.Path) -> None:
    path, mark = tmp_path / name, tmp_path / "mark"
    torch.save(_Touch(mark), path) if path.suffix == ".pt" else path.write_bytes(pickle.dumps(_Touch(mark)))
    with isolated(tmp_path / "run"), pytest.raises(RunError, match="run would read a pickle"):
        _read(path)
    assert not mark.exists()
    _read(path)
    assert mark.exists(), "outside of the block nothing is changed"


def test_nothing_is_fetched_within_the_block(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").touch()
    with isolated(tmp_path / "run"), pytest.raises(RunError, match="run would fetch files"):
        urllib.request.urlopen((tmp_path / "x").as_uri())
    urllib.request.urlopen((tmp_path / "x").as_uri()).close()


@pytest.fixture
def nodepiece(tmp_path: pathlib.Path) -> pathlib.Path:
    factory = TriplesFactory(torch.tensor([[0, 0, 1], [1, 0, 2]]), {"a": 0, "b": 1, "c": 2}, {"r": 0}, True)
    kwargs = {"embedding_dim": 4, "num_tokens": 1}
    model = NodePiece(triples_factory=factory, random_seed=0, **kwargs)
    Run(model, factory, {"model": "nodepiece", "model_kwargs": kwargs}).save_pretrained(tmp_path / "run")
    assert load_run(tmp_path / "run").model.num_entities == 3
    return tmp_path / "run"


@pytest.mark.parametrize("loader", ["galkin", "torch"])
@pytest.mark.parametrize(("fetched", "words"), [(False, "read a pickle"), (True, "fetch files")])
def test_a_model_whose_arguments_name_a_pickle_is_refused(loader, fetched, words, nodepiece, tmp_path, monkeypatch):
    mark, evil = tmp_path / "mark", tmp_path / "evil.pkl"
    torch.save(_Touch(mark), evil) if loader == "torch" else evil.write_bytes(pickle.dumps(_Touch(mark)))
    if not fetched:
        # what was fetched before is in PyKEEN's home
        monkeypatch.setattr("pystow.impl.Module.ensure", lambda self, **kwargs: evil)
    path = nodepiece / "run.json"
    document = json.loads(path.read_text())
    document["model_kwargs"] |= {
        "tokenizers": "precomputedpool",
        "tokenizers_kwargs": {"url": evil.as_uri(), "loader": loader},
    }
    document["digest"] = _document_digest(document)
    path.write_text(json.dumps(document))
    with pytest.raises(RunError, match=words):
        load_run(nodepiece)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b""])
def test_what_is_no_json_is_damaged(content: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"x\.json is damaged"):
        read_json(path)


def test_what_is_not_there_is_missing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match="x.json is missing"):
        read_json(tmp_path / "x.json")
