"""Checks of triples against planted defects, and against the published counts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pykeen_mmkg.audit.checks import audit
from pykeen_mmkg.datasets.folder import MultimodalDataset

from .cases import _dataset, _found

TRIPLE = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4))


def opposites(facts: set[tuple[int, int, int]]) -> dict[int, int | None]:
    """The relation whose triples, turned round, are most of a relation's own; of equal ones, the first."""
    result: dict[int, int | None] = {}
    for r in range(3):
        counts = [sum((t, other, h) in facts for h, own, t in facts if own == r) for other in range(3)]
        result[r] = counts.index(max(counts)) if any(counts) else None
    return result


@given(*(st.lists(TRIPLE, min_size=1, max_size=12) for _ in range(3)))
@settings(max_examples=40, deadline=None)
def test_counts_equal_the_loop(train, valid, test):
    report = audit(_dataset(train, valid, test))
    facts = set(train)
    # the first three splits in the order training, validation, testing
    parts = {"training": train, "validation": valid, "testing": test}
    for first, second in (("training", "validation"), ("training", "testing"), ("validation", "testing")):
        expected = len(set(parts[first]) & set(parts[second]))
        found = _found(report, "shared-triples", splits=[first, second])
        assert [f.details["count"] for f in found] == ([expected] if expected else [])
    for name, part in parts.items():
        expected = len(part) - len(set(part))
        assert [f.details["count"] for f in _found(report, "duplicates", split=name)] == (
            [expected] if expected else []
        )
    for name in ("validation", "testing"):
        inverse = opposites(facts)
        told = [(h, r, t) for h, r, t in parts[name] if inverse[r] not in (None, r) and (t, inverse[r], h) in facts]
        found = _found(report, "inverse-leakage", split=name)
        assert [f.details["count"] for f in found] == ([len(told)] if told else [])
        # one finding a leak: what the inverse tells is no mirror image once more
        mirror = sum((t, r, h) in facts and (h, r, t) not in told for h, r, t in parts[name])
        found = _found(report, "symmetric-leakage", split=name)
        assert [f.details["count"] for f in found] == ([mirror] if mirror else [])
        unseen = {e for h, _, t in parts[name] for e in (h, t)} - {e for h, _, t in train for e in (h, t)}
        found = _found(report, "unseen-entities", split=name)
        affected = sum(h in unseen or t in unseen for h, _, t in parts[name])
        expected = {"count": len(unseen), "triples": affected}
        assert [{key: f.details[key] for key in expected} for f in found] == ([expected] if unseen else [])
        unseen = {r for _, r, _ in parts[name]} - {r for _, r, _ in train}
        found = _found(report, "unseen-relations", split=name)
        expected = {"count": len(unseen), "triples": sum(r in unseen for _, r, _ in parts[name])}
        assert [{key: f.details[key] for key in expected} for f in found] == ([expected] if unseen else [])


def test_inverse_and_duplicate_relations_with_the_score_of_the_rule():
    # relation 1 is the inverse of 0 in training, relation 2 its copy
    train = [(0, 0, 1), (1, 1, 0), (1, 0, 2), (2, 1, 1), (3, 1, 2), (4, 0, 0), (4, 2, 0), (3, 2, 4)]
    report = audit(_dataset(train, [(0, 0, 3)], [(2, 0, 3), (3, 0, 4)]))
    (inverse,) = _found(report, "inverse-leakage", split="testing")
    assert inverse.severity == "error"
    assert inverse.details["count"] == 1 and inverse.details["share"] == 0.5
    assert inverse.details["relations"] == {"0": "1"}
    # (2, 0, 3) has its inverse (3, 1, 2): found first on both sides
    assert inverse.details["rule"]["hits@1"] == 0.5
    (copy,) = _found(report, "duplicate-relation-leakage", split="testing")
    assert copy.details["count"] == 1 and copy.details["relations"] == {"0": "2"}


def test_symmetric_relation():
    """Its leak is a mirror image, and told once; the rule is not credited with it twice either."""
    train = [(0, 0, 1), (1, 0, 0), (1, 0, 2), (2, 0, 1), (3, 0, 4)]
    report = audit(_dataset(train, [(0, 0, 3)], [(4, 0, 3), (0, 0, 2)]))
    leaks = [f for f in report.findings if f.check.endswith("-leakage")]
    assert [(f.check, f.details["split"], f.details["count"]) for f in leaks] == [("symmetric-leakage", "testing", 1)]
    assert leaks[0].details["rule"]["hits@1"] == 0.5


def test_wn9_img(shared):
    """The 89.9 % of the authors are those by another relation and those by the same."""
    report = audit(
        MultimodalDataset(path=shared / "data" / "wn9-img"),
        checks=["inverse-leakage", "symmetric-leakage", "shared-triples", "unseen-entities"],
    )
    (finding,) = _found(report, "inverse-leakage", split="testing")
    (mirror,) = _found(report, "symmetric-leakage", split="testing")
    assert round(finding.details["share"] + mirror.details["share"], 3) == 0.899
    assert abs(finding.details["rule"]["mrr"] - finding.details["share"]) < 0.001
    assert finding.severity == "error"
    assert not report.select("shared-triples") and not report.select("unseen-entities")


def test_db15k(shared):
    report = audit(MultimodalDataset(path=shared / "data" / "db15k"), checks=["shared-triples", "duplicates"])
    (finding,) = _found(report, "shared-triples", splits=["training", "validation"])
    assert finding.details["count"] == 6_584
    assert not _found(report, "shared-triples", splits=["training", "testing"])
    (finding,) = report.select("duplicates")
    assert finding.details == {"split": "validation", "count": 2_423}


def test_fb15k_237_zs(shared):
    report = audit(MultimodalDataset(path=shared / "data" / "fb15k-237-zs"), checks=["unseen-relations"])
    (finding,) = report.select("unseen-relations")
    assert finding.details["count"] == 29
