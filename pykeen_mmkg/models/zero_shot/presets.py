"""Named sets of options: the published configurations of the models of unseen relations."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ...errors import MultimodalError

__all__ = ["PUBLISHED_MRE", "PUBLISHED_ZSGAN", "merged", "with_presets"]

F = TypeVar("F", bound=Callable[..., Any])

_NORM: Mapping[str, Any] = {"norm": "unbiasedlayernorm"}

#: what both have in common
_CRITIC: Mapping[str, Any] = {**_NORM, "xavier": True}
_EXTRACTOR: Mapping[str, Any] = {
    "max_neighbors": 50,
    "dropout": 0.0,
    "input_dropout": 0.2,
    "output_dropout": 0.2,
    "xavier": True,
}
_BATCHES: Mapping[str, Any] = {
    "num_queries": 64,
    "replacement": False,
    "filtered": True,
    "relations_per_step": 2,
    "pairs_per_relation": 256,
    "centroid_pairs": None,
}
_GAN: Mapping[str, Any] = {
    **_NORM,
    "adversarial": True,
    "noise_dim": 15,
    "noise_scale": 0.1,
    "num_samples": 20,
    "spectral": True,
    "hinge": "pairs",
    "gradient_penalty": 10.0,
    "lr": 1e-4,
    "critic_kwargs": _CRITIC,
}

#: MRE [cai2024]_, by its code; what is not here is the default of our model, too (dimensions 384 and 200, TransE with
#: the 1-norm and margin 3, a contrastive weight of 0.5 at a temperature of 0.05, a pivot of 3)
PUBLISHED_MRE: Mapping[str, Any] = {
    "loss_weight": 0.7,
    "l2": 0.5,
    "representation_kwargs": {"reconstruction_weight": {"visual": 0.7, "textual": 0.5}, "mask_rate": 0.75},
    "consolidator_kwargs": {
        "num_bases": 30,
        "num_neighbors": 4,
        "eval_neighbors": None,
        "inverse": False,
        "per_relation": True,
        "replacement": False,
        "xavier": True,
    },
    "relation_kwargs": {"spectral": True, "shared": True},
    "pair_kwargs": {
        **_BATCHES,
        "extractor_steps": 10_000,
        "generator_steps": 1_000,
        "extractor_lr": 1e-4,
        "margin": 5.0,
        "num_support": 8,
        "num_episodes": 10,
        "extractor_kwargs": _EXTRACTOR,
    },
    "learner_kwargs": {**_GAN, "margin": 5.0, "critic_steps": 1},
}

#: ZSGAN [qin2020]_, by its code; how its embeddings are trained is not published
PUBLISHED_ZSGAN: Mapping[str, Any] = {
    "embedding_dim": 100,
    "interaction": "distmult",
    "pair_kwargs": {
        **_BATCHES,
        "dim": 200,
        "extractor_steps": 16_000,
        "generator_steps": 3_000,
        "extractor_lr": 5e-4,
        "margin": 10.0,
        "num_support": 30,
        "num_episodes": 20,
        "extractor_kwargs": {**_EXTRACTOR, **_NORM, "reduce": False},
    },
    "learner_kwargs": {**_GAN, "margin": 10.0, "critic_steps": 5, "hidden_dims": [250], "xavier": True},
}


def merged(preset: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a preset, but for those that are given; mappings are merged in the same way.

    :param preset: the options of the preset
    :param given: what somebody chose; at the top None means that nothing was chosen, as PyKEEN's pipeline hands all
        defaults to a model
    :returns: all options
    """
    result = dict(given)
    for name, value in preset.items():
        if result.get(name) is None:
            result[name] = value
        elif isinstance(value, Mapping) and isinstance(result[name], Mapping):
            result[name] = _within(value, result[name])
    return result


def _within(preset: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same for options within one: here None is a choice."""
    result = {**preset, **given}
    for name in preset.keys() & given.keys():
        if isinstance(preset[name], Mapping) and isinstance(given[name], Mapping):
            result[name] = _within(preset[name], given[name])
    return result


def with_presets(**presets: Mapping[str, Any]) -> Callable[[F], F]:
    """Give the constructor of a model the keyword ``preset``, the name of a set of options.

    :param presets: the sets by name
    :returns: the decorator; the decorated constructor raises :class:`~pykeen_mmkg.errors.MultimodalError` for a name
        that it does not know
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def made(*args: Any, preset: str | None = None, **kwargs: Any) -> Any:
            if preset is not None:
                if preset not in presets:
                    raise MultimodalError(f"The option preset={preset!r} must be none or one of {sorted(presets)}.")
                kwargs = merged(presets[preset], kwargs)
            return function(*args, **kwargs)

        signature = inspect.signature(function)
        own = inspect.Parameter("preset", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None)
        *rest, further = signature.parameters.values()
        made.__signature__ = signature.replace(parameters=[*rest, own, further])  # type: ignore[attr-defined]
        made.__annotations__ = {**function.__annotations__, "preset": str | None}
        return made  # type: ignore[return-value]

    return decorate
