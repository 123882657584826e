"""Entities added after training: as if they had been listed before, without triples; kept by saving; clear errors."""

import dataclasses
import json
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from PIL import Image
from pykeen.models import Model, model_resolver
from pykeen.pipeline import PipelineResult, pipeline
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.encoders import encode_texts
from pykeen_mmkg.errors import DataError, FeatureError, MultimodalError, RunError
from pykeen_mmkg.features.store import ADDED, FeatureStore
from pykeen_mmkg.modalities import with_added
from pykeen_mmkg.models.evidence import Evidence
from pykeen_mmkg.models.late_fusion import LateFusion
from pykeen_mmkg.models.new_entities import NewEntity
from pykeen_mmkg.models.two_tower import TwoTower
from pykeen_mmkg.models.vlkge import VLKGE
from pykeen_mmkg.models.zero_shot.relevidence import RelEvidence
from pykeen_mmkg.predict import Predictor, predict
from pykeen_mmkg.runs import load_run, open_run, save_run
from pykeen_mmkg.similar import similar
from pykeen_mmkg.vectors import vectors_of

#: those that training does not know: one with text and image, one with a text only
NEW = ("e22", "e23")
FAST: dict[str, Any] = {
    "content": {"model_kwargs": {"embedding_dim": 8}, "training_kwargs": {"num_epochs": 2, "use_tqdm": False}},
    "structure": {"model_kwargs": {"embedding_dim": 4}, "training_kwargs": {"num_epochs": 2, "use_tqdm": False}},
    "evidence": {},
}


def factory_of(folder: pathlib.Path, new: bool) -> TriplesFactory:
    """Return the training triples with or without the new entities, which have none and come last."""
    training = MultimodalDataset(path=folder).training
    labels = [label for label in training.entity_to_id if label not in NEW] + list(NEW) * new
    ids = {label: i for i, label in enumerate(labels)}
    rows = [(ids[h], training.relation_to_id[r], ids[t]) for h, r, t in training.triples.tolist()]
    return TriplesFactory(torch.tensor(rows), ids, training.relation_to_id, metadata=training.metadata)


def loaded(stores: Mapping[str, str], added: tuple[str, ...] = ()) -> dict[str, FeatureStore]:
    """Return the features of entities, those of some labels marked as added."""
    found = {key: FeatureStore.load(stores[key]) for key in ("visual", "textual")}
    if added:
        note = {ADDED: json.dumps(added)}
        found = {key: dataclasses.replace(store, provenance=note, path=None) for key, store in found.items()}
    return found


def without(store: FeatureStore) -> FeatureStore:
    """Return features without the new entities."""
    return store.restricted([label for label in store.labels if label not in NEW])


def described(stores: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return what is known of the new entities, as the tables of the dataset and the features say."""
    result = {}
    for label in NEW:
        vectors = {}
        for key, store in loaded(stores).items():
            row, mask = store.lookup([label])
            if mask[0]:
                vectors[key] = row[0]
        number = label[1:]
        result[label] = {"name": f"thing {number}", "text": f"it is number {number}", "vectors": vectors}
    assert [set(entity["vectors"]) for entity in result.values()] == [{"visual", "textual"}, {"textual"}]
    return result


def make(cls: type[Model], folder: pathlib.Path, features: Mapping[str, FeatureStore], new: bool, **kwargs) -> Model:
    return cls(triples_factory=factory_of(folder, new), sources={"features": features}, random_seed=0, **kwargs).eval()


def scores(model: Model, entities: int = 24) -> torch.Tensor:
    """Return the scores of all tails and all heads for each entity and relation."""
    pairs = torch.cartesian_prod(torch.arange(entities), torch.arange(3))
    return torch.stack([model.predict_t(pairs), model.predict_h(pairs.flip(-1))])


def same_weights(model: Model, source: Model) -> None:
    """Give a model the weights of one that has more entities, which are the last rows."""
    state = source.state_dict()
    for name, own in model.state_dict().items():
        if isinstance(own, torch.Tensor):
            own.copy_(state[name][: len(own)] if own.ndim else state[name])


@pytest.mark.parametrize(
    "kwargs",
    [
        dict(),
        dict(fusion="attention", structural_dropout=0.2),
        dict(fusion="concat"),
        dict(fusion="gated", representation_kwargs={"feature_kwargs": {"center": True, "whiten": 0.5}}),
        dict(representation_kwargs={"seen": None, "feature_kwargs": {"storage": "cpu"}}),
        dict(representation_kwargs={"shuffle": 3}),
        dict(interaction="vlcomplex", structural_dropout=0.2),
        dict(interaction="vlrotate", structural_dropout=0.2),
        dict(interaction="transd"),
        dict(interaction="mure"),
        dict(interaction="kg2e"),
        dict(interaction="quate"),
        dict(modalities=["textual", "visual"]),
    ],
    ids=str,
)
def test_vlkge_as_if_listed(kwargs: dict[str, Any], folder, stores) -> None:
    """With equal weights, all scores are those of a model whose graph has listed the entities without triples."""
    options = dict(embedding_dim=8, **kwargs)
    listed_kwargs = {**options}
    if "seen" in kwargs.get("representation_kwargs", {}):
        # training knew nothing of them, whatever counts as seen
        seen = torch.arange(24) < 22
        listed_kwargs["representation_kwargs"] = {**kwargs["representation_kwargs"], "seen": seen}
    listed = make(VLKGE, folder, loaded(stores, NEW), new=True, **listed_kwargs)
    model = make(VLKGE, folder, {key: without(store) for key, store in loaded(stores).items()}, new=False, **options)
    assert isinstance(model, VLKGE)
    same_weights(model, listed)
    assert model.add_entities(described(stores)) == [22, 23]
    assert model.num_entities == 24
    torch.testing.assert_close(scores(model), scores(listed), rtol=1e-5, atol=1e-6)
    before = make(VLKGE, folder, loaded(stores), new=False, **options)
    same_weights(before, listed)
    torch.testing.assert_close(scores(model, 22)[..., :22], scores(before, 22), rtol=1e-5, atol=1e-6)


def test_imaginary_part_where_none_was_unseen(folder, stores) -> None:
    """A model that has seen all entities gets W by regression: the imaginary parts of seen ones are fitted best."""
    model = make(VLKGE, folder, loaded(stores), new=False, embedding_dim=4, interaction="vlcomplex", modalities=None)
    assert isinstance(model, VLKGE)
    table = model.entity_representations[0].table(None).detach()
    assert model.entity_representations[0].projection is None
    model.add_entities(described(stores))
    part = model.entity_representations[0]
    mask = part.mask.clone()
    mask[:, part.structural_column] = False
    features = part.fusion(part._inputs(None), mask).detach()
    weight = part.projection.detach()
    used = mask.any(dim=-1)[:22]
    best = torch.linalg.lstsq(features[:22][used], table[:22][used]).solution.T
    torch.testing.assert_close(weight, best, rtol=0.02, atol=0.005)
    vectors = part(torch.tensor([22, 23]))
    torch.testing.assert_close(vectors.imag, features[22:] @ weight.T)
    assert vectors.imag.abs().min() > 0


@pytest.mark.parametrize(
    ("kwargs", "added"),
    [
        (dict(center=False, impute=None), ()),
        (dict(center=False, impute="kernel"), NEW),
        (dict(), NEW),
        (dict(whiten=0.5, impute="ridge", shuffle={"textual": 1}), NEW),
        (dict(modality="visual", storage="cpu"), NEW),
    ],
    ids=str,
)
def test_two_tower_as_if_listed(kwargs: dict[str, Any], added: tuple[str, ...], folder, stores) -> None:
    """The same for the two towers; where statistics of the features take part, those of the entities before."""
    listed = make(TwoTower, folder, loaded(stores, added), new=True, embedding_dim=8, **kwargs)
    model = make(TwoTower, folder, loaded(stores), new=False, embedding_dim=8, **kwargs)
    assert isinstance(model, TwoTower)
    same_weights(model, listed)
    model.add_entities(described(stores))
    assert model.known_entities[22:].tolist() == listed.known_entities[22:].tolist()  # type: ignore[union-attr]
    torch.testing.assert_close(scores(model), scores(listed), rtol=1e-5, atol=1e-6)


def test_statistics_stay(folder, stores) -> None:
    """What is added shifts no mean: the vectors of the others are, bit by bit, as before."""
    model = make(TwoTower, folder, loaded(stores), new=False, embedding_dim=8, whiten=0.5)
    before = model.entity_representations[0].lookup().clone()  # type: ignore[union-attr]
    model.add_entities(described(stores))  # type: ignore[operator]
    after = model.entity_representations[0].lookup()  # type: ignore[union-attr]
    assert after[:22].equal(before)
    anew = make(TwoTower, folder, loaded(stores), new=True, embedding_dim=8, whiten=0.5)
    assert not anew.entity_representations[0].lookup()[:22].allclose(before, atol=1e-4)  # type: ignore[union-attr]


@pytest.mark.parametrize("parts", [None, ["path", "copy", "words:characters"]], ids=str)
def test_evidence_as_if_listed(parts: list[str] | None, folder, stores) -> None:
    """Evidence is not trained: it is, bit by bit, that of a graph that lists the entities."""
    listed = make(Evidence, folder, loaded(stores), new=True, parts=parts)
    features = {key: without(store) for key, store in loaded(stores).items()}
    model = make(Evidence, folder, features, new=False, parts=parts)
    model.add_entities(described(stores))  # type: ignore[operator]
    assert scores(model).equal(scores(listed))
    assert scores(model)[..., 22:].any()


def test_relevidence_as_if_listed(folder, stores) -> None:
    """What is trained of evidence for unseen relations stays, and reads the graph with the new entities."""
    features = loaded(stores, NEW) | {"relation_textual": FeatureStore.load(stores["relation_textual"])}
    factory = factory_of(folder, new=True)
    added = {"added": {label: {} for label in NEW}}
    factory.metadata = {"multimodal": {**factory.metadata["multimodal"], **added}}  # type: ignore[index]
    sources = {"features": features}
    listed = RelEvidence(triples_factory=factory, sources=sources, random_seed=0, num_members=2, rank=4).eval()
    for parameter in listed.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(3))
    model = make(RelEvidence, folder, features | loaded(stores), new=False, num_members=2, rank=4)
    same_weights(model, listed)
    model.add_entities(described(stores))  # type: ignore[operator]
    torch.testing.assert_close(scores(model), scores(listed), rtol=1e-5, atol=1e-5)
    assert scores(model)[..., 22:].std() > 0


@pytest.fixture(scope="module")
def result(folder: pathlib.Path, stores: dict[str, str]) -> PipelineResult:
    """Late fusion, trained without the new entities."""
    training = factory_of(folder, new=False)
    held = training.clone_and_exchange_triples(training.mapped_triples[:2])
    features = {key: stores[key] for key in ("visual", "textual")}
    return pipeline(
        training=training,
        testing=held,
        model="latefusion",
        model_kwargs={"scorers": FAST, "sources": {"features": features}, "held_out_triples": 0.3},
        training_kwargs=dict(use_tqdm=False),
        evaluation_kwargs=dict(use_tqdm=False),
        random_seed=0,
    )


@pytest.fixture()
def fused(result: PipelineResult) -> LateFusion:
    """A copy of this model, as it comes from a pickle."""
    model = pickle.loads(pickle.dumps(result.model))
    assert isinstance(model, LateFusion)
    return model.eval()


def test_late_fusion_as_if_listed(fused: LateFusion, folder, stores) -> None:
    """Each scorer takes the entities as it does alone; the structure, which knows triples only, says nothing."""
    fused.add_entities(described(stores))
    assert [scorer.model.num_entities for scorer in fused._scorers] == [24, 24, 24]
    known = {scorer.name: scorer.entities[22:].tolist() for scorer in fused._scorers}
    assert known == {"content": [True, True], "structure": [False, False], "evidence": [True, True]}
    new = torch.tensor([[22, 0], [23, 2]])
    columns = fused._scorers[1].scores(*new.unbind(-1), "tail")
    assert not columns.any() and columns.shape == (1, 2, 24)
    assert len(fused.explain("e22", "r0", "e3")) == len(fused.columns)
    assert len(fused.explain("e3", "r0", "e23", target="head")) == len(fused.columns)
    listed = make(LateFusion, folder, loaded(stores, NEW), new=True, scorers=FAST)
    listed.load_state_dict(fused.state_dict())
    torch.testing.assert_close(scores(fused), scores(listed), rtol=1e-5, atol=1e-5)


def test_kept_by_saving(result: PipelineResult, folder, stores, tmp_path: pathlib.Path) -> None:
    """A run has the entities: labels, names, features, digests and, to the last bits, scores; more can be added."""
    model = pickle.loads(pickle.dumps(result.model)).eval()
    mine = dataclasses.replace(result, model=model)
    model.add_entities(described(stores))
    save_run(mine, tmp_path / "run")
    again = load_run(tmp_path / "run")
    assert again.training.num_entities == 24
    assert [again.training.entity_id_to_label[i] for i in (22, 23)] == list(NEW)
    torch.testing.assert_close(scores(again.model), scores(model), rtol=1e-5, atol=1e-5)
    query = {"head": "thing 22", "relation": "r0"}
    for known, factory in ((model, result.training), (again.model, again.training)):
        answers = predict(known, factory, **query, k=None)
        assert len(answers) == 23 and "e23" in answers["label"].tolist()
    # once more, and in another way of keeping the features
    more = {"okapi": {"text": "it is number 3", "vectors": {"textual": torch.ones(10)}}}
    assert again.model.add_entities(more) == [24]
    again.features = "needed rows"
    again.save_pretrained(tmp_path / "second")
    second, factory = open_run(tmp_path / "second")
    assert factory.num_entities == 25 and factory.entity_to_id["okapi"] == 24
    torch.testing.assert_close(scores(second, 25), scores(again.model, 25), rtol=1e-5, atol=1e-5)
    # the run before is what it was
    assert load_run(tmp_path / "run").training.num_entities == 24


@pytest.mark.parametrize(
    "kwargs",
    [
        dict(representation_kwargs={"seen": None}),
        dict(representation_kwargs={"feature_kwargs": {"center": True}}, interaction="vlcomplex"),
        dict(interaction="vlrotate", structural_dropout=0.5),
    ],
    ids=str,
)
def test_vlkge_kept_by_saving(kwargs: dict[str, Any], folder, stores, tmp_path: pathlib.Path) -> None:
    """The same for VL-KGE, by a run and by PyKEEN's folder; weights of other entities are refused."""
    training = factory_of(folder, new=False)
    features = {key: stores[key] for key in ("visual", "textual")}
    result = pipeline(
        training=training,
        testing=training,
        model="vlkge",
        model_kwargs={"embedding_dim": 8, "sources": {"features": features}, **kwargs},
        training_kwargs=dict(use_tqdm=False, num_epochs=2),
        evaluation_kwargs=dict(use_tqdm=False),
        random_seed=0,
    )
    old = result.model.state_dict()
    ids = result.model.add_entities(described(stores))  # type: ignore[operator]
    expected = scores(result.model)
    assert expected[..., ids].isfinite().all()
    save_run(result, tmp_path / "run")
    result.save_to_directory(tmp_path / "pykeen")
    for path in ("run", "pykeen"):
        model, factory = open_run(tmp_path / path)
        assert factory.num_entities == 24
        torch.testing.assert_close(scores(model), expected, rtol=1e-5, atol=1e-6)
        with pytest.raises(RunError, match="other entities"):
            model.load_state_dict(old)


def test_answers_vectors_and_neighbours(fused: LateFusion, result: PipelineResult, stores) -> None:
    """Predictor, vectors and similar know the entities, by label and name, with the factory of before."""
    fused.add_entities(described(stores))
    assert result.training.num_entities == 22
    assert with_added(result.training, fused).num_entities == 24
    assert with_added(factory := with_added(result.training, fused), fused) is factory
    predictor = Predictor(fused, result.training)
    tails, heads = predictor.predict(
        [{"head": "thing 23", "relation": "r1"}, {"relation": "r1", "tail": "e22"}], k=None
    )
    assert "e22" in tails["label"].tolist() and "e23" in heads["label"].tolist()
    assert vectors_of(fused, result.training, "textual").lookup(["e23"])[1].all()
    store = vectors_of(fused, result.training, "content")
    assert store.labels[22:] == NEW
    assert len(similar(fused, result.training, entity="thing 22", modality="textual", k=30)) == 21


def test_outside_queries(fused: LateFusion, result: PipelineResult, stores) -> None:
    """A query about an entity outside of the graph is answered as if it were added, and the model stays as it is."""
    before, state = scores(fused, 22), {key: value.clone() for key, value in fused.state_dict().items()}
    entities = described(stores)
    predictor = Predictor(fused, result.training)
    queries = [
        {"head": entities["e22"], "relation": "r1"},
        {"head": "e3", "relation": "r1"},
        {"relation": "r0", "tail": entities["e23"]},
        {"head": entities["e22"], "tail": "e3"},
    ]
    answers = list(predictor.predict(queries, k=None))
    shares = predictor.explain(queries[0], answers[0].head(3))
    assert scores(fused, 22).equal(before) and fused.num_entities == 22
    assert all(value.equal(state[key]) for key, value in fused.state_dict().items())
    named = [
        ({"e22": entities["e22"]}, {"head": "e22", "relation": "r1"}),
        ({}, {"head": "e3", "relation": "r1"}),
        ({"e23": entities["e23"]}, {"relation": "r0", "tail": "e23"}),
        ({"e22": entities["e22"]}, {"head": "e22", "tail": "e3"}),
    ]
    for own, (new, query) in zip(answers, named, strict=True):
        model = pickle.loads(pickle.dumps(fused))
        model.add_entities(new)
        other = predict(model, result.training, **query, k=None)
        other = other[~other["label"].isin(NEW)]
        assert own["label"].tolist() == other["label"].tolist()
        assert own["score"].tolist() == pytest.approx(other["score"].tolist(), abs=1e-5)
    assert len(answers[0]) == 22 and shares.columns.tolist()[4:]
    assert shares.iloc[:, 4:].sum(axis=1).tolist() == pytest.approx(shares["score"].tolist(), abs=1e-4)


def test_known_by_a_picture(folder, stores) -> None:
    """Where all others have a text, and there are pictures, one of these is enough, as if the entity were listed."""
    textual = FeatureStore.from_tensors(
        [f"e{i}" for i in range(24)],
        torch.randn(24, 10, generator=torch.Generator().manual_seed(0)),
        modality="textual",
    )
    visual = loaded(stores)["visual"]
    picture = {"vectors": {"visual": visual.lookup(["e22"])[0][0]}}
    entities = {"e22": picture, "e23": {"vectors": {"textual": torch.ones(10)}}}
    for cls, options in ((TwoTower, dict(embedding_dim=8)), (Evidence, dict(parts=["copy", "profile_max"]))):
        model = make(cls, folder, {"visual": visual, "textual": textual}, new=False, **options)
        model.add_entities(entities)  # type: ignore[operator]
        mine = torch.cat([textual.vectors[:22], torch.zeros(1, 10), torch.ones(1, 10)])
        mask = torch.arange(24) != 22
        note = {ADDED: json.dumps(NEW)}
        listed = FeatureStore.from_tensors(textual.labels, mine, mask, modality="textual", provenance=note)
        visual_listed = loaded(stores, NEW)["visual"]
        other = make(cls, folder, {"visual": visual_listed, "textual": listed}, new=True, **options)
        same_weights(model, other)
        torch.testing.assert_close(scores(model), scores(other), rtol=1e-5, atol=1e-5)
        assert scores(model)[:, 66:69].any()


def test_encoded_as_the_others(dual_encoder, folder, tmp_path: pathlib.Path) -> None:
    """Text and images are encoded with the model's encoder, and with no other one."""
    picture = tmp_path / "okapi.png"
    Image.new("RGB", (20, 20), (200, 100, 60)).save(picture)
    training = factory_of(folder, new=False)
    options = dict(embedding_dim=8, sources={"store": tmp_path / "store"}, random_seed=0)
    model = VLKGE(triples_factory=training, encoder=str(dual_encoder), **options)  # type: ignore[arg-type]
    model.add_entities({"okapi": {"name": "okapi", "text": "a  striped\nanimal", "images": picture}, "x": "y"})
    expected = encode_texts({"okapi": "okapi: a striped animal"}, dual_encoder, directory=tmp_path / "store")
    store = model.sources.used["textual"]
    assert store.lookup(["okapi"])[0].equal(expected.vectors)
    assert model.entity_representations[0].mask[-2:].tolist() == [[False, True, True], [False, False, True]]
    other = make_other(store)
    with pytest.raises(FeatureError, match="different spaces"):
        model.sources.used["textual"] = other
        model.add_entities({"z": "z"})


def make_other(store: FeatureStore) -> FeatureStore:
    return dataclasses.replace(store, provenance={**store.provenance, "encoder_fingerprint": "0" * 64})


def test_errors_change_nothing(fused: LateFusion, stores, tmp_path: pathlib.Path) -> None:
    """Each is one message, and afterwards the model is as it was."""
    before = scores(fused, 22)
    vector = torch.ones(10)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    for entities, error, match in (
        ({"e3": {"vectors": {"textual": vector}}}, DataError, "'e3' already"),
        ({" x": "a text"}, DataError, "spaces"),
        ({"x": {}}, DataError, "Nothing is known of 'x'"),
        ({"x": {"colour": "red"}}, MultimodalError, "colour"),
        ({"x": {"text": 3}}, MultimodalError, "no text"),
        ({"x": 3}, MultimodalError, "int"),
        ({"x": {"vectors": {"textual": torch.ones(9)}}}, FeatureError, r"\(10,\)"),
        ({"x": {"vectors": {"textual": vector * torch.nan}}}, FeatureError, "finite"),
        ({"x": {"vectors": {"sound": vector}}}, MultimodalError, "sound"),
        ({"x": "a text"}, FeatureError, "encoder"),
    ):
        with pytest.raises(error, match=match):
            fused.add_entities(entities)  # type: ignore[arg-type]
        assert fused.num_entities == 22 and scores(fused, 22).equal(before)


def test_shared_scorers(fused: LateFusion, result: PipelineResult, stores) -> None:
    """A model that shares scorers with one that has got entities cannot get any itself."""
    part = pickle.loads(pickle.dumps(result.model))
    part._factory = result.training
    part.candidates = result.model.candidates
    other = part.subset("content", "evidence")
    other.add_entities(described(stores))
    with pytest.raises(MultimodalError, match="shares them"):
        part.add_entities({"x": {"vectors": {"textual": torch.ones(10)}}})


def test_who_cannot(folder, stores) -> None:
    """Models of structure only, and scorers that depend on the graph as it was, say so by name."""
    training = factory_of(folder, new=False)
    features = {"features": {key: stores[key] for key in ("visual", "textual")}}
    entity = {"x": {"vectors": {"textual": torch.ones(10)}}}
    model = VLKGE(triples_factory=training, embedding_dim=4, modalities="structural")
    with pytest.raises(MultimodalError, match="VLKGE reads neither"):
        model.add_entities(entity)
    for scorer, name in (("degreerule", "DegreeRule"), ("rgcn", "RGCN")):
        fusion = model_resolver.make(
            "latefusion",
            triples_factory=training,
            scorers={"content": {}, "mine": {"model": scorer, "training_kwargs": {"num_epochs": 0}}},
            sources=features,
        )
        with pytest.raises(MultimodalError, match=rf"scorer 'mine' \({name}\)"):
            fusion.add_entities(entity)


def test_parse() -> None:
    entity = NewEntity.parse("x", {"text": " a\ttext ", "images": "a.png"})
    assert entity.row == {"description": "a text", "images": ["a.png"]}
    assert entity.encodable("textual") == "a text" and entity.has("visual")
    assert NewEntity.parse("x", "words") == NewEntity(text="words")
