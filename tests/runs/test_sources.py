"""What a saved model reads besides its weights: sources that its parts name."""

import pathlib
import shutil

import pytest
import torch
from pykeen.pipeline import PipelineResult, pipeline

from pykeen_mmkg.errors import MultimodalError, RunError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.runs import load_run, save_run
from pykeen_mmkg.runs.sources import without_sources

FEW = {"training_kwargs": {"num_epochs": 1, "batch_size": 16, "use_tqdm": False}}
TOWER = {**FEW, "model_kwargs": {"embedding_dim": 4}}


def _train(folder: pathlib.Path, **model_kwargs) -> PipelineResult:
    return pipeline(
        dataset="multimodal",
        dataset_kwargs={"path": str(folder)},
        model="latefusion",
        model_kwargs={"max_held_out": 20, **model_kwargs},
        training_kwargs={"num_epochs": 1, "use_tqdm": False},
        evaluation_kwargs={"use_tqdm": False},
        random_seed=0,
    )


def test_arguments_of_sources_are_left_out_at_any_depth() -> None:
    kwargs = {"encoder": "x", "a": 1, "scorers": {"b": {"model_kwargs": {"sources": {}, "c": [2]}}}}
    assert without_sources(kwargs) == {"a": 1, "scorers": {"b": {"model_kwargs": {"c": [2]}}}}


@pytest.mark.parametrize("features", ["copy", "needed rows"])
@pytest.mark.parametrize("where", ["scorer_kwargs", "scorers"])
def test_late_fusion_whose_scorers_name_sources(where, features, folder, stores, tmp_path, monkeypatch) -> None:
    own = tmp_path / "data"
    own.mkdir()
    for name in ("train.tsv", "valid.tsv", "test.tsv"):
        shutil.copy(folder / name, own)
    shutil.copy(folder / "entities.tsv", tmp_path / "texts.tsv")
    files = {key: str(shutil.copy(path, tmp_path)) for key, path in stores.items() if not key.startswith("relation")}
    sources = {"sources": {"features": files, "entities": str(tmp_path / "texts.tsv")}}
    scorers = {"content": TOWER, "structure": FEW, "evidence": {}}
    if where == "scorers":
        scorers["content"] = {**FEW, "model_kwargs": {"embedding_dim": 4, **sources}}
        scorers["evidence"] = {"model_kwargs": sources}
        result = _train(own, scorers=scorers)
    else:
        result = _train(own, scorers=scorers, scorer_kwargs=sources)
    save_run(result, tmp_path / "run", features=features)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "run", tmp_path / "elsewhere" / "run")
    for path in (*files.values(), tmp_path / "texts.tsv"):
        pathlib.Path(path).unlink()
    shutil.rmtree(own)
    monkeypatch.setenv("PYKEEN_HOME", str(tmp_path / "home"))
    run = load_run(tmp_path / "elsewhere" / "run")
    queries = torch.cartesian_prod(torch.arange(24), torch.arange(3))
    assert run.model.predict_t(queries).equal(result.model.eval().predict_t(queries))
    assert run.model.predict_h(queries.flip(-1)).equal(result.model.predict_h(queries.flip(-1)))
    assert str(tmp_path / "data") not in (tmp_path / "elsewhere" / "run" / "run.json").read_text().split("configur")[0]


def test_parts_that_read_different_features_are_refused(folder, stores, tmp_path) -> None:
    store = FeatureStore.load(stores["textual"])
    FeatureStore.from_tensors(store.labels, 2 * store.vectors, mask=store.mask).save(tmp_path / "other.safetensors")
    other = {"sources": {"features": {"textual": str(tmp_path / "other.safetensors")}}}
    scorers = {
        "content": {**FEW, "model_kwargs": {"embedding_dim": 4, "sources": {"features": stores}}},
        "more": {"model": "twotower", **FEW, "model_kwargs": {"embedding_dim": 4, **other}},
    }
    with pytest.raises(RunError, match="textual features"):
        save_run(_train(folder, scorers=scorers, scorer_kwargs={"impute": None}), tmp_path / "run")


def test_inverse_relations_keep_their_texts(folder, stores, tmp_path) -> None:
    """The texts of inverse relations are needed rows, too, though the graph has no inverse triples."""
    labels = [label for k in range(3) for label in (f"r{k}", f"r{k}_inverse")]
    vectors = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    FeatureStore.from_tensors([*labels, "no relation"], torch.cat([vectors, vectors[:1]])).save(tmp_path / "r.st")
    features = {"relation_textual": str(tmp_path / "r.st"), "textual": stores["textual"]}
    scorer = {"model": "vlkge", **FEW, "model_kwargs": {"embedding_dim": 4, "relation_modalities": ["textual"]}}
    scorer["model_kwargs"]["modalities"] = ["structural", "textual"]
    result = _train(folder, scorers={"x": scorer}, sources={"features": features})
    run = save_run(result, tmp_path / "run", features="needed rows")
    assert run.document["sources"]["features"]["relation_textual"]["labels"] == 6
    queries = torch.cartesian_prod(torch.arange(24), torch.arange(3))
    loaded = load_run(tmp_path / "run").model
    assert loaded.predict_h(queries.flip(-1)).equal(result.model.eval().predict_h(queries.flip(-1)))


def test_a_loaded_fusion_has_nothing_to_fit_a_subset_by(folder, stores, tmp_path) -> None:
    scorers = {"content": TOWER, "structure": FEW}
    result = _train(folder, scorers=scorers, sources={"features": stores})
    result.model.subset("content", "structure")
    save_run(result, tmp_path / "run")
    model = load_run(tmp_path / "run").model
    assert model.weights_.equals(result.model.weights_)
    with pytest.raises(MultimodalError, match="loaded from a file"):
        model.subset("content", "structure")
    assert model.subset("content").weights_["structure"].eq(0).all()
