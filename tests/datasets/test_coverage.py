"""Coverage of modalities, against counts by hand."""

import json
import pathlib

import pytest
from pykeen.triples import CoreTriplesFactory

from pykeen_mmkg.datasets import ModalityTable, MultimodalDataset, measure_coverage
from pykeen_mmkg.datasets.coverage import CoverageRow

# of the small graph: text a b d e g, image a b h; training has a b c d, likes and knows


@pytest.mark.parametrize(
    "row",
    [
        CoverageRow("all", "entities", total=8, text=5, image=3, both=2, none=2, unseen=4),
        CoverageRow("all", "relations", total=4, text=3, image=0, both=0, none=1, unseen=2),
        CoverageRow("training", "entities", total=4, text=3, image=2, both=2, none=1, unseen=0),
        # (a, b), (b, c), (c, a), (b, a), (a, d)
        CoverageRow("training", "triples", total=5, text=3, image=2, both=2, none=2, unseen=0),
        # (a, c), (e, a), (a, b)
        CoverageRow("testing", "entities", total=4, text=3, image=2, both=2, none=1, unseen=1),
        CoverageRow("testing", "relations", total=2, text=2, image=0, both=0, none=0, unseen=1),
        CoverageRow("testing", "triples", total=3, text=2, image=1, both=1, none=1, unseen=2),
        CoverageRow("unseen-entities", "triples", total=1, text=0, image=0, both=0, none=1, unseen=1),
    ],
    ids=lambda row: f"{row.split}-{row.items}",
)
def test_counts(folder: pathlib.Path, row: CoverageRow):
    assert MultimodalDataset(folder).coverage().row(row.split, row.items) == row


def test_unseen_labels(folder: pathlib.Path):
    coverage = MultimodalDataset(folder).coverage()
    assert coverage.unseen_entities == {"validation": (), "testing": ("e",), "unseen-entities": ("e", "f")}
    assert coverage.unseen_relations == {"validation": (), "testing": ("hates",), "unseen-entities": ()}
    assert coverage.num_images == 4


def test_parts_add_up(folder: pathlib.Path):
    for row in MultimodalDataset(folder).coverage().rows:
        assert row.text + row.image - row.both + row.none == row.total


def test_summary(folder: pathlib.Path):
    dataset = MultimodalDataset(folder)
    summary = dataset.summary_str()
    assert dataset.coverage().summary() in summary
    assert "relations unseen in training, testing: 1 (hates)" in summary
    assert json.loads(json.dumps(dataset.coverage().to_dict()))["unseen_entities"]["testing"] == ["e"]


def test_unknown_row(folder: pathlib.Path):
    with pytest.raises(KeyError):
        MultimodalDataset(folder).coverage().row("nowhere", "entities")


def test_factories_without_labels():
    factory = CoreTriplesFactory.create([[0, 0, 1]], num_entities=2, num_relations=1)  # type: ignore[arg-type]
    entities = ModalityTable(("x", "y"), ("X", ""), ("", ""), ((), ()))
    coverage = measure_coverage({"training": factory}, entities, ModalityTable.from_labels(["r"], kind="relation"))
    assert coverage.row("all", "entities").text == 1
