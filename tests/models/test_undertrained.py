"""The hint that a model has hardly learned: by a rank by hand, and told once, after training only."""

import logging
import pathlib
from typing import Any

import pytest
import torch
from pykeen.models import FixedModel
from pykeen.pipeline import pipeline
from pykeen.triples import CoreTriplesFactory

from pykeen_mmkg.models import undertrained
from pykeen_mmkg.models.undertrained import training_mrr

NAME = undertrained.__name__


def test_training_mrr() -> None:
    """By hand: a model whose scores grow with the tail's id, with as many entities as there are."""

    class Grows(FixedModel):  # type: ignore[misc]
        """Scores a triple by its tail."""

        factor = 1.0

        def predict_hrt(self, hrt_batch: torch.Tensor, **kwargs: Any) -> torch.Tensor:
            return self.factor * hrt_batch[:, 2:].float()

    triples = torch.stack([torch.arange(50), torch.zeros(50, dtype=torch.long), torch.full((50,), 999)], dim=-1)
    factory = CoreTriplesFactory(triples, num_entities=1000, num_relations=1)
    model = Grows(triples_factory=factory)
    assert training_mrr(model, factory) == 1.0
    model.factor = -1.0
    # behind the hundred others, but where one of them is the answer itself, which does not count
    assert 1 / 101 <= training_mrr(model, factory) < 1 / 99
    model.factor = 0.0
    assert training_mrr(model, factory) == pytest.approx(1 / 51, rel=0.02)
    state = torch.random.get_rng_state()
    training_mrr(model, factory)
    assert torch.random.get_rng_state().equal(state)


@pytest.mark.parametrize(("epochs", "lr", "told"), [(1, 1e-4, True), (30, 0.1, False)])
def test_told_after_training(
    folder: pathlib.Path,
    stores: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    epochs: int,
    lr: float,
    told: bool,
) -> None:
    """Once, with what to do, if training was far too short; not while a stopper evaluates."""
    monkeypatch.setattr(undertrained, "MIN_ENTITIES", 20)
    features = {key: stores[key] for key in ("visual", "textual")}
    caplog.set_level(logging.WARNING, logger=NAME)
    result = pipeline(
        dataset="multimodal",
        dataset_kwargs={"path": str(folder)},
        model="vlkge",
        model_kwargs={
            "embedding_dim": 16,
            "sources": {"features": features},
        },
        optimizer="adam",
        optimizer_kwargs={"lr": lr},
        training_kwargs={"num_epochs": epochs, "use_tqdm": False},
        evaluation_kwargs={"use_tqdm": False},
        stopper="early",
        stopper_kwargs={"frequency": epochs, "patience": 100},
        random_seed=0,
    )
    messages = [record.getMessage() for record in caplog.records if record.name == NAME]
    assert len(messages) == told
    assert all("num_epochs" in message and "VLKGE" in message for message in messages)
    result.model.train()
    result.model.eval()
    assert len([record for record in caplog.records if record.name == NAME]) == told
