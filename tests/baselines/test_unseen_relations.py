"""The relation-blind baselines by hand."""

import math
import pathlib

import numpy
import pytest
import torch
from pykeen.triples import TriplesFactory

from pykeen_mmkg.baselines.unseen_relations import AdamicAdar, BlindMixture, DescriptionFrequency
from pykeen_mmkg.errors import DataError

TRIPLES = numpy.array(
    [("a", "likes", "b"), ("b", "likes", "c"), ("a", "likes", "d"), ("d", "knows", "c"), ("e", "knows", "c")]
)
RELATIONS = {"likes": 0, "knows": 1, "admires": 2}


@pytest.fixture()
def factory() -> TriplesFactory:
    """Five entities, two seen relations and an unseen one."""
    return TriplesFactory.from_labeled_triples(TRIPLES, relation_to_id=RELATIONS)


@pytest.fixture()
def table(tmp_path: pathlib.Path) -> str:
    """Descriptions: the unseen relation shares words with one of the seen."""
    path = tmp_path / "relations.tsv"
    path.write_text(
        "relation\tlabel\tdescription\nlikes\t\tlikes a lot\nknows\t\tknows well\nadmires\t\tlikes greatly\n"
    )
    return str(path)


def test_adamic_adar(factory: TriplesFactory) -> None:
    """a and c have b (2 neighbours) and d (2) in common; a and b are linked."""
    ids = factory.entity_to_id
    scores = AdamicAdar(triples_factory=factory, bonus=10.0).predict_t(torch.tensor([[ids["a"], 2]]))[0]
    assert scores[ids["c"]].item() == pytest.approx(2 / math.log(2), abs=1e-3)
    assert scores[ids["b"]].item() == pytest.approx(10.0, abs=1e-3)
    assert scores[ids["e"]].item() == pytest.approx(0.0, abs=1e-3)


def test_words(factory: TriplesFactory, table: str) -> None:
    """The unseen relation answers like the one it shares a word with, in the order of frequency."""
    ids = factory.entity_to_id
    model = DescriptionFrequency(triples_factory=factory, sources={"relations": table})
    scores = model.predict_t(torch.tensor([[ids["e"], 2]]))[0]
    assert scores[ids["b"]] == scores[ids["d"]] == scores[ids["c"]] > 0
    assert scores[ids["a"]] == 0
    both = BlindMixture(triples_factory=factory, sources={"relations": table}).predict_t(torch.tensor([[ids["e"], 2]]))[
        0
    ]
    assert both[ids["c"]] > both[ids["b"]] > both[ids["a"]]
    with pytest.raises(DataError):
        DescriptionFrequency(triples_factory=factory)
