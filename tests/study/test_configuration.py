"""The rows of a study, and what is wrong with a configuration."""

import pytest

from pykeen_mmkg.study.study import Study, StudyError

from .cases import CONFIG


def test_rows_are_base_and_changes_merged():
    study = Study(CONFIG)
    assert list(study.rows) == ["wide", "complex", "inverse rule"]
    assert study.rows["wide"] == {**CONFIG["base"], "model_kwargs": {"embedding_dim": 8}}
    assert study.rows["complex"] == {**CONFIG["base"], "model": "complex"}
    assert study.rows["inverse rule"] == {
        "dataset": "nations",
        "model": "inverserule",
        "training_kwargs": {"num_epochs": 0},
    }
    assert [(cell.row, cell.seed) for cell in study.cells()] == [
        ("wide", 0),
        ("wide", 1),
        ("complex", 0),
        ("complex", 1),
        ("inverse rule", 0),
    ]


def test_models_times_ablations_drop_and_shuffle():
    config = {
        "base": {"dataset": "nations", "model_kwargs": {"embedding_dim": 4}},
        "models": {"a": {"model": "vlkge"}, "b": {"model": "vlkge", "model_kwargs": {"fusion": "sum"}}},
        "ablations": {
            "full": {},
            "no image": {"drop": "visual"},
            "text only": {"drop": ["structural", "visual"]},
            "shuffled": {"shuffle": ["visual", "textual"]},
        },
        "seeds": [3, 5],
    }
    study = Study(config)
    assert list(study.rows)[:2] == ["a, full", "a, no image"]
    assert len(study.rows) == 8
    assert study.rows["b, no image"]["model_kwargs"] == {
        "embedding_dim": 4,
        "fusion": "sum",
        "modalities": ["structural", "textual"],
    }
    assert study.rows["a, text only"]["model_kwargs"]["modalities"] == ["textual"]
    shuffles = [
        cell.config["model_kwargs"]["representation_kwargs"]["shuffle"]
        for cell in study.cells()
        if cell.row == "a, shuffled"
    ]
    assert shuffles == [{"visual": 3, "textual": 3}, {"visual": 5, "textual": 5}]


def test_key_follows_configuration_and_data():
    cell = Study(CONFIG).cells()[0]
    assert cell.key("a") != cell.key("b")
    other = Study({**CONFIG, "variants": {"renamed": CONFIG["variants"]["wide"]}}).cells()[0]
    assert cell.key() == other.key()
    changed = Study({**CONFIG, "protocols": ["standard"]}).cells()[0]
    assert cell.key() != changed.key()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": {}}, "unknown key 'variant'"),
        ({"seeds": [1, 1]}, "distinct"),
        ({"metrics": ["accuracy"]}, "'accuracy' is no metric"),
        ({"reference": "other"}, "'other' is no row"),
        ({"variants": {"x": {"drop": "smell"}}}, "'smell'"),
        ({"variants": {"x": {"drop": ["structural", "visual", "textual"]}}}, "drops every modality"),
        ({"variants": {"x": {"random_seed": 3}}}, "give `seeds`"),
        ({"baselines": {"x": {}}}, "names no `model`"),
        ({"baselines": {"wide": {"model": "inverserule"}}}, "two rows called 'wide'"),
        ({"base": {"model": "distmult"}}, "names no `dataset`"),
        ({"base": {"dataset": "nations"}, "variants": {"x": {}}}, "'x' names no `model`"),
        ({"variants": {}, "baselines": {}}, "no row"),
        ({"variants": {"x": {"model_kwargs": {"embedding_dim": {1, 2}}}}}, "not plain JSON"),
    ],
)
def test_bad_configuration(change, message):
    with pytest.raises(StudyError, match=message):
        Study({**CONFIG, **change})


def test_bad_file(tmp_path):
    with pytest.raises(StudyError, match="no study at"):
        Study.load(tmp_path / "none.yaml")
    path = tmp_path / "bad.yaml"
    path.write_text("a: [")
    with pytest.raises(StudyError, match="neither JSON nor YAML"):
        Study.load(path)
    path.write_text("- a")
    with pytest.raises(StudyError, match="holds a list"):
        Study.load(path)
