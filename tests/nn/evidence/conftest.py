"""A small random graph, its links as plain sets, and random texts."""

import pytest
import torch

from .graph import Graph, N, make_graph


@pytest.fixture(params=[0, 1, 2])
def graph(request: pytest.FixtureRequest) -> Graph:
    return make_graph(request.param)


@pytest.fixture
def texts() -> tuple[torch.Tensor, torch.Tensor]:
    """Return unit vectors, of which two are missing."""
    mask = torch.ones(N, dtype=torch.bool)
    mask[[1, 6]] = False
    x = torch.randn(N, 4, generator=torch.Generator().manual_seed(7))
    return torch.nn.functional.normalize(x, dim=-1) * mask[:, None], mask
