"""RelEvidence and its siblings on a small dataset with unseen relations."""

import pathlib

import pytest
import torch
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

from pykeen_mmkg.encoders import make_encoder
from pykeen_mmkg.errors import DataError, FeatureError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.zero_shot.descriptions import DescribedRelations
from pykeen_mmkg.models.zero_shot.devise import DeViSE
from pykeen_mmkg.models.zero_shot.mre import MRE
from pykeen_mmkg.models.zero_shot.relevidence import RelEvidence
from pykeen_mmkg.models.zero_shot.textonly import TextOnly
from pykeen_mmkg.models.zero_shot.zsgan import ZSGAN
from pykeen_mmkg.training.episodic import EpisodicTrainingLoop
from pykeen_mmkg.training.twophase import TwoPhaseTrainingLoop

N, R, D = 20, 6, 8
ENTITIES = {f"e{i}": i for i in range(N)}
RELATIONS = {f"r{k}": k for k in range(R)}
#: r5 has no training triple
TRIPLES = [(f"e{i}", f"r{k}", f"e{(i * (k + 2) + k) % N}") for i in range(N) for k in range(R)]


def _factory(triples: list) -> TriplesFactory:
    import numpy

    return TriplesFactory.from_labeled_triples(
        numpy.array(triples, dtype=str), entity_to_id=ENTITIES, relation_to_id=RELATIONS
    )


TRAINING = [t for t in TRIPLES if t[1] != "r5"]
TESTING = [t for t in TRIPLES if t[1] == "r5"]


def _features(relations: torch.Tensor | None = None, mask: torch.Tensor | None = None) -> dict:
    generator = torch.Generator().manual_seed(0)
    entities = torch.randn(N, D, generator=generator)
    relations = torch.randn(R, D, generator=generator) if relations is None else relations
    return {
        "textual": FeatureStore.from_tensors(list(ENTITIES), entities, modality="textual"),
        "relation_textual": FeatureStore.from_tensors(list(RELATIONS), relations, mask=mask, modality="textual"),
    }


PAIRS = {"dim": 6, "extractor_steps": 4}
MODELS = [
    (RelEvidence, {"num_weights": 2, "rank": 4, "hidden_dim": 8, "similar_texts": 2}, EpisodicTrainingLoop),
    (TextOnly, {"num_weights": 2, "rank": 4, "hidden_dim": 8}, EpisodicTrainingLoop),
    (MRE, {"embedding_dim": 6, "representation_kwargs": {"dim": 6}, "pair_kwargs": PAIRS}, TwoPhaseTrainingLoop),
    (ZSGAN, {"embedding_dim": 6, "pair_kwargs": PAIRS}, TwoPhaseTrainingLoop),
    (DeViSE, {"embedding_dim": 6, "pair_kwargs": PAIRS}, TwoPhaseTrainingLoop),
]
LOOPS = {
    EpisodicTrainingLoop: {"num_batches": 2, "negative_sampler_kwargs": {"num_negs_per_pos": 4}},
    TwoPhaseTrainingLoop: {"structure_epochs": 1, "steps_per_epoch": 6},
}
IDS = [cls.__name__ for cls, *_ in MODELS]


def _train(cls, kwargs, loop, testing: list, features: dict | None = None):
    result = pipeline(
        training=_factory(TRAINING),
        testing=_factory(testing),
        model=cls,
        model_kwargs={**kwargs, "sources": {"features": features or _features()}},
        training_loop=loop,
        training_loop_kwargs=LOOPS[loop],
        training_kwargs={"num_epochs": 3, "batch_size": 16, "use_tqdm": False},
        evaluation_kwargs={"use_tqdm": False, "targets": ["tail"]},
        random_seed=7,
    )
    # PyKEEN 1.11's pipeline would take another, see pykeen_mmkg.models.loss
    assert type(result.model.loss) is cls.loss_default and result.model.loss.margin == cls.loss_default_kwargs["margin"]
    return result.model


@pytest.mark.parametrize(("cls", "kwargs", "loop"), MODELS, ids=IDS)
def test_test_triples_are_never_seen(cls, kwargs, loop) -> None:
    """Other test triples, or none but one: no weight and no score of the trained model changes."""
    model, other, third = (_train(cls, kwargs, loop, t) for t in (TESTING, [("e0", "r5", "e0")], TRAINING[:3]))
    state = model.state_dict()
    for copy in (other, third):
        for name, value in copy.state_dict().items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(state[name], value), name
    batch = torch.tensor([[i, 5] for i in range(N)])
    with torch.no_grad():
        scores = model.predict_t(batch)
        assert torch.equal(scores, other.predict_t(batch)) and torch.equal(scores, third.predict_t(batch))
        assert scores.std() > 0
    # the proof has teeth: one training triple more makes a difference
    changed = pipeline(
        training=_factory([*TRAINING, TESTING[0]]),
        testing=_factory(TESTING),
        model=cls,
        model_kwargs={**kwargs, "sources": {"features": _features()}},
        training_loop=loop,
        training_loop_kwargs=LOOPS[loop],
        training_kwargs={"num_epochs": 3, "batch_size": 16, "use_tqdm": False},
        evaluation_kwargs={"use_tqdm": False, "targets": ["tail"]},
        random_seed=7,
    ).model
    with torch.no_grad():
        assert not torch.equal(scores, changed.predict_t(batch))


@pytest.mark.parametrize(("cls", "kwargs", "loop"), MODELS, ids=IDS)
def test_scores_agree(cls, kwargs, loop) -> None:
    """All ways to score give the same numbers, for seen, unseen and added relations, and for candidates only."""
    torch.manual_seed(0)
    model = _train(cls, kwargs, loop, TESTING)
    added = model.add_relation("a new relation", vector=torch.randn(D))
    assert added == R and model.num_relations == R + 1
    with torch.no_grad():
        for relation in (0, 5, added):
            heads = torch.tensor([3, 8])
            batch = torch.stack([heads, torch.full_like(heads, relation)], dim=-1)
            full = model.predict_t(batch)
            assert full.shape == (2, N) and torch.isfinite(full).all()
            some = torch.tensor([[1, 4, 7], [0, 19, 2]])
            assert torch.allclose(model.score_t(batch, tails=some), full.gather(1, some), atol=1e-4)
            triples = torch.cat([batch, torch.tensor([[11], [12]])], dim=-1)
            hrt = model.predict_hrt(triples)[:, 0]
            assert torch.allclose(hrt, full[[0, 1], [11, 12]], atol=1e-4)
            assert torch.allclose(model.predict_h(triples[:, 1:])[[0, 1], heads], hrt, atol=1e-4)
            assert torch.allclose(model.predict_r(triples[:, [0, 2]])[:, relation], hrt, atol=1e-4)


@pytest.mark.parametrize(("cls", "kwargs", "loop"), MODELS, ids=IDS)
def test_resume_is_exact(cls, kwargs, loop, tmp_path: pathlib.Path) -> None:
    """A run that is interrupted and resumed ends with the weights of one that is not."""

    def run(epochs: int, folder: pathlib.Path) -> dict:
        folder.mkdir(exist_ok=True)
        training = _factory(TRAINING)
        model = cls(triples_factory=training, sources={"features": _features()}, random_seed=3, **kwargs)
        instance = loop(model=model, triples_factory=training, optimizer="adam", **LOOPS[loop])
        instance.train(
            training,
            num_epochs=epochs,
            batch_size=16,
            use_tqdm=False,
            checkpoint_directory=folder,
            checkpoint_name="c.pt",
            checkpoint_frequency=0,
        )
        return {k: v for k, v in model.state_dict().items() if isinstance(v, torch.Tensor)}

    whole = run(4, tmp_path / "whole")
    run(2, tmp_path / "parts")
    resumed = run(4, tmp_path / "parts")
    assert whole.keys() == resumed.keys()
    for name in whole:
        assert torch.equal(whole[name], resumed[name]), name


def test_errors() -> None:
    """Descriptions that are missing or equal, and unseen relations in training, are named."""
    relations = torch.randn(R, D, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(R, dtype=torch.bool)
    mask[2] = False
    with pytest.raises(DataError, match="'r2' has no description"):
        RelEvidence(
            triples_factory=_factory(TRAINING), sources={"features": _features(relations * mask[:, None], mask)}
        )
    same = relations.clone()
    same[4] = same[5]
    blind = _factory([t for t in TRAINING if t[1] != "r4"])
    with pytest.raises(DataError, match="'r4' and 'r5' have the same description"):
        RelEvidence(triples_factory=blind, sources={"features": _features(same)})
    # a seen relation may share the description of an unseen one: it is the best guess, not an error
    RelEvidence(triples_factory=_factory(TRAINING), sources={"features": _features(same)})
    with pytest.raises(DataError, match="'r0' is to be unseen but has 20 training triples"):
        MRE(triples_factory=_factory(TRAINING), sources={"features": _features()}, unseen=["r0"])
    with pytest.raises(DataError, match="'r9', said to be unseen"):
        ZSGAN(triples_factory=_factory(TRAINING), sources={"features": _features()}, unseen=["r9"])
    factory = TriplesFactory.from_labeled_triples(_factory(TRAINING).triples, create_inverse_triples=True)
    with pytest.raises(DataError, match="create_inverse_triples=False"):
        DeViSE(triples_factory=factory, sources={"features": _features()})


def test_added_by_another_encoder(dual_encoder: pathlib.Path) -> None:
    """A description is encoded by the encoder of the others, or refused."""
    encoder = make_encoder(str(dual_encoder))
    vectors = encoder.encode_texts([f"relation {k}" for k in range(R)])
    store = FeatureStore.from_tensors(list(RELATIONS), vectors, modality="textual", provenance=encoder.describe())
    entities = FeatureStore.from_tensors(list(ENTITIES), torch.randn(N, vectors.shape[1]), modality="textual")
    features = {"textual": entities, "relation_textual": store}
    model = TextOnly(triples_factory=_factory(TRAINING), sources={"features": features}, random_seed=0)
    assert model.add_relation("something else", encoder=str(dual_encoder)) == R
    with pytest.raises(FeatureError, match="is not the one of the model's relations"):
        model.add_relation("a third", encoder="dual", encoder_kwargs={"model": str(dual_encoder), "normalize": True})


def test_added_relations() -> None:
    """What cannot be added is refused; what was added comes back with the state dict."""
    model = RelEvidence(triples_factory=_factory(TRAINING), sources={"features": _features()}, random_seed=0)
    vector = torch.randn(D)
    with pytest.raises(DataError, match="without a description"):
        model.add_relation("  ", vector=vector)
    with pytest.raises(FeatureError, match="give `encoder`, or the `vector`"):
        model.add_relation("a relation")
    with pytest.raises(FeatureError, match="must have the shape"):
        model.add_relation("a relation", vector=torch.randn(D + 1))
    index = model.add_relation("a relation", vector=vector)
    with pytest.raises(DataError, match="same description as 'a relation'"):
        model.add_relation("another", vector=vector)
    with pytest.raises(DataError, match="There is a relation 'a relation'"):
        model.add_relation("a relation", vector=torch.randn(D))
    copy = RelEvidence(triples_factory=_factory(TRAINING), sources={"features": _features()}, random_seed=1)
    copy.load_state_dict(model.state_dict())
    assert isinstance(copy.described, DescribedRelations) and len(copy.described) == R + 1
    batch = torch.tensor([[0, index]])
    with torch.no_grad():
        torch.testing.assert_close(copy.predict_t(batch), model.predict_t(batch))


def test_all_heads() -> None:
    """All heads of several relations, repeated queries and added relations among them, score as their triples."""
    model = RelEvidence(triples_factory=_factory(TRAINING), sources={"features": _features()}, random_seed=0).eval()
    added = model.add_relation("a relation", vector=torch.randn(D))
    batch = torch.tensor([[5, 3], [0, 7], [added, 3], [5, 3], [0, 2]])
    some = torch.tensor([4, 1, 4])
    with torch.no_grad():
        scores = model.score_h(batch)
        triples = torch.cat([torch.arange(N).repeat(5)[:, None], batch.repeat_interleave(N, dim=0)], dim=-1)
        torch.testing.assert_close(scores, model.score_hrt(triples).view(5, N), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model.score_h(batch, heads=some), scores[:, some], atol=1e-4, rtol=1e-4)
        assert model.score_h(batch[:0]).shape == (0, N)


def test_scores_of_all_tails_are_never_stale() -> None:
    """After each change of the model, the scores of all tails are those of the single triples."""
    training = _factory(TRAINING)
    kwargs = {
        "triples_factory": training,
        "sources": {"features": _features()},
        "num_weights": 2,
        "rank": 4,
        "hidden_dim": 8,
    }
    model, other = (RelEvidence(random_seed=seed, **kwargs) for seed in (0, 1))
    optimizer = torch.optim.SGD(model.get_grad_params(), lr=0.1)
    seen: list[torch.Tensor] = []

    def check(relation: int = 5) -> None:
        batch = torch.tensor([[i, relation] for i in range(N)])
        model.eval()
        with torch.no_grad():
            scores = model.score_t(batch)
            triples = torch.cat([batch.repeat_interleave(N, dim=0), torch.arange(N).repeat(N)[:, None]], dim=-1)
            assert torch.allclose(scores, model.score_hrt(triples).view(N, N), atol=1e-4)
            assert not any(torch.allclose(scores, old, atol=1e-4) for old in seen)
            seen.append(scores)
            assert model.score_t(batch[:0]).shape == (0, N)
            some = torch.tensor([3, 1, 3])
            assert torch.allclose(model.score_t(batch, tails=some), scores[:, some], atol=1e-4)

    check()
    for training_mode in (True, False):
        model.train(training_mode)
        optimizer.zero_grad()
        model.score_hrt(training.mapped_triples).square().mean().backward()
        optimizer.step()
        check()
    model.load_state_dict(other.state_dict())
    check()
    check(model.add_relation("a relation", vector=torch.randn(D)))
    with torch.no_grad():
        for parameter in model.get_grad_params():
            parameter.data.mul_(0.5)
    check()
    model.reset_parameters_()
    check()


def test_add_relation_with_the_encoder(dual_encoder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """With an encoder, a description is enough."""
    for kind, labels in (("entity", ENTITIES), ("relation", RELATIONS)):
        rows = "".join(f"{label}\t\t{kind} number {i} of many\n" for label, i in labels.items())
        path = tmp_path / ("entities.tsv" if kind == "entity" else "relations.tsv")
        path.write_text(f"{kind}\tlabel\tdescription\n{rows}")
    model = RelEvidence(
        triples_factory=_factory(TRAINING),
        encoder=str(dual_encoder),
        sources={
            "entities": str(tmp_path / "entities.tsv"),
            "relations": str(tmp_path / "relations.tsv"),
            "store": str(tmp_path / "store"),
        },
        random_seed=0,
    )
    assert "words" in model.scorer.evidence
    index = model.add_relation("is a friend of")
    assert torch.isfinite(model.predict_t(torch.tensor([[0, index]]))).all()
