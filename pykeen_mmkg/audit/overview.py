"""The audits of several datasets, as one table."""

from collections.abc import Iterable

from tabulate import tabulate

from .checks import AuditReport

__all__ = ["audit_table"]

#: column -> check, whose share of the testing triples is shown
LEAKS = {
    "inverse in training": "inverse-leakage",
    "mirror image in training": "symmetric-leakage",
    "other relation in training": "duplicate-relation-leakage",
}


def audit_table(reports: Iterable[AuditReport], fmt: str = "simple") -> str:
    """Print one row per audit: what share of the triples gives its answer away, or is about something unseen.

    All columns are of the testing triples, but for "validation in training".

    :param reports: the audits
    :param fmt: a format of tables that the library tabulate knows
    :returns: the table; behind the share of a leak the MRR of the bare rule that exploits it
    """
    headers = ["name", "validation in training", "testing in training", *LEAKS, "unseen entity", "unseen relation"]
    rows = []
    for report in reports:
        shared = {
            finding.details["splits"][1]: finding.details["share"]
            for finding in report.select("shared-triples")
            if finding.details["splits"][0] == "training"
        }
        row = [report.name, _percent(shared.get("validation", 0.0)), _percent(shared.get("testing", 0.0))]
        for check in LEAKS.values():
            found = [finding.details for finding in report.select(check) if finding.details["split"] == "testing"]
            row.append(f"{_percent(found[0]['share'])} (MRR {found[0]['rule']['mrr']:.3f})" if found else "none")
        for check in ("unseen-entities", "unseen-relations"):
            found = [finding.details for finding in report.select(check) if finding.details["split"] == "testing"]
            row.append(_percent(found[0]["triples"] / report.sizes["testing triples"] if found else 0.0))
        rows.append(row)
    return tabulate(rows, headers=headers, tablefmt=fmt, colalign=("left", *("right",) * 7), disable_numparse=True)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share else "none"
