"""Late fusion: what is held out, that weights cannot leak, what the scores are, and PyKEEN's doors."""

import pathlib
from typing import Any

import pytest
import torch
from pykeen.evaluation import RankBasedEvaluator
from pykeen.hpo import hpo_pipeline
from pykeen.pipeline import PipelineResult, pipeline
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import DataError, MultimodalError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.late_fusion import LateFusion
from pykeen_mmkg.nn.late_weights import fit_weights

FAST: dict[str, Any] = {
    "content": {"model_kwargs": {"embedding_dim": 8}, "training_kwargs": {"num_epochs": 2, "use_tqdm": False}},
    "structure": {"model_kwargs": {"embedding_dim": 4}, "training_kwargs": {"num_epochs": 2, "use_tqdm": False}},
    "evidence": {},
}
OPTIONS: dict[str, Any] = dict(
    model="latefusion", training_kwargs=dict(use_tqdm=False), evaluation_kwargs=dict(use_tqdm=False), random_seed=0
)


@pytest.fixture(scope="module")
def model_kwargs(stores: dict[str, str]) -> dict[str, Any]:
    """Three scorers that train for two epochs."""
    features = {key: stores[key] for key in ("visual", "textual")}
    return {"scorers": FAST, "sources": {"features": features}, "held_out_triples": 0.3, "held_out_entities": 0.1}


@pytest.fixture(scope="module")
def result(folder: pathlib.Path, model_kwargs: dict[str, Any]) -> PipelineResult:
    """A trained model."""
    return pipeline(dataset="multimodal", dataset_kwargs={"path": str(folder)}, model_kwargs=model_kwargs, **OPTIONS)


def _training(folder: pathlib.Path) -> TriplesFactory:
    return MultimodalDataset(path=folder).training


def test_pipeline_trains_each_scorer_once(result: PipelineResult) -> None:
    """After PyKEEN's five epochs, with its default loop and loss, all is fitted, and nothing of that loop counts."""
    model = result.model
    assert isinstance(model, LateFusion) and bool(model.fitted)
    assert list(model.scorers) == ["content", "structure", "evidence"]
    assert len(result.losses) == 5
    assert model.weights_.shape == (2 * model.num_relations, len(model.columns))
    assert model.weights_.index.names == ["target", "relation"]
    assert model.weights_["evidence.prior"].eq(0).all()
    assert model.weights_["content"].ne(0).any() and model.weights_["structure"].ne(0).any()


def test_score_is_the_weighted_sum(result: PipelineResult, folder: pathlib.Path) -> None:
    """On each side: the sum of weight times score over the columns; a plain scorer's score is over its average."""
    model, training = result.model, _training(folder)
    queries = training.mapped_triples[::7, :2]
    for target, batch in (("tail", queries), ("head", queries.flip(-1))):
        entities, relations = (batch[:, 0], batch[:, 1]) if target == "tail" else (batch[:, 1], batch[:, 0])
        plain, known = [], []
        for name in ("content", "structure"):
            scorer = model.scorers[name]
            scores = scorer.predict_t(batch) if target == "tail" else scorer.predict_h(batch)
            seen = torch.zeros(model.num_entities, dtype=torch.bool)
            seen[training.mapped_triples[:, [0, 2]].flatten()] = True
            mask = scorer.known_entities if name == "content" else seen
            scores = scores - scores[:, mask].mean(dim=1, keepdim=True)
            plain.append(torch.where(mask[entities][:, None] & mask, scores, 0))
            known.append(mask)
        # a candidate without a triple but with content: the mean of structural scores, weighted by nearness of content
        x = model.scorers["content"].entity_representations[0].lookup()
        estimated = (known[0] & ~known[1]).nonzero()[:, 0]
        assert len(estimated)
        near = torch.softmax(x[estimated] @ x[known[0] & known[1]].T / 0.05, dim=-1)
        plain[1][:, estimated] = plain[1][:, known[0] & known[1]] @ near.T
        assert not known[0].all() and not known[1].all()
        columns = torch.cat([torch.stack(plain), model.scorers["evidence"].score_parts(entities, relations, target)])
        labels = [model.relation_labels[r] for r in relations]
        weights = torch.tensor(model.weights_.loc[[(target, label) for label in labels]].to_numpy())
        expected = torch.einsum("kbn,bk->bn", columns, weights)
        # no training triple relates an entity to itself: it comes last
        expected[torch.arange(len(batch)), entities] = expected.amin(dim=1) - 1
        actual = model.predict_t(batch) if target == "tail" else model.predict_h(batch)
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_all_ways_of_scoring_agree(result: PipelineResult, folder: pathlib.Path) -> None:
    """Triples, all tails, given tails (shared, or of each query) and relations."""
    model, triples = result.model, _training(folder).mapped_triples[:5]
    full = model.predict_t(triples[:, :2])
    torch.testing.assert_close(model.predict_hrt(triples)[:, 0], full.gather(1, triples[:, 2:])[:, 0])
    torch.testing.assert_close(model.predict_t(triples[:, :2], tails=torch.tensor([3, 1])), full[:, [3, 1]])
    own = torch.randint(model.num_entities, (5, 4))
    torch.testing.assert_close(model.predict_t(triples[:, :2], tails=own), full.gather(1, own))
    relations = model.predict_r(triples[:, [0, 2]])
    assert relations.shape == (5, model.num_relations)
    torch.testing.assert_close(relations.gather(1, triples[:, 1:2])[:, 0], model.predict_hrt(triples)[:, 0])


def test_explain(result: PipelineResult, folder: pathlib.Path) -> None:
    """The shares add up to the score, for each side."""
    model, training = result.model, _training(folder)
    head, relation, tail = training.triples[3]
    ids = training.mapped_triples[3:4]
    for target, scores, answer in (
        ("tail", model.predict_t(ids[:, :2]), ids[0, 2]),
        ("head", model.predict_h(ids[:, 1:]), ids[0, 0]),
    ):
        table = model.explain(head, relation, tail, target=target)
        assert table.index.tolist() == model.columns
        assert table["share"].sum() == pytest.approx(scores[0, answer].item(), abs=1e-4)
        assert (table["share"] == table["score"] * table["weight"]).all()
        assert table["rank"].between(1, model.num_entities).all()
    with pytest.raises(DataError, match="nobody"):
        model.explain("nobody", relation, tail)


def test_weights_do_not_see_validation_and_test(
    folder: pathlib.Path, model_kwargs: dict[str, Any], result: PipelineResult
) -> None:
    """With other validation and test triples, every weight and every scorer is the same, bit by bit."""
    training = _training(folder)
    other = training.clone_and_exchange_triples(training.mapped_triples[:3].flip(-1).remainder(3))
    again = pipeline(training=training, validation=other, testing=other, model_kwargs=model_kwargs, **OPTIONS).model
    assert again.weights_.equals(result.model.weights_)
    for (name, value), (_, expected) in zip(again.state_dict().items(), result.model.state_dict().items(), strict=True):
        assert value.equal(expected), name


def test_saved_model_scores_the_same(result: PipelineResult, tmp_path: pathlib.Path) -> None:
    """A pickled model answers alike; it has no training triples, and says so."""
    result.save_to_directory(tmp_path, save_training=False)
    again = torch.load(tmp_path / "trained_model.pkl", weights_only=False)
    query = torch.tensor([[0, 1], [3, 2]])
    torch.testing.assert_close(again.predict_t(query), result.model.predict_t(query))
    assert again.weights_.equals(result.model.weights_)
    with pytest.raises(MultimodalError, match="file"):
        again.fit()
    with pytest.raises(MultimodalError, match="file"):
        again.subset("content")


def test_resume(folder: pathlib.Path, model_kwargs: dict[str, Any], tmp_path: pathlib.Path) -> None:
    """Stopped after two epochs and resumed, it is not fitted again, and has the same numbers, bit by bit."""
    options = {**OPTIONS, "dataset": "multimodal", "dataset_kwargs": {"path": str(folder)}}
    results = []
    for epochs in (2, 5):
        options["training_kwargs"] = dict(
            num_epochs=epochs,
            use_tqdm=False,
            checkpoint_directory=tmp_path,
            checkpoint_name="late.pt",
            checkpoint_frequency=0,
        )
        results.append(pipeline(model_kwargs=model_kwargs, **options).model)
    first, second = results
    assert second._idle_version is None or second.candidates is None, "fitted again"
    for (name, value), (_, expected) in zip(second.state_dict().items(), first.state_dict().items(), strict=True):
        if name != "idle":
            assert value.equal(expected), name
    query = torch.tensor([[0, 1], [3, 2]])
    assert second.predict_t(query).equal(first.predict_t(query))


def test_subset(result: PipelineResult) -> None:
    """Some of the scorers: the others have no weight; a single one ranks as it does alone; errors are clear."""
    model = result.model
    pair = model.subset("content", "structure")
    assert pair.weights_.drop(columns=["content", "structure"]).eq(0).all(axis=None)
    # its weights are fitted by the candidates of the model, and a subset can be made of it
    columns = [model.columns.index(name) for name in ("content", "structure")]
    common, deviation = fit_weights(model.candidates, len(model.deviation), columns, shrinkage=model.shrinkage, seed=0)
    torch.testing.assert_close(pair.common, common)
    torch.testing.assert_close(pair.deviation, deviation)
    torch.testing.assert_close(pair.subset("content", "structure").common, common)
    alone = model.subset("content")
    query = torch.tensor([[3, 1]])
    scores = model.scorers["content"].predict_t(query)
    known = model.scorers["content"].known_entities.clone()
    known[3] = False  # no answer to its own query
    assert alone.predict_t(query)[0, known].argsort().equal(scores[0, known].argsort())
    assert model.subset(prior=True).weights_["evidence.prior"].ne(0).any()
    assert model.weights_["evidence.prior"].eq(0).all()
    with pytest.raises(MultimodalError, match="unknown|no scorers"):
        model.subset("context")


def test_early_stopping_of_a_scorer(folder: pathlib.Path, model_kwargs: dict[str, Any]) -> None:
    """A scorer stops by held-out triples of its own, and is trained again for as many epochs."""
    structure = {
        **FAST["structure"],
        "training_kwargs": {"num_epochs": 30, "use_tqdm": False},
        "stopper": "early",
        "stopper_kwargs": {"frequency": 1, "patience": 1, "relative_delta": 0.5},
    }
    model = LateFusion(
        triples_factory=_training(folder), random_seed=0, **{**model_kwargs, "scorers": {"structure": structure}}
    )
    calls = []
    recipe = model.recipes[0]
    original = type(recipe).train

    class Spy:
        """Notes what each training is called with."""

        def __getattr__(self, name: str) -> Any:
            return getattr(recipe, name)

        def train(self, **kwargs: Any) -> Any:
            trained = original(recipe, **kwargs)
            calls.append((kwargs, trained[1]))
            return trained

    model.recipes = [Spy()]  # type: ignore[list-item]
    model.fit()
    (first, best), (second, _) = calls
    everything = {tuple(x) for x in model._factory.mapped_triples.tolist()}
    own, stopping = ({tuple(x) for x in first[key].tolist()} for key in ("triples", "validation"))
    assert own and stopping and not own & stopping and own | stopping < everything
    assert second["num_epochs"] == best < 30 and "triples" not in second


def test_plain_graphs_and_other_models() -> None:
    """A dataset of PyKEEN's without text or images; scorers of PyKEEN's, trained by its own loops."""
    scorers = {
        "rotate": {"model": "rotate", "training_kwargs": {"num_epochs": 1, "use_tqdm": False}},
        "distmult": {
            "model": "distmult",
            "training_loop": "lcwa",
            "training_kwargs": {"num_epochs": 1, "use_tqdm": False},
        },
        "degree": {"model": "degreerule", "training_kwargs": {"num_epochs": 0}},
    }
    model = pipeline(dataset="nations", model_kwargs={"scorers": scorers}, **OPTIONS).model
    assert model.columns == ["rotate", "distmult", "degree"]
    assert LateFusion(triples_factory=_nations()).columns[:2] == ["structure", "evidence.link"]
    for scorers, message in (
        ({"mine": {}}, "has no model"),
        ({"content": {"model": "transe", "epoch": 3}}, "unknown options"),
        ({}, "at least one"),
    ):
        with pytest.raises(MultimodalError, match=message):
            LateFusion(triples_factory=_nations(), scorers=scorers)


def _nations() -> TriplesFactory:
    from pykeen.datasets import Nations

    return Nations().training


def test_hpo(folder: pathlib.Path, model_kwargs: dict[str, Any]) -> None:
    """Two trials of PyKEEN's search."""
    result = hpo_pipeline(
        dataset="multimodal",
        dataset_kwargs={"path": str(folder)},
        model="latefusion",
        model_kwargs={**model_kwargs, "scorers": {"structure": FAST["structure"], "evidence": {}}},
        training_kwargs=dict(num_epochs=1, use_tqdm=False),
        evaluation_kwargs=dict(use_tqdm=False),
        n_trials=2,
    )
    assert len(result.study.trials) == 2 and "model.shrinkage" in result.study.trials[0].params


def test_own_answers() -> None:
    """An entity answers its own query if and only if training has such a triple of the relation."""
    triples = torch.tensor([[0, 0, 1], [1, 0, 2], [0, 1, 0], [1, 1, 3], [2, 0, 3]])
    training = CoreTriplesFactory(triples, num_entities=4, num_relations=3)
    model = LateFusion(triples_factory=training, scorers={"evidence": {"model_kwargs": {"parts": ["link"]}}})
    model.eval()
    assert model.irreflexive.tolist() == [True, False, False]
    for relation, last in enumerate([True, False, False]):
        for scores in (model.predict_t(torch.tensor([[2, relation]])), model.predict_h(torch.tensor([[relation, 2]]))):
            assert bool(scores[0, 2] < scores[0, [0, 1, 3]].min()) == last


def test_unseen_relations(folder: pathlib.Path, stores: dict[str, str]) -> None:
    """With `relevidence`, a relation without triples, or added later, is answered by it alone, as it does alone."""
    triples = MultimodalDataset(path=folder).training
    kept = triples.mapped_triples[triples.mapped_triples[:, 1] != 2]
    training = triples.clone_and_exchange_triples(kept)
    relevidence = {
        "model_kwargs": {"num_weights": 2, "rank": 4, "hidden_dim": 4},
        "training_loop_kwargs": {"num_batches": 2},
        "training_kwargs": {"num_epochs": 1, "use_tqdm": False},
    }
    features = {key: stores[key] for key in ("textual", "relation_textual")}
    model = LateFusion(
        triples_factory=training,
        scorers={"structure": FAST["structure"], "relevidence": relevidence},
        sources={"features": features},
        random_seed=0,
    ).fit()
    model.eval()
    alone = model.scorers["relevidence"]
    vector = torch.randn(10, generator=torch.Generator().manual_seed(0))
    added = model.add_relation("it is next to", label="beside", vector=vector)
    assert added == 3 == model.num_relations - 1 and model.weights_.index.nlevels == 2
    for relation in (2, 3):
        assert model.weights_.loc[("tail", model.relation_labels[relation])].tolist() == [0, 1]
        for entity in (0, 5):
            query = torch.tensor([[entity, relation]])
            others = torch.arange(model.num_entities) != entity
            for ours, theirs in (
                (model.predict_t(query), alone.predict_t(query)),
                (model.predict_h(query.flip(-1)), alone.predict_h(query.flip(-1))),
            ):
                difference = (ours - theirs)[0, others]
                torch.testing.assert_close(difference, difference.mean().expand_as(difference), atol=1e-4, rtol=0)
    with pytest.raises(MultimodalError, match="relevidence"):
        LateFusion(triples_factory=_nations(), scorers=["structure"]).add_relation("likes")


def test_weights_fitted_on_triples_of_the_scorers_fail() -> None:
    """By triples that it was trained on, a scorer that learns them by heart gets the weight, and new ones rank worse.

    Entities of a group relate to some of the next group, drawn at random: who is in a group is all there is to know.
    """
    generator = torch.Generator().manual_seed(0)
    groups, size = 8, 12
    group = torch.arange(groups * size) % groups
    pairs = (((group[None] - group[:, None]) % groups == 1) & (torch.rand(96, 96, generator=generator) < 0.5)).nonzero()
    triples = torch.stack([pairs[:, 0], torch.zeros(len(pairs), dtype=torch.long), pairs[:, 1]], dim=-1)
    test = torch.rand(len(triples), generator=generator) < 0.2
    training = TriplesFactory(
        triples[~test],
        entity_to_id={str(i): i for i in range(96)},
        relation_to_id={"next": 0},
    )
    vectors = torch.nn.functional.one_hot(group).float()
    store = FeatureStore.from_tensors([str(i) for i in range(96)], vectors, modality="textual")
    model = LateFusion(
        triples_factory=training,
        scorers={
            "content": {
                "model_kwargs": {"embedding_dim": 16},
                "training_kwargs": {"num_epochs": 10, "use_tqdm": False},
            },
            "structure": {
                "model_kwargs": {"embedding_dim": 64, "penalty": 0.0},
                "training_kwargs": {"num_epochs": 80, "use_tqdm": False},
            },
        },
        sources={"features": {"textual": store}},
        held_out_triples=0.3,
        random_seed=0,
    )
    model.fit().eval()

    def mrr() -> float:
        results = RankBasedEvaluator().evaluate(
            model, triples[test], additional_filter_triples=[triples[~test]], use_tqdm=False, batch_size=64
        )
        return results.get_metric("both.realistic.inverse_harmonic_mean_rank")

    held, ratio = mrr(), (model.common[1] / model.common[0]).item()
    model.candidates = model._collect(model._scorers, training.mapped_triples)
    model._set_weights([0, 1])
    leaked, leaked_ratio = mrr(), (model.common[1] / model.common[0]).item()
    assert leaked_ratio > 2 * ratio
    assert held > leaked + 0.03


def test_links_count_for_less_where_whole_pairs_are_held_out() -> None:
    """One relation repeats another: single held-out triples follow that rule, of whole pairs none does."""
    pairs = torch.randperm(40 * 40, generator=torch.Generator().manual_seed(0))[:400]
    head, tail = pairs // 40, pairs % 40 + 40
    triples = torch.cat([torch.stack([head, torch.full_like(head, r), tail], dim=-1) for r in (0, 1)])
    factory = CoreTriplesFactory(triples, num_entities=80, num_relations=2)
    weight = {}
    for by_pairs in (False, True):
        options = dict(scorers="evidence", held_out_entities=0.0, held_out_triples=0.2, held_out_pairs=by_pairs)
        model = LateFusion(triples_factory=factory, random_seed=0, **options)
        weight[by_pairs] = model.fit().weights_["evidence.link"].mean()
    assert weight[False] > 0.5 and abs(weight[True]) < 0.05
