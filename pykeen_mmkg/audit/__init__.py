"""The audit of a dataset: leaks, unseen items, duplicates, and placeholder vectors."""

from .checks import AuditReport, Finding, audit, audit_features
from .placeholders import Placeholders, find_placeholders

__all__ = ["AuditReport", "Finding", "Placeholders", "audit", "audit_features", "find_placeholders"]
