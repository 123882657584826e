"""VL-KGE: parity with the paper's formulas by hand, every interaction and fusion, saving, resuming, bad input."""

import copy
import json
import pathlib

import pytest
import torch
from pykeen.datasets import get_dataset
from pykeen.nn.modules import interaction_resolver
from pykeen.pipeline import pipeline, pipeline_from_config
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.vlkge import VLKGE
from pykeen_mmkg.nn.fusion import fusion_resolver

DIM = 8


@pytest.fixture(scope="module")
def dataset(folder: pathlib.Path) -> MultimodalDataset:
    return MultimodalDataset(path=folder)


@pytest.fixture()
def model_kwargs(stores: dict[str, str]) -> dict:
    return dict(embedding_dim=DIM, sources=dict(features=stores))


def all_triples(factory: CoreTriplesFactory) -> torch.Tensor:
    grid = torch.cartesian_prod(
        torch.arange(factory.num_entities), torch.arange(factory.num_relations), torch.arange(factory.num_entities)
    )
    return grid


def by_hand(model: VLKGE, stores: dict[str, str], factory: TriplesFactory, form: str) -> torch.Tensor:
    """Fuse each entity by the average, in a loop, from the model's parameters and the feature files."""
    representation = model.entity_representations[0]
    seen = set(factory.mapped_triples[:, [0, 2]].flatten().tolist())
    visual, textual = (FeatureStore.load(stores[name]) for name in ("visual", "textual"))
    table = dict(representation.named_parameters())
    rows = []
    for label, index in sorted(factory.entity_to_id.items(), key=lambda pair: pair[1]):
        parts = [table["parts.structural._embeddings.weight"][index] if index in seen else torch.zeros(DIM)]
        count = 1
        for name, store in (("visual", visual), ("textual", textual)):
            position = store.labels.index(label)
            if store.mask[position]:
                parts.append(table[f"parts.{name}.projection.weight"] @ store.vectors[position])
                count += 1
        rows.append(sum(parts) / (3 if form == "dense" else count))
    return torch.stack(rows)


SCORES = {
    "vltranse": lambda h, r, t: 12 - (h / h.norm() + r / r.norm() - t / t.norm()).abs().sum(),
    "vldistmult": lambda h, r, t: (h * r * t).sum(),
    "vlcomplex": lambda h, r, t: (h * r * t.conj()).sum().real,
    "vlrotate": lambda h, r, t: 12 - (h * torch.exp(1j * r) - t).abs().square().sum().sqrt(),
}


@pytest.mark.parametrize("form", ["dense", "uneven"])
@pytest.mark.parametrize("interaction", SCORES)
def test_paper_forms(interaction: str, form: str, dataset, stores, model_kwargs) -> None:
    """The scores of the four models of the paper equal its formulas, evaluated one triple at a time."""
    factory = dataset.training
    model = VLKGE(
        triples_factory=factory, interaction=interaction, fusion_kwargs=dict(form=form), random_seed=0, **model_kwargs
    ).eval()
    real = by_hand(model, stores, factory, form)
    relations = model.relation_representations[0]._embeddings.weight
    if interaction == "vlcomplex":
        relations = torch.view_as_complex(relations.view(len(relations), DIM, 2))
    seen = torch.zeros(factory.num_entities, dtype=torch.bool)
    seen[factory.mapped_triples[:, [0, 2]].flatten()] = True
    with torch.no_grad():
        if interaction in {"vlcomplex", "vlrotate"}:
            # the imaginary part is a table of its own, for the entities that training knows
            fused = torch.complex(real, model.entity_representations[0].table._embeddings.weight)
        else:
            fused = real
        triples = all_triples(factory)
        triples = triples[seen[triples[:, 0]] & seen[triples[:, 2]]][::7]
        expected = torch.stack([SCORES[interaction](fused[h], relations[r], fused[t]) for h, r, t in triples.tolist()])
        torch.testing.assert_close(model.score_hrt(triples).squeeze(-1), expected, rtol=1e-4, atol=1e-5)
        # 1-vs-all gives the same
        scores = model.score_t(triples[:, :2])
        torch.testing.assert_close(scores[range(len(triples)), triples[:, 2]], expected, rtol=1e-4, atol=1e-5)
        scores = model.score_h(triples[:, 1:])
        torch.testing.assert_close(scores[range(len(triples)), triples[:, 0]], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fusion", ["average", "sum", "concat", "weighted"])
@pytest.mark.parametrize("form", ["dense", "uneven"])
def test_training_of_the_paper(form: str, fusion: str, dataset, stores, model_kwargs) -> None:
    """Loss, gradients and three steps of Adagrad equal the paper's, written by hand for DistMult with each fusion.

    The uneven forms mask the structure of unseen entities, the dense ones mask nobody.
    """
    factory = dataset.training
    forms = {"average": form, "weighted": {"dense": "dense", "uneven": "asymmetric"}[form]}
    model = VLKGE(
        triples_factory=factory,
        fusion=fusion,
        fusion_kwargs=dict(form=forms[fusion]) if fusion in forms else None,
        representation_kwargs=dict(seen=None) if form == "dense" else None,
        random_seed=0,
        **model_kwargs,
    )
    # theirs, by names of parameters
    own = {
        name: p.detach().clone().requires_grad_() for name, p in model.named_parameters() if "temperature" not in name
    }
    state = {name: torch.zeros_like(p) for name, p in own.items()}
    labels = sorted(factory.entity_to_id, key=factory.entity_to_id.__getitem__)
    rows = [FeatureStore.load(stores[name]).lookup(labels) for name in ("visual", "textual")]
    seen = torch.zeros(len(labels), 1, dtype=torch.bool)
    seen[factory.mapped_triples[:, [0, 2]].flatten()] = True

    def entities() -> torch.Tensor:
        prefix = "entity_representations.0."
        s = own[f"{prefix}parts.structural._embeddings.weight"]
        s = s if form == "dense" else s * seen
        v, t = (
            rows[i][0] @ own[f"{prefix}parts.{name}.projection.weight"].T * rows[i][1][:, None]
            for i, name in enumerate(("visual", "textual"))
        )
        has = [torch.ones(len(labels), 1), *(row[1][:, None].float() for row in rows)]
        if form == "dense":
            has = [torch.ones(len(labels), 1)] * 3
        if fusion == "concat":
            return torch.cat([s, v, t], dim=-1)
        if fusion == "sum":
            return s + v + t
        weights = [torch.ones(())] * 3 if fusion == "average" else own[f"{prefix}fusion.logits"].exp().unbind()
        total = sum(w * h for w, h in zip(weights, has, strict=True))
        return sum(w * x for w, x in zip(weights, (s, v, t), strict=True)) / total

    optimizer = torch.optim.Adagrad(model.get_grad_params(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(3):
        positive = factory.mapped_triples[torch.randperm(factory.num_triples, generator=generator)[:16]]
        negative = positive.repeat_interleave(4, dim=0)
        negative[:, 2] = torch.randint(factory.num_entities, (64,), generator=generator)
        scores, other = model.score_hrt(positive), model.score_hrt(negative).view(16, 4)
        loss = model.loss.process_slcwa_scores(scores, other)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.post_parameter_update()
        # the mean over all scores of log(1 + exp(-y s))
        e, r = entities(), own["relation_representations.0._embeddings.weight"]
        terms = [
            torch.log1p(torch.exp(-y * (e[h] * r[k] * e[t]).sum()))
            for y, triples in ((1, positive), (-1, negative))
            for h, k, t in triples.tolist()
        ]
        by_hand = torch.stack(terms).mean()
        assert float(loss.detach()) == pytest.approx(float(by_hand.detach()), rel=1e-4)
        gradients = torch.autograd.grad(by_hand, list(own.values()))
        for (name, p), gradient in zip(own.items(), gradients, strict=True):
            state[name] += gradient.square()
            own[name] = (p - 0.1 * gradient / (state[name].sqrt() + 1e-10)).detach().requires_grad_()
        for name, p in model.named_parameters():
            torch.testing.assert_close(p.detach(), own[name].detach(), rtol=1e-3, atol=1e-4, msg=name)


#: needs more than names: AutoSF its coefficients
KWARGS = {
    "autosf": dict(coefficients=[[0, 0, 0, 1], [1, 1, 1, 1]]),
    "transformer": dict(num_heads=2, dim_feedforward=16),
}


def test_interaction_over_modalities(dataset, stores, model_kwargs) -> None:
    """The rows of an entity are its structural vector and its projected features, zero where there is nothing."""
    factory = dataset.training
    options = {"interaction": "native", "interaction_kwargs": {"base": "distmult"}}
    model = VLKGE(triples_factory=factory, **options, **model_kwargs)
    rows = model.entity_representations[0]()
    assert model.interaction.modalities == ("structural", "visual", "textual") and rows.shape[1:] == (3, DIM)
    table = dict(model.entity_representations[0].named_parameters())
    visual = FeatureStore.load(stores["visual"])
    for label, index in factory.entity_to_id.items():
        assert rows[index, 0].any() == (label not in {"e22", "e23"})
        position = visual.labels.index(label)
        expected = table["base.parts.visual.projection.weight"] @ visual.vectors[position]
        torch.testing.assert_close(rows[index, 1], expected if visual.mask[position] else torch.zeros(DIM))
    with pytest.raises(MultimodalError, match="fuses the modalities itself"):
        VLKGE(triples_factory=factory, interaction="momok", fusion="sum", **model_kwargs)


@pytest.mark.parametrize("interaction", sorted(interaction_resolver.lookup_dict))
def test_every_interaction(interaction: str, dataset, model_kwargs) -> None:
    """Every interaction by its name alone: a training step changes it, and scores are finite for all entities."""
    factory = dataset.training
    try:
        model = VLKGE(
            triples_factory=factory,
            interaction=interaction,
            interaction_kwargs=KWARGS.get(interaction),
            random_seed=0,
            **{**model_kwargs, "embedding_dim": 32 if interaction == "conve" else DIM},
        )
    except TypeError as error:
        pytest.fail(f"{interaction} cannot be made by its name: {error}")
    triples = factory.mapped_triples
    optimizer = torch.optim.Adam(model.get_grad_params(), lr=0.01)
    before = model.predict_t(triples[:4, :2]).clone()
    model.train()
    (
        loss := torch.nn.functional.softplus(-model.score_hrt(triples)).mean() + model.collect_regularization_term()
    ).backward()
    assert torch.isfinite(loss)
    optimizer.step()
    model.post_parameter_update()
    after = model.predict_t(triples[:4, :2])
    assert after.shape == (4, factory.num_entities)
    assert torch.isfinite(after).all()
    assert not torch.equal(before, after)


@pytest.mark.parametrize("interaction", ["vldistmult", "vlcomplex"])
@pytest.mark.parametrize("fusion", sorted(fusion_resolver.lookup_dict))
def test_every_fusion(fusion: str, interaction: str, folder, stores) -> None:
    """Every fusion trains and evaluates in the pipeline, with adapters and text of the relations."""
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs=dict(path=str(folder)),
        model="vlkge",
        model_kwargs=dict(
            embedding_dim=DIM,
            sources=dict(features=stores),
            fusion=fusion,
            interaction=interaction,
            representation_kwargs=dict(feature_kwargs=dict(adapter=True), modality_dropout=0.1),
            relation_representation_kwargs=dict(feature_kwargs=dict(adapter=True), structural_dropout=0.2),
            relation_modalities=["structural", "textual"],
            structural_dropout=0.2,
        ),
        training_kwargs=dict(num_epochs=2, use_tqdm=False),
        random_seed=0,
        device="cpu",
    )
    assert 0 < result.get_metric("mrr") <= 1
    width = {"concat": 3 * DIM, "instanceattention": 2 * DIM}.get(fusion, DIM)
    assert result.model.entity_representations[0].shape == (width,)


def test_inverse_triples(folder, stores) -> None:
    """With inverse triples each relation has an inverse, which has a structural part, and text where it was encoded."""
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs=dict(path=str(folder), create_inverse_triples=True),
        model="vlkge",
        model_kwargs=dict(
            embedding_dim=DIM, sources=dict(features=stores), relation_modalities=["structural", "textual"]
        ),
        training_loop="lcwa",
        training_kwargs=dict(num_epochs=1, use_tqdm=False),
        device="cpu",
    )
    mask = result.model.relation_representations[0].mask
    assert mask.tolist() == [[True, True], [True, False]] * 3


@pytest.mark.parametrize("loop", ["slcwa", "lcwa"])
@pytest.mark.parametrize("interaction", ["vldistmult", "vlrotate"])
def test_save_and_load(interaction: str, loop: str, folder, stores, tmp_path) -> None:
    """A saved model holds no feature rows, and gives the same scores after loading, also for unseen entities."""
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs=dict(path=str(folder)),
        model="vlkge",
        model_kwargs=dict(embedding_dim=DIM, sources=dict(features=stores), interaction=interaction),
        training_loop=loop,
        training_kwargs=dict(num_epochs=2, use_tqdm=False),
        random_seed=1,
        device="cpu",
    )
    result.save_to_directory(tmp_path)
    from pykeen_mmkg.runs import open_run

    model, factory = open_run(tmp_path)
    batch = torch.cartesian_prod(torch.arange(factory.num_entities), torch.arange(factory.num_relations))
    assert all(torch.equal(p, result.model.get_parameter(name)) for name, p in model.named_parameters())
    # the features are read from their file again, to other memory, on which the last digits of products depend
    torch.testing.assert_close(model.predict_t(batch), result.model.predict_t(batch))
    content = tmp_path.joinpath("trained_model.pkl").read_bytes()
    for store in stores.values():
        row = FeatureStore.load(store).vectors[2].numpy().tobytes()
        assert row not in content
        assert not any(value.shape == (24, 6) for value in result.model.state_dict().values())


@pytest.mark.parametrize("interaction", ["vldistmult", "vlcomplex"])
def test_resume(interaction: str, folder, stores, tmp_path) -> None:
    """Interrupted and resumed from a checkpoint, training ends with the weights of an uninterrupted run."""
    config = dict(
        dataset="multimodal",
        dataset_kwargs=dict(path=str(folder)),
        model="vlkge",
        model_kwargs=dict(
            embedding_dim=DIM, sources=dict(features=stores), interaction=interaction, structural_dropout=0.3
        ),
        random_seed=3,
        device="cpu",
    )
    whole = pipeline(**copy.deepcopy(config), training_kwargs=dict(num_epochs=6, use_tqdm=False))
    checkpoint = dict(checkpoint_directory=str(tmp_path), checkpoint_name="c.pt", checkpoint_frequency=0)
    pipeline(**copy.deepcopy(config), training_kwargs=dict(num_epochs=3, use_tqdm=False, **checkpoint))
    resumed = pipeline(**copy.deepcopy(config), training_kwargs=dict(num_epochs=6, use_tqdm=False, **checkpoint))
    for (name, expected), (_, actual) in zip(
        whole.model.state_dict().items(), resumed.model.state_dict().items(), strict=True
    ):
        assert torch.equal(expected, actual), name


def test_json_config(folder, stores) -> None:
    """Everything can be said in plain JSON."""
    config = {
        "metadata": {},
        "pipeline": {
            "dataset": "multimodal",
            "dataset_kwargs": {"path": str(folder)},
            "model": "vlkge",
            "model_kwargs": {
                "embedding_dim": DIM,
                "sources": {"features": stores},
                "fusion": "attention",
                "fusion_kwargs": {"hidden_dim": 4},
                "interaction": "vltranse",
                "interaction_kwargs": {"margin": 9},
                "representation_kwargs": {"shuffle": {"visual": 3}, "feature_kwargs": {"storage": "cpu"}},
            },
            "optimizer": "adagrad",
            "training_kwargs": {"num_epochs": 1, "use_tqdm": False},
        },
    }
    result = pipeline_from_config(json.loads(json.dumps(config)), device="cpu")
    assert result.model.interaction.margin == 9


def test_plain_factories(folder, stores) -> None:
    """Plain PyKEEN factories do, where model_kwargs name the features."""
    dataset = MultimodalDataset(path=folder)
    training, testing = (
        TriplesFactory(f.mapped_triples, entity_to_id=f.entity_to_id, relation_to_id=f.relation_to_id)
        for f in (dataset.training, dataset.testing)
    )
    result = pipeline(
        training=training,
        testing=testing,
        model="vlkge",
        model_kwargs=dict(embedding_dim=DIM, sources=dict(features=stores)),
        training_kwargs=dict(num_epochs=1, use_tqdm=False),
        device="cpu",
    )
    assert result.model.entity_representations[0].modalities == ("structural", "visual", "textual")


def test_encode_in_the_pipeline(folder, dual_encoder, tmp_path) -> None:
    """The pipeline encodes text and images; the encoder's weights are bit-identical afterwards; a second run reuses."""
    from pykeen_mmkg.encoders import make_encoder

    encoder = make_encoder(str(dual_encoder), None)
    encoder.encode_texts(["warm up"])
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs=dict(path=str(folder)),
        model="vlkge",
        model_kwargs=dict(embedding_dim=DIM, encoder=encoder, sources=dict(store=str(tmp_path))),
        training_kwargs=dict(num_epochs=2, use_tqdm=False),
        device="cpu",
    )
    after = encoder.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    representation = result.model.entity_representations[0]
    assert representation.mask[:, 1].sum() == 12
    assert representation.mask[:, 2].sum() == 22
    # once encoded, the weights are not even loaded
    again = make_encoder(str(dual_encoder), None)
    model = VLKGE(
        triples_factory=get_dataset(dataset="multimodal", dataset_kwargs=dict(path=str(folder))).training,
        embedding_dim=DIM,
        encoder=again,
        sources=dict(store=str(tmp_path)),
    )
    assert "model" not in vars(again)
    assert torch.equal(
        model.entity_representations[0].parts["visual"].features, representation.parts["visual"].features
    )


def test_unseen_entities(dataset, model_kwargs) -> None:
    """Structure plays no part for unseen entities, and for complex models the derived imaginary part learns."""
    factory = dataset.training
    result = pipeline(
        training=factory,
        testing=dataset.testing,
        model="vlkge",
        model_kwargs=dict(interaction="vlcomplex", **model_kwargs),
        training_kwargs=dict(num_epochs=5, use_tqdm=False),
        device="cpu",
    )
    representation = result.model.entity_representations[0]
    assert representation.projection.abs().sum() > 0
    unseen = torch.as_tensor([factory.entity_to_id[f"e{i}"] for i in (22, 23)])
    before = representation(unseen).clone()
    with torch.no_grad():
        representation.parts["structural"]._embeddings.weight[unseen] += 1
        representation.table._embeddings.weight[unseen] += 1
    assert torch.equal(representation(unseen), before)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(fusion="mystery"), "average.*concat"),
        (dict(interaction="mystery"), "distmult.*transe"),
        (dict(modalities=["smell"]), "structural.*visual.*textual"),
        (dict(modalities=[]), "structural.*visual.*textual"),
        (dict(sources={"features": {"smell": "x"}}), "visual"),
        (dict(sources={"features": {"visual": "/no/such.safetensors"}}), "/no/such.safetensors"),
        (dict(dimensions={"z": 3}), "z"),
        (dict(structural_dropout=1.5), "1.5"),
    ],
)
def test_bad_arguments(kwargs: dict, message: str, dataset, model_kwargs) -> None:
    """One clear error that names the culprit and the options."""
    with pytest.raises(ValueError, match=f"(?s){message}"):
        VLKGE(triples_factory=dataset.training, **{**model_kwargs, **kwargs})


def test_bad_sources(dataset, stores, dual_encoder) -> None:
    """No sources, no labels, features of another encoder or with NaN."""
    plain = CoreTriplesFactory(dataset.training.mapped_triples, num_entities=24, num_relations=3)
    with pytest.raises(MultimodalError, match="labels"):
        VLKGE(triples_factory=plain, sources=dict(features=stores))
    labelled = TriplesFactory(
        dataset.training.mapped_triples, dataset.training.entity_to_id, dataset.training.relation_to_id
    )
    with pytest.raises(MultimodalError, match="No text, image or feature"):
        VLKGE(triples_factory=labelled)
    with pytest.raises(MultimodalError, match="'entities': <path"):
        VLKGE(triples_factory=labelled, modalities=["textual"])
    with pytest.raises(MultimodalError, match="encoder"):
        VLKGE(triples_factory=labelled, sources=dict(features=stores), encoder=str(dual_encoder))
    vectors = torch.ones(24, 4)
    broken = FeatureStore.from_tensors([f"e{i}" for i in range(24)], vectors)
    broken.vectors[7, 2] = float("nan")
    with pytest.raises(MultimodalError, match="e7"):
        VLKGE(triples_factory=labelled, sources={"features": {"textual": broken}})


def test_structural_only_is_plain(dataset) -> None:
    """Without other modalities the scores are those of PyKEEN's DistMult with the same weights."""
    from pykeen.nn.modules import DistMultInteraction

    model = VLKGE(triples_factory=dataset.training, modalities=["structural"], embedding_dim=DIM)
    entities = model.entity_representations[0].parts["structural"]._embeddings.weight
    relations = model.relation_representations[0]._embeddings.weight
    triples = dataset.training.mapped_triples
    expected = DistMultInteraction()(entities[triples[:, 0]], relations[triples[:, 1]], entities[triples[:, 2]])
    torch.testing.assert_close(model.score_hrt(triples).squeeze(-1), expected)


def test_hpo(folder, stores, tmp_path) -> None:
    """The search space of the model works in PyKEEN's HPO."""
    from pykeen.hpo import hpo_pipeline

    result = hpo_pipeline(
        n_trials=2,
        dataset="multimodal",
        dataset_kwargs=dict(path=str(folder)),
        model="vlkge",
        model_kwargs=dict(sources=dict(features=stores)),
        training_kwargs=dict(num_epochs=1, use_tqdm=False),
        device="cpu",
        sampler="random",
    )
    assert set(result.study.best_params) >= {
        "model.embedding_dim",
        "model.fusion",
        "model.structural_dropout",
    }


@pytest.mark.parametrize("interaction", ["vldistmult", "vlcomplex"])
@pytest.mark.parametrize("side", ["both", "entities", "relations"])
def test_regularizers(side: str, interaction: str, dataset, model_kwargs) -> None:
    """The loss has lambda times the mean norm of the structural embeddings of a batch: entities, relations or both."""
    factory = dataset.training
    regularizer = dict(regularizer="lp", regularizer_kwargs=dict(weight=0.3, p=2.0))
    tables = ("structural_kwargs", "imaginary_kwargs") if interaction == "vlcomplex" else ("structural_kwargs",)
    kwargs: dict = {
        "both": regularizer,
        "entities": dict(representation_kwargs=dict.fromkeys(tables, regularizer)),
        "relations": dict(relation_representation_kwargs=regularizer),
    }[side]
    if interaction == "vlcomplex":  # without the regression, which is a regularizer, too
        kwargs["representation_kwargs"] = {"imaginary": "structural", **kwargs.get("representation_kwargs", {})}
    model = VLKGE(triples_factory=factory, interaction=interaction, **model_kwargs, **kwargs)
    model.train()
    # one triple, of entities that training knows: head, relation and tail are looked up once each
    h, r, t = factory.mapped_triples[0].tolist()
    model.score_hrt(factory.mapped_triples[:1])
    entities = model.entity_representations[0]
    expected = 0.0
    if side != "relations":
        rows = [entities.parts["structural"]._embeddings.weight]
        rows += [entities.table._embeddings.weight] if interaction == "vlcomplex" else []
        expected += sum(float(table[i].detach().square().sum()) ** 0.5 for table in rows for i in (h, t))
    if side != "entities":
        relation = model.relation_representations[0]._embeddings.weight[r]
        expected += float(relation.detach().square().sum()) ** 0.5
    assert float(model.collect_regularization_term().detach()) == pytest.approx(0.3 * expected, rel=1e-5)


def test_regularizer_of_the_pipeline(folder, stores) -> None:
    """``pipeline(regularizer=...)`` reaches the structural part, and changes what is learned."""

    def train(**kwargs) -> torch.Tensor:
        result = pipeline(
            dataset="multimodal",
            dataset_kwargs=dict(path=str(folder)),
            model="vlkge",
            model_kwargs=dict(embedding_dim=DIM, sources=dict(features=stores)),
            optimizer="adam",
            optimizer_kwargs=dict(lr=0.1),
            training_kwargs=dict(num_epochs=10, use_tqdm=False),
            random_seed=0,
            device="cpu",
            **kwargs,
        )
        return result.model.entity_representations[0].parts["structural"]().detach().norm()

    assert train(regularizer="lp", regularizer_kwargs=dict(weight=10.0, p=2.0)) < 0.9 * train()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(sources={"image": "x"}), "'image'.*images"),
        (dict(sources={"encoder": "x"}), "'encoder'"),
        (dict(representation_kwargs={"adaptor": True}), "adaptor"),
        (dict(representation_kwargs={"feature_kwargs": {"adaptor": True}}), "adaptor"),
        (dict(representation_kwargs={"structural_dropout": 0.1}), "structural_dropout"),
        (dict(representation_kwargs={"imaginary": "joint"}), "imaginary"),
        (dict(relation_representation_kwargs={"adapter": True}), "adapter"),
        (dict(entity_representations_kwargs={"regularizer": "lp"}), "use representation_kwargs"),
        (dict(relation_representations_kwargs={"regularizer": "lp"}), "use relation_representation_kwargs"),
        (dict(regularizer_kwargs={"weight": 1.0}), "without a regularizer"),
    ],
)
def test_nothing_is_ignored(kwargs: dict, message: str, dataset, model_kwargs) -> None:
    """A key that has no effect is an error that names it."""
    with pytest.raises(MultimodalError, match=f"(?s){message}"):
        VLKGE(triples_factory=dataset.training, **{**model_kwargs, **kwargs})


def test_unknown_keyword_before_anything_is_encoded(folder) -> None:
    """The encoder is not there: it would be looked for next."""
    training = MultimodalDataset(path=folder).training
    with pytest.raises(MultimodalError, match="'loss_weight' is no argument of the model vlkge"):
        VLKGE(triples_factory=training, encoder="/nowhere", loss_weight=1.0)


def test_command_line(pykeen_command, tmp_path) -> None:
    """``pykeen train vlkge`` knows the encoder and the fusion; the dataset brings the other sources."""
    text = pykeen_command("train", "vlkge", "--help")
    assert all(f"--{name} TEXT" in text for name in ("encoder", "fusion"))
    options = ["--fusion", "sum", "--embedding-dim", "8", "--number-epochs", "1", "--batch-size", "4096"]
    pykeen_command(
        "train", "vlkge", "--dataset", "wordnetemoji", *options, "--output-directory", str(tmp_path), "--silent"
    )
    assert tmp_path.joinpath("results.json").is_file()
