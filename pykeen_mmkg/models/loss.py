"""The loss that a model declares, also in the pipeline of PyKEEN 1.11."""

from typing import Any, ClassVar

from class_resolver import HintOrType, OptionalKwargs
from pykeen.losses import Loss

from .._compat import pipeline_without_loss, stops_without_validation
from ..errors import DataError
from ..options import NO_VALIDATION, strict

__all__ = ["OwnLossMixin"]


class OwnLossMixin:
    """Mixin for a :class:`~pykeen.models.Model` that is trained by its own default loss unless another is asked for.

    To be placed before the model class.
    """

    loss_default: ClassVar[type[Loss]]

    @strict()
    def __init__(
        self, *args: Any, loss: HintOrType[Loss] = None, loss_kwargs: OptionalKwargs = None, **kwargs: Any
    ) -> None:
        """Initialize the model.

        :param args: positional arguments of the model
        :param loss: the loss; by default that of the class
        :param loss_kwargs: keyword arguments of the loss. Without a loss, they change those of the default, as in the
            pipeline of later releases of PyKEEN
        :param kwargs: keyword arguments of the model
        :raises DataError: if a pipeline is to stop early, and has no validation triples
        """
        if stops_without_validation():
            raise DataError(NO_VALIDATION)
        unasked = pipeline_without_loss()
        if unasked is not None:
            loss, loss_kwargs = None, unasked
        if loss is None and loss_kwargs:
            default = getattr(self, "loss_default_kwargs", None) or {}
            loss, loss_kwargs = self.loss_default, {**default, **loss_kwargs}
        super().__init__(*args, loss=loss, loss_kwargs=loss_kwargs, **kwargs)  # type: ignore[call-arg]
