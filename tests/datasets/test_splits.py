"""Split makers: every triple in one place, nothing of what is unseen in training, leaks found."""

import json
import pathlib

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.pipeline import pipeline
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from pykeen_mmkg.datasets import (
    GraphMetadata,
    MultimodalDataset,
    SplitReport,
    split_unseen_entities,
    split_unseen_relations,
)
from pykeen_mmkg.datasets.splits import _Source
from pykeen_mmkg.errors import DataError


def rows(*factories: TriplesFactory | None) -> list[tuple[int, int, int]]:
    return [tuple(row) for factory in factories if factory is not None for row in factory.mapped_triples.tolist()]


@pytest.fixture(scope="module")
def nations() -> Nations:
    return Nations()


@pytest.fixture(scope="module")
def everything(nations: Nations) -> set[tuple[int, int, int]]:
    return set(rows(nations.training, nations.testing, nations.validation))


@pytest.mark.parametrize("leaks", ["report", "remove-pairs", "remove-relations"])
def test_unseen_relations(nations: Nations, everything: set[tuple[int, int, int]], leaks: str):
    split = split_unseen_relations(nations, 5, 3, leaks=leaks, threshold=0.3, random_state=1)  # type: ignore[arg-type]
    report = split.report
    assert (len(report.unseen), len(report.dev)) == (5, 3)
    ids = nations.relation_to_id
    for factory, labels in ((split.testing, report.unseen), (split.validation, report.dev)):
        assert {r for _, r, _ in rows(factory)} == {ids[label] for label in labels}
    held = {ids[label] for label in report.unseen + report.dev}
    assert not held & {r for _, r, _ in rows(split.training)}
    together = rows(split.training, split.testing, split.validation, split.removed)
    assert len(together) == len(everything)
    assert set(together) == everything
    for factory in (split.training, split.testing, split.validation):
        assert factory.entity_to_id == nations.entity_to_id
        assert factory.relation_to_id == nations.relation_to_id

    assert report.overlaps
    assert report.removed_leaks == split.removed.num_triples
    for overlap in report.overlaps:
        relation, other = ids[overlap.relation], ids[overlap.other]
        mine = {(h, t) for h, r, t in everything if r == relation}
        if overlap.kind == "inverse":
            mine = {(t, h) for h, t in mine}
        theirs = {(h, t) for h, r, t in everything if r == other}
        assert len(mine & theirs) == overlap.shared
        assert overlap.share == pytest.approx(len(mine & theirs) / len(mine))
        left = {(h, t) for h, r, t in rows(split.training) if r == other}
        if leaks == "report":
            assert left == theirs
        elif leaks == "remove-relations":
            assert not left
        else:
            assert not left & mine
    assert overlap.other in report.summary()
    assert json.loads(json.dumps(report.to_dict()))["removed_leaks"] == report.removed_leaks


def test_named_relations_and_a_single_factory(nations: Nations):
    split = split_unseen_relations(nations.training, ["embassy"], ["treaties"])
    assert split.report.unseen == ("embassy",)
    assert split.report.dev == ("treaties",)
    assert {r for _, r, _ in rows(split.testing)} == {nations.relation_to_id["embassy"]}
    assert split_unseen_relations(nations.training, ["embassy"]).validation is None


def test_unseen_entities_of_held_out_triples(folder: pathlib.Path):
    """The triple (a, knows, d) is the only one of d."""
    dataset = MultimodalDataset(folder)
    kept = split_unseen_relations(dataset, ["knows"])
    assert kept.report.with_unseen_entities == 1
    dropped = split_unseen_relations(dataset, ["knows"], drop_unseen_entities=True)
    assert dropped.report.removed_unseen_entities == 1
    assert kept.testing.num_triples == dropped.testing.num_triples + 1
    (row,) = dropped.removed.label_triples(dropped.removed.mapped_triples).tolist()
    assert row == ["a", "knows", "d"]


def test_pointers_travel_and_the_digest_changes(folder: pathlib.Path):
    dataset = MultimodalDataset(folder)
    split = split_unseen_relations(dataset, ["knows"])
    record = GraphMetadata.of(split.training)
    assert record.entities == str(folder / "entities.tsv")
    assert record.digest != dataset.digest
    assert dataset.record.digest == dataset.digest
    assert split_unseen_relations(dataset, ["likes"]).metadata["multimodal"]["digest"] != record.digest


def test_removed_triples_are_part_of_the_digest(folder: pathlib.Path):
    """Equal splits that differ in what is left out of rankings only are not the same data."""
    source = _Source.of(MultimodalDataset(folder))
    report = SplitReport(unseen=(), dev=())
    training, testing, none = source.triples[:4], source.triples[4:6], source.triples[:0]
    digests = {
        GraphMetadata.of(source.dataset(report, training, testing, none, removed)).digest
        for removed in (none, source.triples[6:7], source.triples[7:8])
    }
    assert len(digests) == 3


def test_the_same_seed_the_same_split(nations: Nations):
    first, second, third = (split_unseen_relations(nations, 4, 2, random_state=seed) for seed in (7, 7, 8))
    assert first == second
    assert first.report == second.report
    assert first.report.unseen != third.report.unseen


@pytest.mark.parametrize("source", ["dataset", "factory"])
def test_unseen_entities(nations: Nations, everything: set[tuple[int, int, int]], source: str):
    graph = nations if source == "dataset" else nations.training
    split = split_unseen_entities(graph, 2, 1, random_state=3)
    unseen, dev = ({nations.entity_to_id[e] for e in labels} for labels in (split.report.unseen, split.report.dev))
    assert (len(unseen), len(dev), len(unseen & dev)) == (2, 1, 0)

    def ends(factory: TriplesFactory | None) -> list[set[int]]:
        return [{h, t} for h, _, t in rows(factory)]

    assert all(not pair & (unseen | dev) for pair in ends(split.training))
    assert all(pair & unseen for pair in ends(split.testing))
    assert all(pair & dev and not pair & unseen for pair in ends(split.validation))
    together = rows(split.training, split.testing, split.validation, *split.extra.values())
    assert len(together) == len(set(together))
    if source == "dataset":
        assert set(together) == everything
        assert set(split.extra) == {"seen-testing", "seen-validation"}
        assert set(rows(split.training)) < set(rows(nations.training))
    else:
        assert set(together) == set(rows(nations.training))
    occur = set().union(*ends(split.training))
    assert occur == set(range(nations.num_entities)) - unseen - dev


def test_without_dev_entities_the_old_validation_is_kept(nations: Nations):
    split = split_unseen_entities(nations, ["china"])
    china = nations.entity_to_id["china"]
    expected = {row for row in rows(nations.validation) if china not in (row[0], row[2])}
    assert set(rows(split.validation)) == expected
    assert set(split.extra) == {"seen-testing"}


def test_a_share_of_entities(nations: Nations):
    assert len(split_unseen_entities(nations, 0.3).report.unseen) == round(0.3 * nations.num_entities)


@pytest.mark.parametrize("inverse", [False, True])
def test_pipeline_with_a_split(nations: Nations, inverse: bool):
    source = Nations(create_inverse_triples=inverse)
    split = split_unseen_relations(source, 3, 2)
    assert split.training.create_inverse_triples is inverse
    result = pipeline(
        dataset=split,
        model="DistMult",
        model_kwargs={"embedding_dim": 4},
        epochs=1,
        use_tqdm=False,
        evaluation_kwargs={"use_tqdm": False},
        random_seed=0,
        device="cpu",
    )
    assert result.get_metric("both.realistic.count") == 2 * split.testing.num_triples


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"unseen": ["embassy", "marriage"]}, "'marriage' is no relation"),
        ({"unseen": ["embassy"], "dev": ["embassy"]}, "'embassy' is to be unseen and dev"),
        ({"unseen": "embassy"}, "single string 'embassy'"),
        ({"unseen": -1}, "cannot draw -1"),
        ({"unseen": 2, "min_triples": 10**6}, "only 0 of 2 relations"),
        ({"unseen": 1, "leaks": "ignore"}, "leaks='ignore' must be"),
        ({"unseen": 0}, "no test triple"),
    ],
)
def test_bad_relations(nations: Nations, kwargs: dict[str, object], message: str):
    with pytest.raises(DataError, match=message):
        split_unseen_relations(nations, **kwargs)  # type: ignore[arg-type]


def test_all_relations_held_out(nations: Nations):
    with pytest.raises(DataError, match="no training triple is left"):
        split_unseen_relations(nations, list(nations.relation_to_id))


def test_relation_without_triple(folder: pathlib.Path):
    with pytest.raises(DataError, match="'owns' has no triple"):
        split_unseen_relations(MultimodalDataset(folder), ["owns"])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"unseen": ["atlantis"]}, "'atlantis' is no entity"),
        ({"unseen": ["china"], "dev": ["china"]}, "'china' is to be unseen and dev"),
        ({"unseen": 1.5}, r"share 1.5 .* must be in \[0, 1\)"),
        ({"unseen": 14}, "of 14 entities can be held out"),
        ({"unseen": 0}, "no testing triple"),
    ],
)
def test_bad_entities(nations: Nations, kwargs: dict[str, object], message: str):
    with pytest.raises(DataError, match=message):
        split_unseen_entities(nations, **kwargs)  # type: ignore[arg-type]


def test_labels_are_needed():
    factory = CoreTriplesFactory.create(torch.as_tensor([[0, 0, 1]]))
    with pytest.raises(DataError, match="needs labels"):
        split_unseen_relations(factory, 1)
