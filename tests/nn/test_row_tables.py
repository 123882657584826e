"""The option of embeddings whose gradients are sparse."""

import pytest
import torch
from pykeen.nn.representation import Embedding

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.nn.multimodal import MultimodalRepresentation
from pykeen_mmkg.nn.row_tables import set_sparse_option, sparse_option, split_sparse_option


def test_option_is_taken_out() -> None:
    """The rest goes to the embedding; what was given is not changed."""
    given = {"sparse": True, "trainable": False}
    assert split_sparse_option(given) == ({"trainable": False}, True)
    assert given == {"sparse": True, "trainable": False}
    assert split_sparse_option(None) == ({}, None)
    with pytest.raises(MultimodalError, match="truth value"):
        split_sparse_option({"sparse": "no"})


def test_option_of_the_structure() -> None:
    """It lands on the structural embedding, and is open by default."""
    for kwargs, value in (({}, None), ({"structural_kwargs": {"sparse": False}}, False)):
        x = MultimodalRepresentation(max_id=5, features={"text": torch.randn(5, 3)}, **kwargs)
        assert sparse_option(x.parts["structural"]) is value


def test_only_embeddings() -> None:
    """Another representation has no such gradients."""
    x = MultimodalRepresentation(max_id=5, features={"text": torch.randn(5, 3)})
    set_sparse_option(x, None)
    with pytest.raises(MultimodalError, match="MultimodalRepresentation"):
        set_sparse_option(x, True)
    embedding = Embedding(max_id=3, shape=2)
    set_sparse_option(embedding, True)
    assert sparse_option(embedding) is True
