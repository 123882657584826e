"""The audit of a dataset: leaks, unseen items, duplicates, and placeholder vectors."""

from .checks import audit
from .modality_checks import audit_features
from .placeholders import Placeholders, find_placeholders
from .report import AuditReport, Finding

__all__ = ["AuditReport", "Finding", "Placeholders", "audit", "audit_features", "find_placeholders"]
