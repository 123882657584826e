"""The benchmarks by name: how their folder is found or made, their facts, and PyKEEN's commands."""

import hashlib
import pathlib
from collections.abc import Callable, Mapping

import pykeen.cli
import pykeen.datasets.cli
import pytest
from click.testing import CliRunner
from docdata import get_docdata
from pykeen.datasets import dataset_resolver, get_dataset
from pykeen.datasets.base import Dataset
from pykeen.pipeline import pipeline

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.datasets.benchmarks import BENCHMARKS, MKGY, Benchmark, WN9Img, WN18RRText, base
from pykeen_mmkg.datasets.benchmarks.conversion import PublishedGraph
from pykeen_mmkg.datasets.benchmarks.fetching import SOURCES_VARIABLE, Source, published_sources
from pykeen_mmkg.errors import DataError, DatasetNotFoundError

from .conftest import NOBODY, Server

Make = Callable[..., Benchmark]


@pytest.mark.parametrize("cls", BENCHMARKS)
def test_resolves_by_name(cls: type[Dataset]):
    assert dataset_resolver.lookup(cls.__name__) is cls
    assert dataset_resolver.lookup_dict[cls.__name__.lower()] is cls


@pytest.mark.parametrize("cls", [*BENCHMARKS, MultimodalDataset])
def test_statistics_for_pykeen(cls: type[Dataset]):
    """PyKEEN sorts all datasets by it, and prints the others."""
    statistics = get_docdata(cls)["statistics"]
    assert set(statistics) == {"entities", "relations", "training", "testing", "validation", "triples"}
    assert statistics["triples"] == sum(statistics[split] for split in ("training", "testing", "validation"))
    assert Dataset.triples_sort_key(cls) == statistics["triples"]


@pytest.mark.parametrize("cls", BENCHMARKS)
def test_facts(cls: type[Benchmark]):
    """Where it comes from, under which licence, and what it covers: and the source names each repository."""
    facts = get_docdata(cls)
    assert facts["license"]
    assert set(facts["coverage"]) <= {"entity_text", "relation_text", "entity_images"}
    named = facts["source"]
    for key in cls().files.values():
        assert published_sources()[key].repository in named


@pytest.mark.parametrize("cls", BENCHMARKS)
def test_absent(cls: type[Benchmark], nowhere: pathlib.Path):
    """Offline, and without a copy: the message says where it was looked for, and all that can be done."""
    with pytest.raises(DatasetNotFoundError) as info:
        cls().training  # noqa: B018
    message = str(info.value)
    assert str(nowhere / "mmkg" / "datasets" / cls().folder_name) in message
    assert f"{NOBODY}/" in message
    assert "PYKEEN_MMKG_DATA" in message
    assert SOURCES_VARIABLE in message
    assert not list(nowhere.rglob("*.tsv"))


def test_places(nowhere: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    home = nowhere / "mmkg" / "datasets" / "wn9-img"
    home.parent.mkdir(parents=True)
    home.symlink_to(folder)
    assert WN9Img().record.path == str(home)
    other = tmp_path / "data" / "wn9-img"
    other.parent.mkdir()
    other.symlink_to(folder)
    monkeypatch.setenv("PYKEEN_MMKG_DATA", str(other.parent))
    assert WN9Img().record.path == str(other)
    assert WN9Img(folder).record.path == str(folder)


IDS = {"entity": b"2\nHarry_S._Truman 0\nNew_York_City 1\n", "relation": b"1\nwasBornIn 0\n"}
SPLIT = b"1\n0 1 0\n"


@pytest.fixture
def small(server: Server, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, bytes]:
    """A MKG-Y of one triple, published on the file server."""
    files = {f"{kind}_ids": content for kind, content in IDS.items()}
    files.update(dict.fromkeys(("train", "valid", "test"), SPLIT), links=b"none\n", entities=b"none\n")
    table = {
        MKGY.files[name]: Source("o/n", "c0", f"{name}.txt", len(content), hashlib.sha256(content).hexdigest())
        for name, content in files.items()
    }
    monkeypatch.setattr(base, "published_sources", lambda: table)
    server.files.update({f"/o/n/c0/{name}.txt": content for name, content in files.items()})
    return files


def test_made_from_published_files(
    small: Mapping[str, bytes],
    server: Server,
    nowhere: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """Fetched and converted once, with a word about images; afterwards neither network nor sources are needed."""
    dataset = MKGY()
    folder = nowhere / "mmkg" / "datasets" / "mkg-y"
    triple = ["Harry_S._Truman", "wasBornIn", "New_York_City"]
    assert dataset.training.label_triples(dataset.training.mapped_triples).tolist() == [triple]
    assert dataset.record.path == str(folder)
    assert dataset.entity_table.names == ("Harry S. Truman", "New York City")
    assert dataset.relation_table.names == ("was born in",)
    assert sorted(path.name for path in folder.iterdir()) == [
        "entities.tsv",
        "origin.json",
        "relations.tsv",
        "test.tsv",
        "train.tsv",
        "valid.tsv",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["mkg-y"]
    assert "Images: zjukg/NATIVE links to vectors" in caplog.text
    assert len(server.requests) == len(small)
    monkeypatch.setenv(SOURCES_VARIABLE, NOBODY)
    for path in (nowhere / "mmkg" / "sources").rglob("*.txt"):
        path.unlink()
    assert MKGY().digest == dataset.digest
    assert len(server.requests) == len(small)


def test_made_anew_for_another_conversion(
    small: Mapping[str, bytes], server: Server, nowhere: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """A folder that another version made is made anew from the kept files; one of the user's own is left alone."""
    digest = MKGY().digest
    folder = nowhere / "mmkg" / "datasets" / "mkg-y"
    (folder / "train.tsv").write_text("a\tr\tb\n")
    with pytest.raises(DataError, match="no row"):
        MKGY().training  # noqa: B018
    monkeypatch.setattr(base, "CONVERSION", base.CONVERSION + 1)
    monkeypatch.setenv(SOURCES_VARIABLE, NOBODY)
    assert MKGY().digest == digest
    assert [path.name for path in folder.parent.iterdir()] == ["mkg-y"]
    (folder / "origin.json").unlink()
    (folder / "train.tsv").write_text("New_York_City\twasBornIn\tHarry_S._Truman\n")
    assert MKGY().digest != digest


@pytest.mark.parametrize("fault", [DataError("wrong"), KeyboardInterrupt()])
def test_conversion_that_fails(
    small: Mapping[str, bytes], nowhere: pathlib.Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
):
    """Nothing is left over, and the next use makes the folder."""

    def write(self: PublishedGraph, folder: pathlib.Path) -> None:
        folder.mkdir()
        (folder / "train.tsv").write_text("half")
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(PublishedGraph, "write", write)
        with pytest.raises(type(fault)):
            MKGY().training  # noqa: B018
    assert not list((nowhere / "mmkg" / "datasets").iterdir())
    assert MKGY().training.num_triples == 1


def test_another_process_is_faster(small: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch):
    """What it made is used."""
    other = MKGY()
    original = PublishedGraph.write

    def write(self: PublishedGraph, folder: pathlib.Path) -> None:
        monkeypatch.setattr(PublishedGraph, "write", original)
        _ = other.training
        original(self, folder)

    monkeypatch.setattr(PublishedGraph, "write", write)
    assert MKGY().digest == other.digest


def test_images_beside_the_folder(folder: pathlib.Path):
    (folder / "images").rename(folder.parent / "wordnet-photos")
    assert WN9Img(folder).record.images == str(folder.parent / "wordnet-photos")
    assert MultimodalDataset(folder).record.images is None
    assert WN9Img(folder).coverage().num_images == 4
    # WN18RR's images have an n before the label
    assert WN18RRText(folder).coverage().num_images == 0
    (folder.parent / "wordnet-photos" / "na_0.jpg").touch()
    dataset = WN18RRText(folder)
    assert [path.name for path in dataset.entity_table.image_dict()["a"]] == ["na_0.jpg"]
    assert dataset.record.image_kwargs == {"image_name": "n{label}"}


def test_missing_table(folder: pathlib.Path):
    (folder / "entities.tsv").unlink()
    with pytest.raises(DataError, match="lacks the table entities.tsv"):
        WN9Img(folder).training  # noqa: B018


@pytest.mark.parametrize("kwargs", [{}, {"image_name": "{label}"}, {"create_inverse_triples": True}])
def test_cache(folder: pathlib.Path, cache: pathlib.Path, kwargs: dict[str, object]):
    first, second = (
        get_dataset(dataset="wn18rrtext", dataset_kwargs={"path": str(folder), **kwargs}) for _ in range(2)
    )
    assert type(first) is type(second) is WN18RRText
    assert first == second
    assert first.record == second.record


def test_changed_after_it_was_cached(
    folder: pathlib.Path,
    cache: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """It is read anew, and the warning names the folder that was found by name."""
    found = tmp_path / "data" / "wn18rr"
    found.parent.mkdir()
    found.symlink_to(folder)
    monkeypatch.setenv("PYKEEN_MMKG_DATA", str(found.parent))
    first = get_dataset(dataset="wn18rrtext")
    lines = (folder / "train.tsv").read_text().splitlines(keepends=True)
    (folder / "train.tsv").write_text("".join(lines[:-1]))
    second = get_dataset(dataset="wn18rrtext")
    assert second.training.num_triples == first.training.num_triples - 1
    assert f"the files of {found} have changed" in caplog.text


def test_pipeline_by_name(made: Make, cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """The name is enough, where there is a network."""
    folder = pathlib.Path(made(WN9Img).record.path)
    monkeypatch.setattr(base, "PYKEEN_HOME", folder.parents[2])
    result = pipeline(
        dataset="wn9img",
        model="DistMult",
        model_kwargs={"embedding_dim": 8},
        epochs=1,
        training_kwargs={"batch_size": 1024},
        use_tqdm=False,
        evaluation_kwargs={"use_tqdm": False},
        random_seed=0,
        device="cpu",
    )
    assert result.get_metric("both.realistic.count") == 2 * 1319


@pytest.mark.parametrize("cls", BENCHMARKS)
def test_equal_to_reference(cls: type[Benchmark], made: Make, shared: pathlib.Path):
    """What is made from the published files is, byte for byte, what the project's measurements were made with."""
    reference = shared / "data" / cls().folder_name
    if not reference.is_dir():
        pytest.skip(f"no {reference}")
    folder = pathlib.Path(made(cls).record.path)
    names = {path.name for path in reference.iterdir()}
    assert {path.name for path in folder.iterdir()} == names | {"origin.json"}
    assert [name for name in sorted(names) if (folder / name).read_bytes() != (reference / name).read_bytes()] == []


@pytest.mark.parametrize("cls", BENCHMARKS)
def test_published_counts(cls: type[Benchmark], made: Make):
    """The facts in the docdata are those of the files; none is dropped but repetitions."""
    dataset = made(cls)
    facts = get_docdata(cls)
    statistics, coverage = facts["statistics"], facts["coverage"]
    factories = dataset.factories
    counts = {
        split: factories[split].num_triples if split in factories else 0
        for split in ("training", "validation", "testing")
    }
    assert (dataset.num_entities, dataset.num_relations) == (statistics["entities"], statistics["relations"])
    assert counts == {split: statistics[split] for split in counts}
    folder = pathlib.Path(dataset.record.path)
    for split, name in (("training", "train"), ("testing", "test"), ("validation", "valid")):
        path = folder / f"{name}.tsv"
        lines = path.read_bytes().count(b"\n") if path.is_file() else 0
        assert counts[split] + dataset.duplicates.get(split, 0) == lines
    measured = dataset.coverage()
    assert coverage == {
        "entity_text": measured.row("all", "entities").text,
        "relation_text": measured.row("all", "relations").text,
        "entity_images": measured.row("all", "entities").image,
    }


def test_commands_of_pykeen(nowhere: pathlib.Path, cache: pathlib.Path):
    """None of them falls over our datasets, none of which has its files here."""
    listed = CliRunner().invoke(pykeen.cli.main, ["ls", "datasets"], catch_exceptions=False)
    assert listed.exit_code == 0
    assert all(cls.__name__ in listed.output for cls in BENCHMARKS)
    arguments = ["summarize", "--dataset-regex", "^(wn9img|multimodal|nellzs)$"]
    summary = CliRunner().invoke(pykeen.datasets.cli.main, arguments, catch_exceptions=False)
    assert summary.exit_code == 0
    assert summary.output.count("Failed") == 3
    assert "WN9Img is not at" in summary.output
    assert not list(cache.rglob("*.*"))
