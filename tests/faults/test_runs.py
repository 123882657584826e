"""Saved runs, and folders of PyKEEN, that are incomplete, damaged, of foreign origin, or of another graph."""

import functools
import gzip
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from pykeen.pipeline import PipelineResult, pipeline
from safetensors.torch import load_file, save_file

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.io import file_digest
from pykeen_mmkg.runs import AlignedDataset, load_run, open_run, save_run
from pykeen_mmkg.runs.run import Run, _document_digest

from .harness import Case, Refused, Right, cases, cli, settle

ROWS = [(f"e{i}", f"r{k}", f"e{(i + k + 1) % 12}") for i in range(12) for k in range(2)]
#: the files of a run
FILES = [
    *("run.json", "weights.safetensors", "labels.json", "triples.safetensors", "entities.tsv", "relations.tsv"),
    *("features/visual.safetensors", "features/textual.safetensors"),
]


def _graph(folder: pathlib.Path, rows: list[tuple[str, str, str]], seed: int = 0) -> None:
    labels = {
        kind: sorted({row[i] for row in rows for i in columns})
        for kind, columns in (("entity", (0, 2)), ("relation", (1,)))
    }
    folder.mkdir(parents=True)
    for name, part in (("train", rows[:-4]), ("valid", rows[-4:-2]), ("test", rows[-2:])):
        (folder / f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in part))
    for kind, name in (("entity", "entities"), ("relation", "relations")):
        table = "".join(f"{label}\tname of {label}\ttext {seed}\n" for label in labels[kind])
        (folder / f"{name}.tsv").write_text(f"{kind}\tname\tdescription\n{table}")
    (folder / "features").mkdir()
    for name in ("visual", "textual"):
        vectors = torch.randn(len(labels["entity"]), 3, generator=torch.Generator().manual_seed(seed + len(name)))
        FeatureStore.from_tensors(labels["entity"], vectors).save(folder / "features" / f"{name}.safetensors")


def _train(graph: pathlib.Path, seed: int = 0) -> PipelineResult:
    return pipeline(
        dataset="multimodal",
        dataset_kwargs={"path": str(graph)},
        model="vlkge",
        model_kwargs={"embedding_dim": 2},
        training_kwargs={"num_epochs": 1, "use_tqdm": False},
        evaluator="standard",
        evaluation_kwargs={"use_tqdm": False},
        random_seed=seed,
    )


@functools.cache
def _made() -> pathlib.Path:
    """A folder with a graph, a run of it, the same as PyKEEN saves it, and a run of another graph and another model."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="faults-of-runs-"))
    _graph(root / "graph", ROWS)
    result = _train(root / "graph")
    save_run(result, root / "run")
    result.save_to_directory(root / "pykeen")
    _graph(root / "another", [(t.replace("e", "x"), r, h.replace("e", "x")) for h, r, t in ROWS], seed=1)
    save_run(_train(root / "another", seed=1), root / "foreign")
    return root


@pytest.fixture(scope="module", autouse=True)
def _cleaned() -> Iterator[None]:
    yield
    shutil.rmtree(_made())
    _made.cache_clear()


Change = Callable[[pathlib.Path], None]


def _run(change: Change, kind: str = "run") -> Callable[[pathlib.Path], pathlib.Path]:
    """Return what makes a changed copy of a run."""

    def make(folder: pathlib.Path) -> pathlib.Path:
        shutil.copytree(_made() / kind, folder / "run")
        change(folder / "run")
        return folder / "run"

    return make


def _bytes(name: str, edit: Callable[[bytes], bytes]) -> Change:
    def change(run: pathlib.Path) -> None:
        (run / name).write_bytes(edit((run / name).read_bytes()))

    return change


def _replaced(name: str, put: Change) -> Change:
    def change(run: pathlib.Path) -> None:
        (run / name).unlink()
        put(run / name)

    return change


def _flipped(place: float) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        i = min(int(place * len(data)), len(data) - 1)
        return data[:i] + bytes([data[i] ^ 0x05]) + data[i + 1 :]

    return edit


def _linked(path: pathlib.Path) -> None:
    """The file of the good run, by a link: so does the cache of the Hugging Face hub hold it."""
    path.symlink_to(_made() / "run" / path.relative_to(path.parents[path.parts[::-1].index("run") - 1]))


def _to(target: str) -> Change:
    return lambda path: path.symlink_to(target)


def _same_scores(run: Any) -> None:
    queries = torch.cartesian_prod(torch.arange(12), torch.arange(2))
    torch.testing.assert_close(run.model.predict_t(queries), load_run(_made() / "run").model.predict_t(queries))


def _document(edit: Callable[[dict[str, Any]], Any]) -> Change:
    """Edit run.json as somebody would who wants it to be taken for whole."""

    def change(run: pathlib.Path) -> None:
        document = json.loads((run / "run.json").read_text())
        edit(document)
        document["digest"] = _document_digest(document)
        (run / "run.json").write_text(json.dumps(document))

    return change


def _put(value: Any, *keys: str) -> Change:
    """Put a value at a place of run.json, or take what is there away where it is Ellipsis."""

    def edit(document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        if value is ...:
            del document[keys[-1]]
        else:
            document[keys[-1]] = value

    return _document(edit)


def _tensors(name: str, edit: Callable[[dict[str, torch.Tensor]], Any]) -> Change:
    """Edit tensors, with the digests to match."""

    def change(run: pathlib.Path) -> None:
        tensors = load_file(run / name)
        edit(tensors)
        save_file({key: value.contiguous() for key, value in tensors.items()}, run / name)
        if name == "weights.safetensors":
            _put(file_digest(run / name), "weights")(run)

    return change


def _labels(edit: Callable[[Any], Any]) -> Change:
    def change(run: pathlib.Path) -> None:
        labels = json.loads((run / "labels.json").read_text())
        (run / "labels.json").write_text(json.dumps(edit(labels)))

    return change


def _files() -> Iterator[Case]:
    for name in FILES:
        stem = pathlib.Path(name).name
        yield Case(f"no {name}", _run(_replaced(name, lambda path: None)), Refused(stem))
        yield Case(f"{name}, empty", _run(_bytes(name, lambda data: b"")), Refused(stem))
        yield Case(f"{name}, half", _run(_bytes(name, lambda data: data[: len(data) // 2])), Refused(stem))
        yield Case(f"{name}, more", _run(_bytes(name, lambda data: data + b"\0")), Refused(stem))
        for place in (0.02, 0.5, 1.0):
            yield Case(f"{name}, a byte at {place}", _run(_bytes(name, _flipped(place))), Refused(stem))
        foreign = _replaced(name, lambda path, name=name: shutil.copy(_made() / "foreign" / name, path))  # type: ignore[misc]
        yield Case(f"{name} of another run", _run(foreign), Refused("run"))
        yield Case(f"{name}, a folder", _run(_replaced(name, pathlib.Path.mkdir)), Refused(stem))
        yield Case(f"{name}, a pipe", _run(_replaced(name, lambda path: os.mkfifo(path))), Refused(stem))
        yield Case(f"{name}, /dev/zero", _run(_replaced(name, _to("/dev/zero"))), Refused(stem))
        yield Case(f"{name}, a link to nothing", _run(_replaced(name, _to("gone"))), Refused(stem))
        yield Case(
            f"{name}, a link to itself", _run(_replaced(name, lambda path: path.symlink_to(path.name))), Refused(stem)
        )
        yield Case(f"{name}, a link to the file", _run(_replaced(name, _linked)), Right(_same_scores))
    yield Case("no README.md", _run(_replaced("README.md", lambda path: None)), Right(_same_scores))
    yield Case("a file beside", _run(lambda run: (run / "x.pkl").write_bytes(b"\x80")), Right(_same_scores))


def _documents() -> Iterator[Case]:
    for text in ("[]", "3", '"run"', "null", "{", "[" * 5000, '{"format": 1}', '{"a": NaN}'):
        change = _bytes("run.json", lambda data, text=text: text.encode())  # type: ignore[misc]
        yield Case(f"run.json is {text[:20]}", _run(change), Refused("run.json"))
    for value in (2, "1", None, True, [1]):
        yield Case(f"format {value!r}", _run(_put(value, "format")), Refused("run.json", "format"))
    for keys in (("model",), ("model_kwargs",), ("state",), ("sources",), ("graph",), ("weights",)):
        for value in (..., None, 3, [], "x"):
            name = "is gone" if value is ... else f"is {value!r}"
            yield Case(f"{'.'.join(keys)} {name}", _run(_put(value, *keys)), Refused("run"))
    places: dict[tuple[str, ...], list[Any]] = {
        ("sources", "features"): [None, 3, ["visual"], {"smell": {}}, {"visual": None}, {"visual": {}}],
        ("sources", "features", "visual", "path"): [
            None,
            3,
            "",
            "..",
            "/etc/passwd",
            "../foreign/x",
            "a\0b",
            "features",
        ],
        ("sources", "features", "visual", "mode"): [None, "x", "link"],
        ("sources", "features", "visual", "digest"): [None, "", "0" * 64],
        ("sources", "tables"): [None, {"entity": None}, {"picture": "0"}, ["entity"]],
        ("graph", "digest"): [None, "0" * 64],
        ("graph", "create_inverse_triples"): ["yes", None, 1],
        ("model",): ["nonsense", "distmult", "os.system"],
        ("model_kwargs", "embedding_dim"): [0, -1, "x", None, 2.5, 10**15, 3],
        ("model_kwargs", "nonsense"): [1],
        ("model_kwargs", "interaction"): ["nonsense", 3],
        ("model_kwargs", "triples_factory"): [1],
    }
    for keys, values in places.items():
        for value in values:
            yield Case(f"{'.'.join(keys)} is {value!r}", _run(_put(value, *keys)), Refused("run"))
    versions = _put({"pykeen-mmkg": "99", "pykeen": "0.1"}, "versions")
    yield Case("of another version", _run(versions), Right(_same_scores))
    yield Case("versions are gone", _run(_put(..., "versions")), Right(_same_scores))
    yield Case("metrics are gone", _run(_put(..., "metrics")), Right(_same_scores))
    late = _document(lambda document: document.update(versions={"pykeen-mmkg": "99"}, model="a model of the future"))
    yield Case("a model of another version", _run(late), Refused("run.json", "another version", "99"))


def _contents() -> Iterator[Case]:
    edits: dict[str, Callable[[Any], Any]] = {
        "a list": lambda labels: list(labels.values()),
        "no relations": lambda labels: {"entities": labels["entities"]},
        "null": lambda labels: {**labels, "entities": None},
        "numbers": lambda labels: {**labels, "entities": list(range(12))},
        "lists": lambda labels: {**labels, "entities": [[label] for label in labels["entities"]]},
        "a text": lambda labels: {**labels, "relations": "r0"},
        "one too few": lambda labels: {**labels, "entities": labels["entities"][:-1]},
        "one too many": lambda labels: {**labels, "entities": [*labels["entities"], "e12"]},
        "one twice": lambda labels: {**labels, "entities": [*labels["entities"][:-1], "e0"]},
        "another order": lambda labels: {**labels, "entities": labels["entities"][::-1]},
        "one renamed": lambda labels: {**labels, "entities": ["zzz", *labels["entities"][1:]]},
        "a relation renamed": lambda labels: {**labels, "relations": ["zzz", "r1"]},
    }
    for name, edit in edits.items():
        yield Case(f"labels: {name}", _run(_labels(edit)), Refused("labels.json"))
    triples: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
        "floats": lambda t: t.update(triples=t["triples"].float()),
        "two columns": lambda t: t.update(triples=t["triples"][:, :2]),
        "one dimension": lambda t: t.update(triples=t["triples"].flatten()),
        "no entity of this id": lambda t: t.update(triples=t["triples"] + 12),
        "an id below zero": lambda t: t.update(triples=-t["triples"]),
        "another name": lambda t: t.update(rows=t.pop("triples")),
        "one less": lambda t: t.update(triples=t["triples"][1:]),
        "none": lambda t: t.update(triples=t["triples"][:0]),
        "another order": lambda t: t.update(triples=t["triples"].flip(0)),
    }
    for name, change in triples.items():
        yield Case(f"triples: {name}", _run(_tensors("triples.safetensors", change)), Refused("triples.safetensors"))

    def widened(weights: dict[str, torch.Tensor]) -> None:
        key = max(weights, key=lambda name: weights[name].numel())
        weights[key] = torch.cat([weights[key]] * 2)

    weights: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
        "none": lambda t: t.clear() or t.update(x=torch.ones(1)),
        "one less": lambda t: t.popitem(),
        "another shape": widened,
        "no dimension": lambda t: t.update({name: value.flatten()[0] for name, value in t.items()}),
    }
    for name, change in weights.items():
        yield Case(f"weights: {name}", _run(_tensors("weights.safetensors", change)), Refused("run"))
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}).encode()
    for name in ("weights.safetensors", "triples.safetensors", "features/visual.safetensors"):
        for what, data in (
            ("absurd shapes", len(header).to_bytes(8, "little") + header + bytes(8)),
            ("an absurd header", (2**62).to_bytes(8, "little") + b"{}"),
            ("a pickle", b"\x80\x04cos\nsystem\n"),
        ):
            change = _bytes(name, lambda old, data=data: data)  # type: ignore[misc]
            yield Case(f"{name}: {what}", _run(change), Refused(pathlib.Path(name).name))


def _folders() -> Iterator[Case]:
    yield Case("nothing there", lambda folder: folder / "gone", Refused("gone"))
    yield Case("an empty folder", lambda folder: folder, Refused("not a saved run"))
    yield Case("a graph", lambda folder: _made() / "graph", Refused("graph", "not a saved run"))

    def a_file(folder: pathlib.Path) -> pathlib.Path:
        (folder / "run").write_text("x")
        return folder / "run"

    yield Case("a file", a_file, Refused("run"))
    moved = _run(lambda run: None)
    yield Case("a copy", moved, Right(_same_scores))


def _packed(text: str) -> Callable[[bytes], bytes]:
    return lambda data: gzip.compress(text.encode())


def _edited(old: str, new: str) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        text = gzip.decompress(data).decode()
        assert old in text
        return gzip.compress(text.replace(old, new, 1).encode())

    return edit


def _of_pykeen() -> Iterator[Case]:
    folder = "training_triples/"
    entities, relations, triples, base = (
        folder + name for name in ("entity_to_id.tsv.gz", "relation_to_id.tsv.gz", "numeric_triples.tsv.gz", "base.pth")
    )
    yield Case("PyKEEN's", _run(lambda run: None, "pykeen"), Right(_same_scores))
    for name in ("trained_model.pkl", entities, relations, triples, base):
        stem = pathlib.Path(name).name
        yield Case(f"PyKEEN's without {stem}", _run(_replaced(name, lambda path: None), "pykeen"), Refused(stem))
        yield Case(f"PyKEEN's {stem}, empty", _run(_bytes(name, lambda data: b""), "pykeen"), Refused(stem))
        yield Case(f"PyKEEN's {stem}, half", _run(_bytes(name, lambda d: d[: len(d) // 2]), "pykeen"), Refused(stem))
        yield Case(f"PyKEEN's {stem}, a text", _run(_bytes(name, lambda data: b"hello"), "pykeen"), Refused(stem))
        yield Case(
            f"PyKEEN's {stem}, a pipe", _run(_replaced(name, lambda path: os.mkfifo(path)), "pykeen"), Refused(stem)
        )
        yield Case(f"PyKEEN's {stem}, a folder", _run(_replaced(name, pathlib.Path.mkdir), "pykeen"), Refused(stem))
    rows = {
        "no row": _packed("id\tlabel\n"),
        "one too few": _edited("11\te9\n", ""),
        "an id twice": _edited("11\te9", "10\te9"),
        "an id missing": _edited("11\te9", "12\te9"),
        "a label twice": _edited("11\te9", "11\te8"),
        "a word for an id": _edited("11\te9", "eleven\te9"),
        "three columns": _edited("11\te9", "11\te9\tx"),
        "Latin 1": lambda data: gzip.compress(b"id\tlabel\n0\t\xe9\n"),
    }
    for name, edit in rows.items():
        yield Case(f"PyKEEN's entities: {name}", _run(_bytes(entities, edit), "pykeen"), Refused("run"))
    for name, text in {
        "a word": "0\tx\t1",
        "two columns": "0\t1",
        "no such id": "0\t0\t99",
        "below zero": "-1\t0\t1",
    }.items():
        edit = _packed(f"head\trelation\ttail\n{text}\n")
        yield Case(
            f"PyKEEN's triples: {name}", _run(_bytes(triples, edit), "pykeen"), Refused("numeric_triples.tsv.gz")
        )
    for value in (
        [1],
        {},
        {"create_inverse_triples": "no", "metadata": {}},
        {"create_inverse_triples": True, "metadata": 3},
    ):
        change = _replaced(base, lambda path, value=value: torch.save(value, path))  # type: ignore[misc]
        yield Case(f"PyKEEN's base.pth holds {value}", _run(change, "pykeen"), Refused("base.pth"))
    for value in ([1], {"x": torch.ones(1)}, torch.nn.Linear(1, 1)):
        change = _replaced("trained_model.pkl", lambda path, value=value: torch.save(value, path))  # type: ignore[misc]
        words = ("trained_model.pkl", type(value).__name__)
        yield Case(f"PyKEEN's model is a {type(value).__name__}", _run(change, "pykeen"), Refused(*words))
    alone = _run(lambda run: shutil.rmtree(run / "training_triples"), "pykeen")
    yield Case("PyKEEN's without triples", alone, Refused("run", "name the dataset"))


@cases([*_files(), *_documents(), *_contents(), *_folders(), *_of_pykeen()])
def test_run(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    def act(path: pathlib.Path) -> Run:
        # a run that lost its run.json, or is nothing at all, is still opened as one
        if (path / "trained_model.pkl").exists() or (path / "training_triples").exists() or not path.is_dir():
            return Run(*open_run(path))
        return load_run(path)

    settle(case, act, tmp_path, caplog)


def _graph_with(change: Callable[[str, str], str]) -> Callable[[pathlib.Path], tuple[pathlib.Path, pathlib.Path]]:
    """Return what makes a changed copy of the graph, and names it beside the run."""

    def make(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
        shutil.copytree(_made() / "graph", folder / "graph")
        shutil.rmtree(folder / "graph" / "features")
        for path in (folder / "graph").glob("*.tsv"):
            path.write_text(change(path.name, path.read_text()))
        return _made() / "run", folder / "graph"

    return make


def _word(old: str, new: str) -> Callable[[str, str], str]:
    return lambda name, text: re.sub(rf"\b{old}\b", new, text)


def _graphs() -> Iterator[Case]:
    def same(output: str) -> None:
        assert output == cli("evaluate", _made() / "run", _made() / "graph")

    def other(output: str) -> None:
        assert "mrr" in output

    for kind in ("run", "pykeen"):

        def of(change: Callable[[str, str], str], kind: str = kind) -> Callable[[pathlib.Path], Any]:
            return lambda folder: (_made() / kind, _graph_with(change)(folder)[1])

        yield Case(f"{kind}: the graph itself", of(lambda name, text: text), Right(same))
        yield Case(f"{kind}: lines in another order", of(lambda name, text: _reversed(name, text)), Right(same))
        first = of(lambda name, text: text + "a0\tfirst\tnew\n" if name == "entities.tsv" else text)
        yield Case(f"{kind}: one more entity in the table shifts all ids", first, Right(same))
        fewer = of(lambda name, text: text.split("\n", 1)[1] if name == "test.tsv" else text)
        yield Case(f"{kind}: one test triple less", fewer, Right(other))
        for old, new in (("e0", "zzz"), ("e0", "E0"), ("r1", "zzz"), ("e11", "011")):
            yield Case(f"{kind}: {old} is now {new}", of(_word(old, new)), Refused(repr(new), "unknown to the run"))
        swapped = of(
            lambda name, text: text + "a0\tr0\te1\n" if name == "test.tsv" else text + "a0\n" * (name == "entities.tsv")
        )
        yield Case(f"{kind}: an entity that the run does not know", swapped, Refused("'a0'", "unknown to the run"))


def _reversed(name: str, text: str) -> str:
    lines = text.splitlines(keepends=True)
    header = lines[:1] if name in ("entities.tsv", "relations.tsv") else []
    return "".join(header + lines[len(header) :][::-1])


@cases(_graphs())
def test_evaluate_on_a_changed_graph(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    def act(made: tuple[pathlib.Path, pathlib.Path]) -> str:
        run, graph = made
        if isinstance(case.end, Refused):
            model, training = open_run(run)
            AlignedDataset(MultimodalDataset(graph), training)
        return cli("evaluate", run, graph)

    settle(case, act, tmp_path, caplog)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name, text: text, None),
        (_word("e0", "zzz"), "other entities"),
        (_word("r1", "a"), "other relations"),
        (lambda name, text: text + "a0\n" * (name == "entities.tsv"), "13"),
    ],
)
def test_a_folder_of_pykeen_without_triples_is_of_its_own_labels(change, words, tmp_path: pathlib.Path) -> None:
    """`pykeen experiments run` saves none: those of the dataset that is named have to be the same."""
    _, graph = _graph_with(change)(tmp_path)
    shutil.copytree(_made() / "pykeen", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "training_triples")
    if words is None:
        cli("evaluate", tmp_path / "run", graph)
    else:
        cli("evaluate", tmp_path / "run", graph, status=2, words=[words, "run"])
