"""Saved runs: a trained model with its labels, features and metrics in one folder, without a pickle."""

from .aligned import AlignedDataset, aligned_factory
from .pykeen_folder import load_pykeen_run
from .run import Run, amend_run, load_run, open_run, run_document, save_run
from .update import update_run

__all__ = [
    "AlignedDataset",
    "Run",
    "aligned_factory",
    "amend_run",
    "load_pykeen_run",
    "load_run",
    "open_run",
    "run_document",
    "save_run",
    "update_run",
]
