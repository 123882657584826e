"""The loss that a model declares, also in the pipeline of PyKEEN 1.11.

That pipeline makes ``MarginRankingLoss()`` if no loss is asked for, and hands it to the model, whose own
``loss_default`` is never looked at (https://github.com/pykeen/pykeen/issues/1612, mended after 1.11.1 by
https://github.com/pykeen/pykeen/pull/1613). The model cannot tell this instance from one that somebody chose, but the
pipeline's call frame can. Delete this module once a release of PyKEEN with the mend is required.
"""

import sys
from typing import Any, ClassVar

from class_resolver import HintOrType, OptionalKwargs
from pykeen.losses import Loss

__all__ = ["OwnLossMixin"]


def _unasked() -> tuple[bool, OptionalKwargs]:
    """Return whether a pipeline is building a model without having been asked for a loss, and the loss's parameters."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "_build_model_helper" and frame.f_globals.get("__name__") == "pykeen.pipeline.api":
            return frame.f_locals.get("loss", ...) is None, frame.f_locals.get("loss_kwargs")
        frame = frame.f_back  # type: ignore[assignment]
    return False, None


class OwnLossMixin:
    """Mixin for a :class:`~pykeen.models.Model` that is trained by its own default loss unless another is asked for.

    To be placed before the model class.
    """

    loss_default: ClassVar[type[Loss]]

    def __init__(
        self, *args: Any, loss: HintOrType[Loss] = None, loss_kwargs: OptionalKwargs = None, **kwargs: Any
    ) -> None:
        """Initialize the model.

        :param args: positional arguments of the model
        :param loss: the loss; by default that of the class
        :param loss_kwargs: keyword arguments of the loss. Without a loss, they change those of the default, as in the
            pipeline of later releases of PyKEEN
        :param kwargs: keyword arguments of the model
        """
        unasked, given = _unasked()
        if unasked:
            loss, loss_kwargs = None, given
        if loss is None and loss_kwargs:
            default = getattr(self, "loss_default_kwargs", None) or {}
            loss, loss_kwargs = self.loss_default, {**default, **loss_kwargs}
        super().__init__(*args, loss=loss, loss_kwargs=loss_kwargs, **kwargs)  # type: ignore[call-arg]
