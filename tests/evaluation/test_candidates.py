"""Candidate sets: forms, rules, and bad input."""

import json
from pathlib import Path

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult

from pykeen_mmkg.baselines.rules import DegreeRule
from pykeen_mmkg.errors import EvaluationError
from pykeen_mmkg.evaluation.candidates import CandidateSets
from pykeen_mmkg.evaluation.label_maps import LabelMaps
from pykeen_mmkg.evaluation.protocols import ZSLCandidatesEvaluator

LABELS = LabelMaps({"a": 0, "b": 1, "c": 2}, {"r": 0, "s": 1, "t": 2})


def _lists(sets, queries):
    numbers = sets.find(*torch.tensor(queries).unbind(dim=1))
    return [sets.lists[number].tolist() for number in numbers.tolist()]


def test_lists_by_relation_and_by_pair():
    mapping = {"s": ["c", "a"], "t": {"a": ["b"], "c": ["a", "b"]}}
    sets = CandidateSets.from_mapping(mapping, num_entities=3, labels=LABELS)
    assert _lists(sets, [(1, 1), (0, 2), (2, 2)]) == [[0, 2], [1], [0, 1]]
    with pytest.raises(EvaluationError, match="for the relation 'r' .*1 queries of 1 relations.*`exclude_relations`"):
        sets.find(torch.tensor([0, 1]), torch.tensor([1, 0]))
    with pytest.raises(EvaluationError, match="'t' and the entity with id 1"):
        sets.find(torch.tensor([1]), torch.tensor([2]))


@pytest.mark.parametrize("name", ["of another dataset", -1, True])
@pytest.mark.parametrize("labels", [LABELS, None])
def test_a_relation_that_the_dataset_does_not_have_is_refused(name, labels):
    """As :attr:`dataset.candidates` refuses it: a list that no query finds is a misspelt one."""
    with pytest.raises(EvaluationError, match=f"{name!r} in the candidates is no relation"):
        CandidateSets.from_mapping({name: ["a"]}, num_entities=3, labels=labels)


def test_labels_that_are_numbers():
    """They are labels, not ids."""
    labels = LabelMaps({"7": 0, "0": 1}, {"5": 0})
    sets = CandidateSets.from_mapping({"5": {"0": ["7"]}}, num_entities=2, labels=labels)
    assert _lists(sets, [(1, 0)]) == [[0]]


def test_override_leaves_the_original_alone():
    """A relation without a list in the other has none afterwards, and the first set keeps its own."""
    tails = CandidateSets.from_triples(torch.tensor([[0, 0, 1], [2, 1, 0]]), "tail")
    mixed = tails.override(CandidateSets.from_triples(torch.tensor([[2, 1, 2]]), "tail"), [0, 1, 9])
    assert _lists(mixed, [(0, 1)]) == [[2]]
    with pytest.raises(EvaluationError, match="id 0"):
        mixed.find(torch.tensor([0]), torch.tensor([0]))
    assert _lists(tails, [(0, 0), (0, 1)]) == [[1], [0]]


def test_ids_survive_json():
    mapping = json.loads(json.dumps({0: [2, 1], 3: {1: [0]}}))
    sets = CandidateSets.from_mapping(mapping, num_entities=3)
    assert _lists(sets, [(0, 0), (1, 3)]) == [[1, 2], [0]]
    with pytest.raises(EvaluationError, match="3 in the list of '0' of the candidates is no entity"):
        CandidateSets.from_mapping({"0": [3]}, num_entities=3)


def test_pools_and_override():
    triples = torch.tensor([[0, 0, 1], [1, 0, 2], [2, 2, 0]])
    tails = CandidateSets.from_triples(triples, "tail")
    assert _lists(tails, [(0, 0), (0, 2)]) == [[1, 2], [0]]
    heads = CandidateSets.from_triples(triples, "head")
    mixed = tails.override(heads, [2])
    assert _lists(mixed, [(0, 0), (0, 2)]) == [[1, 2], [2]]
    with pytest.raises(EvaluationError, match="id 1"):
        mixed.find(torch.tensor([0]), torch.tensor([1]))


def test_the_rule_types_in_the_evaluator():
    dataset = Nations()
    types = {label: "even" if index % 2 == 0 else "odd" for label, index in dataset.entity_to_id.items()}
    evaluator = ZSLCandidatesEvaluator(
        candidates="types", candidates_kwargs={"types": types}, dataset="nations", filtered=False
    )
    model = DegreeRule(dataset.training)
    triples = dataset.testing.mapped_triples[:1]
    result = evaluator.evaluate(model, triples, use_tqdm=False)
    # unfiltered, all seven entities of the one tail's kind compete
    assert result.ranks.num_candidates.tolist() == [7]


def test_a_multimodal_folder_provides_its_candidates(tmp_path):
    (tmp_path / "train.tsv").write_text("a\tr\tb\nb\tr\tc\nc\tr\td\n")
    (tmp_path / "test.tsv").write_text("a\tnew\tc\n")
    (tmp_path / "candidates.json").write_text('{"new": ["b", "d"]}')
    (tmp_path / "known_true.tsv").write_text("a\tnew\td\n")
    evaluator = ZSLCandidatesEvaluator(dataset="multimodal", dataset_kwargs={"path": str(tmp_path)})
    dataset = evaluator._label_kwargs["dataset"]
    model = DistMult(triples_factory=dataset.training, embedding_dim=2, random_seed=0)
    result = evaluator.evaluate(
        model, dataset.testing.mapped_triples, additional_filter_triples=dataset.training.mapped_triples, use_tqdm=False
    )
    # c and b: d is known to be true
    assert result.ranks.num_candidates.tolist() == [2]
    # what is given comes before what the folder holds
    kwargs = dict(dataset=dataset, filtered=True)
    (tmp_path / "other.tsv").write_text("a\tnew\tb\n")
    other = ZSLCandidatesEvaluator(known_true=tmp_path / "other.tsv", **kwargs)
    triples, known = dataset.testing.mapped_triples, dataset.training.mapped_triples
    ids = dataset.entity_to_id
    result = other.evaluate(model, triples, additional_filter_triples=known, use_tqdm=False)
    assert result.ranks.num_candidates.tolist() == [2]
    numbers = other.candidates("tail", model.num_entities, model=model).lists[0].tolist()
    assert sorted(numbers) == sorted([ids["b"], ids["d"]])
    assert [Path(path).name for path in other.known_true] == ["other.tsv"]
    folder = dict(dataset="multimodal", dataset_kwargs={"path": str(tmp_path)})
    lists = ZSLCandidatesEvaluator(candidates={"new": ["b", "c"]}, **folder)
    assert lists.evaluate(model, triples, use_tqdm=False).ranks.num_candidates.tolist() == [2]
    heads = ZSLCandidatesEvaluator(head_candidates={"new": ["a", "b"]}, **kwargs)
    assert set(heads.evaluate(model, triples, use_tqdm=False).ranks.side) == {"head"}


def test_keys_of_pairs_stay_within_the_known_relations():
    """The code of a query with a relation beyond those of the lists would be that of another pair."""
    # two relations: the code of (1, 0) is 2, as that of (0, 2) would be
    sets = CandidateSets.from_mapping({"0": {"1": [2]}, "1": [0]}, num_entities=3)
    assert sets.keys.tolist() == [2]
    assert _lists(sets, [(1, 0)]) == [[2]]
    with pytest.raises(EvaluationError, match="relation with id 2 and the entity with id 0"):
        sets.find(torch.tensor([0]), torch.tensor([2]))


def test_keys_beyond_the_last_are_not_found():
    sets = CandidateSets.from_mapping({"0": {"1": [2]}}, num_entities=3)
    with pytest.raises(EvaluationError, match="entity with id 2"):
        sets.find(torch.tensor([2]), torch.tensor([0]))


def test_a_relation_beyond_all_lists_has_none():
    """Neither from triples without it, nor from none, nor by taking over what the other sets lack."""
    query = torch.tensor([0])
    nothing = CandidateSets.from_triples(torch.empty(0, 3, dtype=torch.long), "tail")
    tails = CandidateSets.from_triples(torch.tensor([[0, 0, 1], [2, 1, 0]]), "tail")
    mixed = tails.override(CandidateSets.from_triples(torch.tensor([[2, 0, 2]]), "tail"), [1])
    for sets, relation in ((nothing, 0), (tails, 2), (mixed, 1)):
        with pytest.raises(EvaluationError, match=f"relation with id {relation}"):
            sets.find(query, torch.tensor([relation]))
    assert _lists(mixed, [(0, 0)]) == [[1]]
