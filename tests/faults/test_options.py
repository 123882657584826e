"""Options of wrong type, sign or name: refused, with the option's name, before anything is trained."""

import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from pykeen.models import model_resolver
from pykeen.nn import representation_resolver
from pykeen.training import training_loop_resolver
from pykeen.triples import TriplesFactory

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.encoders import make_encoder
from pykeen_mmkg.evaluation.evaluating import evaluate

from .harness import Case, Refused, cases, cli, settle

TRIPLES = [("a", "r", "b"), ("b", "r", "c"), ("c", "s", "a")]


def _factory() -> TriplesFactory:
    names = {label: i for i, label in enumerate("abc")}
    ids = torch.tensor([[names[h], "rs".index(r), names[t]] for h, r, t in TRIPLES])
    return TriplesFactory(ids, entity_to_id=names, relation_to_id={"r": 0, "s": 1})


def _call(function: Callable[..., Any], **kwargs: Any) -> Callable[[pathlib.Path], Any]:
    return lambda folder: lambda: function(**kwargs)


#: model -> option -> values that it must refuse
MODELS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "vlkge": {
        "embedding_dim": (0, -8, "64", 8.0, True, None),
        "structural_dropout": (-0.1, 1.5, "0.1", float("nan")),
        "fusion": (3,),
        "sources": ("features", [1], {"strict": "no"}, {"missing_rows": "alow"}, {"features": [1]}, {"image": "x"}),
        "dimensions": ({"e": "64"},),
    },
    "complexn3": {"embedding_dim": (0, "8"), "penalty": (-1, "1"), "initial_scale": (-0.1, None)},
    "twotower": {
        "embedding_dim": (0,),
        "dropout": (2, "0"),
        "center": ("no", 1),
        "shuffle": ({"visual": "1"}, "visual"),
    },
    "evidence": {
        "prior": ("yes",),
        "neighbours": (-1, 2.5),
        "min_confidence": (2,),
        "shuffle": ({"visaul": 1}, {"structural": 1}, 3),
    },
    "latefusion": {
        "prior": ("no", 0),
        "held_out_triples": (1.5, "0.1"),
        "max_held_out": (0, -5, "all"),
        "shuffle": ({"visaul": 1}, {"visual": 0.5}),
        "scorers": ({"structure": {"training_kwargs": {"num_epochs": -1}}}, {"structure": {"training_kwargs": 3}}),
    },
    "relevidence": {"rank": (0, -1, "24"), "use_head": ("no",), "num_members": (0,)},
    "degreerule": {"per_relation": ("no",)},
    "randomrule": {"seed": ("12", -1, 0.5)},
}


def _models() -> Iterator[Case]:
    for model, options in MODELS.items():
        for name, values in options.items():
            for value in values:
                word = "num_epochs" if "num_epochs" in str(value) else "training_kwargs" if name == "scorers" else name
                make = _call(model_resolver.make, query=model, triples_factory=_factory(), **{name: value})
                yield Case(f"{model} {name}={value!r}", make, Refused(word))


def _representations() -> Iterator[Case]:
    features = {"visual": torch.randn(3, 4)}
    bad = dict(
        max_id=(0, "3"), l2_normalize=("no", 1), shuffle=({"visaul": 1}, "1", {"structural": 1}), embedding_dim=(0,)
    )
    for name, values in bad.items():
        for value in values:
            kwargs = {"features": features, "max_id": 3, name: value}
            yield Case(
                f"multimodal {name}={value!r}",
                _call(representation_resolver.make, query="multimodal", pos_kwargs=kwargs),
                Refused(name),
            )
    for name, value in (("center", "no"), ("normalize_features", "false"), ("whiten", "0.1"), ("shuffle", "x")):
        kwargs = {"features": features["visual"], name: value}
        yield Case(
            f"feature {name}={value!r}",
            _call(representation_resolver.make, query="feature", pos_kwargs=kwargs),
            Refused(name),
        )


def _loops() -> Iterator[Case]:
    model = model_resolver.make("transe", triples_factory=_factory())
    for loop, options in {
        "sampledsoftmax": {"num_sampled": (-1, "5"), "mask_self": ("no",), "warmup_steps": (-2,)},
        "episodic": {"num_batches": (0, 1.5), "relations_per_batch": (0,), "cap": (-1,)},
        "twophase": {"structure_epochs": (-1, "5"), "steps_per_epoch": (0,)},
    }.items():
        for name, values in options.items():
            for value in values:
                make = _call(
                    training_loop_resolver.make, query=loop, model=model, triples_factory=_factory(), **{name: value}
                )
                yield Case(f"{loop} {name}={value!r}", make, Refused(name))


def _others() -> Iterator[Case]:
    rule = model_resolver.make("degreerule", triples_factory=_factory())

    class Data:
        training = testing = validation = _factory()

    for name, value in (
        ("exclude_relations", [99]),
        ("exclude_relations", [-1]),
        ("exclude_relations", [True]),
        ("exclude_relations", [0.5]),
        ("filtered", "no"),
        ("targets", "tails"),
        ("known_true", 3),
    ):
        make = _call(evaluate, model=rule, dataset=Data(), protocol="standard", protocol_kwargs={name: value})
        yield Case(f"standard {name}={value!r}", make, Refused("relation" if name.startswith("ex") else name))
    for name, value in (("normalize", "no"), ("max_length", 0), ("max_length", "77"), ("batch_size", -1)):
        make = _call(make_encoder, encoder="clip", encoder_kwargs={"model": "nowhere", name: value})
        yield Case(f"encoder {name}={value!r}", make, Refused(name))
    for name, value in (
        ("create_inverse_triples", "no"),
        ("missing_rows", "alow"),
        ("duplicates", True),
        ("hold_out", "test"),
        ("image_name", 3),
        ("features", "visual"),
    ):
        yield Case(
            f"dataset {name}={value!r}",
            lambda folder, o={name: value}: lambda: MultimodalDataset(folder, **o),
            Refused(name),
        )


@cases([*_models(), *_representations(), *_loops(), *_others()])
def test_option(case: Case, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    settle(case, lambda make: make(), tmp_path, caplog)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("demo", "--epochs", "-1"), "--epochs"),
        (("demo", "--seed", "x"), "--seed"),
        (("demo", "--seed", "-1"), "--seed"),
        (("predict", "run", "-k", "0"), "-k"),
        (("predict", "run", "-k", "ten"), "-k"),
        (("audit", "nations", "--dataset-kwargs", "[1]"), "--dataset-kwargs"),
        (("study", "s.yaml", "--output", "o", "--workers", "0"), "--workers"),
        (("nothing",), "nothing"),
        (("audit",), "DATASET"),
        (("audit", "nations", "--fail-on", "grave"), "'grave'"),
        (("datasets", "mnist"), "mnist"),
    ],
)
def test_the_command_line(arguments: tuple[str, ...], words: str) -> None:
    cli(*arguments, status=2, words=[words])
