"""The published configurations: what they say, that they build and train, and that each option can be overridden."""

import inspect
import logging
import pathlib
from typing import Any

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.losses import MarginRankingLoss
from pykeen.models.cli.builders import build_cli_from_cls
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets.labels import labels_in_order
from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.zero_shot.mre import MRE
from pykeen_mmkg.models.zero_shot.presets import PUBLISHED_MRE, merged, with_presets
from pykeen_mmkg.models.zero_shot.zsgan import ZSGAN
from pykeen_mmkg.nn.zero_shot.layers import UnbiasedLayerNorm
from pykeen_mmkg.training.twophase import TwoPhaseTrainingLoop

MODELS: list[Any] = [MRE, ZSGAN]
#: a step as published, of fewer pairs
FEW = {"num_support": 3, "num_queries": 20, "num_episodes": 2, "pairs_per_relation": 5, "extractor_steps": 3}


def _make(cls: Any, factory: TriplesFactory | None = None, **kwargs: Any) -> Any:
    factory = factory or Nations().training
    features = {}
    for key, ids in (("textual", factory.entity_to_id), ("relation_textual", factory.relation_to_id)):
        labels = labels_in_order(ids)
        vectors = torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(0))
        features[key] = FeatureStore.from_tensors(labels, vectors, modality="textual")
    return cls(triples_factory=factory, sources={"features": features}, random_seed=0, **kwargs)


@pytest.mark.parametrize("cls", MODELS)
def test_published(cls: Any) -> None:
    """The numbers of the two papers' code."""
    model = _make(cls, preset="published")
    zsgan = cls is ZSGAN
    pairs, learner, extractor = model.pairs, model.pairs.learner, model.pairs.extractor
    assert model.entity_representations[0].shape == ((100,) if zsgan else (200,))
    assert type(model.interaction).__name__ == ("DistMultInteraction" if zsgan else "TransEInteraction")
    assert pairs.margin == learner.margin == (10.0 if zsgan else 5.0)
    assert (pairs.extractor_steps, pairs.generator_steps) == ((16_000, 3_000) if zsgan else (10_000, 1_000))
    assert (pairs.extractor_lr, learner.lr) == ((5e-4 if zsgan else 1e-4), 1e-4)
    assert (learner.critic_steps, learner.pivot, learner.gradient_penalty) == ((5 if zsgan else 1), 3.0, 10.0)
    assert learner.needs_negatives and learner.noise.shape == (20, 15)
    sampler = pairs.sampler
    assert (sampler.num_support, sampler.num_queries, sampler.num_episodes) == ((30, 64, 20) if zsgan else (8, 64, 10))
    assert sampler.filtered and not sampler.replacement and pairs.centroid_pairs is None
    assert (pairs.relations_per_step, pairs.pairs_per_relation) == (2, 256)
    assert isinstance(learner.critic.norm, UnbiasedLayerNorm) and isinstance(learner.generator.norm, UnbiasedLayerNorm)
    assert isinstance(extractor.norm, UnbiasedLayerNorm) == zsgan, "MRE's extractor has torch's"
    assert (extractor.input_dropout.p, extractor.output_dropout.p, extractor.dropout.p) == (0.2, 0.2, 0.0)
    sizes = [(m.in_features, m.out_features) for m in learner.generator.maps]
    assert sizes == ([(21, 250), (250, 200)] if zsgan else [(21, 6), (6, 200), (200, 200)])
    if not zsgan:
        assert model.loss.weight == 0.7 and model.loss.base.margin == 3.0 and model.interaction.p == 1
        entity = model.entity_representations[0]
        assert entity.base.reconstruction_weight == {"textual": 0.5} and entity.base.contrastive_weight == 0.5
        assert (entity.num_neighbors, entity.eval_neighbors, entity.mixture.embedding_dim) == (4, None, 30)
        assert entity.base.shape == (384,) and entity.base.temperature == 0.05


@pytest.mark.parametrize("cls", MODELS)
def test_a_step_of_each(cls: Any) -> None:
    """Structure, extractor and generator, by the loop; seen and unseen relations have scores."""
    factory = Nations().training
    training = factory.clone_and_exchange_triples(factory.mapped_triples[factory.mapped_triples[:, 1] < 50])
    model = _make(cls, training, preset="published", pair_kwargs=FEW)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    loop = TwoPhaseTrainingLoop(
        model=model, triples_factory=training, optimizer="adam", structure_epochs=1, steps_per_epoch=4
    )
    loop.train(training, num_epochs=2, batch_size=512, use_tqdm=False)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    # the realness of both sides has the same bias: only the difference counts
    assert still == ["pairs.learner.critic.out.bias"]
    scores = model.predict_t(torch.tensor([[0, 3], [1, 54]]))
    assert torch.isfinite(scores).all() and scores[1].abs().max() <= 1


def test_shared_maps() -> None:
    """The loop's optimizer and the generator's both move them, and they are one in a saved state."""
    model = _make(MRE, preset="published", pair_kwargs=FEW | {"extractor_steps": 0})
    maps = model.relation_representations[0].transformation
    assert [*model.pairs.learner.generator.maps][1:] == [*maps]
    trained = {id(p) for p in model.get_grad_params()}
    assert all(id(p) in trained for p in maps.parameters())
    first = model.pairs.learner.generator.maps[0]
    assert not any(id(p) in trained for p in [*first.parameters(), *model.pairs.extractor.parameters()])
    before = model.relation_representations[0](None).detach().clone()
    model.train().pairs.own_step()
    assert not torch.equal(before, model.relation_representations[0](None))
    other = _make(MRE, preset="published", pair_kwargs=FEW)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(
        other.eval().relation_representations[0](None), model.eval().relation_representations[0](None)
    )
    with pytest.raises(MultimodalError, match="one dimension"):
        _make(MRE, preset="published", pair_kwargs={"dim": 8})
    plain = _make(MRE)
    assert not {id(p) for p in plain.get_grad_params()} & {id(p) for p in plain.pairs.parameters()}


def test_the_structure_loss() -> None:
    """0.7 times (margin loss, plus half of the mean squares of heads, tails and relations, a third each)."""
    weights = {"representation_kwargs": {"reconstruction_weight": 0.0}, "interaction": "distmult"}
    model = _make(MRE, preset="published", structure=False, contrastive=0.0, **weights).train()
    positive, negative = torch.tensor([[0, 1, 2], [3, 4, 5]]), torch.tensor([[0, 1, 6], [7, 4, 5], [8, 1, 2]])
    triples = torch.cat([positive, negative])
    with torch.no_grad():
        for _ in range(100):  # until the spectral norms stand still
            model.relation_representations[0](None)
    for rows in (positive, negative):
        model.score_hrt(rows)
    with torch.no_grad():
        entities, relations = model.entity_representations[0](None), model.relation_representations[0](None)
    means = [float((x[triples[:, column]] ** 2).mean()) for x, column in ((entities, 0), (relations, 1), (entities, 2))]
    term = float(model.collect_regularization_term())
    assert term == pytest.approx(0.7 * 0.5 * sum(means) / 3, rel=1e-4)
    scores = torch.randn(2, 1), torch.randn(2, 3)
    plain = MarginRankingLoss(margin=3.0).process_slcwa_scores(*scores)
    torch.testing.assert_close(model.loss.process_slcwa_scores(*scores), 0.7 * plain)
    with pytest.raises(MultimodalError, match="another regularizer"):
        _make(MRE, l2=0.5, consolidator_kwargs={"regularizer": "lp"})


def test_single_options_can_be_overridden() -> None:
    """At the top and within; the rest is the preset's."""
    norm = {"extractor_kwargs": {"norm": "unbiasedlayernorm"}, "centroid_pairs": 7}
    learner = {"hinge": "centroids", "critic_kwargs": {"xavier": False}}
    model = _make(
        ZSGAN, preset="published", embedding_dim=12, interaction="complex", pair_kwargs=norm, learner_kwargs=learner
    )
    pairs = model.pairs
    assert model.entity_representations[0].shape == (12,) and type(model.interaction).__name__ == "ComplExInteraction"
    assert pairs.centroid_pairs == 7 and isinstance(pairs.extractor.norm, UnbiasedLayerNorm)
    assert not pairs.learner.needs_negatives and not pairs.learner.critic.xavier
    assert isinstance(pairs.learner.critic.norm, UnbiasedLayerNorm) and pairs.learner.margin == 10.0
    assert _make(ZSGAN).entity_representations[0].shape == (200,)


def test_merged() -> None:
    """What is given wins; none at the top means not given, as PyKEEN's pipeline names all defaults."""
    preset = {"a": 1, "b": {"c": 2, "d": {"e": 3}}, "f": {"g": 4}}
    given = {"a": None, "b": {"d": {"e": None, "h": 5}}, "f": 6, "i": 7}
    assert merged(preset, given) == {"a": 1, "b": {"c": 2, "d": {"e": None, "h": 5}}, "f": 6, "i": 7}
    assert preset["b"] == {"c": 2, "d": {"e": 3}}


@pytest.mark.parametrize("cls", MODELS)
def test_the_option_is_known(cls: Any) -> None:
    """By signature, on the command line, and by its names."""
    parameter = inspect.signature(cls).parameters["preset"]
    assert parameter.default is None and inspect.signature(cls).parameters["kwargs"]
    assert "--preset" in {name for option in build_cli_from_cls(cls).params for name in option.opts}
    with pytest.raises(MultimodalError, match=r"preset='publshed'.*\['published'\]"):
        _make(cls, preset="publshed")


def test_the_decorator_leaves_others_alone() -> None:
    """Without the preset, arguments go on as they are."""

    @with_presets(one={"x": 3})
    def function(x: int | None = None, **kwargs: Any) -> Any:
        return x, kwargs

    assert function() == (None, {}) and function(preset="one", y=2) == (3, {"y": 2}) and function(5) == (5, {})


def test_a_leak_is_said_aloud(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """Links of a file of triples to predict, in plain JSON; never by the preset."""
    factory = Nations().training
    labels = labels_in_order(factory.entity_to_id)
    training = factory.clone_and_exchange_triples(factory.mapped_triples[:20])
    path = tmp_path / "test.tsv"
    path.write_text(f"{labels[0]}\tnew\t{labels[13]}\nnobody\tnew\t{labels[0]}\n")
    count = _make(ZSGAN, training).pairs.extractor.num_neighbors
    with caplog.at_level(logging.WARNING):
        leaky = _make(ZSGAN, training, pair_kwargs={"leaked_triples": str(path)}).pairs.extractor.num_neighbors
    assert "1 links" in caplog.text and "do not report" in caplog.text
    assert (leaky - count).nonzero().view(-1).tolist() == [0, 13]
    assert "leaked" not in repr(PUBLISHED_MRE)


def test_pools_by_type(typed: TriplesFactory) -> None:
    """Tails of negatives are of the types of the relation's tails."""
    sampler = _make(ZSGAN, typed, pair_kwargs={"pools": "types", "dim": 4}).pairs.sampler
    land = typed.relation_to_id["in"]
    own = sampler.candidates[sampler.candidate_offsets[land] : sampler.candidate_offsets[land + 1]]
    assert {labels_in_order(typed.entity_to_id)[i] for i in own.tolist()} == {"x:land:b", "x:land:d"}
    with pytest.raises(MultimodalError, match="pools='kinds'"):
        _make(ZSGAN, typed, pair_kwargs={"pools": "kinds"})
