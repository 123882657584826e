"""Multimodal datasets: triples, tables of entities and relations, and images."""

from .candidate_lists import read_candidates, read_relations
from .coverage import Coverage, measure_coverage
from .folder import MultimodalDataset
from .frames import read_frame
from .image_folder import find_images
from .importing import import_graph
from .labels import labels_in_order, labels_of
from .loading import dataset_digest, load_dataset
from .metadata import GraphMetadata
from .overlap import RelationOverlap, relation_overlaps
from .splits import SplitDataset, SplitReport, split_unseen_entities, split_unseen_relations
from .tables import ModalityTable, load_table
from .triple_splits import SPLIT_KINDS, SplitRule
from .types import entity_types, type_candidates, type_pools
from .writing import write_dataset

__all__ = [
    "dataset_digest",
    "Coverage",
    "GraphMetadata",
    "SPLIT_KINDS",
    "SplitRule",
    "ModalityTable",
    "MultimodalDataset",
    "RelationOverlap",
    "SplitDataset",
    "SplitReport",
    "entity_types",
    "find_images",
    "import_graph",
    "labels_in_order",
    "labels_of",
    "load_dataset",
    "load_table",
    "measure_coverage",
    "read_candidates",
    "read_frame",
    "read_relations",
    "relation_overlaps",
    "split_unseen_entities",
    "split_unseen_relations",
    "type_candidates",
    "type_pools",
    "write_dataset",
]
