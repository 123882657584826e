"""State dicts that know their labels and features: weights of other ones are refused, not given to the wrong rows.

PyKEEN has two kinds of checkpoints: those of ``checkpoint_name``, from which training resumes, and those of the
callback ``checkpoint``. The former hold the labels, and those of another graph cause a warning, after which training
goes on from weights that belong to other entities; the latter hold none. Both hold a state dict, so here the state dict
of a model that was made for a multimodal graph, or that reads features, says in its metadata (where torch keeps the
versions of modules) what its rows are, and ``load_state_dict`` refuses another one. Whoever reads it without this
package does not notice. Models of graphs that are PyKEEN's alone are left as they are.

Delete :func:`guard` once PyKEEN itself refuses; the digests then are for features only.
"""

import functools
import logging
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from pykeen.models.base import Model
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from .._compat import state_metadata
from ..datasets.labels import label_digests, labels_digest
from ..datasets.metadata import GraphMetadata
from ..errors import RunError
from ..modalities import gathered

__all__ = ["guard", "identity", "relabel", "remember"]

logger = logging.getLogger(__name__)

#: the key in the metadata of a state dict
KEY = "pykeen_mmkg"

#: what a model was made for; beside it, not within, so that a pickled model holds no triples
_factories: weakref.WeakKeyDictionary[Model, TriplesFactory] = weakref.WeakKeyDictionary()


def remember(model: Model, factory: CoreTriplesFactory | Any) -> None:
    """Remember what a model was made for, unless that is known.

    The model of a multimodal graph gets the digests of the labels as its attribute ``graph_labels``, plain texts, which
    stay in a pickled model: :func:`~pykeen_mmkg.runs.load_pykeen_run` compares them.

    :param model: the model
    :param factory: its training triples; without labels they are passed over
    """
    if isinstance(factory, TriplesFactory):
        _factories.setdefault(model, factory)
        if GraphMetadata.of(factory) and not hasattr(model, "graph_labels"):
            model.graph_labels = label_digests(factory)  # type: ignore[assignment]


def relabel(model: Model, labels: Sequence[str]) -> None:
    """Take note of the labels of all entities, after some have been added; passed over where none were known.

    :param model: the model
    :param labels: the labels in the order of the ids
    """
    own: Any = getattr(model, "graph_labels", None)
    if own is None and model in _factories:
        own = label_digests(_factories[model])
    if own is not None:
        model.graph_labels = {**own, "entities": labels_digest(labels)}  # type: ignore[assignment]


def identity(model: Model) -> Mapping[str, str]:
    """Return what the rows of a model's weights are, as digests.

    :param model: the model
    :returns: the digests of the labels in the order of their ids, and of each kind of features that has been read;
        empty for a model of a graph that is PyKEEN's alone, or whose graph is not known
    """
    sources = gathered(model)
    labels: Any = getattr(model, "graph_labels", None)
    if labels is None:
        if not sources or model not in _factories:
            return {}
        labels = label_digests(_factories[model])
    features = {
        f"{key} features{part and f' of {part}'}": store.digest
        for part, own in sources.items()
        for key, store in own.used.items()
    }
    return {**labels, **features}


def _compare(model: Model, state: Mapping[str, Any]) -> None:
    """Refuse the state dict of other labels or features than those of a model."""
    own, metadata = identity(model), state_metadata(state)
    if not own or metadata is None:
        # a mapping that was put together by hand, or by load_run, which compares digests itself
        return
    saved = metadata.get(KEY)
    if saved is None:
        logger.warning("The weights do not say of which labels and features they are; they are taken to be of these.")
        return
    # features that one of them has not read are no part of its weights, or the weights do not fit in any case
    if other := [name for name in own if name in saved and saved[name] != own[name]]:
        raise RunError(
            f"the weights are those of other {' and '.join(other)} than the model's, and would be given to the wrong "
            "ones. Restore the data that they were trained on, or train anew (with another checkpoint_name)."
        )


def guard() -> None:
    """Make the state dicts of all models of PyKEEN know and compare their identity; idempotent."""
    if hasattr(Model.load_state_dict, "guarded"):
        return
    init, state_dict, load_state_dict = Model.__init__, Model.state_dict, Model.load_state_dict

    @functools.wraps(init)
    def remembered(self: Model, *args: Any, triples_factory: Any, **kwargs: Any) -> None:
        init(self, *args, triples_factory=triples_factory, **kwargs)
        remember(self, triples_factory)

    @functools.wraps(state_dict)
    def identified(self: Model, *args: Any, prefix: str = "", **kwargs: Any) -> Any:
        state = state_dict(self, *args, prefix=prefix, **kwargs)
        # parts of late fusion are models as well: the whole speaks for them
        if not prefix and not args and (own := identity(self)):
            metadata = state_metadata(state)
            if metadata is not None:
                metadata[KEY] = dict(own)
        return state

    @functools.wraps(load_state_dict)
    def compared(self: Model, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        _compare(self, state_dict)
        return load_state_dict(self, state_dict, *args, **kwargs)

    compared.guarded = True  # type: ignore[attr-defined]
    Model.__init__ = remembered  # type: ignore[method-assign]
    Model.state_dict = identified  # type: ignore[assignment,method-assign]
    Model.load_state_dict = compared  # type: ignore[assignment,method-assign]
