"""Without a modality: the scores of a model that was made without it, where the fusion allows to say so."""

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult

from pykeen_mmkg.datasets.labels import labels_of
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.vlkge import VLKGE
from pykeen_mmkg.nn.masking import entity_modalities, without_modality

TRAINING = Nations().training
LABELS = labels_of(TRAINING, "entity")


def _model(**kwargs) -> VLKGE:
    generator = torch.Generator().manual_seed(0)
    features = {
        name: FeatureStore.from_tensors(
            LABELS, torch.randn(14, 4, generator=generator), torch.arange(14) % step != 0, modality=name
        )
        for name, step in (("visual", 2), ("textual", 5))
    }
    model = VLKGE(triples_factory=TRAINING, embedding_dim=4, sources={"features": features}, random_seed=0, **kwargs)
    return model.eval()


@pytest.mark.parametrize("interaction", ["vldistmult", "vlcomplex", "quate", "transd"])
@pytest.mark.parametrize("modality", ["structural", "visual", "textual"])
def test_scores(modality: str, interaction: str) -> None:
    """With a sum, masking one modality subtracts its vectors; the model is as before, and asks no other ones."""
    model = _model(fusion="sum", interaction=interaction, structural_dropout=0.1)
    assert entity_modalities(model) == ("structural", "visual", "textual")
    query = torch.tensor([[0, 1], [5, 2], [7, 0]])
    before = model.predict_t(query).clone()
    masked = without_modality(model, modality)
    scores = masked.predict_t(query)
    assert model.predict_t(query).equal(before) and not scores.allclose(before)
    for own, other in zip(model.entity_representations, masked.entity_representations, strict=True):
        own, other = getattr(own, "base", own), getattr(other, "base", other)
        if not hasattr(own, "modalities"):
            assert own is other
            continue
        with torch.no_grad():
            part = own.parts[modality](None) * own.mask[:, [own.modalities.index(modality)]]
            whole, left = own(None), other(None)
        torch.testing.assert_close(left.real, whole.real - part)


def test_all_that_an_entity_has() -> None:
    """One that has nothing else is the zero vector; models that fuse nothing have no modalities."""
    model = _model(modalities=["textual"])
    vectors = without_modality(model, "textual").entity_representations[0](None)
    assert not vectors.any()
    assert entity_modalities(DistMult(triples_factory=TRAINING)) == ()
