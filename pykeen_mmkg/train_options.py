"""The commands ``pykeen train <model>`` of our models: what PyKEEN's builder, which knows signatures alone, leaves out.

A line of help for each option, from the docstring; the defaults of the signature; ``--interaction``; the folder of a
dataset in place of its name; and bad input as one line with exit status 2. Nothing is changed in the commands of
PyKEEN's own models. Delete what a release of PyKEEN does itself (PyKEEN 1.11.1 and main do none of it).
"""

import functools
import inspect
import logging
import pathlib
import re
from collections.abc import Callable
from typing import Any

import click

from .errors import MultimodalError

__all__ = ["complete_builder", "complete_command", "parameter_lines"]

#: options of every model for which PyKEEN has no help
COMMON = {
    "optimizer": "The optimizer.",
    "training_loop": "How negatives are made and batches are drawn.",
    "automatic_memory_optimization": "Whether batches shrink when memory ends.",
    "number_epochs": "The passes over the training triples.",
    "batch_size": "Triples in a step.",
    "learning_rate": "Of the optimizer.",
    "evaluator": "The protocol of the evaluation.",
    "stopper": "Whether training stops early, which needs validation triples.",
    "silent": "Do not print the metrics.",
    "loss": "The loss.",
}

#: parameters of which PyKEEN makes no option; those that can be given several times
ADDED = {"interaction": False, "modalities": True, "relation_modalities": True}

_PARAMETER = re.compile(r"^:param (\w+):(.*?)(?=^:|\Z)", flags=re.DOTALL | re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?([\w]+)`")


class _BadInput(click.ClickException):
    exit_code = 2


def parameter_lines(function: Any) -> dict[str, str]:
    """Return a line of help for each parameter that a docstring describes: its first sentence, without markup.

    :param function: the function, or the method
    :returns: the line by the parameter's name
    """
    lines = {}
    for name, text in _PARAMETER.findall(inspect.getdoc(function) or ""):
        plain = _ROLE.sub(r"\1", " ".join(text.split())).replace("``", "").replace("$", "")
        first = re.split(r"\. (?=[A-Z])", plain)[0].rstrip(".;")
        lines[name] = f"{first[:1].upper()}{first[1:]}."
    return lines


def complete_command(command: click.Command, model: type) -> click.Command:
    """Add to the command of a model what PyKEEN leaves out.

    :param command: the command that PyKEEN made, which is changed
    :param model: the class of the model
    :returns: the command
    """
    signature, lines = inspect.signature(model.__init__), parameter_lines(model.__init__)  # type: ignore[misc]
    for option in command.params:
        if not isinstance(option, click.Option) or option.name is None:
            continue
        own = signature.parameters.get(option.name)
        if own is not None and isinstance(own.default, int | float | str):
            option.default, option.show_default = own.default, True
        if option.help is None or own is not None:
            option.help = lines.get(option.name) or option.help or COMMON.get(option.name)
        if option.name == "dataset":
            option.help = "The name of a dataset, or the folder of one."
    there = {option.name for option in command.params}
    for name, several in ADDED.items():
        if name in signature.parameters and name not in there:
            option = click.Option([f"--{name.replace('_', '-')}"], help=lines.get(name), multiple=several)
            command.params.append(option)
    command.callback = _from_folder(command.callback)  # type: ignore[arg-type]
    command.help = f"Train {model.__name__}. {inspect.getdoc(model).partition(chr(10))[0]}"  # type: ignore[union-attr]
    return command


def _from_folder(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take the folder of a dataset; its errors of bad input are one line."""

    @functools.wraps(callback)
    def run(*args: Any, dataset: str | None, create_inverse_triples: bool, **kwargs: Any) -> Any:
        from .datasets import MultimodalDataset

        # an option that is not given leaves the model's own default alone
        kwargs = {name: value for name, value in kwargs.items() if name not in ADDED or value}
        given: Any = dataset
        logger = logging.getLogger("pykeen.datasets.utils")
        try:
            if dataset is not None and pathlib.Path(dataset).is_dir():
                given = MultimodalDataset(path=dataset, create_inverse_triples=create_inverse_triples)
                # PyKEEN says that the keyword arguments are not used, which are used here
                logger.addFilter(_unused)
            return callback(*args, dataset=given, create_inverse_triples=create_inverse_triples, **kwargs)
        except MultimodalError as error:
            raise _BadInput(str(error)) from error
        finally:
            logger.removeFilter(_unused)

    return run


def _unused(record: logging.LogRecord) -> bool:
    return "dataset_kwargs not used" not in record.getMessage()


def complete_builder(build: Callable[[type], click.Command]) -> Callable[[type], click.Command]:
    """Return PyKEEN's builder of commands, with what it leaves out for the models of this package."""

    @functools.wraps(build)
    def complete(model: type) -> click.Command:
        command = build(model)
        return complete_command(command, model) if model.__module__.startswith("pykeen_mmkg.") else command

    return complete
