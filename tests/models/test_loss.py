"""The loss of a model built by PyKEEN's pipeline is the one that its class declares, unless another is asked for."""

from importlib.metadata import entry_points

import pytest
from pykeen.datasets import Nations
from pykeen.hpo import hpo_pipeline
from pykeen.losses import MarginRankingLoss, NSSALoss, SoftplusLoss
from pykeen.models import ERModel, Model
from pykeen.pipeline import pipeline

from pykeen_mmkg.models.loss import OwnLossMixin
from pykeen_mmkg.models.vlkge import VLKGE

ENTRIES = [entry for entry in entry_points(group="pykeen.models") if "mmkg" in entry.module]
STRUCTURAL = {"modalities": ["structural"], "embedding_dim": 4}


def _loss(**kwargs):
    result = pipeline(
        dataset="nations",
        model="vlkge",
        training_kwargs={"num_epochs": 0},
        random_seed=0,
        **{"model_kwargs": STRUCTURAL, **kwargs},
    )
    return result.model.loss


def test_the_loss_of_the_paper_is_the_default():
    loss = _loss()
    assert type(loss) is SoftplusLoss and loss.reduction == "mean"


def test_a_loss_that_is_asked_for_is_taken():
    # the very loss that the pipeline would make by itself, and others
    for name in ("marginranking", MarginRankingLoss):
        assert type(_loss(loss=name)) is MarginRankingLoss
    assert type(_loss(model_kwargs={**STRUCTURAL, "loss": "marginranking"})) is MarginRankingLoss
    loss = _loss(loss="nssa", loss_kwargs={"margin": 7.0})
    assert type(loss) is NSSALoss and loss.margin == 7.0


def test_parameters_without_a_loss_change_the_default():
    loss = _loss(loss_kwargs={"reduction": "sum"})
    assert type(loss) is SoftplusLoss and loss.reduction == "sum"
    model = VLKGE(triples_factory=Nations().training, loss_kwargs={"reduction": "sum"}, **STRUCTURAL)
    assert type(model.loss) is SoftplusLoss and model.loss.reduction == "sum"


def test_outside_of_a_pipeline():
    assert type(VLKGE(triples_factory=Nations().training, **STRUCTURAL).loss) is SoftplusLoss
    model = VLKGE(triples_factory=Nations().training, loss=MarginRankingLoss(), **STRUCTURAL)
    assert type(model.loss) is MarginRankingLoss


def test_models_of_pykeen_are_left_alone():
    result = pipeline(dataset="nations", model="complex", training_kwargs={"num_epochs": 0}, random_seed=0)
    assert not isinstance(result.model, OwnLossMixin)


def test_search_takes_the_default():
    result = hpo_pipeline(
        dataset="nations",
        model="vlkge",
        model_kwargs=STRUCTURAL,
        model_kwargs_ranges={"embedding_dim": {"type": int, "low": 4, "high": 4}},
        n_trials=1,
        training_kwargs={"num_epochs": 1, "use_tqdm": False},
    )
    assert result.study.user_attrs["loss"] == "softplus"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_model_with_its_own_loss_has_the_mixin(entry):
    cls = entry.load()
    own = (cls.loss_default, cls.loss_default_kwargs) != (Model.loss_default, Model.loss_default_kwargs)
    assert issubclass(cls, OwnLossMixin) or not own


def test_there_are_models_with_their_own_loss():
    own = [entry.name for entry in ENTRIES if issubclass(entry.load(), OwnLossMixin)]
    assert {"vlkge", "relevidence", "textonly", "mre", "zsgan", "devise"} <= set(own)
    assert issubclass(VLKGE, ERModel) and VLKGE.loss_default is SoftplusLoss
