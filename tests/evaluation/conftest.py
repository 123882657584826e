"""A dataset and a model of PyKEEN."""

import pytest
from pykeen.datasets import Nations
from pykeen.models import DistMult


@pytest.fixture(scope="module")
def nations():
    dataset = Nations()
    model = DistMult(triples_factory=dataset.training, embedding_dim=8, random_seed=0)
    filters = [dataset.training.mapped_triples, dataset.validation.mapped_triples]
    return dataset, model, {"additional_filter_triples": filters, "use_tqdm": False}
