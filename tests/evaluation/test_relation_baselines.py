"""The table of the baselines for unseen relations."""

import pathlib

from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.evaluation.relation_baselines import relation_baselines


def test_one_call(folder: pathlib.Path) -> None:
    """A row for each baseline, with finite figures."""
    dataset = MultimodalDataset(path=folder)
    rows = relation_baselines(dataset)
    assert list(rows.index) == ["tail degree", "Adamic-Adar + link bonus", "TF-IDF of descriptions", "both"]
    assert ((rows > 0) & (rows <= 1)).loc[:, "mrr"].all()
    labels = sorted(dataset.training.entity_to_id)
    limited = relation_baselines(dataset, candidates={f"r{k}": labels[:5] for k in range(3)})
    assert (limited["mrr"] > rows["mrr"]).all()
