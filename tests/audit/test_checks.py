"""The choice of checks."""

from pykeen_mmkg.audit.checks import audit


def test_checks_can_be_chosen():
    report = audit("nations", checks=["symmetric-leakage"])
    assert {finding.check for finding in report.findings} == {"symmetric-leakage"}
    assert report.name == "nations"
