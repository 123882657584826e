"""Evaluation of a model on a split of its dataset."""

import pytest
from pykeen.datasets import Nations
from pykeen.evaluation import RankBasedEvaluator
from pykeen.models import DistMult

from pykeen_mmkg.errors import EvaluationError
from pykeen_mmkg.evaluation.evaluating import evaluate, make_evaluator
from pykeen_mmkg.evaluation.protocols import StandardEvaluator


@pytest.fixture(scope="module")
def trained():
    dataset = Nations()
    return dataset, DistMult(triples_factory=dataset.training, embedding_dim=4, random_seed=0)


@pytest.mark.parametrize("split", ["validation", "testing"])
def test_known_answers_are_those_of_pykeens_pipeline(trained, split):
    dataset, model = trained
    known = [dataset.training.mapped_triples]
    if split == "testing":
        known.append(dataset.validation.mapped_triples)
    triples = getattr(dataset, split).mapped_triples
    expected = RankBasedEvaluator().evaluate(model, triples, additional_filter_triples=known, use_tqdm=False)
    result = evaluate(model, dataset, split=split, use_tqdm=False)
    assert result.to_flat_dict() == pytest.approx(dict(expected.to_flat_dict()), nan_ok=True)


def test_further_known_triples(trained):
    dataset, model = trained
    result = evaluate(
        model, dataset, split="validation", additional_filter_triples=dataset.testing.mapped_triples, use_tqdm=False
    )
    fewer = evaluate(model, dataset, split="validation", use_tqdm=False)
    assert result.ranks.num_candidates.sum() < fewer.ranks.num_candidates.sum()


def test_labels_of_the_dataset_are_at_hand(trained):
    dataset, model = trained
    lists = {relation: ["usa", "uk", "china"] for relation in dataset.relation_to_id}
    result = evaluate(model, dataset, "zsl-candidates", {"candidates": lists}, use_tqdm=False)
    assert result.protocol == "zsl-candidates"
    evaluator = make_evaluator("standard", {"exclude_relations": ["embassy"]}, dataset)
    ranks = evaluate(model, dataset, evaluator, use_tqdm=False).ranks
    assert dataset.relation_to_id["embassy"] not in ranks.triples[:, 1]
    assert make_evaluator(StandardEvaluator).protocol == "standard"


def test_bad_input(trained):
    dataset, model = trained
    with pytest.raises(EvaluationError, match="no split 'unseen'; it has"):
        evaluate(model, dataset, split="unseen")
    with pytest.raises(EvaluationError, match="ClassificationEvaluator is none of the named protocols"):
        evaluate(model, dataset, "classification")
    with pytest.raises(EvaluationError, match="no relation 'loves'"):
        evaluate(model, dataset, "standard", {"exclude_relations": ["loves"]})
