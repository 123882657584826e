"""Modules that train themselves: what is stepped, and when."""

import copy

import torch
from torch import nn

from pykeen_mmkg.nn.zero_shot.self_trained import SelfTrained


class Squared(SelfTrained):
    """Brings its weight to zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.other = nn.Parameter(torch.ones(3))

    def own_step(self) -> float:
        loss = self.weight.square().sum()
        self.descend(self.optimizer("own", [self.weight], 0.1, (0.9, 0.99)), loss)
        return float(loss.detach())


def test_a_step_follows_each_step_of_the_loop() -> None:
    """In training, and unless another loop does it; nothing else is moved and no gradient is left."""
    module = Squared()
    module.eval()
    module.post_parameter_update()
    assert module.weight.tolist() == [1.0, 1.0, 1.0]
    module.train()
    module.joint = False
    module.post_parameter_update()
    assert module.weight.tolist() == [1.0, 1.0, 1.0]
    module.joint = True
    with torch.inference_mode(False), torch.no_grad():  # as PyKEEN calls it
        module.post_parameter_update()
    # the first step of Adam is of the size of the learning rate
    torch.testing.assert_close(module.weight.detach(), torch.full((3,), 0.9))
    assert module.other.tolist() == [1.0, 1.0, 1.0]
    assert module.weight.grad is None


def test_no_step_at_a_reset() -> None:
    """PyKEEN ends a reset with the same call."""
    module = Squared().train()
    module.forget()
    module.post_parameter_update()
    assert module.weight.tolist() == [1.0, 1.0, 1.0]
    module.post_parameter_update()
    assert module.weight[0] < 1


def test_the_optimizer_is_part_of_the_state() -> None:
    """A copy goes on with the same moments."""
    one, other = Squared().train(), Squared().train()
    for _ in range(3):
        one.own_step()
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for _ in range(3):
        one.own_step()
        other.own_step()
    torch.testing.assert_close(one.weight, other.weight)
    fresh = Squared().train()
    fresh.weight.data.copy_(other.weight.data)
    other.own_step()
    fresh.own_step()
    assert not torch.allclose(fresh.weight, other.weight)
