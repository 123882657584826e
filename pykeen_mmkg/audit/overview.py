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
        shared = {tuple(found.details["splits"]): found.details["share"] for found in report.select("shared-triples")}
        row = [report.name, *(_percent(shared.get(("training", name), 0.0)) for name in ("validation", "testing"))]
        of_testing = {f.check: f.details for f in report.findings if f.details.get("split") == "testing"}
        for check in LEAKS.values():
            found = of_testing.get(check)
            row.append(f"{_percent(found['share'])} (MRR {found['rule']['mrr']:.3f})" if found else "none")
        for check in ("unseen-entities", "unseen-relations"):
            found = of_testing.get(check)
            row.append(_percent(found["triples"] / report.sizes["testing triples"] if found else 0.0))
        rows.append(row)
    return tabulate(rows, headers=headers, tablefmt=fmt, colalign=("left", *("right",) * 7), disable_numparse=True)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share else "none"
