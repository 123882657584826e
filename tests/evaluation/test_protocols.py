"""Ranks of the protocols against a plain loop, and the protocols in PyKEEN's unchanged pipeline."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pykeen.datasets import get_dataset

from pykeen_mmkg.baselines.rules import DegreeRule
from pykeen_mmkg.errors import DataError, EvaluationError, MultimodalError
from pykeen_mmkg.evaluation.protocols import (
    RelationPoolEvaluator,
    StandardEvaluator,
    VLKGEAuthorEvaluator,
    ZSLCandidatesEvaluator,
)

from .reference import evaluate_table, slow_rank


@st.composite
def graphs(draw):
    """A small graph with true triples, some of them to rank, and scores with many ties."""
    num_entities = draw(st.integers(2, 7))
    num_relations = draw(st.integers(1, 3))
    entity = st.integers(0, num_entities - 1)
    triple = st.tuples(entity, st.integers(0, num_relations - 1), entity)
    test = draw(st.lists(triple, min_size=1, max_size=8))
    train = draw(st.lists(triple, max_size=10))
    levels = draw(st.integers(1, 6))
    seed = draw(st.integers(0, 2**16))
    generator = torch.Generator().manual_seed(seed)
    table = torch.randint(levels, (num_entities, num_relations, num_entities), generator=generator).float()
    if draw(st.booleans()):
        table[table == 0] = -float("inf")
    return table, test, train


def _check(ranks, expected):
    rows = list(zip(ranks.optimistic, ranks.pessimistic, ranks.num_candidates, strict=True))
    assert rows == [expected(tuple(t), s) for t, s in zip(ranks.triples.tolist(), ranks.side, strict=True)]


@given(graphs(), st.integers(1, 9))
@settings(deadline=None)
def test_standard_ranks_equal_the_loop(graph, batch_size):
    table, test, train = graph
    known = set(test) | set(train)
    result, _ = evaluate_table(StandardEvaluator(), table, test, train, batch_size=batch_size)
    assert len(result.ranks) == 2 * len(test)
    assert [tuple(t) for t in result.ranks.triples.tolist()] == test * 2
    _check(result.ranks, lambda triple, side: slow_rank(table, triple, side, known))


@given(graphs())
@settings(deadline=None)
def test_unfiltered_ranks_equal_the_loop(graph):
    table, test, train = graph
    result, _ = evaluate_table(StandardEvaluator(filtered=False), table, test, train)
    _check(result.ranks, lambda triple, side: slow_rank(table, triple, side, set()))
    assert result.protocol == "standard (unfiltered)"


@given(graphs())
@settings(deadline=None)
def test_author_filter_also_drops_swapped_triples(graph):
    table, test, train = graph
    true = set(test) | set(train)
    known = true | {(t, r, h) for h, r, t in true}
    result, _ = evaluate_table(VLKGEAuthorEvaluator(), table, test, train)
    _check(result.ranks, lambda triple, side: slow_rank(table, triple, side, known))


@given(graphs(), st.data(), st.booleans(), st.booleans(), st.integers(1, 9))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_candidate_ranks_equal_the_loop(graph, data, full, obeys_ids, batch_size):
    table, test, train = graph
    num_entities, num_relations, _ = table.shape
    pool = st.lists(st.integers(0, num_entities - 1), min_size=1, unique=True)
    by_pair = st.dictionaries(st.integers(0, num_entities - 1), pool, min_size=num_entities, max_size=num_entities)
    kind = st.one_of(pool, by_pair)
    lists = {side: {r: data.draw(kind) for r in range(num_relations)} for side in ("head", "tail")}
    evaluator = ZSLCandidatesEvaluator(
        candidates=lists["tail"], head_candidates=lists["head"], ids=True, full_ranking=full
    )
    known = set(test) | set(train)

    def expected(triple, side):
        given = lists[side][triple[1]]
        if isinstance(given, dict):
            given = given[triple[0] if side == "tail" else triple[2]]
        return slow_rank(table, triple, side, known, set(given))

    result, model = evaluate_table(evaluator, table, test, train, obeys_ids=obeys_ids, batch_size=batch_size)
    _check(result.ranks, expected)
    if full:
        _check(result.beside["standard"].ranks, lambda triple, side: slow_rank(table, triple, side, known))
        assert result.beside["standard"].protocol == "standard"
    else:
        assert not result.beside


@given(graphs(), st.booleans(), st.data())
@settings(deadline=None)
def test_relation_pool_ranks_equal_the_loop(graph, merged, data):
    table, test, train = graph
    own = data.draw(st.lists(st.integers(0, table.shape[1] - 1), unique=True))
    evaluator = RelationPoolEvaluator(targets=("head", "tail"), split_relations=own, merged=merged)
    known = set(test) | set(train)
    # one map of both directions leaves more out, but the pools stay as they are
    left_out = known | {(t, r, h) for h, r, t in known} if merged else known

    def expected(triple, side):
        source = set(test) if triple[1] in own else known
        pool = {(t if side == "tail" else h) for h, r, t in source if r == triple[1]}
        return slow_rank(table, triple, side, left_out, pool)

    result, _ = evaluate_table(evaluator, table, test, train)
    _check(result.ranks, expected)


@given(graphs(), st.data(), st.booleans())
@settings(deadline=None)
def test_restricted_entities_among_candidates(graph, data, full):
    """Who competes is in both lists, whether candidates are scored alone or with all entities."""
    table, test, train = graph
    entity = st.integers(0, len(table) - 1)
    entities = {e for h, _, t in test for e in (h, t)} | set(data.draw(st.lists(entity)))
    lists = {r: data.draw(st.lists(entity, min_size=1, unique=True)) for r in range(table.shape[1])}
    evaluator = ZSLCandidatesEvaluator(candidates=lists, head_candidates=lists, ids=True, full_ranking=full)
    known = set(test) | set(train)
    result, _ = evaluate_table(evaluator, table, test, train, restrict_entities_to=sorted(entities))
    _check(result.ranks, lambda triple, side: slow_rank(table, triple, side, known, entities & set(lists[triple[1]])))


@given(graphs(), st.data())
@settings(deadline=None)
def test_restricted_entities_among_candidates_only(graph, data):
    """Where only candidates are scored, those that are not among the restricted entities do not compete either."""
    table, test, train = graph
    everyone = list(range(len(table)))
    entities = {e for h, _, t in test for e in (h, t)} | set(data.draw(st.lists(st.sampled_from(everyone))))
    lists = {
        relation: data.draw(st.lists(st.sampled_from(everyone), min_size=1, unique=True))
        for relation in range(table.shape[1])
    }
    evaluator = ZSLCandidatesEvaluator(candidates=lists, ids=True)
    result, _ = evaluate_table(evaluator, table, test, train, restrict_entities_to=entities)
    known = set(test) | set(train)
    _check(result.ranks, lambda triple, side: slow_rank(table, triple, side, known, set(lists[triple[1]]) & entities))


@given(graphs(), st.data())
@settings(deadline=None)
def test_restricted_entities_and_excluded_relations(graph, data):
    table, test, train = graph
    entities = {e for h, _, t in test for e in (h, t)} | set(data.draw(st.lists(st.integers(0, len(table) - 1))))
    excluded = data.draw(st.lists(st.integers(0, table.shape[1] - 1), unique=True))
    kept = [triple for triple in test if triple[1] not in excluded]
    evaluator = StandardEvaluator(exclude_relations=excluded)
    known = set(test) | set(train)
    if not kept:
        with pytest.raises(EvaluationError, match="no triple"):
            evaluate_table(evaluator, table, test, train, restrict_entities_to=sorted(entities))
        return
    result, _ = evaluate_table(evaluator, table, test, train, restrict_entities_to=sorted(entities))
    assert [tuple(t) for t in result.ranks.triples.tolist()] == kept * 2
    _check(result.ranks, lambda triple, side: slow_rank(table, triple, side, known, entities))


def test_only_candidates_are_scored(nations):
    table = torch.rand(30, 1, 30)
    result, model = evaluate_table(
        ZSLCandidatesEvaluator(candidates={0: [1, 2, 3]}, ids=True), table, [(5, 0, 7)], [(5, 0, 1)]
    )
    assert model.asked == [4]
    assert result.ranks.num_candidates.tolist() == [3]
    assert set(result.ranks.side) == {"tail"}


def _message(error):
    return str(error.value)


def test_missing_list_is_an_error():
    with pytest.raises(EvaluationError, match="no candidate list for the relation with id 1"):
        evaluate_table(ZSLCandidatesEvaluator(candidates={0: [1]}, ids=True), torch.rand(3, 2, 3), [(0, 1, 2)], [])
    with pytest.raises(EvaluationError, match="no candidate list.*entity with id 2"):
        evaluate_table(ZSLCandidatesEvaluator(candidates={0: {1: [1]}}, ids=True), torch.rand(3, 1, 3), [(2, 0, 2)], [])


def test_empty_list_and_foreign_candidates_are_errors(nations):
    dataset, model, kwargs = nations
    relation = next(iter(dataset.relation_to_id))
    for lists, message in (
        ({relation: []}, f"'{relation}' is empty"),
        ({relation: ["usa", "atlantis"]}, "'atlantis' .*is no entity"),
        ({relation: "usa"}, "expected a list"),
    ):
        with pytest.raises(MultimodalError, match=message):
            ZSLCandidatesEvaluator(candidates=lists, dataset=dataset).evaluate(
                model, dataset.testing.mapped_triples, **kwargs
            )


def test_pools_need_the_triples_they_come_from():
    triples = torch.tensor([[0, 0, 1]])
    for options, known in (({}, {}), ({}, {"triples": triples}), ({"split_relations": [0]}, {"known": triples})):
        with pytest.raises(EvaluationError, match="give `pool_triples`"):
            RelationPoolEvaluator(**options).candidates("tail", 2, **known)


def test_messages_name_the_file_of_the_lists(nations, tmp_path):
    dataset, model, kwargs = nations
    path = tmp_path / "lists.json"
    path.write_text(json.dumps({next(iter(dataset.relation_to_id)): ["atlantis"]}))
    with pytest.raises(EvaluationError, match=f"of {path} is no entity"):
        ZSLCandidatesEvaluator(candidates=path, dataset=dataset).evaluate(
            model, dataset.testing.mapped_triples, **kwargs
        )


@pytest.mark.parametrize(
    ("cls", "kwargs", "message"),
    [
        (ZSLCandidatesEvaluator, {}, "needs `candidates`"),
        (ZSLCandidatesEvaluator, {"candidates": {0: [0]}, "targets": ["head"]}, "`head_candidates`"),
        (ZSLCandidatesEvaluator, {"candidates": "/nowhere/lists.json"}, "/nowhere/lists.json"),
        (StandardEvaluator, {"targets": ["relation"]}, "'head', 'tail'"),
        (StandardEvaluator, {"targets": []}, "'head', 'tail'"),
        (RelationPoolEvaluator, {"merged": True, "full_ranking": True}, "`merged`"),
    ],
)
def test_bad_configuration(cls, kwargs, message):
    with pytest.raises(MultimodalError) as error:
        cls(**kwargs)
    assert message in _message(error)


def test_other_side_is_an_error(nations):
    dataset, model, kwargs = nations
    with pytest.raises(EvaluationError, match="tail"):
        RelationPoolEvaluator().evaluate(model, dataset.testing.mapped_triples, targets=["head"], **kwargs)


def test_known_true_file_filters(tmp_path, nations):
    dataset, model, kwargs = nations
    path = tmp_path / "known.tsv"
    h, r, _ = dataset.testing.triples[0]
    path.write_text("".join(f"{h}\t{r}\t{t}\n" for t in dataset.entity_to_id) + "moon\torbits\tearth\n")
    evaluator = StandardEvaluator(known_true=str(path), dataset=dataset, targets=["tail"])
    result = evaluator.evaluate(model, dataset.testing.mapped_triples[:1], **kwargs)
    assert result.ranks.num_candidates.tolist() == [1]
    path.write_text("a\tb\n")
    with pytest.raises(DataError, match="line 1: expected 3"):
        StandardEvaluator(known_true=path, dataset=dataset).evaluate(model, dataset.testing.mapped_triples, **kwargs)


def test_a_byte_order_mark_takes_no_triple_out_of_the_filter(tmp_path, nations):
    dataset, model, kwargs = nations
    path = tmp_path / "known.tsv"
    h, r, _ = dataset.testing.triples[0]
    path.write_text("\ufeff" + "".join(f"{h}\t{r}\t{t}\n" for t in dataset.entity_to_id), encoding="utf-8")
    evaluator = StandardEvaluator(known_true=path, dataset=dataset, targets=["tail"])
    result = evaluator.evaluate(model, dataset.testing.mapped_triples[:1], **kwargs)
    assert result.ranks.num_candidates.tolist() == [1]


def test_pools_come_from_all_files(tmp_path, nations):
    dataset, model, kwargs = nations
    triple = dataset.testing.mapped_triples[:1]
    h, r, t = dataset.testing.triples[0]
    others = [e for e in dataset.entity_to_id if e != t][:3]
    for name, tails in (("one.tsv", [t, others[0]]), ("two.tsv", others[1:])):
        (tmp_path / name).write_text("".join(f"{h}\t{r}\t{tail}\n" for tail in tails))
    one, two = str(tmp_path / "one.tsv"), tmp_path / "two.tsv"
    for files, expected in ([one], 2), (one, 2), ([one, two], 4):
        evaluator = RelationPoolEvaluator(pool_triples=files, dataset=dataset, filtered=False)
        assert not evaluator.merged
        assert evaluator.evaluate(model, triple, **kwargs).ranks.num_candidates.tolist() == [expected]


def test_dataset_filters_its_own_known_true(tmp_path):
    """A protocol that knows the dataset filters the further true triples beside it, unless told otherwise."""
    (tmp_path / "train.tsv").write_text("a\tr\tb\nb\tr\tc\n")
    (tmp_path / "test.tsv").write_text("a\tr\tc\n")
    (tmp_path / "known_true.tsv").write_text("a\tr\ta\nb\tr\tb\n")
    dataset = get_dataset(dataset="multimodal", dataset_kwargs={"path": tmp_path})
    model = DegreeRule(triples_factory=dataset.training)
    kwargs = dict(mapped_triples=dataset.testing.mapped_triples, use_tqdm=False)
    kwargs["additional_filter_triples"] = dataset.training.mapped_triples
    # tails of (a, r): b is known, a is by known_true, so c is alone; without the file a and c are left
    for known, candidates in ((None, [1]), ([], [2])):
        evaluator = StandardEvaluator(known_true=known, dataset=dataset, targets=["tail"])
        assert evaluator.evaluate(model, **kwargs).ranks.num_candidates.tolist() == candidates
