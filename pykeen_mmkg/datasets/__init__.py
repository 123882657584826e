"""Multimodal datasets: triples, tables of entities and relations, and images."""

from .base import MultimodalDataset, labels_of, tables_of
from .candidates import read_candidates, read_relations, type_candidates
from .coverage import Coverage, measure_coverage
from .tables import ModalityTable, find_images, load_tables

__all__ = [
    "Coverage",
    "ModalityTable",
    "MultimodalDataset",
    "find_images",
    "labels_of",
    "load_tables",
    "measure_coverage",
    "read_candidates",
    "read_relations",
    "tables_of",
    "type_candidates",
]
