"""PyKEEN's cases on VL-KGE: real and complex interactions, with and without text of the relations."""

import pathlib
import tempfile
from collections.abc import MutableMapping
from typing import Any

import torch
from pykeen.datasets import Nations

from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.models.vlkge import VLKGE
from tests import cases

FOLDER = pathlib.Path(tempfile.mkdtemp())


def _write() -> dict[str, str]:
    """Write tables of the Nations, and features with gaps, made up for tests of mechanics."""
    factory = Nations().training
    generator = torch.Generator().manual_seed(0)
    paths = {}
    for kind, mapping in (("entity", factory.entity_to_id), ("relation", factory.relation_to_id)):
        labels = sorted(mapping, key=mapping.__getitem__)
        plural = "entities" if kind == "entity" else "relations"
        (FOLDER / f"{plural}.tsv").write_text(
            f"{kind}\tlabel\tdescription\n" + "".join(f"{label}\t{label}\tthe {kind} {label}\n" for label in labels)
        )
        mask = torch.arange(len(labels)) % 3 != 1
        for modality in ("visual", "textual") if kind == "entity" else ("relation_textual",):
            vectors = torch.randn(len(labels), 5, generator=generator) * mask.unsqueeze(-1)
            store = FeatureStore.from_tensors(labels, vectors, mask=mask, modality=modality)
            store.save(FOLDER / f"{modality}.safetensors")
            paths[modality] = str(FOLDER / f"{modality}.safetensors")
    return paths


FEATURES = _write()


class _VLKGECase(cases.ModelTestCase):
    cls = VLKGE

    def _pre_instantiation_hook(self, kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kwargs = super()._pre_instantiation_hook(kwargs=kwargs)
        kwargs["sources"] = {"features": dict(FEATURES)}
        return kwargs

    def _help_test_cli(self, args: Any) -> Any:
        self.skipTest("the datasets of this test have no text; see tests/models/test_vlkge.py")


class TestVLDistMult(_VLKGECase):
    """The default."""


class TestVLTransE(_VLKGECase):
    """A distance, and attention over the modalities."""

    # what starts at zero or one: attention as the mean, two adapters (gate, bias, layer normalization) as the identity
    num_constant_init = 9

    kwargs = {
        "interaction": "vltranse",
        "fusion": "attention",
        "representation_kwargs": {"feature_kwargs": {"adapter": True}},
    }


class TestVLComplEx(_VLKGECase):
    """Complex, with text of the relations."""

    kwargs = {"interaction": "vlcomplex", "relation_modalities": ["structural", "textual"]}


class TestVLRotatE(_VLKGECase):
    """Angles as relations."""

    # gates that start as the mean
    num_constant_init = 3

    kwargs = {"interaction": "vlrotate", "fusion": "gated"}


class TestVLKGEWithTransR(_VLKGECase):
    """An interaction with a matrix for each relation, wide concatenated vectors."""

    kwargs = {"interaction": "transr", "fusion": "concat", "dimensions": {"e": 2}}
