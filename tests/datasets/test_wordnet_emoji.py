"""The demo dataset that the package ships: splits without leaks, true gaps, readable images, real features."""

import collections
import csv
import json
import pathlib
import subprocess
import sys

import pytest
import torch
from PIL import Image
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets import GraphMetadata
from pykeen_mmkg.datasets.wordnet_emoji import WordNetEmoji
from pykeen_mmkg.encoders import encode_images, encode_texts, make_encoder
from pykeen_mmkg.features import FeatureStore

FOLDER = WordNetEmoji.folder
SPLITS = ("train", "valid", "test", "valid-unseen-entities", "test-unseen-entities", "test-unseen-relations")

Triple = tuple[str, str, str]


def read(name: str) -> list[list[str]]:
    """Read a file without the package's own reader."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def triples() -> dict[str, set[Triple]]:
    result = {}
    for name in SPLITS:
        rows = [(head, relation, tail) for head, relation, tail in read(f"{name}.tsv")]
        result[name] = set(rows)
        assert len(rows) == len(result[name]), f"{name} repeats a triple"
    return result


@pytest.fixture(scope="module")
def texts() -> dict[str, tuple[str, str]]:
    header, *rows = read("entities.tsv")
    assert header == ["entity", "label", "description"]
    return {entity: (label, description) for entity, label, description in rows}


@pytest.fixture(scope="module")
def pictured() -> set[str]:
    return {path.stem.partition("_")[0] for path in (FOLDER / "images").iterdir()}


@pytest.fixture(scope="module")
def dataset() -> WordNetEmoji:
    return WordNetEmoji()


def entities_of(triples: set[Triple]) -> set[str]:
    return {entity for head, _, tail in triples for entity in (head, tail)}


def relations_of(triples: set[Triple]) -> set[str]:
    return {relation for _, relation, _ in triples}


def pairs_of(triples: set[Triple]) -> set[frozenset[str]]:
    return {frozenset((head, tail)) for head, _, tail in triples}


def labeled(factory: TriplesFactory) -> set[Triple]:
    return {tuple(row) for row in factory.label_triples(factory.mapped_triples).tolist()}


def test_dataset_gives_the_files(dataset: WordNetEmoji, triples: dict[str, set[Triple]]):
    factories = dataset.factories
    names = {"train": "training", "valid": "validation", "test": "testing"}
    assert {name: labeled(factories[names.get(name, name.removeprefix("test-"))]) for name in SPLITS} == triples
    assert set(dataset.extra) == {"unseen-entities", "unseen-relations", "valid-unseen-entities"}


def test_statistics_of_the_documentation(dataset: WordNetEmoji):
    from docdata import get_docdata

    statistics = get_docdata(WordNetEmoji)["statistics"]
    sizes = {
        "training": dataset.training.num_triples,
        "validation": dataset.validation.num_triples,
        "testing": dataset.testing.num_triples,
    }
    assert statistics == {
        "entities": dataset.num_entities,
        "relations": dataset.num_relations,
        **sizes,
        "triples": sum(sizes.values()),
    }


def test_tables_hold_exactly_the_labels(triples: dict[str, set[Triple]], texts: dict[str, tuple[str, str]]):
    everything = set().union(*triples.values())
    assert entities_of(everything) == set(texts)
    header, *rows = read("relations.tsv")
    assert header == ["relation", "label", "description"]
    assert relations_of(everything) == {row[0] for row in rows}
    assert all(all(row) for row in rows)
    assert len({row[2] for row in rows}) == len(rows), "two relations cannot be told apart by their descriptions"


def test_splits_are_disjoint_even_as_pairs(triples: dict[str, set[Triple]]):
    names = sorted(triples)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert pairs_of(triples[one]).isdisjoint(pairs_of(triples[other])), (one, other)


def test_no_triple_is_the_inverse_of_another(triples: dict[str, set[Triple]]):
    everything = set().union(*triples.values())
    assert not [(h, r, t) for h, r, t in everything if (t, r, h) in everything]


@pytest.mark.parametrize("name", ["valid", "test"])
def test_ordinary_splits_are_transductive(triples: dict[str, set[Triple]], name: str):
    assert entities_of(triples[name]) <= entities_of(triples["train"])
    assert relations_of(triples[name]) <= relations_of(triples["train"])


def test_unseen_entities_are_unseen_and_their_partners_seen(triples: dict[str, set[Triple]]):
    seen = entities_of(triples["train"])
    unseen = {row[0]: row[1] for row in read("unseen-entities.tsv")[1:]}
    assert seen.isdisjoint(unseen)
    for split in ("valid", "test"):
        part = triples[f"{split}-unseen-entities"]
        for head, _, tail in part:
            assert (head in seen) != (tail in seen)
        assert entities_of(part) - seen == {entity for entity, where in unseen.items() if where == split}
        assert relations_of(part) <= relations_of(triples["train"])


def test_unseen_entities_have_what_the_table_says(
    texts: dict[str, tuple[str, str]], pictured: set[str], dataset: WordNetEmoji
):
    header, *rows = read("unseen-entities.tsv")
    assert header == ["entity", "split", "modalities", "label", "description"]
    for entity, _, modalities, label, description in rows:
        has = [name for name, there in (("image", entity in pictured), ("text", any(texts[entity]))) if there]
        assert "+".join(has) == modalities
        assert label and description
        if "text" in has:
            assert texts[entity] == (label, description)
    counts = collections.Counter((split, modalities) for _, split, modalities, *_ in rows)
    assert counts == {
        (split, modalities): count
        for split, count in (("test", 110), ("valid", 45))
        for modalities in ("image", "text", "image+text")
    }
    assert {entity: tuple(row) for entity, row in dataset.unseen.items()} == {row[0]: tuple(row[1:]) for row in rows}


def test_only_those_texts_are_hidden(texts: dict[str, tuple[str, str]]):
    hidden = {row[0] for row in read("unseen-entities.tsv")[1:] if row[2] == "image"}
    assert {entity for entity, text in texts.items() if not all(text)} == hidden


def test_unseen_relations_are_unseen_and_can_be_answered(triples: dict[str, set[Triple]]):
    part = triples["test-unseen-relations"]
    others = set().union(*(triples[name] for name in SPLITS if name != "test-unseen-relations"))
    assert relations_of(part).isdisjoint(relations_of(others))
    assert {head for head, _, _ in part} <= entities_of(triples["train"])
    assert {tail for _, _, tail in part} <= {tail for _, _, tail in triples["train"]}
    assert len(relations_of(part)) == 3


def test_dev_relations_are_held_out(triples: dict[str, set[Triple]]):
    dev = {row[0] for row in read("dev_relations.txt")}
    assert dev <= relations_of(triples["train"])
    dataset = WordNetEmoji(hold_out="dev")
    training, validation = labeled(dataset.training), labeled(dataset.validation)
    assert relations_of(training).isdisjoint(dev)
    assert relations_of(validation) == dev
    assert training == {triple for triple in triples["train"] if triple[1] not in dev}
    assert validation <= triples["train"]
    assert entities_of(validation) <= entities_of(training)
    assert len(validation) > 100


def test_images_decode_and_say_where_they_are_from():
    header, *rows = read("images.tsv")
    assert header == ["image", "source", "picture"]
    sources = {name: source for name, source, _ in rows}
    files = sorted((FOLDER / "images").iterdir())
    assert sorted(sources) == [path.name for path in files]
    seen = {}
    for path in files:
        with Image.open(path) as image:
            assert image.format == "WEBP"
            assert image.size == (72, 72)
            pixels = image.convert("RGBA").tobytes()
        assert len(set(pixels)) > 2, f"{path.name} is blank"
        assert seen.setdefault(pixels, path.name) == path.name, f"{path.name} is the picture of {seen[pixels]}"
    notice = (FOLDER / "NOTICE").read_text("utf-8")
    assert set(sources.values()) == {"@iconify-json/noto", "svg-country-flags"}
    for source in {*sources.values(), "WordNet 3.1", "DINOv2-small", "all-MiniLM-L6-v2"}:
        assert source in notice
    for text in ("Princeton University and LICENSEE agrees", "TERMS AND CONDITIONS FOR USE", "Public domain"):
        assert text in notice
    top = (FOLDER.parents[2] / "NOTICE").read_text("utf-8")
    assert all(name in top for name in ("WordNet", "Noto Emoji", "svg-country-flags", "emojibase-data"))


def test_images_are_those_of_the_review():
    with (FOLDER.parents[2] / "scripts" / "demo_review.tsv").open(encoding="utf-8", newline="") as file:
        review = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert all(row["reason"] for row in review)
    assert len({row["picture"] for row in review}) == len(review)
    mapped = {row["picture"]: row["synset"] for row in review if row["synset"] != "-"}
    shipped = {picture: name.partition(".")[0].partition("_")[0] for name, _, picture in read("images.tsv")[1:]}
    assert shipped.items() <= mapped.items()
    assert len(shipped) > 0.99 * len(mapped)


def test_folder_stays_small():
    sizes = collections.Counter()
    for path in FOLDER.rglob("*"):
        if path.is_file():
            sizes["features" if path.parent.name == "features" else "data"] += path.stat().st_size
    assert sizes["data"] < 3_000_000
    assert sizes["features"] < 3_500_000


@pytest.mark.parametrize("name", ["visual", "textual", "relation_textual"])
def test_features_belong_to_the_items_that_have_the_modality(
    name: str, texts: dict[str, tuple[str, str]], pictured: set[str], dataset: WordNetEmoji
):
    store = FeatureStore.load(dataset.record.features[name])
    store.check()
    wanted = {
        "visual": pictured,
        "textual": {entity for entity, text in texts.items() if any(text)},
        "relation_textual": {row[0] for row in read("relations.tsv")[1:]},
    }[name]
    assert set(store.labels) == wanted
    assert bool(store.mask.all())
    assert store.dim == 256
    assert store.vectors.dtype == torch.float16
    assert len(torch.unique(store.vectors, dim=0)) > 0.99 * len(store)
    assert int(store.counts.sum()) == (len(list((FOLDER / "images").iterdir())) if name == "visual" else len(wanted))


def test_features_are_those_of_the_real_encoder(
    dual_encoder: pathlib.Path, dataset: WordNetEmoji, tmp_path: pathlib.Path
):
    encoder = make_encoder(str(dual_encoder))
    stores = {name: FeatureStore.load(path) for name, path in dataset.record.features.items()}
    images = {label: paths for label, paths in dataset.entity_table.image_dict().items() if paths}
    # those with several images, too
    several = [label for label, paths in images.items() if len(paths) > 1][:5]
    picked = {label: images[label] for label in [*several, *list(images)[:: len(images) // 15]][:20]}
    texts = {label: text for label, text in dataset.entity_table.texts().items() if text}
    sample = {label: texts[label] for label in list(texts)[:: len(texts) // 20]}
    for name, made in (
        ("visual", encode_images(picked, encoder, directory=tmp_path, progress=False)),
        ("textual", encode_texts(sample, encoder, directory=tmp_path, progress=False)),
        ("relation_textual", encode_texts(dataset.relation_table.texts(), encoder, directory=tmp_path, progress=False)),
    ):
        shipped, mask = stores[name].lookup(made.labels)
        assert bool(mask.all())
        # float16 has 11 significant bits
        error = (shipped - made.vectors).abs().amax(dim=-1) / made.vectors.abs().amax(dim=-1)
        assert error.max().item() < 2e-3, name
        other = torch.nn.functional.cosine_similarity(shipped, made.vectors.roll(1, 0))
        assert other.mean().item() < 0.9, "the comparison could not tell two items apart"


def test_features_say_who_made_them(dataset: WordNetEmoji):
    fingerprints = {
        FeatureStore.load(path).provenance["encoder_fingerprint"] for path in dataset.record.features.values()
    }
    assert len(fingerprints) == 1


def test_images_and_texts_meet_in_one_space(dataset: WordNetEmoji):
    """An unrelated or random vector would put the right text at rank n/2 on average."""
    visual, textual = (FeatureStore.load(dataset.record.features[name]) for name in ("visual", "textual"))
    both = [label for label in visual.labels if label in textual]
    x, y = (torch.nn.functional.normalize(store.lookup(both)[0]) for store in (visual, textual))
    scores = x @ y.T
    ranks = (scores >= scores.diagonal().unsqueeze(-1)).sum(dim=-1).float()
    assert ranks.median().item() < 0.1 * len(both)


def test_metadata_points_to_shipped_files_only(dataset: WordNetEmoji):
    json.dumps(dataset.training.metadata)
    record = GraphMetadata.of(dataset.training)
    for path in (record.entities, record.relations, record.images, record.dev_relations):
        assert pathlib.Path(path).is_relative_to(FOLDER)
        assert pathlib.Path(path).exists()
    assert set(record.features) == {"visual", "textual", "relation_textual"}


def test_no_network_and_no_encoder(tmp_path: pathlib.Path):
    code = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("network")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from pykeen_mmkg.datasets.wordnet_emoji import WordNetEmoji
from pykeen_mmkg.features import FeatureStore
dataset = WordNetEmoji()
for path in dataset.record.features.values():
    FeatureStore.load(path)
print(dataset.coverage() is not None, dataset.training.num_triples)
assert "transformers.models" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
