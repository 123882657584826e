"""Recipes of scorers: what is filled in, and what a scorer has nothing to say about."""

import logging
from typing import Any

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult, TransE
from pykeen.triples import CoreTriplesFactory

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.models.scorers import PRESETS, Scorer, ScorerRecipe


def test_preset_is_changed_not_replaced() -> None:
    """What is given wins, at any depth; another class loses the arguments of the old one, another model everything."""
    plain = ScorerRecipe.parse("content", None, {})
    assert {k: v for k, v in plain.options.items() if k != "model_kwargs"} == PRESETS["content"]
    changed = ScorerRecipe.parse("content", {"training_kwargs": {"num_epochs": 3}, "optimizer": "adagrad"}, {})
    assert changed.options["training_kwargs"] == {**PRESETS["content"]["training_kwargs"], "num_epochs": 3}
    assert changed.options["optimizer"] == "adagrad" and "optimizer_kwargs" not in changed.options
    assert changed.options["training_loop_kwargs"] == PRESETS["content"]["training_loop_kwargs"]
    other = ScorerRecipe.parse("content", {"model": "transe"}, {})
    assert other.options == {"model": "transe", "model_kwargs": {}}
    assert ScorerRecipe.parse("mine", "rotate", {}).options["model"] == "rotate"


def test_two_of_a_kind() -> None:
    """A scorer of another name takes a preset by name; what it says itself goes first."""
    change = {"preset": "content", "model_kwargs": {"embedding_dim": 8}, "training_kwargs": {"num_epochs": 3}}
    second = ScorerRecipe.parse("second content", change, {})
    own = ScorerRecipe.parse("content", {key: change[key] for key in change if key != "preset"}, {})
    assert second.options == own.options and second.name == "second content"
    assert change["preset"] == "content"  # a configuration is not changed by being read
    other = ScorerRecipe.parse("structure", {"preset": "structure", "model": "distmult"}, {})
    assert other.options == {"model": "distmult", "model_kwargs": {}}
    with pytest.raises(MultimodalError, match="no preset 'contents'; there are content, structure"):
        ScorerRecipe.parse("x", {"preset": "contents"}, {})
    with pytest.raises(MultimodalError, match="'preset'"):
        ScorerRecipe.parse("x", {}, {})


def test_shared_arguments_go_where_they_fit() -> None:
    """A model that takes an argument gets it, unless its own says otherwise."""
    shared = {"shuffle": {"visual": 1}, "initial_scale": 0.5}
    assert ScorerRecipe.parse("content", {}, shared).options["model_kwargs"] == {"shuffle": {"visual": 1}}
    assert ScorerRecipe.parse("structure", {}, shared).options["model_kwargs"] == {"initial_scale": 0.5}
    own = {"model_kwargs": {"initial_scale": 0.1}}
    assert ScorerRecipe.parse("structure", own, shared).options["model_kwargs"] == {"initial_scale": 0.1}


@pytest.mark.parametrize("options", [{"dataset": "nations"}, {"random_seed": 3}, {"modell": "transe"}])
def test_data_and_seed_are_not_a_scorers(options: dict[str, Any]) -> None:
    """The data and the seed are those of the fusion; a wrong key is named."""
    with pytest.raises(MultimodalError, match=next(iter(options))):
        ScorerRecipe.parse("content", options, {})


def test_training_is_told_by_its_progress_line_alone(caplog: pytest.LogCaptureFixture) -> None:
    """PyKEEN notes device, inverse triples and batch sizes of every pipeline; the user started one of them."""
    recipe = ScorerRecipe.parse("mine", {"model": "transe", "training_kwargs": {"num_epochs": 1}}, {})
    logger = logging.getLogger("pykeen")
    before = logger.level
    caplog.clear()
    recipe.train(Nations().training, seed=0, device=torch.device("cpu"))
    assert [record.getMessage() for record in caplog.records if record.name.startswith(("pykeen", "torch"))] == []
    assert logger.level == before


def test_training_leaves_no_trace() -> None:
    """Random numbers go on as if nothing had been trained; the same seed trains the same model."""
    recipe = ScorerRecipe.parse(
        "mine", {"model": "transe", "training_kwargs": {"num_epochs": 1, "use_tqdm": False}}, {}
    )
    training = Nations().training
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    models = [recipe.train(training, seed=1, device=torch.device("cpu"))[0] for _ in range(2)]
    assert torch.rand(3).equal(expected)
    one, other = (model.state_dict() for model in models)
    assert all(value.equal(other[key]) for key, value in one.items())
    assert models[0].use_inverse_triples


@pytest.mark.parametrize("inverse", [True, False])
def test_unknown_entities_and_relations(inverse: bool) -> None:
    """The score is over the average of the known candidates; with anything unknown it is 0."""
    triples = torch.tensor([[0, 0, 1], [1, 0, 2], [2, 2, 0]])
    training = CoreTriplesFactory(triples, num_entities=5, num_relations=3, create_inverse_triples=inverse)
    cls = TransE if inverse else DistMult
    model = cls(triples_factory=training, random_seed=0).eval()
    scorer = Scorer("it", model, training)
    assert scorer.entities.tolist() == [True, True, True, False, False]
    assert scorer.relations.tolist() == [True, False, True]
    entities, relations = torch.tensor([1, 1, 3, 2, 2]), torch.tensor([2, 1, 2, 0, 7])
    for target in ("tail", "head"):
        (scores,) = scorer.scores(entities, relations, target)
        assert scores[[1, 2, 4]].eq(0).all() and scores[:, 3:].eq(0).all()
        for row in (0, 3):
            pair = torch.stack([entities, relations], dim=-1)[row : row + 1]
            raw = (model.predict_t(pair) if target == "tail" else model.predict_h(pair.flip(-1)))[0, :3]
            torch.testing.assert_close(scores[row, :3], raw - raw.mean())
        torch.testing.assert_close(
            scorer.scores(entities, relations, target, torch.tensor([2, 0]))[0], scores[:, [2, 0]]
        )
        weights = torch.tensor([[2.0], [1.0], [1.0], [-1.0], [3.0]])
        torch.testing.assert_close(scorer.weighted(entities, relations, target, weights, None), weights * scores)
