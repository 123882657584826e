"""State dicts that know their labels and features, however they are saved and loaded."""

import logging
import pathlib
import pickle
import shutil

import pytest
import torch
from pykeen.checkpoints import save_model
from pykeen.checkpoints.base import load_state_torch
from pykeen.datasets import Nations
from pykeen.models import DistMult, Model, model_resolver
from pykeen.training import SLCWATrainingLoop
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.errors import RunError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.identity import KEY, guard, identity


def _factory(folder: pathlib.Path) -> TriplesFactory:
    return MultimodalDataset(folder).training


def _model(factory: CoreTriplesFactory, name: str = "distmult", **kwargs: object) -> Model:
    return model_resolver.make(name, {"embedding_dim": 4, "random_seed": 0, **kwargs}, triples_factory=factory)


def _renamed(factory: TriplesFactory, **names: str) -> TriplesFactory:
    """The same ids, some with another label."""
    return TriplesFactory(
        factory.mapped_triples,
        {names.get(label, label): i for label, i in factory.entity_to_id.items()},
        {names.get(label, label): i for label, i in factory.relation_to_id.items()},
        metadata=factory.metadata,
    )


@pytest.fixture
def named(stores: dict[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    return {"sources": {"features": {key: stores[key] for key in ("visual", "textual")}}}


def test_what_it_is_made_of(folder: pathlib.Path, named: dict, stores: dict[str, str]) -> None:
    found = identity(_model(_factory(folder), "vlkge", **named))
    assert set(found) == {"entities", "relations", "visual features", "textual features"}
    assert found["visual features"] == FeatureStore.load(stores["visual"]).digest
    assert len(set(found.values())) == 4
    assert found["entities"] == identity(_model(_factory(folder)))["entities"]


@pytest.mark.parametrize(
    ("names", "other"),
    [({"e0": "x"}, {"entities"}), ({"e0": "e1", "e1": "e0"}, {"entities"}), ({"r1": "x"}, {"relations"}), ({}, set())],
)
def test_labels_and_their_order_count(names: dict[str, str], other: set[str], folder: pathlib.Path) -> None:
    factory = _factory(folder)
    first, second = _model(factory), _model(_renamed(factory, **names))
    assert {name for name, digest in identity(first).items() if digest != identity(second)[name]} == other
    state = first.state_dict()
    if other:
        before = {name: value.clone() for name, value in second.state_dict().items()}
        with pytest.raises(RunError, match=f"those of other {' and '.join(other)} than the model's"):
            second.load_state_dict(state)
        assert all(value.equal(before[name]) for name, value in second.state_dict().items()), "nothing was loaded"
    else:
        second.load_state_dict(state)


def test_the_callback_of_pykeen_writes_it_and_the_state_is_refused_elsewhere(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    factory = _factory(folder)
    model = _model(factory)
    loop = SLCWATrainingLoop(model=model, triples_factory=factory)
    options = {"callbacks": "checkpoint", "callbacks_kwargs": {"root": tmp_path, "schedule_kwargs": {"frequency": 1}}}
    loop.train(factory, num_epochs=1, batch_size=16, use_tqdm=False, **options)
    (path,) = tmp_path.glob("*.pt")
    same = _model(factory)
    same.load_state_dict(load_state_torch(path)["state_dict"])
    assert all(value.equal(model.state_dict()[name]) for name, value in same.state_dict().items())
    with pytest.raises(RunError, match="other entities"):
        _model(_renamed(factory, e0="x")).load_state_dict(load_state_torch(path)["state_dict"])


def test_other_features_are_refused(folder: pathlib.Path, named: dict, tmp_path: pathlib.Path) -> None:
    factory = _factory(folder)
    save_model(_model(factory, "vlkge", **named), tmp_path / "x.pt")
    store = FeatureStore.load(named["sources"]["features"]["visual"])
    FeatureStore.from_tensors(store.labels, store.vectors.flip(0), mask=store.mask.flip(0)).save(tmp_path / "v")
    shutil.copy(tmp_path / "v", tmp_path / "visual.safetensors")
    named["sources"]["features"]["visual"] = str(tmp_path / "visual.safetensors")
    with pytest.raises(RunError, match="other visual features than"):
        _model(factory, "vlkge", **named).load_state_dict(load_state_torch(tmp_path / "x.pt")["state_dict"])


def test_a_state_that_says_nothing_is_loaded_with_a_warning(
    folder: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = _model(_factory(folder))
    state = model.state_dict()
    del state._metadata[""][KEY]  # type: ignore[attr-defined]
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        model.load_state_dict(dict(state))
        assert not caplog.text, "a mapping by hand is the caller's own"
        model.load_state_dict(state)
    assert "do not say of which labels" in caplog.text


def test_a_graph_of_pykeen_alone_is_left_as_it_is() -> None:
    factory = Nations().training
    model = DistMult(triples_factory=factory, embedding_dim=2)
    assert not identity(model)
    assert KEY not in model.state_dict()._metadata[""]  # type: ignore[attr-defined]
    DistMult(triples_factory=factory, embedding_dim=2).load_state_dict(model.state_dict())


def test_nothing_stays_behind_in_the_model(folder: pathlib.Path) -> None:
    model = _model(_factory(folder))
    assert b"pykeen_mmkg" not in pickle.dumps(model)
    assert identity(pickle.loads(pickle.dumps(model))) == identity(model), "but for the digests of its labels"
    state = torch.nn.ModuleList([model]).state_dict()
    assert KEY not in state._metadata[""]  # type: ignore[attr-defined]


def test_models_are_guarded_once() -> None:
    before = Model.load_state_dict
    guard()
    assert Model.load_state_dict is before
