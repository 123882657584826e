"""Tests of the feature store."""

import hashlib
import json
import multiprocessing
import time

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykeen_mmkg.errors import FeatureError
from pykeen_mmkg.features import FeatureStore


@pytest.fixture
def store() -> FeatureStore:
    """Return a store of three items, one of them without the modality."""
    return FeatureStore.from_tensors(
        labels=["a", "b", "c"],
        vectors=torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        mask=[True, False, True],
        counts=[2, 7, 1],
        modality="visual",
        provenance={"encoder": "clip", "encoder_fingerprint": "0123456789abcdef"},
    )


def test_from_tensors(store):
    """What is masked has neither vector nor count."""
    assert store.labels == ("a", "b", "c")
    assert store.vectors.tolist() == [[1, 2], [0, 0], [5, 6]]
    assert store.mask.tolist() == [True, False, True]
    assert store.counts.tolist() == [2, 0, 1]
    assert store.dim == 2
    assert len(store) == 3
    assert "a" in store and "x" not in store
    assert "visual" in repr(store) and "clip" in repr(store)


def test_defaults():
    """Without a mask, everything is there, once."""
    store = FeatureStore.from_tensors(["a", "b"], torch.tensor([[1, 2], [3, 4]], dtype=torch.float16))
    assert store.vectors.dtype == torch.float32
    assert store.mask.all()
    assert store.counts.tolist() == [1, 1]


def test_masked_nan_is_no_harm():
    """What a masked row holds does not matter."""
    store = FeatureStore.from_tensors(["a", "b"], torch.tensor([[1.0], [float("nan")]]), mask=[True, False])
    assert store.vectors.tolist() == [[1], [0]]


def test_input_is_copied():
    """A later change of the user's tensor does not reach the store."""
    vectors = torch.ones(2, 3)
    store = FeatureStore.from_tensors(["a", "b"], vectors)
    vectors.zero_()
    assert store.vectors.all()


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"labels": ["a", "a"]}, "'a'"),
        ({"labels": ["a"]}, r"\(1, d\).*\(2, 3\)"),
        ({"labels": ["a", 5]}, "5"),
        ({"vectors": torch.ones(2)}, r"\(2,\)"),
        ({"vectors": torch.ones(2, 0)}, r"\(2, 0\)"),
        ({"mask": [True]}, "mask"),
        ({"counts": [1, 2, 3]}, "counts"),
        ({"counts": [1, 0]}, "'b'"),
        ({"vectors": torch.tensor([[1.0, 2, 3], [0, float("nan"), 0]])}, "'b'.*NaN"),
        ({"vectors": torch.tensor([[float("inf"), 2, 3], [0, 0, 0]])}, "'a'.*infinity"),
    ],
)
def test_bad_input(kwargs, match):
    """Each mistake is named."""
    with pytest.raises(FeatureError, match=match):
        FeatureStore.from_tensors(**{"labels": ["a", "b"], "vectors": torch.ones(2, 3), **kwargs})


def test_lookup(store):
    """Any order, repetitions, unknown and masked labels."""
    vectors, mask = store.lookup(["c", "x", "a", "b", "c"])
    assert vectors.tolist() == [[5, 6], [0, 0], [1, 2], [0, 0], [5, 6]]
    assert mask.tolist() == [True, False, True, False, True]
    vectors.zero_()
    assert store.vectors[0].tolist() == [1, 2]
    for labels in ([], ["x", "y"]):
        vectors, mask = store.lookup(labels)
        assert vectors.shape == (len(labels), 2) and mask.shape == (len(labels),)
        assert not vectors.any() and not mask.any()


def test_save_and_load(store, tmp_path):
    """A store comes back as it was; equal stores have equal bytes; nothing else stays in the folder."""
    path = store.save(tmp_path / "new" / "x.safetensors")
    again = FeatureStore.load(str(path))
    assert again.labels == store.labels
    assert torch.equal(again.vectors, store.vectors)
    assert torch.equal(again.mask, store.mask)
    assert torch.equal(again.counts, store.counts)
    assert again.modality == store.modality
    assert again.provenance == store.provenance
    assert again.digest == store.digest
    again.save(tmp_path / "new" / "y.safetensors")
    assert path.read_bytes() == path.with_name("y.safetensors").read_bytes()
    assert sorted(p.name for p in path.parent.iterdir()) == ["x.safetensors", "y.safetensors"]
    # others of the group may read it as any other file
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_half_precision(store, tmp_path):
    """A store may take half the space; its rows are float32, without what the rounding took."""
    vectors = torch.rand(100, 64, generator=torch.Generator().manual_seed(0))
    store = FeatureStore.from_tensors([str(i) for i in range(100)], vectors)
    full, half = store.save(tmp_path / "full"), store.save(tmp_path / "half", dtype=torch.float16)
    assert half.stat().st_size < 0.6 * full.stat().st_size
    again = FeatureStore.load(half)
    assert again.vectors.dtype == torch.float16
    assert torch.equal(again.lookup(again.labels)[0], vectors.half().float())
    assert again.digest == FeatureStore.from_tensors(again.labels, vectors.half()).digest
    assert again.save(tmp_path / "again").read_bytes() == half.read_bytes()
    with pytest.raises(FeatureError, match="too large for torch.float16"):
        FeatureStore.from_tensors(["a"], torch.full((1, 1), 1e6)).save(tmp_path / "large", dtype=torch.float16)


def test_overwriting_a_loaded_store(store, tmp_path):
    """A store that is mapped into memory is not pulled away when its file is replaced."""
    path = store.save(tmp_path / "x.safetensors")
    loaded = FeatureStore.load(path)
    FeatureStore.from_tensors(["z"], torch.full((1, 9), 9.0)).save(path)
    assert torch.equal(loaded.vectors, store.vectors)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_round_trip(data, tmp_path_factory):
    """Any labels, sizes, masks."""
    labels = data.draw(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, max_size=6))
    dim = data.draw(st.integers(1, 4))
    floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
    rows = [data.draw(st.lists(floats, min_size=dim, max_size=dim)) for _ in labels]
    mask = [data.draw(st.booleans()) for _ in labels]
    store = FeatureStore.from_tensors(labels, torch.tensor(rows).view(-1, dim), mask=mask, modality="textual")
    again = FeatureStore.load(store.save(tmp_path_factory.mktemp("store") / "x.safetensors"))
    assert again.digest == store.digest
    queries = data.draw(st.lists(st.sampled_from(labels) if labels else st.just("x"), max_size=8)) + ["\0unknown"]
    vectors, found = again.lookup(queries)
    for query, vector, there in zip(queries, vectors.tolist(), found.tolist(), strict=True):
        i = labels.index(query) if query in labels else None
        expected = i is not None and mask[i]
        assert there == expected
        assert vector == (torch.tensor(rows[i]).tolist() if expected else [0] * dim)


def test_digest(store):
    """The digest follows the content, but not where it came from."""

    def variant(**kwargs):
        default = {"labels": store.labels, "vectors": store.vectors, "mask": store.mask, "counts": store.counts}
        return FeatureStore.from_tensors(**{**default, "modality": "visual", **kwargs}).digest

    assert variant() == store.digest
    assert variant(provenance={"encoder": "other"}) == store.digest
    vectors = store.vectors.clone()
    vectors[0, 0] += 1e-6
    variants = [
        variant(vectors=vectors),
        variant(mask=[True, True, True], counts=[2, 1, 1]),
        variant(counts=[2, 0, 2]),
        variant(labels=["a", "b", "d"]),
        variant(modality="textual"),
        store.digest,
    ]
    assert len(set(variants)) == len(variants)


def test_check():
    """The check finds what the plain constructor let in."""
    vectors = torch.zeros(3, 2)
    vectors[1, 1] = float("inf")
    store = FeatureStore(("a", "culprit", "c"), vectors, torch.ones(3).bool(), torch.ones(3).long(), "visual")
    with pytest.raises(FeatureError, match="visual.*'culprit'.*1 of 3"):
        store.check()


def test_require_encoder(store):
    """A store of another encoder names both."""
    store.require_encoder("0123456789abcdef")
    with pytest.raises(FeatureError, match=r"clip \(0123456789ab\).*siglip \(ffff\)"):
        store.require_encoder("ffff", name="siglip")
    own = FeatureStore.from_tensors(["a"], torch.ones(1, 1))
    with pytest.raises(FeatureError, match="does not say.*ffff"):
        own.require_encoder("ffff")


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 100])
def test_no_store(content, tmp_path):
    """A file that is none is named."""
    path = tmp_path / "x.safetensors"
    with pytest.raises(FeatureError, match="no feature file at .*x.safetensors"):
        FeatureStore.load(path)
    path.write_bytes(content)
    with pytest.raises(FeatureError, match="x.safetensors is damaged"):
        FeatureStore.load(path)


def test_cut_store(store, tmp_path):
    """A file that was cut anywhere is named."""
    path = store.save(tmp_path / "x.safetensors")
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(FeatureError, match="x.safetensors"):
            FeatureStore.load(path)


def test_other_safetensors(tmp_path):
    """A safetensors file of another origin, kind or version is told so."""
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"vectors": torch.ones(1, 1)}, path)
    with pytest.raises(FeatureError, match="from_tensors"):
        FeatureStore.load(path)
    tensors = {"vectors": torch.ones(1, 1), "mask": torch.ones(1).bool(), "counts": torch.ones(1).long()}
    good = {"kind": "features", "format": 1, "labels": ["a"], "modality": "visual", "provenance": {}}
    for change, match in (
        ({"kind": "vectors"}, "'vectors'"),
        ({"format": 99}, "99"),
        ({"labels": ["a", "b"]}, "2 labels"),
    ):
        safetensors.torch.save_file(tensors, path, {"pykeen_mmkg": json.dumps({**good, **change})})
        with pytest.raises(FeatureError, match=match):
            FeatureStore.load(path)
    safetensors.torch.save_file({"vectors": torch.ones(1, 1)}, path, {"pykeen_mmkg": json.dumps(good)})
    with pytest.raises(FeatureError, match="mask|counts"):
        FeatureStore.load(path)


def test_unwritable_folder(store, tmp_path):
    """A folder that cannot be written is named, and nothing stays."""
    tmp_path.joinpath("file").touch()
    with pytest.raises(FeatureError, match="Cannot write"):
        store.save(tmp_path / "file" / "x.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failing_save_leaves_the_old_file(store, tmp_path, monkeypatch):
    """An interruption while writing costs nothing."""
    path = store.save(tmp_path / "x.safetensors")
    content = path.read_bytes()

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("pykeen_mmkg.io.os.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        FeatureStore.from_tensors(["z"], torch.ones(1, 1)).save(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def _save_often(path, value):
    store = FeatureStore.from_tensors([str(i) for i in range(200)], torch.full((200, 50), float(value)))
    for _ in range(20):
        store.save(path)
        assert len(set(FeatureStore.load(path).vectors.view(-1).tolist())) == 1
    return True


def test_processes_at_once(tmp_path):
    """A reader never sees a mixture of two writers."""
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert all(pool.starmap(_save_often, [(tmp_path / "x.safetensors", i) for i in range(3)]))


def test_loading_reads_no_vectors(tmp_path):
    """A large store is mapped, not read; looking up many labels is a matter of a moment."""
    n, dim = 65_000, 200
    labels = [f"entity {i}" for i in range(n)]
    path = FeatureStore.from_tensors(labels, torch.ones(n, dim)).save(tmp_path / "x.safetensors")

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    try:
        before = resident()
    except OSError:
        pytest.skip("no /proc here")
    loaded = FeatureStore.load(path)
    assert resident() - before < 30_000_000 < n * dim * 4
    start = time.perf_counter()
    vectors, mask = loaded.lookup(reversed(labels))
    assert time.perf_counter() - start < 20  # a slip into quadratic time takes minutes
    assert mask.all() and vectors.sum() == n * dim


def test_files_of_format_1(store, tmp_path):
    """Files that have their labels in the header, as those written before, are read, and have the same digest."""
    path = tmp_path / "x.safetensors"
    tensors = {"vectors": store.vectors, "mask": store.mask, "counts": store.counts}
    document = {"kind": "features", "format": 1, "labels": store.labels, "modality": store.modality, "provenance": {}}
    safetensors.torch.save_file(tensors, path, {"pykeen_mmkg": json.dumps(document)})
    loaded = FeatureStore.load(path)
    assert loaded.labels == store.labels and torch.equal(loaded.vectors, store.vectors)
    assert loaded.digest == store.digest


def test_digest_is_that_of_the_whole(store, monkeypatch):
    """Taken in parts, the digest is that of all bytes at once, so that saved models know their features."""
    head = {"labels": store.labels, "modality": store.modality, "dim": store.dim}
    expected = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for tensor in (store.vectors, store.mask, store.counts):
        expected.update(tensor.numpy().tobytes())
    monkeypatch.setattr("pykeen_mmkg.features.store.CHUNK_BYTES", 1)
    assert store.digest == expected.hexdigest()


def test_damaged_labels(store, tmp_path):
    """Labels that do not fit are told of with the file."""
    path = store.save(tmp_path / "x.safetensors")
    with safetensors.safe_open(path, "pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    for name, change, match in (
        ("label_offsets", torch.tensor([0, 1]), "x.safetensors.*offsets"),
        ("label_offsets", None, "label_offsets"),
    ):
        changed = {**tensors, name: change} if change is not None else {k: v for k, v in tensors.items() if k != name}
        safetensors.torch.save_file(changed, path, metadata)
        with pytest.raises(FeatureError, match=match):
            FeatureStore.load(path)
