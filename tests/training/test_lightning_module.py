"""The Lightning module: its steps are those of the loop, worked out by hand."""

import warnings

import pytest
import torch
from pykeen.datasets import Nations
from pykeen.models import DistMult, TransE

pytorch_lightning = pytest.importorskip("pytorch_lightning")

from pykeen_mmkg.training.lightning_module import LitTrainingLoop  # noqa: E402
from pykeen_mmkg.training.sharded_batches import ShardedBatches  # noqa: E402


def _fit(module: LitTrainingLoop, **kwargs) -> None:
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytorch_lightning.Trainer(devices=1, enable_model_summary=False, **options, **kwargs).fit(module)


def _weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters() if parameter.requires_grad]


@pytest.mark.parametrize(("model", "batch_size"), [(DistMult, 900), (TransE, 1000)])
def test_steps_by_hand(model: type, batch_size: int) -> None:
    """SGD on the batches of two epochs: the same weights, and TransE's constraint after each step."""
    made = [model(triples_factory=Nations().training, embedding_dim=3, random_seed=0) for _ in range(2)]
    options = {"dataset": "nations", "optimizer": "sgd", "learning_rate": 0.5, "batch_size": batch_size, "seed": 4}
    module, other = (LitTrainingLoop(model=own, **options) for own in made)
    _fit(module, max_epochs=2)
    reference, losses = made[1], []
    batches: ShardedBatches = other._batches
    for batches.epoch in (0, 1):
        found = []
        for batch in batches:
            loss = other.loop._process_batch(batch.rows, 0, batch.num_rows)
            reference.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in reference.get_grad_params():
                    parameter -= 0.5 * parameter.grad
            reference.post_parameter_update()
            found.append(loss.item())
        losses.append(sum(found) / len(found))
    for own, expected in zip(_weights(made[0]), _weights(reference), strict=True):
        torch.testing.assert_close(own, expected)
    assert module.losses == pytest.approx(losses)


def test_learning_rate_of_the_loop() -> None:
    """Warm-up and decay go by the steps of all epochs."""
    rates = []
    module = LitTrainingLoop(
        dataset="nations",
        model="complex",
        model_kwargs={"embedding_dim": 2},
        training_loop="sampledsoftmax",
        training_loop_kwargs={"num_sampled": 4, "warmup_steps": 2, "decay": True, "final_rate": 0.3},
        optimizer="sgd",
        learning_rate=0.1,
        batch_size=800,
        on_epoch=lambda own, epoch: rates.append((epoch, own.loop.optimizer.param_groups[0]["lr"])),
    )
    _fit(module, max_epochs=3)
    # two batches an epoch; the last step of the third would be left with 1 - 5/6 < .3
    assert rates == [(1, pytest.approx(0.1 * 5 / 6)), (2, pytest.approx(0.1 * 3 / 6)), (3, pytest.approx(0.1 * 0.3))]


def test_half_precision_and_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is computed in bfloat16 where asked for, and by what `torch.compile` makes of it."""
    seen = []

    def compiled(function, **kwargs):
        def call(batch):
            seen.append(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"))
            return function(batch)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    options = {"dataset": "nations", "model": "distmult", "model_kwargs": {"embedding_dim": 4}, "batch_size": 2000}
    module = LitTrainingLoop(compile=True, **options)
    _fit(module, max_epochs=1, precision="bf16-mixed")
    assert seen == [torch.bfloat16]
    assert module.losses[0] == module.losses[0] and _weights(module.model)[0].dtype == torch.float32
