"""Sparse gradients of several processes: the mean, row by row."""

import pytest
import torch
from pykeen.nn.representation import Embedding
from torch import nn

from pykeen_mmkg.processes import Division
from pykeen_mmkg.training.shared_gradients import add_up_rows, sparse_parameters

SHAPE = (6, 2)


def _sparse(ids: list[int], seed: int) -> torch.Tensor:
    values = torch.randn(len(ids), 2, generator=torch.Generator().manual_seed(seed))
    return torch.sparse_coo_tensor(torch.tensor([ids], dtype=torch.long), values, SHAPE)


@pytest.mark.parametrize("kind", ["sparse", "dense", "none"])
def test_mean(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three processes, one with repeated rows and one with none at all, in any kind of gradient."""
    own = {"sparse": _sparse([4, 1, 4], 0), "dense": _sparse([0, 1, 2, 3, 4, 5], 1).to_dense(), "none": None}[kind]
    others = [_sparse([5, 1], 2).coalesce(), _sparse([], 3).coalesce()]

    def gather(target: list[torch.Tensor], mine: torch.Tensor) -> None:
        target[0].copy_(mine)
        for place, other in zip(target[1:], others, strict=True):
            if mine.shape == (1,) and mine.dtype == torch.long and len(target[0]) == 1 and not sent:
                place.fill_(len(other.values()))
            else:
                content = other.indices()[0] if mine.dtype == torch.long else other.values()
                place[: len(content)] = content
        sent.append(1)

    sent: list[int] = []
    monkeypatch.setattr("torch.distributed.all_gather", gather)
    parameter = nn.Parameter(torch.zeros(SHAPE))
    parameter.grad = own
    add_up_rows(parameter, Division(0, 3))
    assert parameter.grad is not None and parameter.grad.is_sparse
    total = sum(part.to_dense() for part in others) + (torch.zeros(SHAPE) if own is None else own.to_dense())
    torch.testing.assert_close(parameter.grad.to_dense(), total / 3)


def test_one_process_keeps_its_own() -> None:
    parameter = nn.Parameter(torch.zeros(SHAPE))
    parameter.grad = gradient = _sparse([2], 0)
    add_up_rows(parameter, Division())
    assert parameter.grad is gradient


def test_names() -> None:
    module = nn.ModuleDict({name: Embedding(max_id=3, shape=2) for name in ("a", "b")})
    module["b"]._embeddings.sparse = True
    assert list(sparse_parameters(module)) == ["b._embeddings.weight"]
    assert dict(module.named_parameters())["b._embeddings.weight"] is sparse_parameters(module)["b._embeddings.weight"]
    assert list(sparse_parameters(module["b"])) == ["_embeddings.weight"]
