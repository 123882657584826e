"""Multimodal datasets: triples, tables of entities and relations, and images."""

from .candidate_lists import read_candidates, read_relations
from .coverage import Coverage, measure_coverage
from .folder import MultimodalDataset, tables_of
from .labels import labels_in_order
from .loading import load_dataset
from .metadata import GraphMetadata
from .overlap import RelationOverlap, relation_overlaps
from .splits import SplitDataset, SplitReport, split_unseen_entities, split_unseen_relations
from .tables import ModalityTable, find_images, load_tables
from .types import entity_types, type_candidates, type_pools
from .writing import write_dataset

__all__ = [
    "Coverage",
    "GraphMetadata",
    "ModalityTable",
    "MultimodalDataset",
    "RelationOverlap",
    "SplitDataset",
    "SplitReport",
    "entity_types",
    "find_images",
    "labels_in_order",
    "load_dataset",
    "load_tables",
    "measure_coverage",
    "read_candidates",
    "read_relations",
    "relation_overlaps",
    "split_unseen_entities",
    "split_unseen_relations",
    "tables_of",
    "type_candidates",
    "type_pools",
    "write_dataset",
]
