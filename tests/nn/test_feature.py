"""Frozen features: alignment, what is saved, what is trained."""

import io
import pathlib
import pickle

import pytest
import torch
from pykeen.nn.representation import MaxIDMismatchError

from pykeen_mmkg.errors import FeatureError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.nn.feature import FEATURE_PATH, FeatureRepresentation
from pykeen_mmkg.nn.preprocessing import preprocess

LABELS = ["ant", "bee", "cat", "dog", "eel"]


@pytest.fixture
def store() -> FeatureStore:
    """Vectors of the labels in another order, and of one more; the dog lacks the modality."""
    labels = ["eel", "fox", "dog", "cat", "ant"]
    vectors = torch.randn(5, 4, generator=torch.manual_seed(0))
    return FeatureStore.from_tensors(labels, vectors, mask=[True, True, False, True, True], modality="visual")


@pytest.fixture
def path(store: FeatureStore, tmp_path: pathlib.Path) -> pathlib.Path:
    return store.save(tmp_path / "visual.safetensors")


def expected(store: FeatureStore) -> torch.Tensor:
    rows = {label: store.vectors[i] for i, label in enumerate(store.labels) if store.mask[i]}
    return torch.stack([rows.get(label, torch.zeros(4)) for label in LABELS])


@pytest.mark.parametrize("storage", ["device", "cpu"])
def test_aligned_by_label(store: FeatureStore, path: pathlib.Path, storage: str) -> None:
    for features in (store, path, str(path)):
        representation = FeatureRepresentation(features=features, labels=LABELS, storage=storage)
        assert representation.max_id == 5 and representation.shape == (4,)
        assert representation.mask.tolist() == [True, False, True, False, True]
        assert representation.coverage == pytest.approx(0.6)
        assert representation.projection is None
        assert torch.equal(representation(), expected(store))
        indices = torch.tensor([[4, 1], [0, 0], [3, 2]])
        assert torch.equal(representation(indices), expected(store)[indices])


def test_tensor_with_mask() -> None:
    """What a masked row holds does not matter, not even NaN."""
    x = torch.randn(3, 4)
    x[1] = float("nan")
    for storage in ("device", "cpu"):
        representation = FeatureRepresentation(features=x, mask=[True, False, True], storage=storage)
        assert torch.equal(representation(), x.nan_to_num(0.0))
    # plain JSON
    assert FeatureRepresentation(features=[[1.0, 2.0], [3.0, 4.0]])(torch.tensor([1])).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("storage", ["device", "cpu"])
def test_features_are_no_state(path: pathlib.Path, storage: str) -> None:
    representation = FeatureRepresentation(features=path, labels=LABELS, shape=3, adapter=True, storage=storage)
    assert set(dict(representation.named_parameters())) == set(representation.state_dict())
    assert set(representation.state_dict()) == {
        "projection.weight",
        "adapter.gate",
        "adapter.down.weight",
        "adapter.up.weight",
        "adapter.norm.weight",
        "adapter.norm.bias",
    }
    if storage == "cpu":
        # not among what `model.device` looks at
        assert {buffer.dtype for buffer in representation.buffers()} == {torch.bool}


def size_of(representation: FeatureRepresentation) -> int:
    return len(pickle.dumps(representation))


@pytest.mark.parametrize("storage", ["device", "cpu"])
def test_pickle_holds_the_path_instead(tmp_path: pathlib.Path, storage: str) -> None:
    labels = [str(i) for i in range(300)]
    path = FeatureStore.from_tensors(labels, torch.randn(300, 64)).save(tmp_path / "x.safetensors")
    by_file = FeatureRepresentation(features=path, labels=labels, shuffle=1, storage=storage)
    by_loaded = FeatureRepresentation(features=FeatureStore.load(path), labels=labels, storage=storage)
    in_memory = FeatureRepresentation(features=torch.randn(300, 64), storage=storage)
    assert size_of(by_file) < 10_000 and size_of(by_loaded) < 10_000
    assert size_of(in_memory) > 300 * 64 * 4
    for representation in (by_file, by_loaded, in_memory):
        before = representation()
        buffer = io.BytesIO()
        torch.save(representation, buffer)
        buffer.seek(0)
        restored = torch.load(buffer, weights_only=False)
        assert torch.equal(restored(), before)
        # the original is left as it was
        assert torch.equal(representation(), before)


def test_pickle_of_a_moved_file(path: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    representation = FeatureRepresentation(features=path, labels=LABELS)
    pickled = pickle.dumps(representation)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    path.rename(folder / path.name)
    with pytest.raises(FeatureError, match=FEATURE_PATH):
        pickle.loads(pickled)
    monkeypatch.setenv(FEATURE_PATH, str(folder))
    assert torch.equal(pickle.loads(pickled)(), representation())


def test_pickle_of_a_changed_file(store: FeatureStore, path: pathlib.Path) -> None:
    pickled = pickle.dumps(FeatureRepresentation(features=path, labels=LABELS))
    FeatureStore.from_tensors(store.labels, store.vectors + 1).save(path)
    with pytest.raises(FeatureError, match="digest"):
        pickle.loads(pickled)


def test_projection_only_where_needed(store: FeatureStore) -> None:
    assert FeatureRepresentation(features=store, labels=LABELS, shape=4).projection is None
    assert FeatureRepresentation(features=store, labels=LABELS, shape=4, projection=True).projection is not None
    representation = FeatureRepresentation(features=store, labels=LABELS, shape=100)
    projection = representation.projection
    assert projection is not None and projection.bias is None
    # Xavier uniform: U(-a, a), a = sqrt(6 / (fan_in + fan_out))
    bound = (6 / 104) ** 0.5
    assert 0.95 * bound < projection.weight.abs().max() <= bound
    torch.testing.assert_close(representation(), expected(store) @ projection.weight.T)


def test_reset_parameters_spares_the_features(store: FeatureStore) -> None:
    representation = FeatureRepresentation(features=store, labels=LABELS, shape=3, adapter=True)
    weight = representation.projection.weight.clone()
    torch.nn.init.ones_(representation.adapter.gate)
    representation.reset_parameters()
    assert torch.equal(representation.lookup(), expected(store))
    assert not torch.equal(representation.projection.weight, weight)
    assert representation.adapter.gate == 0


def test_missing_stays_zero_whatever_is_trained(store: FeatureStore) -> None:
    representation = FeatureRepresentation(features=store, labels=LABELS, shape=3, adapter=True, l2_normalize=True)
    for parameter in representation.parameters():
        torch.nn.init.normal_(parameter)
    x = representation()
    torch.testing.assert_close(x.norm(dim=-1), representation.mask.float())
    x.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in representation.parameters())


@pytest.mark.parametrize("storage", ["device", "cpu"])
def test_normalize_features(store: FeatureStore, storage: str) -> None:
    representation = FeatureRepresentation(features=store, labels=LABELS, normalize_features=True, storage=storage)
    x = expected(store)
    torch.testing.assert_close(representation(), x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12))


@pytest.mark.parametrize("storage", ["device", "cpu"])
def test_shuffle(storage: str) -> None:
    """The rows change places among those that have one."""
    x = torch.randn(40, 3)
    mask = torch.arange(40) % 3 > 0
    plain = FeatureRepresentation(features=x, mask=mask)()
    control = FeatureRepresentation(features=x, mask=mask, shuffle=7, storage=storage)
    again = FeatureRepresentation(features=x, mask=mask, shuffle=7, storage=storage)
    other = FeatureRepresentation(features=x, mask=mask, shuffle=8, storage=storage)
    assert torch.equal(control(), again()) and not torch.equal(control(), other())
    assert torch.equal(control.mask, mask) and not control()[~mask].any()
    assert (control()[mask] != plain[mask]).any(dim=-1).float().mean() > 0.8
    assert sorted(control()[mask].tolist()) == sorted(plain[mask].tolist())


def test_half_precision_features() -> None:
    x = torch.randn(3, 4).half()
    for storage in ("device", "cpu"):
        representation = FeatureRepresentation(features=x, storage=storage, shape=2)
        assert representation().dtype == torch.get_default_dtype()
        torch.testing.assert_close(representation(), x.float() @ representation.projection.weight.T)


def bad(**kwargs: object) -> dict[str, object]:
    return kwargs


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (bad(features=torch.zeros(5)), "shape"),
        (bad(features=torch.zeros(5, 2, dtype=torch.long)), "int64"),
        (bad(features=torch.zeros(4, 2), max_id=5), "4 rows for 5 ids"),
        (bad(features=torch.zeros(5, 2), mask=[True]), "mask"),
        (bad(features=torch.zeros(5, 2), shape=3, projection=False), "dimension 2"),
        (bad(features=torch.zeros(5, 2), shape=3, projection=torch.nn.Linear(4, 3)), "from 4 to 3"),
        (bad(features=torch.zeros(5, 2), shape=(3, 2)), r"\(3, 2\)"),
        (bad(features=torch.zeros(5, 2), storage="disk"), "device, cpu"),
        (bad(features="/nowhere/x.safetensors", labels=LABELS), "/nowhere/x.safetensors"),
        (bad(features=None), "No features"),
        (bad(features=torch.zeros(5, 2) / 0, labels=LABELS), "'ant' .id 0."),
        (bad(features=torch.zeros(5, 2) / 0), "id 0"),
    ],
)
def test_errors(kwargs: dict[str, object], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        FeatureRepresentation(**kwargs)  # type: ignore[arg-type]


def test_store_errors(store: FeatureStore) -> None:
    with pytest.raises(FeatureError, match="labels"):
        FeatureRepresentation(features=store)
    with pytest.raises(FeatureError, match="made for other data"):
        FeatureRepresentation(features=store, labels=["x", "y"])
    with pytest.raises(FeatureError, match="mask of its own"):
        FeatureRepresentation(features=store, labels=LABELS, mask=[True] * 5)
    with pytest.raises(MaxIDMismatchError, match="5 labels for 6 ids"):
        FeatureRepresentation(features=store, labels=LABELS, max_id=6)


def test_infinite_feature_is_named() -> None:
    x = torch.zeros(5, 2)
    x[3, 1] = float("inf")
    with pytest.raises(FeatureError, match="'dog' .id 3."):
        FeatureRepresentation(features=x, labels=LABELS)
    # masked, it does not matter
    FeatureRepresentation(features=x, labels=LABELS, mask=[True, True, True, False, True])


def _two(tmp_path: pathlib.Path) -> tuple[FeatureStore, FeatureStore]:
    """Texts of three labels, pictures of four; the cat and the dog have a picture only."""
    generator = torch.Generator().manual_seed(0)
    texts = FeatureStore.from_tensors(["eel", "ant", "bee"], torch.randn(3, 4, generator=generator), modality="textual")
    pictures = FeatureStore.from_tensors(
        ["dog", "bee", "cat", "ant"], torch.randn(4, 3, generator=generator), modality="visual"
    )
    return tuple(  # type: ignore[return-value]
        FeatureStore.load(store.save(tmp_path / f"{store.modality}.safetensors")) for store in (texts, pictures)
    )


@pytest.mark.parametrize("storage", ["device", "cpu"])
@pytest.mark.parametrize("options", [dict(center=True), dict(whiten=0.5), dict(center=True, impute="kernel")])
def test_preprocessing(tmp_path: pathlib.Path, storage: str, options: dict[str, object]) -> None:
    """The rows are those of the functions, whatever the storage, also from a pickle, which holds no features."""
    texts, pictures = _two(tmp_path)
    more = dict(impute_kwargs={"features": pictures, "temperature": 0.5}) if "impute" in options else {}
    representation = FeatureRepresentation(features=texts, labels=LABELS, storage=storage, **options, **more)
    own, other = (store.lookup(LABELS) for store in (texts, pictures))
    x, mask = preprocess(
        *own,
        *(other if more else (None, None)),
        centered=True,
        whitening=options.get("whiten"),
        imputation=options.get("impute"),
        temperature=0.5,
    )
    assert representation.mask.equal(mask)
    assert mask.tolist() == [True, True, bool(more), bool(more), True]
    torch.testing.assert_close(representation(), x)
    torch.testing.assert_close(representation(torch.tensor([4, 2])), x[[4, 2]])
    again = pickle.loads(pickle.dumps(representation))
    assert again().equal(representation()) and again.mask.equal(mask)


def test_imputation_from_another_file_is_noticed(tmp_path: pathlib.Path) -> None:
    """The file that estimates came from has to be the same as well; without it, estimates cannot be asked for."""
    texts, pictures = _two(tmp_path)
    options = dict(features=texts, labels=LABELS, impute="kernel")
    representation = FeatureRepresentation(**options, impute_kwargs={"features": pictures})
    shuffled = FeatureRepresentation(**options, impute_kwargs={"features": pictures, "shuffle": 1})
    assert representation.mask.equal(shuffled.mask)
    assert not representation().equal(shuffled())
    pickled = pickle.dumps(representation)
    assert pictures.path is not None
    FeatureStore.from_tensors(pictures.labels, pictures.vectors + 1, modality="visual").save(pictures.path)
    with pytest.raises(FeatureError, match="digest"):
        pickle.loads(pickled)
    with pytest.raises(FeatureError, match="impute_kwargs"):
        FeatureRepresentation(**options)


def test_large_tables_stay_in_their_file(store: FeatureStore, tmp_path: pathlib.Path, monkeypatch) -> None:
    """By default a table beyond a size is not copied: rows come from the map, in the type of the file, as float32."""
    half = store.save(tmp_path / "half.safetensors", dtype=torch.float16)
    small = FeatureRepresentation(features=half, labels=LABELS)
    assert small.storage == "device" and small.features is not None
    monkeypatch.setattr("pykeen_mmkg.nn.feature.DEVICE_BYTES", 8)
    large = FeatureRepresentation(features=half, labels=LABELS)
    assert large.storage == "cpu" and large.features is None
    assert large._host is not None and large._host.dtype == torch.float16
    ids = torch.tensor([[0, 1], [1, 2]])
    assert large(ids).dtype == torch.float32
    assert torch.equal(large(ids), small(ids)) and torch.equal(large(), small())
    # what is computed from the whole table has no use for the file
    assert FeatureRepresentation(features=half, labels=LABELS, center=True).storage == "device"
