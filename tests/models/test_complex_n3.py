"""ComplEx-N3: its scores, how it starts, and what is penalised."""

import torch
from pykeen.datasets import Nations
from pykeen.models import ComplEx

from pykeen_mmkg.models.complex_n3 import ComplExN3
from pykeen_mmkg.nn.losses import SampledSoftmaxLoss


def test_scores_are_those_of_complex() -> None:
    """With the same vectors, PyKEEN's own model gives the same scores."""
    training = Nations(create_inverse_triples=True).training
    model = ComplExN3(triples_factory=training, embedding_dim=6, initial_scale=0.5, random_seed=0)
    own = ComplEx(triples_factory=training, embedding_dim=6, random_seed=1)
    for mine, theirs in zip(
        [*model.entity_representations, *model.relation_representations],
        [*own.entity_representations, *own.relation_representations],
        strict=True,
    ):
        theirs.load_state_dict(mine.state_dict(), strict=False)
    batch = training.mapped_triples[:9]
    torch.testing.assert_close(model.predict_t(batch[:, :2]), own.predict_t(batch[:, :2]))
    torch.testing.assert_close(model.predict_h(batch[:, 1:]), own.predict_h(batch[:, 1:]))
    assert isinstance(model.loss, SampledSoftmaxLoss)


def test_starts_tiny() -> None:
    """Real and imaginary parts have the standard deviation that is asked for."""
    model = ComplExN3(triples_factory=Nations().training, embedding_dim=300, initial_scale=2e-3, random_seed=0)
    for representation in (model.entity_representations[0], model.relation_representations[0]):
        parts = torch.view_as_real(representation().detach())
        torch.testing.assert_close(parts.std().item(), 2e-3, rtol=0.05, atol=0)
        assert abs(parts.mean().item()) < 1e-4


def test_penalty() -> None:
    """The weight, times the mean of the sums of cubed moduli, for heads, relations and tails."""
    model = ComplExN3(
        triples_factory=Nations().training, embedding_dim=3, initial_scale=1.0, penalty=0.7, random_seed=0
    )
    batch = Nations().training.mapped_triples[:4]
    model.train().score_hrt(batch)
    h, r, t = batch.unbind(-1)
    entity, relation = model.entity_representations[0], model.relation_representations[0]
    expected = 0.0
    for vectors in (entity._embeddings.weight[h], relation._embeddings.weight[r], entity._embeddings.weight[t]):
        for row in vectors.detach().view(4, 3, 2).tolist():
            expected += 0.7 / 4 * sum((a * a + b * b) ** 1.5 for a, b in row)
    torch.testing.assert_close(model.collect_regularization_term().item(), expected)
    free = ComplExN3(triples_factory=Nations().training, embedding_dim=3, penalty=0.0, random_seed=0)
    free.train().score_hrt(batch)
    assert float(free.collect_regularization_term()) == 0
