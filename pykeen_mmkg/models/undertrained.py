"""A hint for a model that has hardly learned its training triples, as after a few epochs of a slow recipe."""

import logging
from typing import ClassVar, TypeVar

import torch
from pykeen.models.base import Model
from pykeen.triples import CoreTriplesFactory
from torch import nn

from .._compat import evaluated_training

__all__ = ["UndertrainedHintMixin", "training_mrr"]

logger = logging.getLogger(__name__)

_Self = TypeVar("_Self", bound="UndertrainedHintMixin")

#: how many training triples are looked at, and how many random tails each is compared with
TRIPLES, OTHERS = 200, 100

#: on a graph of fewer entities nothing is said: that many random ones tell little there
MIN_ENTITIES = 100

#: the hint is given below this MRR; a model that knows nothing has about .05
ENOUGH = 0.25


def training_mrr(model: Model, factory: CoreTriplesFactory) -> float:
    """Return the mean reciprocal rank of the tails of some training triples, each among :data:`OTHERS` random entities.

    The same triples and entities are drawn each time, without touching the global random state.

    :param model: the model
    :param factory: its training triples
    :returns: the MRR, with realistic ranks
    """
    generator = torch.Generator().manual_seed(0)
    triples = factory.mapped_triples
    triples = triples[torch.randperm(len(triples), generator=generator)[:TRIPLES]]
    choices = torch.randint(factory.num_entities, (len(triples), 1 + OTHERS), generator=generator)
    choices[:, 0] = triples[:, 2]
    batch = triples[:, None, :].repeat(1, 1 + OTHERS, 1)
    batch[:, :, 2] = choices
    with torch.inference_mode():
        scores = model.predict_hrt(batch.view(-1, 3).to(model.device)).view(choices.shape)
    own, others = (
        scores[:, :1],
        scores[:, 1:].masked_fill((choices[:, 1:] == choices[:, :1]).to(scores.device), -torch.inf),
    )
    ranks = 1 + (others > own).sum(dim=1) + (others == own).sum(dim=1) / 2
    return (1 / ranks).mean().item()


class UndertrainedHintMixin(nn.Module):
    """Mixin for a :class:`~pykeen.models.Model` that says so if it has hardly learned its training triples.

    It looks once, when PyKEEN's pipeline evaluates it after training. To be placed before the model class.
    """

    #: what to try
    advice: ClassVar[str]
    _looked: bool = False

    def train(self: _Self, mode: bool = True) -> _Self:
        """Set the mode, as any module; at the first evaluation after training, look what has been learned.

        :param mode: whether to train
        :returns: the model
        """
        result = super().train(mode)
        factory = None if mode or self._looked else evaluated_training(self)
        if factory is not None and factory.num_entities < MIN_ENTITIES:
            factory = None
        self._looked = not mode and (self._looked or factory is not None)
        if factory is not None and (mrr := training_mrr(self, factory)) < ENOUGH:  # type: ignore[arg-type]
            logger.warning(
                "%s has hardly learned its own training triples (MRR %.2f among %d random entities; without any "
                "training it is about .05). %s",
                type(self).__name__,
                mrr,
                OTHERS,
                self.advice,
            )
        return result
