"""The dataset from a folder: shared ids, PyKEEN's cache, changed files, metadata, and bad input."""

import json
import logging
import pathlib
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from pykeen.datasets import get_dataset
from pykeen.datasets.base import Dataset, EagerDataset
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets import GraphMetadata, MultimodalDataset, labels_in_order
from pykeen_mmkg.errors import DataError, DatasetNotFoundError, ImageError, MultimodalError

TRAIN = [("a", "likes", "b"), ("b", "likes", "c"), ("c", "knows", "a"), ("b", "knows", "a"), ("a", "knows", "d")]
TEST = [("a", "likes", "c"), ("e", "likes", "a"), ("a", "hates", "b")]


def labeled(factory: TriplesFactory) -> set[tuple[str, str, str]]:
    return {tuple(row) for row in factory.label_triples(factory.mapped_triples).tolist()}


def load(folder: pathlib.Path, **kwargs: object) -> MultimodalDataset:
    dataset = get_dataset(dataset="multimodal", dataset_kwargs={"path": str(folder), **kwargs})
    assert isinstance(dataset, MultimodalDataset)
    return dataset


def test_all_factories_share_all_ids(folder: pathlib.Path):
    dataset = MultimodalDataset(folder)
    assert labeled(dataset.training) == set(TRAIN)
    assert labeled(dataset.testing) == set(TEST)
    assert dataset.validation is not None
    assert labeled(dataset.validation) == {("c", "likes", "a")}
    assert labeled(dataset.extra["unseen-entities"]) == {("f", "likes", "e")}
    assert set(dataset.factories) == {"training", "validation", "testing", "unseen-entities"}
    for factory in dataset.factories.values():
        # g, h and owns are in the tables only
        assert list(factory.entity_to_id) == list("abcdefgh")
        assert labels_in_order(factory.relation_to_id) == ("hates", "knows", "likes", "owns")
        assert (factory.num_entities, factory.num_relations) == (8, 4)


def test_metadata_points_to_what_a_model_needs(folder: pathlib.Path):
    dataset = MultimodalDataset(folder)
    for factory in dataset.factories.values():
        record = GraphMetadata.of(factory)
        assert json.loads(json.dumps(factory.metadata)) == {"multimodal": record.to_dict()}
        assert record.entities == str(folder / "entities.tsv")
        assert record.relations == str(folder / "relations.tsv")
        assert record.images == str(folder / "images")
        assert record.digest == dataset.digest
        assert record.features == {}
    entities, relations = (dataset.record.table(dataset.testing, kind) for kind in ("entity", "relation"))
    assert entities.labels == tuple("abcdefgh")
    assert [len(images) for images in entities.images] == [2, 1, 0, 0, 0, 0, 0, 1]
    assert relations.texts()["likes"] == "likes: is fond of"


def test_features_are_found(folder: pathlib.Path):
    (folder / "features").mkdir()
    store = folder / "features" / "visual.safetensors"
    store.touch()
    assert MultimodalDataset(folder).record.features == {"visual": str(store)}
    assert MultimodalDataset(folder, features={"textual": store}).record.features == {"textual": str(store)}
    with pytest.raises(DataError, match="'visuals' is none of"):
        MultimodalDataset(folder, features={"visuals": store}).record  # noqa: B018
    with pytest.raises(DataError, match="the visual feature store .*gone does not exist"):
        MultimodalDataset(folder, features={"visual": folder / "gone"}).record  # noqa: B018


def test_only_triples(folder: pathlib.Path):
    for name in ("entities.tsv", "relations.tsv", "valid.tsv"):
        (folder / name).unlink()
    (folder / "train.tsv").rename(folder / "train.txt")
    dataset = MultimodalDataset(folder)
    assert list(dataset.entity_to_id) == list("abcdef")
    assert dataset.validation is None
    assert dataset.record.entities is None
    # images need no table
    assert len(dataset.entity_table.images[0]) == 2
    assert "Testing" in dataset.summary_str()


def test_inverse_triples_are_for_training_only(folder: pathlib.Path):
    dataset = MultimodalDataset(folder, create_inverse_triples=True)
    assert dataset.create_inverse_triples
    assert (dataset.training.num_relations, dataset.testing.num_relations) == (8, 4)
    assert not dataset.extra["unseen-entities"].create_inverse_triples


# ---- PyKEEN's cache -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inverse", [False, True])
def test_cache_gives_the_same_dataset(folder: pathlib.Path, cache: pathlib.Path, inverse: bool):
    first = load(folder, create_inverse_triples=inverse)
    assert cache.is_dir()
    second = load(folder, create_inverse_triples=inverse)
    assert type(second) is MultimodalDataset
    assert second == first
    assert second.entity_to_id == first.entity_to_id
    assert second.relation_to_id == first.relation_to_id
    assert second.training.metadata == first.training.metadata
    assert second.metadata == first.metadata
    assert second.digest == first.digest
    assert list(second.extra) == ["unseen-entities"]
    assert second.training.num_relations == (8 if inverse else 4)


def test_cache_ignores_the_flag_of_inverse_triples(folder: pathlib.Path, cache: pathlib.Path):
    """PyKEEN shares one cache entry between both settings."""
    for inverse in (True, False, True):
        dataset = load(folder, create_inverse_triples=inverse)
        assert dataset.create_inverse_triples is inverse
        assert dataset.training.num_relations == (8 if inverse else 4)
        assert dataset.training.real_num_relations == 4
    assert len(list((cache / "multimodal" / "cache").iterdir())) == 1


def test_changed_files_are_noticed(folder: pathlib.Path, cache: pathlib.Path, caplog: pytest.LogCaptureFixture):
    first = load(folder)
    with (folder / "test.tsv").open("a") as file:
        file.write("h\tknows\tg\n")
    with caplog.at_level(logging.WARNING):
        second = load(folder)
    assert "have changed" in caplog.text
    assert ("h", "knows", "g") in labeled(second.testing)
    assert second.digest != first.digest
    # the copy that PyKEEN alone would read is up to date as well
    (entry,) = (cache / "multimodal" / "cache").iterdir()
    assert Dataset.from_directory_binary(entry).testing.num_triples == second.testing.num_triples
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load(folder)
    assert "have changed" not in caplog.text


@pytest.mark.parametrize("name", ["entities.tsv", "relations.tsv"])
def test_changed_text_is_noticed(folder: pathlib.Path, cache: pathlib.Path, name: str):
    before = load(folder)
    path = folder / name
    path.write_text(path.read_text().replace("Ann", "Anna").replace("is fond of", "loves"))
    after = load(folder)
    assert after.digest != before.digest
    assert "Anna" in after.entity_table.names or "loves" in after.relation_table.descriptions


def test_changed_images_are_noticed(folder: pathlib.Path, cache: pathlib.Path):
    before = load(folder)
    (folder / "images" / "c.png").write_bytes(b"new")
    after = load(folder)
    assert after.digest != before.digest
    assert len(after.entity_table.image_dict()["c"]) == 1


def test_removed_folder(folder: pathlib.Path, cache: pathlib.Path):
    load(folder)
    shutil.rmtree(folder)
    with pytest.raises(DatasetNotFoundError, match=f"{folder} does not exist"):
        load(folder)


def test_incomplete_cache(folder: pathlib.Path, cache: pathlib.Path):
    load(folder)
    (entry,) = (cache / "multimodal" / "cache").iterdir()
    (entry / "multimodal.json").unlink()
    with pytest.raises(DataError, match="incomplete: delete the directory"):
        load(folder)
    assert load(folder, force=True).training.num_triples == 5


def test_relative_path_means_the_present_directory(
    folder: pathlib.Path, cache: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """The cache is keyed by the text of the path: another working directory must not get the other's data."""
    other = tmp_path / "elsewhere" / "graph"
    shutil.copytree(folder, other)
    (other / "test.tsv").write_text("a\tknows\tb\n")
    monkeypatch.chdir(folder.parent)
    assert load(pathlib.Path("graph")).testing.num_triples == 3
    monkeypatch.chdir(other.parent)
    assert load(pathlib.Path("graph")).testing.num_triples == 1


def test_cache_is_not_written_for_bad_input(folder: pathlib.Path, cache: pathlib.Path):
    (folder / "train.tsv").write_text("a\tb\n")
    for _ in range(2):
        with pytest.raises(DataError, match="line 1"):
            load(folder)
    assert not list(cache.rglob("*.json"))


class Renamed(MultimodalDataset):
    """A subclass with a constructor of its own."""

    def __init__(self, where: str, **kwargs: object) -> None:
        super().__init__(where, **kwargs)  # type: ignore[arg-type]


def test_a_subclass_is_rebuilt_as_itself(folder: pathlib.Path, tmp_path: pathlib.Path):
    dataset = Renamed(str(folder), missing_rows="allow")
    dataset.to_directory_binary(tmp_path / "stored")
    rebuilt = Renamed.from_directory_binary(tmp_path / "stored")
    assert type(rebuilt) is Renamed
    assert rebuilt == dataset
    assert rebuilt.record.missing_rows == "allow"
    # and without our code it is still a dataset
    assert type(Dataset.from_directory_binary(tmp_path / "stored")) is EagerDataset


def test_pickle(folder: pathlib.Path):
    dataset = MultimodalDataset(folder)
    dataset.training  # noqa: B018
    assert pickle.loads(pickle.dumps(dataset)) == dataset


def test_without_path_nothing_breaks_until_used(cache: pathlib.Path):
    """PyKEEN's commands instantiate every dataset: the error belongs to the use of the triples."""
    dataset = get_dataset(dataset="multimodal")
    with pytest.raises(DatasetNotFoundError, match="needs the folder"):
        dataset.training  # noqa: B018
    assert not list(cache.rglob("*"))


# ---- the pipeline ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["TransE", "DistMult"])
def test_pipeline(folder: pathlib.Path, cache: pathlib.Path, model: str):
    """No triple is dropped: all three test triples are ranked on both sides, unseen ones too."""
    for _ in range(2):
        result = pipeline(
            dataset="multimodal",
            dataset_kwargs={"path": str(folder), "create_inverse_triples": True},
            model=model,
            model_kwargs={"embedding_dim": 4},
            epochs=1,
            use_tqdm=False,
            evaluation_kwargs={"use_tqdm": False},
            random_seed=0,
            device="cpu",
        )
        assert result.get_metric("both.realistic.count") == 2 * len(TEST)
        assert result.model.num_entities == 8


def test_resolves_in_a_fresh_interpreter(folder: pathlib.Path, tmp_path: pathlib.Path):
    code = (
        "from pykeen.datasets import get_dataset\n"
        f"dataset = get_dataset(dataset='multimodal', dataset_kwargs=dict(path={str(folder)!r}))\n"
        "print(type(dataset).__module__, dataset.num_entities)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYKEEN_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"},
    )
    assert output.stdout.strip() == "pykeen_mmkg.datasets.folder 8"


# ---- bad input ------------------------------------------------------------------------------------------------------


def test_missing_split(folder: pathlib.Path, caplog: pytest.LogCaptureFixture):
    (folder / "test.tsv").unlink()
    with caplog.at_level(logging.WARNING):
        dataset = MultimodalDataset(folder)
        assert (dataset.training.num_triples, dataset.testing.num_triples) == (4, 1)
    assert "there is no test split: the training triples are split (random, 90/0/10 %, seed 0)" in caplog.text
    (folder / "train.tsv").unlink()
    with pytest.raises(DataError, match="lacks train.tsv"):
        MultimodalDataset(folder).training  # noqa: B018


def test_missing_folder(tmp_path: pathlib.Path):
    with pytest.raises(DatasetNotFoundError, match="nowhere does not exist"):
        MultimodalDataset(tmp_path / "nowhere")


def test_missing_named_table(folder: pathlib.Path):
    with pytest.raises(DataError, match="table .*gone.tsv does not exist"):
        MultimodalDataset(folder, entities=folder / "gone.tsv").training  # noqa: B018


def test_missing_image_folder(folder: pathlib.Path):
    with pytest.raises(ImageError, match="gone does not exist"):
        MultimodalDataset(folder, images=folder / "gone").training  # noqa: B018


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("test.tsv", "a\tlikes\tzoe\n", r"test.tsv: the entity 'zoe' of the triple .* has no row in .*entities.tsv"),
        (
            "train.tsv",
            "a\tadores\tb\n",
            r"train.tsv: the relation 'adores' of the triple .* has no row in .*relations.tsv",
        ),
        ("test-unseen-entities.tsv", "x\tlikes\ty\n", r"the entity 'x' \(and 1 more\)"),
    ],
)
def test_missing_row(folder: pathlib.Path, name: str, line: str, message: str):
    with (folder / name).open("a") as file:
        file.write(line)
    with pytest.raises(DataError, match=message):
        MultimodalDataset(folder).training  # noqa: B018
    dataset = MultimodalDataset(folder, missing_rows="allow")
    assert tuple(line.strip().split("\t")) in set().union(*map(labeled, dataset.factories.values()))
    entities, relations = (dataset.record.table(dataset.training, kind) for kind in ("entity", "relation"))
    assert len(entities) == dataset.num_entities
    assert len(relations) == dataset.num_relations


def test_repeated_triples(folder: pathlib.Path, caplog: pytest.LogCaptureFixture):
    with (folder / "train.tsv").open("a") as file:
        file.write("a\tlikes\tb\nb\tlikes\tc\n")
    with caplog.at_level(logging.WARNING):
        dataset = MultimodalDataset(folder)
        assert dataset.training.num_triples == 5
    assert "2 of 7 triples repeat an earlier line, for instance ('a', 'likes', 'b')" in caplog.text
    assert dataset.duplicates == {"training": 2, "validation": 0, "testing": 0, "unseen-entities": 0}
    assert "note: " in dataset.summary_str() and "2 of 7 triples" in dataset.summary_str()
    assert MultimodalDataset(folder, duplicates="keep").training.num_triples == 7
    with pytest.raises(DataError, match="2 of 7"):
        MultimodalDataset(folder, duplicates="error").training  # noqa: B018


@pytest.mark.parametrize("name", ["missing_rows", "duplicates", "hold_out"])
def test_unknown_option(folder: pathlib.Path, name: str):
    with pytest.raises(MultimodalError, match=f"{name}='maybe' must be"):
        MultimodalDataset(folder, **{name: "maybe"})


def test_further_split_with_a_taken_name(folder: pathlib.Path):
    shutil.copy(folder / "test.tsv", folder / "test-training.tsv")
    with pytest.raises(DataError, match="cannot be called 'training'"):
        MultimodalDataset(folder).training  # noqa: B018


# ---- side files of unseen relations ---------------------------------------------------------------------------------


def test_side_files(folder: pathlib.Path):
    assert MultimodalDataset(folder).candidates is None
    assert MultimodalDataset(folder).dev_relations is None
    assert MultimodalDataset(folder).known_true is None
    (folder / "candidates.json").write_text(json.dumps({"hates": ["b", "c"]}))
    (folder / "dev_relations.txt").write_text("knows\n")
    (folder / "known_true.tsv").write_text("a\tlikes\tg\nq\tlikes\ta\n")
    dataset = MultimodalDataset(folder)
    assert dataset.candidates == {"hates": ["b", "c"]}
    assert dataset.dev_relations == ("knows",)
    assert dataset.record.candidates == str(folder / "candidates.json")
    ids, likes = dataset.entity_to_id, dataset.relation_to_id["likes"]
    assert dataset.known_true is not None
    assert dataset.known_true.tolist() == [[ids["a"], likes, ids["g"]]]
    (folder / "candidates.json").write_text(json.dumps({"hates": ["b", "zoe"]}))
    with pytest.raises(DataError, match="'hates' has 'zoe', which is no entity"):
        MultimodalDataset(folder).candidates  # noqa: B018


def test_hold_out_dev_relations(folder: pathlib.Path):
    (folder / "dev_relations.txt").write_text("knows\n")
    with pytest.raises(DataError, match="has validation triples already"):
        MultimodalDataset(folder, hold_out="dev").training  # noqa: B018
    (folder / "valid.tsv").unlink()
    plain, dataset = MultimodalDataset(folder), MultimodalDataset(folder, hold_out="dev")
    assert plain.validation is None
    assert labeled(dataset.training) == {triple for triple in TRAIN if triple[1] != "knows"}
    assert dataset.validation is not None
    assert labeled(dataset.validation) == {triple for triple in TRAIN if triple[1] == "knows"}
    assert dataset.testing == plain.testing
    assert dataset.relation_to_id == plain.relation_to_id
    assert dataset.digest != plain.digest
    (folder / "dev_relations.txt").write_text("hates\n")
    with pytest.raises(DataError, match="'hates' has no training triple"):
        MultimodalDataset(folder, hold_out="dev").training  # noqa: B018


def test_digest_does_not_depend_on_the_place(folder: pathlib.Path, tmp_path: pathlib.Path):
    shutil.copytree(folder, tmp_path / "copy")
    lines = (folder / "train.tsv").read_text().splitlines()
    (tmp_path / "copy" / "train.tsv").write_text("\n".join(reversed(lines)))
    assert MultimodalDataset(folder).digest == MultimodalDataset(tmp_path / "copy").digest


def test_triples_are_ids_of_the_tables(folder: pathlib.Path):
    dataset = MultimodalDataset(folder)
    ids = dataset.training.mapped_triples
    rows = [
        (dataset.entity_table.labels[h], dataset.relation_table.labels[r], dataset.entity_table.labels[t])
        for h, r, t in ids.tolist()
    ]
    assert rows == TRAIN
    assert ids.dtype == torch.long
