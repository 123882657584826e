"""The phases of the models with a generator."""

import torch
from pykeen.datasets import Nations

from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.zero_shot.zsgan import ZSGAN
from pykeen_mmkg.training.twophase import TwoPhaseTrainingLoop


def _model(**options: object) -> ZSGAN:
    factory = Nations().training
    labels = sorted(factory.relation_to_id, key=factory.relation_to_id.__getitem__)
    vectors = torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(0))
    store = FeatureStore.from_tensors(labels, vectors, modality="textual")
    return ZSGAN(
        triples_factory=factory,
        sources={"features": {"relation_textual": store}},
        embedding_dim=5,
        random_seed=0,
        pair_kwargs={"dim": 4, **options},
    )


def test_each_phase_trains_its_own_parameters() -> None:
    """First entities and relations, then the extractor, then the generator; the others stand still."""
    model = _model(extractor_steps=3)
    factory = Nations().training
    loop = TwoPhaseTrainingLoop(
        model=model, triples_factory=factory, optimizer="adam", structure_epochs=1, steps_per_epoch=3
    )

    def snapshot() -> dict[str, torch.Tensor]:
        return {
            "structure": torch.cat([p.detach().flatten() for p in model.get_grad_params()]),
            "extractor": torch.cat([p.detach().flatten() for p in model.pairs.extractor.parameters()]),
            "generator": torch.cat([p.detach().flatten() for p in model.pairs.learner.parameters()]),
        }

    changed = []
    options = dict(batch_size=256, use_tqdm=False, clear_optimizer=False)
    loop.train(factory, num_epochs=1, **options)
    steps = int(model.pairs.steps)
    before = snapshot()
    for epoch in (2, 3):
        loop.train(factory, num_epochs=epoch, continue_training=True, **options)
        after = snapshot()
        changed.append({name for name in after if not torch.equal(before[name], after[name])})
        before = after
    assert steps == 0, "the reset before the first epoch is no step, though PyKEEN calls post_parameter_update"
    frozen = model.pairs.extractor.entities
    assert torch.equal(frozen, model.entity_representations[0](None)), "the vectors as the first phase left them"
    assert changed[0] <= {"extractor", "generator"} and "extractor" in changed[0]
    assert changed[1] == {"generator"}


def test_entities_of_the_extractor_are_those_of_the_model() -> None:
    """After the first step of its own, the extractor has the entities' vectors as they were then."""
    model = _model()
    model.pairs.reset_parameters()
    expected = model.entity_representations[0](None).detach().clone()
    model.train()
    model.pairs.own_step()
    assert torch.equal(model.pairs.extractor.entities, expected)


def test_generated_scores_are_mean_cosines() -> None:
    """The score of an unseen relation, by a loop over samples."""
    model = _model(extractor_steps=1)
    model.train()
    for _ in range(3):
        model.pairs.own_step()
    model.eval()
    with torch.no_grad():
        text = model.described.vectors[3]
        samples = model.pairs.learner.sample(text[None])[0]
        pair = model.pairs.extractor(torch.tensor(2), torch.tensor(5))
        expected = sum(float(torch.cosine_similarity(pair, sample, dim=0)) for sample in samples) / len(samples)
        prototype = model.pairs.prototypes(text[None])
        score = model.pairs.scores(torch.tensor([2]), prototype, torch.tensor([5]))
    assert abs(float(score) - expected) < 1e-5
