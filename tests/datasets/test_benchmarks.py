"""The benchmarks by name: published counts on the shared files, how their folder is found, PyKEEN's commands."""

import functools
import pathlib

import pykeen.cli
import pykeen.datasets.cli
import pytest
from click.testing import CliRunner
from docdata import get_docdata
from pykeen.datasets import dataset_resolver, get_dataset
from pykeen.datasets.base import Dataset
from pykeen.pipeline import pipeline

from pykeen_mmkg.datasets import MultimodalDataset, benchmarks
from pykeen_mmkg.datasets.benchmarks import NELLZS, DB15k, FB15k237Text, FB15k237ZS, WN9Img, WN18RRText
from pykeen_mmkg.errors import DataError, DatasetNotFoundError

CLASSES = [getattr(benchmarks, name) for name in benchmarks.__all__]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """A machine without any benchmark."""
    monkeypatch.delenv("PYKEEN_MMKG_DATA", raising=False)
    monkeypatch.setattr(benchmarks, "PYKEEN_HOME", tmp_path / "home")
    return tmp_path


@pytest.fixture
def data(shared: pathlib.Path) -> pathlib.Path:
    """The folder with the benchmarks' folders."""
    return shared / "data"


@functools.cache
def load(cls: type[benchmarks.Benchmark], data: pathlib.Path) -> benchmarks.Benchmark:
    """Load each of them once."""
    return cls(data / cls.folder_name)


@pytest.mark.parametrize("cls", CLASSES)
def test_resolves_by_name(cls: type[Dataset]):
    assert dataset_resolver.lookup(cls.__name__) is cls
    assert dataset_resolver.lookup_dict[cls.__name__.lower()] is cls


@pytest.mark.parametrize("cls", [*CLASSES, MultimodalDataset])
def test_statistics_for_pykeen(cls: type[Dataset]):
    """PyKEEN sorts all datasets by it, and prints the others."""
    statistics = get_docdata(cls)["statistics"]
    assert set(statistics) == {"entities", "relations", "training", "testing", "validation", "triples"}
    assert statistics["triples"] == sum(statistics[split] for split in ("training", "testing", "validation"))
    assert Dataset.triples_sort_key(cls) == statistics["triples"]


@pytest.mark.parametrize("cls", CLASSES)
def test_absent(cls: type[benchmarks.Benchmark], nowhere: pathlib.Path):
    with pytest.raises(DatasetNotFoundError) as info:
        cls().training  # noqa: B018
    message = str(info.value)
    assert str(nowhere / "home" / "mmkg" / "datasets" / cls.folder_name) in message
    assert cls.source in message
    assert "PYKEEN_MMKG_DATA" in message
    assert "entities.tsv" in message


def test_places(nowhere: pathlib.Path, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    home = nowhere / "home" / "mmkg" / "datasets" / "wn9-img"
    home.parent.mkdir(parents=True)
    home.symlink_to(folder)
    assert WN9Img().record.path == str(home)
    other = nowhere / "data" / "wn9-img"
    other.parent.mkdir()
    other.symlink_to(folder)
    monkeypatch.setenv("PYKEEN_MMKG_DATA", str(other.parent))
    assert WN9Img().record.path == str(other)
    assert WN9Img(folder).record.path == str(folder)


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


@pytest.mark.parametrize("cls", CLASSES)
def test_published_counts(cls: type[benchmarks.Benchmark], data: pathlib.Path):
    dataset = load(cls, data)
    statistics = get_docdata(cls)["statistics"]
    assert dataset.num_entities == statistics["entities"]
    assert dataset.num_relations == statistics["relations"]
    validation = dataset.validation
    counts = {
        "training": dataset.training.num_triples,
        "testing": dataset.testing.num_triples,
        "validation": 0 if validation is None else validation.num_triples,
    }
    assert counts == {split: statistics[split] for split in counts}
    # none dropped: as many as the files have lines
    lines = {
        split: path.read_bytes().count(b"\n") if (path := data / cls.folder_name / f"{name}.tsv").is_file() else 0
        for split, name in (("training", "train"), ("testing", "test"), ("validation", "valid"))
    }
    assert {split: count + dataset.duplicates.get(split, 0) for split, count in counts.items()} == lines
    assert dataset.coverage().row("all", "entities").text == dataset.num_entities
    if cls is DB15k:
        assert sum(map(bool, dataset.entity_table.descriptions)) == 12820
    with_image = dataset.coverage().row("all", "entities").image
    assert with_image == {WN9Img: 447, WN18RRText: 467}.get(cls, 0)


def test_db15k_leak(data: pathlib.Path):
    """As published: 9,904 lines of validation, 6,584 of the distinct triples are in training, none of testing."""
    dataset = load(DB15k, data)
    assert dataset.validation is not None
    assert dataset.validation.num_triples + dataset.duplicates["validation"] == 9904
    training, validation, testing = (
        set(map(tuple, factory.mapped_triples.tolist()))
        for factory in (dataset.training, dataset.validation, dataset.testing)
    )
    assert len(training & validation) == 6584
    assert not training & testing
    assert '<http://dbpedia.org/resource/"female_illusionist">' in dataset.entity_to_id


def test_wn9_inverse_leak(data: pathlib.Path):
    """89.9 % of the test triples have a training triple with swapped ends."""
    dataset = load(WN9Img, data)
    pairs = {(t, h) for h, _, t in dataset.training.mapped_triples.tolist()}
    share = sum((h, t) in pairs for h, _, t in dataset.testing.mapped_triples.tolist()) / dataset.testing.num_triples
    assert round(share, 3) == 0.899


def test_fb15k237zs(data: pathlib.Path):
    dataset = load(FB15k237ZS, data)
    assert dataset.validation is None
    coverage = dataset.coverage()
    assert coverage.row("training", "relations").total == 206
    assert len(coverage.unseen_relations["testing"]) == 29
    assert dataset.candidates is not None
    assert {len(labels) for labels in dataset.candidates.values()} == {1000}
    assert set(coverage.unseen_relations["testing"]) <= set(dataset.candidates)
    assert dataset.known_true is not None
    assert dataset.known_true.shape == (13810, 3)
    held_out = FB15k237ZS(data / "fb15k-237-zs", hold_out="dev")
    assert held_out.validation is not None
    dev = {held_out.relation_to_id[label] for label in dataset.dev_relations or ()}
    assert len(dev) == 20
    assert set(held_out.validation.mapped_triples[:, 1].tolist()) == dev
    assert not dev & set(held_out.training.mapped_triples[:, 1].tolist())
    assert held_out.training.num_triples + held_out.validation.num_triples == dataset.training.num_triples
    assert held_out.testing == dataset.testing


def test_nellzs(data: pathlib.Path):
    dataset = load(NELLZS, data)
    coverage = dataset.coverage()
    assert coverage.row("training", "relations").total == 139
    assert len(coverage.unseen_relations["testing"]) == 32
    assert set(dataset.dev_relations) == set(coverage.unseen_relations["validation"])
    assert len(dataset.dev_relations) == 10
    candidates = dataset.candidates
    assert len(candidates) == 181
    for factory in (dataset.testing, dataset.validation):
        assert factory is not None
        sets = {relation: set(labels) for relation, labels in candidates.items()}
        assert all(t in sets[r] for _, r, t in factory.label_triples(factory.mapped_triples).tolist())
    wife = candidates["concept:wifeof"]
    types = {
        t.split(":")[1]
        for _, r, t in dataset.testing.label_triples(dataset.testing.mapped_triples).tolist()
        if r == "concept:wifeof"
    }
    assert sorted(wife) == sorted(label for label in dataset.entity_to_id if label.split(":")[1] in types)


@pytest.mark.parametrize("cls", [WN9Img])
def test_pipeline(cls: type[benchmarks.Benchmark], data: pathlib.Path, cache: pathlib.Path):
    result = pipeline(
        dataset=cls.__name__.lower(),
        dataset_kwargs={"path": str(data / cls.folder_name)},
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


def test_commands_of_pykeen(nowhere: pathlib.Path, cache: pathlib.Path):
    """None of them falls over our datasets, none of which has its files here."""
    listed = CliRunner().invoke(pykeen.cli.main, ["ls", "datasets"], catch_exceptions=False)
    assert listed.exit_code == 0
    assert all(cls.__name__ in listed.output for cls in CLASSES)
    arguments = ["summarize", "--dataset-regex", "^(wn9img|multimodal|nellzs)$"]
    summary = CliRunner().invoke(pykeen.datasets.cli.main, arguments, catch_exceptions=False)
    assert summary.exit_code == 0
    assert summary.output.count("Failed") == 3
    assert "WN9Img is not at" in summary.output
    assert not list(cache.rglob("*.*"))


def test_fb15k237text(data: pathlib.Path):
    """The published counts, and a name and a sentence for every entity."""
    dataset = load(FB15k237Text, data)
    assert (dataset.num_entities, dataset.num_relations) == (14_541, 237)
    counts = [factory.num_triples for factory in dataset.factory_dict.values()]
    assert sorted(counts) == [17_535, 20_466, 272_115]
    assert all(dataset.entity_table.texts().values())
