"""The rules against loops, against published figures, and in PyKEEN's pipeline."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.datasets.base import EagerDataset
from pykeen.pipeline import pipeline
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from pykeen_mmkg.baselines.rules import (
    BASELINES,
    DegreeRule,
    DuplicateRule,
    InverseRule,
    RandomRule,
    SymmetricRule,
    opposite_relations,
)
from pykeen_mmkg.evaluation.evaluating import evaluate

TRIPLES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=25)


def _factory(triples, **kwargs):
    return CoreTriplesFactory(torch.tensor(triples), num_entities=5, num_relations=3, **kwargs)


def _all_queries():
    return torch.cartesian_prod(torch.arange(5), torch.arange(3))


@given(TRIPLES)
@settings(deadline=None)
def test_inverse_relations_equal_the_loop(triples):
    inverse, share = opposite_relations(torch.tensor(triples), 3)
    facts = set(triples)
    for r in range(3):
        own = [(h, t) for h, q, t in facts if q == r]
        shares = [sum((t, other, h) in facts for h, t in own) / len(own) if own else 0 for other in range(3)]
        assert share[r] == pytest.approx(max(shares))
        assert inverse[r] == -1 if max(shares) == 0 else shares[inverse[r]] == max(shares)


@given(TRIPLES)
@settings(deadline=None)
def test_duplicate_relations_and_rule_equal_the_loop(triples):
    same, share = opposite_relations(torch.tensor(triples), 3, "same")
    facts = set(triples)
    for r in range(3):
        own = [(h, t) for h, q, t in facts if q == r]
        shares = [
            sum((h, other, t) in facts for h, t in own) / len(own) if own and other != r else 0 for other in range(3)
        ]
        assert share[r] == pytest.approx(max(shares))
        assert same[r] == -1 if max(shares) == 0 else shares[same[r]] == max(shares)
    model = DuplicateRule(_factory(triples))
    tails, heads = model.predict_t(_all_queries()), model.predict_h(_all_queries().flip(1))
    for row, (e, r) in enumerate(_all_queries().tolist()):
        for x in range(5):
            assert tails[row, x] == ((e, int(same[r]), x) in facts)
            assert heads[row, x] == ((x, int(same[r]), e) in facts)


@given(TRIPLES, st.booleans())
@settings(deadline=None)
def test_lookup_rules_equal_the_loop(triples, create_inverse_triples):
    facts = set(triples)
    factory = _factory(triples, create_inverse_triples=create_inverse_triples)
    inverse, _ = opposite_relations(torch.tensor(triples), 3)
    for cls, opposite in ((InverseRule, inverse.tolist()), (SymmetricRule, [0, 1, 2])):
        model = cls(factory)
        tails, heads = model.predict_t(_all_queries()), model.predict_h(_all_queries().flip(1))
        for row, (e, r) in enumerate(_all_queries().tolist()):
            for x in range(5):
                assert tails[row, x] == ((x, opposite[r], e) in facts)
                assert heads[row, x] == ((e, opposite[r], x) in facts)


@given(TRIPLES)
@settings(deadline=None)
def test_degree_rule_equals_the_loop(triples):
    model = DegreeRule(_factory(triples))
    everywhere = DegreeRule(_factory(triples), per_relation=False)
    tails, heads = model.predict_t(_all_queries()), model.predict_h(_all_queries().flip(1))
    for row, (_, r) in enumerate(_all_queries().tolist()):
        for x in range(5):
            degree = sum((h == x) + (t == x) for h, _, t in triples)
            seen = any(q == r for _, q, _ in triples)
            assert tails[row, x] == (sum((q, t) == (r, x) for _, q, t in triples) if seen else degree)
            assert heads[row, x] == (sum((q, h) == (r, x) for h, q, _ in triples) if seen else degree)
            assert everywhere.predict_t(torch.tensor([[0, r]]))[0, x] == degree


def test_random_rule_is_a_function_of_triple_and_seed():
    factory = CoreTriplesFactory(torch.tensor([[0, 0, 1]]), num_entities=4_000, num_relations=2)
    model = RandomRule(factory)
    scores = model.predict_t(torch.tensor([[3, 1], [4, 1]]))
    heads = model.predict_h(torch.tensor([[1, 7]]))
    assert heads[0, 3] == scores[0, 7]
    assert torch.equal(scores[1:], RandomRule(factory).predict_t(torch.tensor([[4, 1]])))
    assert not torch.equal(scores, RandomRule(factory, seed=1).predict_t(torch.tensor([[3, 1], [4, 1]])))
    scores = scores.detach()
    uniform = scores / 2**24
    assert uniform.mean() == pytest.approx(0.5, abs=0.02)
    assert uniform.std() == pytest.approx(12**-0.5, abs=0.02)
    assert abs(torch.corrcoef(scores)[0, 1]) < 0.06


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("create_inverse_triples", [False, True])
def test_rules_run_in_the_pipeline_and_training_changes_nothing(name, create_inverse_triples):
    def run(epochs):
        return pipeline(
            dataset="nations",
            dataset_kwargs={"create_inverse_triples": create_inverse_triples},
            model=f"{name}rule",
            epochs=epochs,
            training_kwargs={"use_tqdm": False},
            evaluator="standard",
            random_seed=0,
        ).metric_results.to_flat_dict()

    assert run(0) == pytest.approx(run(2), nan_ok=True)


def test_answers_of_a_subset():
    model = InverseRule(_factory([(0, 0, 1), (1, 1, 0), (2, 1, 0)]))
    batch = torch.tensor([[0, 0], [0, 1]])
    everything = model.predict_t(batch)
    assert torch.equal(model.predict_t(batch, tails=torch.tensor([2, 1])), everything[:, [2, 1]])
    assert model.predict_hrt(torch.tensor([[0, 0, 2]])).item() == everything[0, 2]


def _load(folder):
    """Load a folder of the benchmark data without the package's own loader."""
    rows = {
        path.stem: [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (folder / f"{name}.tsv" for name in ("train", "valid", "test"))
        if path.is_file()
    }
    entities = {line.split("\t")[0] for line in (folder / "entities.tsv").read_text("utf-8").split("\n")[1:] if line}
    entities |= {e for part in rows.values() for h, _, t in part for e in (h, t)}
    entity_to_id = {label: i for i, label in enumerate(sorted(entities))}
    relation_to_id = {label: i for i, label in enumerate(sorted({r for part in rows.values() for _, r, _ in part}))}
    factories = {
        name: TriplesFactory(
            torch.tensor([[entity_to_id[h], relation_to_id[r], entity_to_id[t]] for h, r, t in part]),
            entity_to_id=entity_to_id,
            relation_to_id=relation_to_id,
        )
        for name, part in rows.items()
    }
    return EagerDataset(factories["train"], factories["test"], factories.get("valid"))


def _metrics(result, *names):
    return tuple(round(result.get_metric(name), 3) for name in names)


def test_inverse_rule_on_wn9_img_as_published(shared):
    dataset = _load(shared / "data" / "wn9-img")
    for protocol in ("standard", "vlkge-author"):
        result = evaluate(InverseRule(dataset.training), dataset, protocol, use_tqdm=False)
        assert _metrics(result, "mrr", "hits@1") == (0.899, 0.899)


def test_degree_on_fb15k_237_zs_as_published(shared):
    folder = shared / "data" / "fb15k-237-zs"
    dataset = _load(folder)
    kwargs = {"candidates": str(folder / "candidates.json"), "known_true": str(folder / "known_true.tsv")}
    result = evaluate(
        DegreeRule(dataset.training), dataset, "zsl-candidates", json.loads(json.dumps(kwargs)), use_tqdm=False
    )
    assert _metrics(result, "mrr", "hits@10", "hits@5", "hits@1") == (0.071, 0.147, 0.112, 0.028)
    assert set(result.ranks.side) == {"tail"}


def test_degree_on_nell_zs_as_published(shared):
    dataset = _load(shared / "data" / "nell-zs")
    result = evaluate(DegreeRule(dataset.training), dataset, "zsl-candidates", {"candidates": "types"}, use_tqdm=False)
    assert _metrics(result, "mrr", "hits@10", "hits@5", "hits@1") == (0.087, 0.165, 0.105, 0.045)
