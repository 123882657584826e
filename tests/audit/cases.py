"""A small dataset from lists of triples, and the findings of one check."""

import torch
from pykeen.datasets.base import EagerDataset
from pykeen.triples import CoreTriplesFactory


def _dataset(train, valid, test):
    return EagerDataset(
        *(CoreTriplesFactory(torch.tensor(part), num_entities=5, num_relations=3) for part in (train, test, valid))
    )


def _found(report, check, **details):
    return [f for f in report.select(check) if all(f.details.get(key) == value for key, value in details.items())]
