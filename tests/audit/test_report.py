"""The report of an audit."""

import json

import pytest
from pykeen.datasets import Nations

from pykeen_mmkg.audit.checks import CHECKS, audit
from pykeen_mmkg.errors import MultimodalError

from .cases import _dataset


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
