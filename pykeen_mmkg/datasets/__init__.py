"""Multimodal datasets: triples, tables of entities and relations, and images."""

from .coverage import Coverage, measure_coverage
from .folder import MultimodalDataset, labels_of, tables_of
from .overlap import RelationOverlap, relation_overlaps
from .relation_lists import read_candidates, read_relations, type_candidates
from .splits import SplitDataset, SplitReport, split_unseen_entities, split_unseen_relations
from .tables import ModalityTable, find_images, load_tables
from .writing import write_dataset

__all__ = [
    "Coverage",
    "ModalityTable",
    "MultimodalDataset",
    "RelationOverlap",
    "SplitDataset",
    "SplitReport",
    "find_images",
    "labels_of",
    "load_tables",
    "measure_coverage",
    "read_candidates",
    "read_relations",
    "relation_overlaps",
    "split_unseen_entities",
    "split_unseen_relations",
    "tables_of",
    "type_candidates",
    "write_dataset",
]
