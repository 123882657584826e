"""A model with the mixin against PyKEEN's, through PyKEEN's own training loop."""

from typing import Any

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import ERModel
from pykeen.training import SLCWATrainingLoop
from torch.nn.init import xavier_uniform_

from pykeen_mmkg.models import scoring
from pykeen_mmkg.models.scoring import IndexedScoringMixin

FACTORY = Nations().training
#: two batches per epoch are enough to tell weights apart
FEW = FACTORY.clone_and_exchange_triples(FACTORY.mapped_triples[:256])


class IndexedModel(IndexedScoringMixin, ERModel):
    """The simplest model with the mixin."""


def _train(cls: type[ERModel], interaction: str = "distmult", epochs: int = 2, **options: Any) -> ERModel:
    entity = {"shape": 8, "initializer": xavier_uniform_, **options.pop("entity", {})}
    model = cls(
        triples_factory=FACTORY,
        interaction=interaction,
        entity_representations_kwargs=entity,
        relation_representations_kwargs={**entity, **options.pop("relation", {})},
        loss="softplus",
        random_seed=0,
        **options,
    )
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=FEW,
        optimizer=torch.optim.Adagrad(model.parameters(), lr=0.1),
        negative_sampler_kwargs={"num_negs_per_pos": 16},
    )
    torch.manual_seed(1)
    loop.train(FEW, num_epochs=epochs, batch_size=128, use_tqdm=False)
    return model


@pytest.fixture()
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of triples that were scored in the fast way."""
    numbers: list[int] = []
    fast = scoring.score_indexed

    def spy(interaction: Any, e: Any, r: Any, hrt: torch.Tensor) -> torch.Tensor:
        numbers.append(len(hrt))
        return fast(interaction, e, r, hrt)

    monkeypatch.setattr(scoring, "score_indexed", spy)
    return numbers


COMPLEX = {"dtype": torch.cfloat, "initializer": "normal"}


@pytest.mark.parametrize(
    ("interaction", "options"),
    [
        ("distmult", {}),
        ("transe", {"interaction_kwargs": {"p": 1}}),
        (
            "transe",
            {"interaction_kwargs": {"p": 2}, "entity": {"constrainer": "normalize"}, "relation": {"constrainer": None}},
        ),
        ("complex", {"entity": COMPLEX}),
        ("rotate", {"entity": COMPLEX, "relation": {"constrainer": "complex_normalize"}}),
        ("distmult", {"entity": {"normalizer": "normalize"}}),
        ("vltranse", {}),
        ("vlrotate", {"entity": COMPLEX, "relation": {"dtype": torch.float}}),
    ],
)
def test_same_training(interaction: str, options: dict[str, Any], calls: list[int]) -> None:
    """The weights after training are those of a model that scores each triple for itself."""
    models = [_train(cls, interaction, **{k: dict(v) for k, v in options.items()}) for cls in (ERModel, IndexedModel)]
    assert calls, "the fast way was not taken"
    for expected, actual in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"entity": {"regularizer": "lp", "regularizer_kwargs": {"weight": 0.1}}, "relation": {"regularizer": None}},
        {"entity": {"dropout": 0.3}},
        {"interaction": "transe", "interaction_kwargs": {"p": 3}},
        {"interaction": "hole"},
    ],
)
def test_own_way(options: dict[str, Any], calls: list[int]) -> None:
    """Where computing a row once means something else, training is bit by bit that of PyKEEN."""
    models = [
        _train(cls, **{k: dict(v) if isinstance(v, dict) else v for k, v in options.items()})
        for cls in (ERModel, IndexedModel)
    ]
    assert not calls
    for expected, actual in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(expected, actual)


def test_evaluation_mode(calls: list[int]) -> None:
    """A regularizer or a dropout does not matter there."""
    options = {"regularizer": "lp", "dropout": 0.3}
    model = _train(IndexedModel, entity=options, epochs=1).eval()
    assert not calls
    triples = FACTORY.mapped_triples[:1100]
    with torch.inference_mode():
        scores = model.score_hrt(triples)
        expected = ERModel.score_hrt(model, triples)
    assert calls == [1100]
    assert scores.shape == (1100, 1)
    torch.testing.assert_close(scores, expected)


def test_few_triples(calls: list[int]) -> None:
    """Few triples are scored in the model's own way; the number can be chosen."""
    model = _train(IndexedModel, epochs=1)
    calls.clear()
    scores = model.score_hrt(FACTORY.mapped_triples[:5])
    assert not calls
    model.indexed_scoring_min_triples = 5
    torch.testing.assert_close(model.score_hrt(FACTORY.mapped_triples[:5]), scores)
    assert calls == [5]


def test_inductive_mode_is_refused() -> None:
    """As by PyKEEN's model, which is transductive."""
    model = _train(IndexedModel, epochs=1)
    with pytest.raises(ValueError, match="inductive mode"):
        model.score_hrt(FACTORY.mapped_triples[:1100], mode="training")
