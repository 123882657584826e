"""Audit reports: findings with a severity, as text, as JSON, and as a reason to fail."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ..errors import MultimodalError

__all__ = ["SEVERITIES", "AuditReport", "Finding", "Severity", "one_line"]

Severity = Literal["info", "warning", "error"]

#: from harmless to grave
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was found.

    :param check: the name of the check, see :data:`pykeen_mmkg.audit.checks.CHECKS`
    :param severity: "info"; "warning": figures have to be read with care; "error": figures do not mean what they seem
        to
    :param message: one sentence
    :param details: figures and examples, plain JSON
    """

    check: str
    severity: Severity
    message: str
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """The findings about a dataset.

    :param name: the dataset
    :param digest: the digest of its content
    :param sizes: entities, relations, and triples per split
    :param findings: the findings, in the order of the checks
    :param checks: the names of the checks that were made
    """

    name: str
    digest: str
    sizes: Mapping[str, int]
    findings: tuple[Finding, ...]
    checks: tuple[str, ...]

    def select(self, check: str) -> tuple[Finding, ...]:
        """Return the findings of one check."""
        return tuple(finding for finding in self.findings if finding.check == check)

    def failed(self, fail_on: str | Iterable[str] | None = "error") -> bool:
        """Return whether the audit failed.

        :param fail_on: a severity (it or a graver one), a check by name (of which a warning or an error), or several,
            as a list or separated by commas; ``None`` or ``"never"``: never
        :raises MultimodalError: if there is no such severity, or the check was not made
        """
        if fail_on is None:
            return False
        names = fail_on.split(",") if isinstance(fail_on, str) else list(fail_on)
        result = False
        for name in (name.strip() for name in names):
            if name == "never":
                continue
            if name in SEVERITIES:
                grave = SEVERITIES[SEVERITIES.index(name) :]  # type: ignore[arg-type]
                result |= any(finding.severity in grave for finding in self.findings)
            elif name in self.checks:
                result |= any(f.check == name and f.severity != "info" for f in self.findings)
            else:
                raise MultimodalError(
                    f"fail-on: {name!r} is neither a severity {list(SEVERITIES)} nor a check that was made "
                    f"{sorted(self.checks)}."
                )
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "name": self.name,
            "digest": self.digest,
            "sizes": dict(self.sizes),
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def sizes_text(self) -> str:
        """Return the sizes in one line."""
        return ", ".join(f"{count:,} {what}" for what, count in self.sizes.items())

    def gravest_first(self) -> list[Finding]:
        """Return the findings by severity, those of one severity in the order of the checks."""
        return sorted(self.findings, key=lambda finding: -SEVERITIES.index(finding.severity))

    def to_text(self) -> str:
        """Return a readable report, the gravest findings first."""
        lines = [f"Audit of {self.name}: {self.sizes_text()}", f"digest {self.digest}", ""]
        for finding in self.gravest_first():
            lines.append(f"{finding.severity.upper():8}{finding.check}: {finding.message}")
            examples = finding.details.get("examples")
            if examples and finding.severity != "info":
                lines.append(" " * 8 + f"for example {one_line(examples[0])}")
        counts = {severity: sum(f.severity == severity for f in self.findings) for severity in SEVERITIES}
        lines += ["", ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES))]
        return "\n".join(lines)


def one_line(example: Any) -> str:
    """Write an example in one line: a label, a triple of labels, or a group of them."""
    return example if isinstance(example, str) else " | ".join(map(str, example))
