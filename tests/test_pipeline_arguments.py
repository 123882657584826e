"""Arguments of PyKEEN's pipeline: what is unknown is refused with what comes near, what is known passes."""

import inspect
import pathlib
from typing import Any

import pytest
import yaml
from pykeen.models import model_resolver
from pykeen.pipeline import pipeline

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.pipeline_arguments import check_arguments, named_class

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.[jy]*")), ids=lambda path: path.name)
def test_the_examples_pass(path: pathlib.Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "pipeline" in content:
        check_arguments(content["pipeline"])


def test_what_is_known_passes() -> None:
    check_arguments(
        {
            "dataset": "nations",
            "model": "DistMult",
            "model_kwargs": {"embedding_dim": 4, "entity_initializer": "xavier_normal"},
            "loss": "margin ranking",
            "loss_kwargs": {"margin": 2},
            "optimizer": "adagrad",
            "optimizer_kwargs": {"lr": 0.1},
            "regularizer": None,
            "training_loop": "lcwa",
            "training_kwargs": {"num_epochs": 1, "label_smoothing": 0.1},
            "stopper": "early",
            "stopper_kwargs": {"frequency": 1},
            "evaluator": "zsl-candidates",
            "evaluator_kwargs": {"full_ranking": True},
            "evaluation_kwargs": {"batch_size": 8},
            "random_seed": 0,
            "use_tqdm": False,
            "result_tracker": ["csv", "json"],
        }
    )
    assert named_class("model", "vlkge") is model_resolver.lookup("vlkge")
    assert named_class("model", None) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"modell": "x"}, "'modell' is no argument of PyKEEN's pipeline; did you mean 'model'?"),
        ({"model": "distmul"}, "'distmul' is no model; did you mean 'distmult'?"),
        ({"model": "qqqq"}, "'qqqq' is no model; known are"),
        ({"model": 3}, "model is a int"),
        (
            {"model": "distmult", "model_kwargs": {"embeding_dim": 3}},
            "'embeding_dim' is no argument of the model",
        ),
        ({"model_kwargs": [1]}, "model_kwargs=[1] must be a mapping"),
        ({"model_kwargs": {"interaction": "vlrotat"}}, "'vlrotat' is no interaction; did you mean 'vlrotate'?"),
        ({"model_kwargs": {"fusion": "avarage"}}, "'avarage' is no fusion; did you mean 'average'?"),
        ({"loss": "marginrankin"}, "no loss"),
        ({"optimizer": "adagradd"}, "no optimizer"),
        ({"optimizer": "adam", "optimizer_kwargs": {"learning_rate": 1}}, "'learning_rate' is no argument of the opti"),
        ({"training_loop": "slcwaa"}, "no training loop"),
        ({"negative_sampler": "basicc"}, "no negative sampler"),
        ({"evaluator": "standart"}, "'standart' is no evaluator; did you mean 'standard'?"),
        ({"evaluator": "standard", "evaluator_kwargs": {"target": 1}}, "'target' is no argument of the evaluator"),
        ({"training_kwargs": {"epochs": 3}}, "'epochs' is no argument of training"),
        ({"evaluation_kwargs": {"batchsize": 3}}, "did you mean 'batch_size'?"),
        ({"stopper": "earl"}, "no stopper"),
        ({"stopper": "early", "stopper_kwargs": {"patients": 3}}, "did you mean 'patience'?"),
        ({"epochs": -1}, "epochs=-1 must be at least 0"),
        ({"training_kwargs": {"num_epochs": -1}}, "num_epochs=-1 must be at least 0"),
        ({"training_kwargs": {"batch_size": 0}}, "batch_size=0 must be at least 1"),
        ({"epochs": "3"}, "epochs='3' must be a whole number"),
        ({"epochs": True}, "epochs=True must be a whole number"),
        ({"random_seed": 0.5}, "random_seed=0.5"),
        ({"use_testing_data": "no"}, "use_testing_data='no' must be true or false"),
        ({"use_tqdm": 1}, "use_tqdm=1 must be true or false"),
    ],
)
def test_what_is_unknown_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(MultimodalError) as caught:
        check_arguments(arguments)
    assert words in str(caught.value)


def test_all_names_of_the_pipeline_are_looked_up() -> None:
    """Whatever has keyword arguments in the pipeline is a name that is checked, or is told here."""
    named = {
        name.removesuffix("_kwargs") for name in inspect.signature(pipeline).parameters if name.endswith("_kwargs")
    }
    known = {name for name in named if _refused(name)}
    assert named - known == {"dataset", "training", "evaluation", "result_tracker"}


def _refused(name: str) -> bool:
    try:
        named_class(name, "no such thing")
    except MultimodalError:
        return True
    return False
