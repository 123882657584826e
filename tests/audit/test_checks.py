"""The audit against planted defects, and against the published counts."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pykeen.datasets import Nations
from pykeen.datasets.base import EagerDataset
from pykeen.triples import CoreTriplesFactory

from pykeen_mmkg.audit.checks import CHECKS, audit
from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.features import FeatureStore

TRIPLE = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4))


def _dataset(train, valid, test):
    return EagerDataset(
        *(CoreTriplesFactory(torch.tensor(part), num_entities=5, num_relations=3) for part in (train, test, valid))
    )


def _found(report, check, **details):
    return [f for f in report.select(check) if all(f.details.get(key) == value for key, value in details.items())]


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
        mirror = sum((t, r, h) in facts for h, r, t in parts[name])
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


def test_report_formats_and_failure():
    report = audit(_dataset([(0, 0, 1), (1, 0, 2)], [(1, 0, 2)], [(2, 0, 3)]))
    text = report.to_text()
    assert "ERROR   shared-triples: 1 of 1 (100.0%) distinct validation triples are in training" in text
    assert "for example 1 | 0 | 2" in text
    content = json.loads(report.to_json())
    assert content["sizes"]["training triples"] == 2 and len(content["digest"]) == 64
    assert {f["check"] for f in content["findings"]} <= set(CHECKS)
    assert report.failed("error") and report.failed("warning") and report.failed("unseen-entities, duplicates")
    assert not report.failed("duplicates") and not report.failed(None) and not report.failed("never")
    with pytest.raises(MultimodalError, match="'panic' is neither"):
        report.failed("panic")
    with pytest.raises(MultimodalError, match="no check 'smell'"):
        audit(Nations(), checks=["smell"])


def test_checks_can_be_chosen():
    report = audit("nations", checks=["symmetric-leakage"])
    assert {finding.check for finding in report.findings} == {"symmetric-leakage"}
    assert report.name == "nations"


@pytest.fixture
def folder(tmp_path):
    generator = torch.Generator().manual_seed(0)
    labels = [f"e{i}" for i in range(120)]
    triples = [f"e{i}\tr\te{(i * 7 + 1) % 120}" for i in range(120)]
    (tmp_path / "train.tsv").write_text("\n".join(triples[:100]) + "\n")
    (tmp_path / "test.tsv").write_text("\n".join(triples[100:]) + "\n")
    rows = "".join(f"{label}\t{label}\t{'twin' if i < 2 else f'the entity {i}'}\n" for i, label in enumerate(labels))
    (tmp_path / "entities.tsv").write_text(
        "entity\tname\tdescription\n" + rows.replace("e0\te0\t", "e0\te\t").replace("e1\te1\t", "e1\te\t")
    )
    images = tmp_path / "images"
    images.mkdir()
    for i in range(4):
        (images / f"e{i}.png").write_bytes(b"same" if i < 2 else f"own{i}".encode())
    (images / "e3_1.png").write_bytes(b"own3")
    x = torch.randn(120, 20, generator=generator) @ torch.diag(0.6 ** torch.arange(20)) + 1
    x[:60] = torch.randn(60, 20, generator=generator)
    x[100:] = x[99]
    FeatureStore.from_tensors(labels, x, modality="visual").save(tmp_path / "features" / "visual.safetensors")
    return tmp_path


def test_modalities(folder):
    report = audit(MultimodalDataset(path=folder), progress=False)
    (texts,) = report.select("duplicate-texts")
    assert texts.details["examples"] == [["e0", "e1"]] and texts.severity == "warning"
    between, within = report.select("duplicate-images")
    assert between.details["examples"] == [["e0", "e1"]]
    assert within.details["within"] == 1 and within.severity == "info"
    kinds = {f.details["kind"]: f for f in report.select("placeholder-vectors")}
    assert kinds["identical"].details["largest"] == 21 and kinds["identical"].severity == "error"
    assert kinds["random"].details["share"] == pytest.approx(0.6, abs=0.15)
    assert report.select("coverage")[0].details["image"] == 4
    assert report.failed("placeholder-vectors")


def test_zero_vectors_and_clean_stores(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 20, generator=generator) @ torch.diag(0.6 ** torch.arange(20)) + 1
    labels = [str(i) for i in range(80)]
    clean = FeatureStore.from_tensors(labels, x, modality="textual")
    report = audit(Nations(), checks=["placeholder-vectors"], features={"mine": clean})
    assert [f.severity for f in report.findings] == ["info"]
    x[3] = 0
    FeatureStore.from_tensors(labels, x).save(tmp_path / "x.safetensors")
    report = audit(Nations(), checks=["placeholder-vectors"], features={"mine": tmp_path / "x.safetensors"})
    assert report.findings[0].details == {"store": "mine", "kind": "zero", "count": 1, "examples": ["3"]}


# published counts


def test_wn9_img(shared):
    report = audit(
        MultimodalDataset(path=shared / "data" / "wn9-img"),
        checks=["inverse-leakage", "shared-triples", "unseen-entities"],
    )
    (finding,) = _found(report, "inverse-leakage", split="testing")
    assert round(finding.details["share"], 3) == 0.899
    assert round(finding.details["rule"]["mrr"], 3) == 0.899
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
