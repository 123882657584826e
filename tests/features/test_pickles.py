"""Tests of the import of pickled features."""

import functools
import os
import pickle
import pickletools
import subprocess
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykeen_mmkg.errors import FeatureError
from pykeen_mmkg.features.pickles import import_pickle, read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture
def dump(tmp_path):
    """Return a function that pickles something into a file."""

    def write(content, protocol=None):
        path = tmp_path / "features.pkl"
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=protocol))
        return path

    return write


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int64", "uint8"])
def test_arrays(dtype, protocol, dump):
    """Arrays of any number type come back, in every protocol."""
    content = {f"Q{i}": np.arange(i, i + 5).astype(dtype) for i in range(4)}
    store = import_pickle(dump(content, protocol), modality="visual", provenance={"source": "here"})
    assert store.labels == tuple(content)
    assert store.modality == "visual"
    assert store.provenance == {"source": "here"}
    assert torch.equal(store.vectors, torch.from_numpy(np.stack(list(content.values())).astype("float32")))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_lists_scalars_and_missing_vectors(protocol, dump):
    """Lists, tuples, nested ones, lists of NumPy numbers, rows and columns, slices, None, numbers as labels."""
    content = {
        "list": [1, 2.5, 3],
        "tuple": (4.0, 5.0, 6.0),
        "nested": [[7.0, 8.0, 9.0]],
        "numpy": [np.float32(1.5), np.float64(2.5), np.int64(3)],
        "row": np.array([[1.0, 2.0, 3.0]]),
        "column": np.asfortranarray(np.array([[1.0], [2.0], [3.0]])),
        "slice": np.arange(9.0).reshape(3, 3)[:, 1],
        "missing": None,
        17: [0, 0, 1],
    }
    store = import_pickle(dump(content, protocol))
    expected = [[1, 2.5, 3], [4, 5, 6], [7, 8, 9], [1.5, 2.5, 3], [1, 2, 3], [1, 2, 3], [1, 4, 7], [0] * 3, [0, 0, 1]]
    assert store.vectors.tolist() == expected
    assert store.mask.tolist() == [label != "missing" for label in content]
    assert store.labels[-1] == "17"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_round_trip(data, tmp_path):
    """Any dictionary of vectors."""
    dim = data.draw(st.integers(1, 4))
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
    vectors = st.lists(floats, min_size=dim, max_size=dim)
    content = data.draw(st.dictionaries(st.text(), vectors | vectors.map(np.array), min_size=1, max_size=5))
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content, protocol=data.draw(st.sampled_from(PROTOCOLS))))
    store = import_pickle(path)
    assert store.labels == tuple(content)
    for vector, expected in zip(store.vectors, content.values(), strict=True):
        assert vector.tolist() == np.asarray(expected, dtype=np.float32).tolist()


class Harm:
    """Runs something when it is unpickled."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_run(protocol, dump, tmp_path):
    """Whatever a pickle would run is refused by its name, and not run."""
    mark = tmp_path / "mark"
    for harm in (
        Harm(os.system, f"touch {mark}"),
        Harm(subprocess.run, ["touch", str(mark)]),
        Harm(eval, f"open({str(mark)!r}, 'w')"),
        Harm(getattr, "text", "upper"),
        Harm(np.load, str(mark)),
        OrderedDict(a=1),
        torch.ones(2),
        np.memmap,
        pickle.loads,
    ):
        path = dump({"a": [1.0], "b": harm}, protocol)
        with pytest.raises(FeatureError, match=r"features.pkl.*names \w+"):
            import_pickle(path)
    assert not mark.exists()


def test_attributes_of_what_is_known_are_refused(dump):
    """A dotted name would reach through an allowed one."""
    for name in ("ndarray.__class__", "dtype.__init__.__globals__", "ndarray.tofile"):
        content = pickle.PROTO + b"\x04" + pickle.UNICODE + b"numpy\n" + pickle.UNICODE + name.encode() + b"\n"
        content += pickle.STACK_GLOBAL + pickle.STOP
        assert [op.name for op, _, _ in pickletools.genops(content)][-2] == "STACK_GLOBAL"
        with pytest.raises(FeatureError, match="names numpy"):
            import_pickle(dump(content))


def test_persistent_ids_are_refused(dump):
    """Objects outside of the file are not fetched."""
    with pytest.raises(FeatureError, match="outside"):
        import_pickle(dump(b"Psomething\n."))


@pytest.mark.parametrize("value", [np.array(["a", "b"]), np.array([{}, 1], dtype=object), np.array([1 + 2j, 3])])
def test_arrays_of_other_things(value, dump):
    """Arrays of objects, strings or complex numbers are no features."""
    with pytest.raises(FeatureError, match="number"):
        import_pickle(dump({"a": value}))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([1, 2], "list"),
        ({"a": "text"}, "'a'"),
        ({"a": [1.0, "x"]}, "'a'.*no number"),
        ({"a": [[1.0, 2.0], [3.0, 4.0]]}, "'a'"),
        ({"a": np.ones((2, 2))}, r"'a'.*\(2, 2\)"),
        ({"a": []}, "'a'"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "dimension"),
        ({1: [1.0], "1": [2.0]}, "distinct"),
        ({}, "dimension"),
        ({"a": None}, "dimension"),
        ({(1, 2): [1.0]}, "label"),
        ({"a": [float("nan")]}, "'a'.*NaN"),
        (b"", "no pickle of plain data"),
        (b"no pickle", "no pickle of plain data"),
        (pickle.dumps({"a": [1.0, 2.0]})[:-4], "no pickle of plain data"),
    ],
)
def test_other_content(content, match, dump):
    """What is no dictionary of vectors is told so."""
    with pytest.raises(FeatureError, match=match):
        import_pickle(dump(content))


def test_missing_file(tmp_path):
    """A file that is not there."""
    with pytest.raises(FeatureError, match=r"no feature file at .*x.pkl"):
        import_pickle(tmp_path / "x.pkl")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes(data, tmp_path):
    """A damaged pickle is either read or refused with our error."""
    content = bytearray(pickle.dumps({"a": np.arange(3.0), "b": [1.0, 2.0, 3.0]}, protocol=2))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.pkl"
    path.write_bytes(bytes(content))
    try:
        import_pickle(path)
    except FeatureError:
        return


def test_plain_data(tmp_path):
    """Texts are read as they are."""
    path = tmp_path / "texts.pkl"
    path.write_bytes(pickle.dumps({"a": ["one", 2, None]}))
    assert read_pickle(path) == {"a": ["one", 2, None]}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_several_vectors(protocol, dump):
    """The mean of the vectors of a label, however they are held; without being asked for it is an error."""
    first, second = [1.0, 2.0, 4.0], [3.0, 0.0, -4.0]
    content = {
        "lists": [first, second],
        "arrays": [np.array(first), np.array(second, dtype=np.float32)],
        "matrix": np.array([first, second]),
        "rows": [np.array([first]), np.array([second])],
        "one": [first],
        "plain": first,
        "none": None,
    }
    path = dump(content, protocol)
    store = import_pickle(path, several="mean")
    for label, mean in {**dict.fromkeys(("lists", "arrays", "matrix", "rows"), [2.0, 1.0, 0.0])}.items():
        assert store.vectors[store.labels.index(label)].tolist() == mean, label
    for label in ("one", "plain"):
        assert store.vectors[store.labels.index(label)].tolist() == first, label
    assert store.mask.tolist() == [label != "none" for label in store.labels]
    with pytest.raises(FeatureError, match="'lists'"):
        import_pickle(path)
    with pytest.raises(FeatureError, match="'ragged'"):
        import_pickle(dump({"ragged": [first, [1.0]]}, protocol), several="mean")
    with pytest.raises(FeatureError, match="several='first'"):
        import_pickle(path, several="first")


LOOP = [1.0]
LOOP[:] = [LOOP]
BOMB = functools.reduce(lambda inner, _: [inner, inner], range(40), [1.0])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param(b"\x80\x04\x8e" + (1_800_000_000).to_bytes(8, "little") + b".", "no pickle", id="bytes"),
        pytest.param(b"\x80\x05\x96" + (1_800_000_000).to_bytes(8, "little") + b".", "too early", id="bytearray"),
        pytest.param(b"\x80\x04\x8d" + (1_800_000_000).to_bytes(8, "little") + b".", "no pickle", id="text"),
        pytest.param(b"\x80\x04K\x01r\x00\x00\x00\x70.", "no dictionary", id="memo"),
        pytest.param({"a": LOOP}, "no number", id="loop"),
        pytest.param({"a": BOMB}, "no number", id="lists of lists"),
        pytest.param(b"(d" + b"(" * 99 + b"t" * 99 + b"K\x01s.", "label of the type tuple", id="deep label"),
        pytest.param(pickle.dumps({"a": {1, 2}}, protocol=4), "holds a set", id="set"),
        pytest.param(pickle.dumps({1 << 99: [1.0]}), "label of the type int", id="long label"),
    ],
)
def test_small_files_that_ask_for_much(content, match, dump):
    """What a pickle says of its sizes is held against the file; the peak of memory stays that of a small file."""
    tracemalloc.start()
    with pytest.raises(FeatureError, match=match):
        import_pickle(dump(content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_one_list_for_many_labels(dump):
    """A list that is named by many labels would be copied for each: the file is too small for these numbers."""
    vector = [1.0] * 1000
    with pytest.raises(FeatureError, match="too small"):
        import_pickle(dump({str(i): vector for i in range(1000)}, protocol=4))


def _sharing(labels: int, dim: int, dtype: str = "float32") -> bytes:
    vector = np.zeros(dim, dtype)
    return pickle.dumps({f"{i}": vector for i in range(labels)}, protocol=4)


def test_many_labels_may_share_a_vector_of_zeros(dump):
    """Of 2,000 labels of nine characters, all but one have the same 768 zeros."""
    vector, zeros = np.ones(768, "float32"), np.zeros(768, "float32")
    content = {f"n{i:08d}": zeros if i else vector for i in range(2000)}
    store = import_pickle(dump(content, protocol=4))
    assert store.vectors.shape == (2000, 768)
    assert store.vectors[0].eq(1).all() and not store.vectors[1:].any()


@pytest.mark.parametrize(
    "content",
    [
        _sharing(1000, 1000),
        _sharing(1000, 4000, "uint8"),
        # the vector is one, and the other labels have none
        pickle.dumps({"a": np.zeros(4000, "uint8"), **{f"e{i}": None for i in range(4000)}}, protocol=4),
    ],
)
def test_a_small_file_asks_for_no_large_table(content, dump):
    """A table has at most 64 numbers for each byte of its file, unless the caller says otherwise."""
    path = dump(content)
    tracemalloc.start()
    try:
        with pytest.raises(FeatureError, match=f"features.pkl has {len(content)} bytes.*max_numbers"):
            import_pickle(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(content)
    assert import_pickle(path, max_numbers=1 << 24).vectors.numel() > 64 * len(content)


def test_one_array_many_times_in_a_list(dump):
    """So for the several vectors of one label, whose mean is taken."""
    vector = np.zeros(1000, "uint8")
    content = dump({"a": [vector] * 1000}, protocol=4)
    with pytest.raises(FeatureError, match="max_numbers"):
        import_pickle(content, several="mean")
