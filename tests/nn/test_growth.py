"""Growth: what was there stays bit by bit, what comes has its features and no structure; what cannot grow says so."""

import pytest
import torch
from pykeen.nn.init import PretrainedInitializer
from pykeen.nn.representation import CombinedRepresentation, Embedding, Representation, TransformedRepresentation
from torch import nn

from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.nn.feature import FeatureRepresentation
from pykeen_mmkg.nn.growth import check_growth, feature_parts, grow
from pykeen_mmkg.nn.multimodal import MultimodalRepresentation

LABELS = ("a", "b", "c", "d")
X = torch.arange(12.0).view(4, 3)


def _store(count: int) -> FeatureStore:
    return FeatureStore.from_tensors(LABELS[:count], X[:count])


@pytest.mark.parametrize(
    ("dtype", "shape"), [(torch.float, (3,)), (torch.cfloat, (3,)), (torch.float, ()), (torch.float, (2, 3))]
)
def test_table(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """The rows stay; new ones are what the initializer gives; the stream of random numbers is not touched."""
    embedding = Embedding(5, shape=shape, dtype=dtype)
    embedding.reset_parameters()
    before = embedding(None).detach().clone()
    state = torch.get_rng_state()
    check_growth(embedding)
    grow(embedding, list("abcdefg"), {})
    assert torch.get_rng_state().equal(state)
    after = embedding(None).detach()
    assert after.shape == (7, *shape) and after[:5].equal(before)
    assert embedding(torch.tensor([6])).isfinite().all() and after[5:].abs().min() > 0
    embedding.reset_parameters()


def test_features_and_mask() -> None:
    representation = MultimodalRepresentation(embedding_dim=3, features={"x": _store(2)}, labels=LABELS[:2])
    whole = TransformedRepresentation(transformation=nn.Identity(), base=representation)
    assert list(feature_parts(whole)) == [representation.parts["x"]]
    whole.eval()
    old = _store(2)
    with torch.no_grad():
        before = whole(None).clone()
        check_growth(whole)
        grow(whole, LABELS, {old.digest: _store(3)})
        after = whole(None)
    assert after[:2].equal(before) and after[2].equal(X[2] / 2) and not after[3].any()
    assert representation.mask.tolist() == [[True, True], [True, True], [False, True], [False, False]]
    assert whole.max_id == 4 and not representation.complete


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: FeatureRepresentation(features=X), "tensors"),
        (lambda: Embedding(4, shape=3, initializer=PretrainedInitializer(X)), "first values"),
        (lambda: CombinedRepresentation(4, base=[Embedding(4, shape=3)] * 2), "CombinedRepresentation"),
        (lambda: MultimodalRepresentation(embedding_dim=3, features={"x": X}, max_id=4), "tensors"),
    ],
)
def test_what_cannot_grow(make, match: str) -> None:
    representation: Representation = make()
    with pytest.raises(MultimodalError, match=match):
        check_growth(representation)
