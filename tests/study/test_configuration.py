"""The rows of a study, and what is wrong with a configuration."""

import itertools
import json
import pathlib

import pytest
import yaml

from pykeen_mmkg.study import Study, StudyError

from .cases import CONFIG

#: pairs of names, each of the second stands for eight of the first
ALIASES = list(itertools.pairwise("abcdefghij"))


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
    assert cell.key({"dataset": "a"}) != cell.key({"dataset": "b"})
    other = Study({**CONFIG, "variants": {"renamed": CONFIG["variants"]["wide"]}}).cells()[0]
    assert cell.key({}) == other.key({})
    changed = Study({**CONFIG, "protocols": ["standard"]}).cells()[0]
    assert cell.key({}) != changed.key({})


@pytest.mark.parametrize(
    ("change", "message"),
    [
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
        ({"variant": {}}, "study: .*did you mean 'variants'"),
        ({"seeds": "12"}, "the seeds '12' must be a list of whole numbers"),
        ({"seeds": [True]}, "whole numbers"),
        ({"seeds": [-1]}, "whole numbers"),
        ({"seeds": ["1"]}, "whole numbers"),
        ({"seeds": []}, "must be some"),
        ({"name": 3}, "`name` is 3"),
        ({"base": ["x"]}, "`base` is a list"),
        ({"variants": ["x"]}, "`variants` is a list"),
        ({"variants": {"x": ["y"]}}, "`variants`, 'x' is a list"),
        ({"variants": {7: {}}}, "the name 7, which is no text: put it in quotes"),
        ({"protocols": {False: {}}}, "the name False"),
        ({"metrics": "mrr"}, "the metrics 'mrr' must be a list"),
        ({"protocols": ["standart"]}, "protocol 'standart': .*did you mean 'standard'"),
        ({"protocols": ["rankbased"]}, "none of the named protocols"),
        ({"protocols": {"x": {"protocol": "standard", "protocol_kwarg": {}}}}, "did you mean 'protocol_kwargs'"),
        ({"protocols": {"x": {"protocol": "standard", "protocol_kwargs": {"filter": 1}}}}, "did you mean 'filtered'"),
        ({"protocols": {"x": {"protocol": "standard", "targets": ["tial"]}}}, "'tial' is no target"),
        ({"protocols": {"x": {"protocol": 3}}}, "must be names"),
        ({"variants": {"x": {"model": "distmul"}}}, "row 'x': 'distmul' is no model; did you mean 'distmult'"),
        ({"variants": {"x": {"modell": "distmult"}}}, "row 'x': 'modell' is no argument of PyKEEN's pipeline"),
        ({"variants": {"x": {"model_kwargs": {"embeding_dim": 1}}}}, "row 'x': 'embeding_dim'"),
        ({"variants": {"x": {"epochs": -1}}}, "row 'x': .*epochs=-1"),
        ({"baselines": {"x": {"model": "inversrule"}}}, "baseline 'x': .*did you mean 'inverserule'"),
    ],
)
def test_bad_configuration(change, message):
    with pytest.raises(StudyError, match=message):
        Study({**CONFIG, **change})


def test_the_examples_are_read():
    paths = sorted((pathlib.Path(__file__).parents[2] / "examples").rglob("*.y*ml"))
    studies = [path for path in paths if "base" in yaml.safe_load(path.read_text())]
    assert studies
    for path in studies:
        assert Study.load(path).rows


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(f"{y}: &{y} [{', '.join([f'*{x}'] * 8)}]\n" for x, y in ALIASES),
        "base: &a {b: *a}\n",
    ],
    ids=["bomb", "itself"],
)
def test_aliases_without_end(text, tmp_path):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(StudyError, match=r"bad\.yaml .*more than 100,000 values"):
        Study.load(tmp_path / "bad.yaml")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: \x00", b"[" * 5000])
def test_what_is_no_text(content, tmp_path):
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(StudyError, match=r"bad\.yaml"):
        Study.load(tmp_path / "bad.yaml")


def test_json_is_read_as_json(tmp_path):
    """YAML would make two halves of a character that JSON writes as two escapes."""
    (tmp_path / "s.json").write_text(json.dumps({**CONFIG, "variants": {"\N{GRINNING FACE} 007": {}}}))
    assert list(Study.load(tmp_path / "s.json").rows)[0] == "\N{GRINNING FACE} 007"


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
