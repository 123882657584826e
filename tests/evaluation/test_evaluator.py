"""Evaluators of protocols in PyKEEN's machinery."""

import json

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.evaluation import RankBasedEvaluator, evaluator_resolver
from pykeen.hpo import hpo_pipeline
from pykeen.pipeline import pipeline

from pykeen_mmkg.errors import EvaluationError, ScoreError
from pykeen_mmkg.evaluation.protocols import (
    StandardEvaluator,
    ZSLCandidatesEvaluator,
)

from .reference import evaluate_table, slow_rank


def test_all_metrics_equal_those_of_pykeen(nations):
    dataset, model, kwargs = nations
    expected = RankBasedEvaluator().evaluate(model, dataset.testing.mapped_triples, **kwargs).to_flat_dict()
    result = StandardEvaluator().evaluate(model, dataset.testing.mapped_triples, **kwargs)
    assert result.to_flat_dict() == pytest.approx(dict(expected), nan_ok=True)
    assert result.get_metric("mrr") == pytest.approx((1 / result.ranks.realistic).mean())
    assert result.to_dict()["protocol"] == {"standard": 402}


def test_bootstrap_of_pykeen_works(nations):
    dataset, model, kwargs = nations
    evaluator = StandardEvaluator(clear_on_finalize=False)
    result = evaluator.evaluate(model, dataset.testing.mapped_triples, **kwargs)
    interval = evaluator.finalize_with_confidence(n_boot=3, estimator="mean")[
        "both.realistic.inverse_harmonic_mean_rank"
    ]
    assert interval[0] == pytest.approx(result.get_metric("mrr"), abs=0.1)
    again = evaluator.evaluate(model, dataset.testing.mapped_triples, **kwargs)
    assert len(again.ranks) == len(result.ranks)


@pytest.mark.parametrize("name", ["standard", "vlkge-author", "zsl-candidates", "relation-pool"])
def test_each_protocol_runs_in_pipeline_with_early_stopping(name, tmp_path):
    dataset = Nations()
    labels = list(dataset.entity_to_id)
    path = tmp_path / "candidates.json"
    path.write_text(json.dumps({relation: labels[: 3 + i % 9] for i, relation in enumerate(dataset.relation_to_id)}))
    kwargs = {"zsl-candidates": {"candidates": str(path), "dataset": "nations", "full_ranking": True}}.get(name, {})
    kwargs = json.loads(json.dumps(kwargs))
    result = pipeline(
        dataset="nations",
        model="distmult",
        model_kwargs={"embedding_dim": 4},
        training_kwargs={"num_epochs": 2, "use_tqdm": False},
        evaluator=name,
        evaluator_kwargs=kwargs,
        stopper="early",
        stopper_kwargs={"frequency": 1, "metric": "mrr"},
        random_seed=0,
    )
    assert result.metric_results.protocol == name
    assert evaluator_resolver.lookup(name).protocol == name
    assert 0 < result.get_metric("mrr") <= 1
    result.save_to_directory(tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    assert list(saved["protocol"]) == [name]
    assert ("beside" in saved) == (name == "zsl-candidates")


def test_protocol_in_hpo():
    result = hpo_pipeline(
        n_trials=1,
        dataset="nations",
        model="distmult",
        training_kwargs={"num_epochs": 1, "use_tqdm": False},
        evaluator="relation-pool",
    )
    assert 0 < result.study.best_value <= 1


def test_labels_are_needed_and_must_fit(nations):
    dataset, model, kwargs = nations
    lists = {relation: ["usa", "uk"] for relation in dataset.relation_to_id}
    with pytest.raises(EvaluationError, match="`dataset`"):
        ZSLCandidatesEvaluator(candidates=lists).evaluate(model, dataset.testing.mapped_triples, **kwargs)
    with pytest.raises(EvaluationError, match="another dataset"):
        ZSLCandidatesEvaluator(candidates=lists, dataset="kinships").evaluate(
            model, dataset.testing.mapped_triples, **kwargs
        )
    result = ZSLCandidatesEvaluator(
        candidates=lists, entity_to_id=dataset.entity_to_id, relation_to_id=dataset.relation_to_id
    ).evaluate(model, dataset.testing.mapped_triples, **kwargs)
    assert result.ranks.num_candidates.max() <= 3


def test_nan_scores_are_an_error():
    table = torch.rand(4, 1, 4)
    table[2, 0, 3] = float("nan")
    with pytest.raises(ScoreError, match=r"\(2, 0, \?\)"):
        evaluate_table(StandardEvaluator(), table, [(0, 0, 1), (2, 0, 1)], [])
    with pytest.raises(ScoreError, match=r"\(\?, 0, 3\)"):
        evaluate_table(StandardEvaluator(targets=["head"]), table, [(0, 0, 1), (2, 0, 3)], [])
    table[2, 0, 3], table[1, 0, 1] = float("inf"), -float("inf")
    assert len(evaluate_table(StandardEvaluator(), table, [(2, 0, 1), (1, 0, 2)], [])[0].ranks) == 4


def test_an_answer_competes_with_the_score_that_it_is_said_to_have():
    # PyKEEN's own test of evaluators hands over scores in which the answer has another score than `true_scores` says
    evaluator = ZSLCandidatesEvaluator(candidates={0: [0, 1]}, ids=True)
    evaluator.process_scores_(
        torch.tensor([[0, 0, 2]]), "tail", torch.tensor([[0.0, 1.0, 2.0]]), true_scores=torch.tensor([[5.0]])
    )
    assert evaluator.ranks["tail", "optimistic"][0].tolist() == [1]
    assert evaluator.ranks["tail", "pessimistic"][0].tolist() == [1]


def test_scores_from_elsewhere_are_ranked_among_the_candidates():
    """PyKEEN's own loop hands scores over: only candidates and the answer compete, and the triples are kept."""
    lists = {0: [0, 3]}
    evaluator = ZSLCandidatesEvaluator(candidates=lists, ids=True)
    evaluator.num_entities = 5
    scores = torch.tensor([[1.0, 9.0, 2.0, 4.0, 9.0], [5.0, 9.0, 9.0, 1.0, 3.0]])
    batch = torch.tensor([[1, 0, 2], [2, 0, 4]])
    evaluator.process_scores_(batch, "tail", scores, true_scores=torch.tensor([[2.0], [3.0]]))
    result = evaluator.finalize()
    table = torch.zeros(5, 1, 5)
    table[batch[:, 0], 0] = scores
    expected = [slow_rank(table, triple, "tail", set(), lists[0]) for triple in batch.tolist()]
    ranks = result.ranks
    assert list(zip(ranks.optimistic, ranks.pessimistic, ranks.num_candidates, strict=True)) == expected
    assert ranks.triples.tolist() == batch.tolist()


def test_nothing_to_finalize():
    """Neither before an evaluation nor after it, for what was ranked is given out once."""
    evaluator = StandardEvaluator()
    with pytest.raises(EvaluationError, match="Nothing has been evaluated"):
        evaluator.finalize()
    evaluate_table(evaluator, torch.rand(4, 1, 4), [(0, 0, 1)], [])
    with pytest.raises(EvaluationError, match="Nothing has been evaluated"):
        evaluator.finalize()


def test_unknown_relations_are_refused(nations):
    dataset, model, kwargs = nations
    for relation, message in (("odd", "no relation 'odd'"), (55, "no relation 55")):
        evaluator = StandardEvaluator(exclude_relations=[relation], dataset=dataset)
        with pytest.raises(EvaluationError, match=message):
            evaluator.evaluate(model, dataset.testing.mapped_triples, **kwargs)


def test_a_model_in_training_is_evaluated_without_its_dropout(nations):
    """Ranks are those of the model at rest."""
    dataset, model, kwargs = nations
    model.train()
    StandardEvaluator().evaluate(model, dataset.testing.mapped_triples[:2], **kwargs)
    assert not model.training


def test_a_missing_filter_is_told(nations, caplog):
    """Once, and only where there is one to miss."""
    dataset, model, _ = nations
    triples, none = dataset.testing.mapped_triples[:2], {"use_tqdm": False}
    for evaluator, kwargs, told in (
        (StandardEvaluator(), none, True),
        (StandardEvaluator(filtered=False), none, False),
        (StandardEvaluator(), {**none, "additional_filter_triples": dataset.training.mapped_triples}, False),
    ):
        caplog.clear()
        evaluator.evaluate(model, triples, **kwargs)
        assert ("give `additional_filter_triples`" in caplog.text) == told
