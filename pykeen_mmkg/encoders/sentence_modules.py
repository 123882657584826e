"""The settings of a sentence-transformers folder: what becomes of a text before the model, and of its tokens after it.

Such a folder lists its modules in ``modules.json``: the model itself, a pooling, and possibly dense layers and the
scaling to unit length. All of them are applied as listed, or the folder is refused; ignoring one would give vectors of
another space than the model was trained for.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import EncoderError
from ..io import file_digest
from .snapshot import module_paths, read_json

__all__ = ["SentenceModules", "read_modules"]

#: The names of poolings in ``1_Pooling/config.json`` -> ours
POOLING_NAMES: Mapping[str, str] = {
    "cls": "cls",
    "cls_token": "cls",
    "mean": "mean",
    "mean_tokens": "mean",
    "lasttoken": "last",
    "max": "max",
    "max_tokens": "max",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "weightedmean_tokens": "weighted_mean",
}

#: Activations of dense layers, by the class that the folder names
ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Identity": lambda x: x,
    "Tanh": torch.tanh,
    "ReLU": torch.relu,
    "GELU": torch.nn.functional.gelu,
    "Sigmoid": torch.sigmoid,
}

#: What the settings of the model module may say without changing anything here
PLAIN = {
    "max_seq_length": None,  # read beside the model's own context
    "do_lower_case": None,
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
}

HELP = "Name a pooling of your own (encoder_kwargs={'pooling': 'mean'}), which leaves the rest out."


@dataclass(frozen=True)
class Dense:
    """A linear layer with an activation, on the pooled vector."""

    path: pathlib.Path
    activation: str
    out_features: int

    def describe(self) -> list[str]:
        """Get what decides its output, plain JSON."""
        return ["dense", self.activation, file_digest(self.path)]

    def load(self, device: torch.device, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
        """Read its weights, and return it as a function."""
        try:
            state = {key: value.to(device, dtype) for key, value in load_file(self.path).items()}
            weight, bias = state.pop("linear.weight"), state.pop("linear.bias", None)
        except (OSError, SafetensorError, KeyError) as error:
            raise EncoderError(f"{self.path} holds no dense layer ({error}). Copy or download it again.") from error
        if state:
            raise EncoderError(f"{self.path} holds {sorted(state)[0]!r}, which cannot be applied. {HELP}")
        return lambda x: ACTIVATIONS[self.activation](torch.nn.functional.linear(x, weight, bias))


@dataclass(frozen=True)
class Normalize:
    """The scaling of the pooled vector to unit length."""

    def describe(self) -> list[str]:
        """Get what decides its output, plain JSON."""
        return ["normalize"]

    def load(self, device: torch.device, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return it as a function."""
        return lambda x: torch.nn.functional.normalize(x, dim=-1)


@dataclass(frozen=True)
class SentenceModules:
    """What a folder says besides its model; nothing where it is none of sentence-transformers."""

    #: a key of :data:`.POOLINGS`; None if the folder does not say
    pooling: str | None = None
    #: what becomes of the pooled vector, in order
    steps: tuple[Dense | Normalize, ...] = ()
    #: what precedes every text
    prompt: str = ""
    #: whether texts are put into lower case before they are tokenised
    lower_case: bool = False

    def describe(self) -> dict[str, Any]:
        """Get what decides the vectors beside the pooling, plain JSON; empty where there is nothing."""
        described = {
            "modules": [step.describe() for step in self.steps],
            "prompt": self.prompt,
            "lower_case": self.lower_case,
        }
        return {key: value for key, value in described.items() if value}

    @property
    def out_features(self) -> int | None:
        """The dimension of a vector after a dense layer, None where there is none."""
        return next((step.out_features for step in reversed(self.steps) if isinstance(step, Dense)), None)


def read_modules(folder: pathlib.Path) -> SentenceModules:
    """Read the settings that belong to a model.

    :param folder: the folder of the model itself: that of ``modules.json``, or the one below it that the first module
        names
    :returns: the settings
    :raises EncoderError: if the folder asks for something that cannot be applied
    """
    root, modules = folder, module_paths(folder)
    if modules is None and folder.parent.joinpath("modules.json").is_file():
        above = module_paths(folder.parent) or []
        if above and folder.parent / above[0][1] == folder:
            root, modules = folder.parent, above
    if not modules:  # no such folder, or an old copy without the list
        pooling = folder / "1_Pooling" / "config.json"
        named = _read_pooling(pooling) if pooling.is_file() else None
        return SentenceModules(pooling=named or (None if modules is None else "mean"))
    kind, *_ = modules[0]
    if kind not in ("Transformer", "CLIPModel"):
        raise EncoderError(f"{root / 'modules.json'}: a model of the class {kind!r} cannot be applied. {HELP}")
    lower_case = _read_model_settings(folder)
    prompt, pooling_name = _read_prompt(root), None
    steps: list[Dense | Normalize] = []
    for kind, place in modules[1:]:
        if kind == "Pooling" and pooling_name is None and not steps:
            pooling_name = _read_pooling(root / place / "config.json", prompt=prompt)
        elif kind == "Dense":
            steps.append(_read_dense(root / place))
        elif kind == "Normalize":
            steps.append(Normalize())
        else:
            raise EncoderError(f"{root / 'modules.json'}: the module {place!r} ({kind}) cannot be applied. {HELP}")
    return SentenceModules(pooling_name or "mean", tuple(steps), prompt, lower_case)


def _read_model_settings(folder: pathlib.Path) -> bool:
    """Check the settings of the model module, and return whether texts are to be in lower case."""
    path = folder / "sentence_bert_config.json"
    options = read_json(path, optional=True)
    for key, value in options.items():
        if key not in PLAIN and value or PLAIN.get(key) is not None and value != PLAIN[key]:
            raise EncoderError(f"{path}: {key}={value!r} cannot be applied. {HELP}")
    return options.get("do_lower_case") is True


def _read_prompt(root: pathlib.Path) -> str:
    """Return what precedes every text unless a caller of sentence-transformers says otherwise."""
    path = root / "config_sentence_transformers.json"
    options = read_json(path, optional=True)
    name = options.get("default_prompt_name")
    if name is None:
        return ""
    prompts = options.get("prompts")
    if not isinstance(prompts, dict) or not isinstance(prompts.get(name), str):
        raise EncoderError(f"{path} lacks the prompt {name!r}, which it names as default_prompt_name.")
    return prompts[name]


def _read_pooling(path: pathlib.Path, prompt: str = "") -> str:
    options = read_json(path)
    modes = [key for key, value in options.items() if key.startswith("pooling_mode_") and value is True]
    named = options.get("pooling_mode")
    modes = modes or (named if isinstance(named, list) else [f"pooling_mode_{named}"])
    names = [POOLING_NAMES.get(str(mode).removeprefix("pooling_mode_")) for mode in modes]
    if len(names) != 1 or names[0] is None:
        raise EncoderError(f"{path} asks for a pooling that is not offered ({modes}): give pooling='mean' or 'cls'.")
    if prompt and options.get("include_prompt") is False:
        raise EncoderError(f"{path} leaves the tokens of the prompt out, which is not offered. {HELP}")
    return names[0]


def _read_dense(folder: pathlib.Path) -> Dense:
    path = folder / "config.json"
    options = read_json(path)
    activation = str(options.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    names = {options.get(key) or "sentence_embedding" for key in ("module_input_name", "module_output_name")}
    if activation not in ACTIVATIONS or names != {"sentence_embedding"} or options.get("use_residual"):
        raise EncoderError(f"{path} asks for a dense layer that cannot be applied. {HELP}")
    weights, size = folder / "model.safetensors", options.get("out_features")
    if not isinstance(size, int) or size < 1:
        raise EncoderError(f"{path}: out_features={size!r} is no dimension.")
    if not weights.is_file():
        raise EncoderError(f"{folder} has no weights in safetensors (model.safetensors). {HELP}")
    return Dense(weights, activation, size)
