"""A small service: a model of texts, pictures and structure, with an encoder that counts letters and means colours."""

import pathlib

import numpy
import pytest
import torch
from pykeen.pipeline import pipeline

from pykeen_mmkg.datasets import GraphMetadata
from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.encoders import VisionLanguageEncoder
from pykeen_mmkg.encoders.images import load_image
from pykeen_mmkg.features import FeatureStore
from pykeen_mmkg.runs import Run, save_run
from pykeen_mmkg.serving.service import QueryService


class Counter(VisionLanguageEncoder):
    """The digits of a text, and the mean colour of a picture."""

    name, fingerprint = "counter", "counter-1"

    def dim(self, modality):
        return 10 if modality == "textual" else 3

    def prepare_texts(self, texts):
        return {"counts": [[1.0 + 5 * text.count(str(i)) for i in range(10)] for text in texts]}

    def embed_texts(self, inputs):
        return torch.tensor(inputs["counts"])

    def prepare_images(self, images):
        return {"colours": [numpy.asarray(image).reshape(-1, 3).mean(axis=0) for image in images]}

    def embed_images(self, inputs):
        return torch.tensor(numpy.array(inputs["colours"]), dtype=torch.float) + 1


@pytest.fixture(scope="session")
def dataset(folder: pathlib.Path) -> MultimodalDataset:
    return MultimodalDataset(path=folder)


@pytest.fixture(scope="session")
def saved(dataset, tmp_path_factory) -> pathlib.Path:
    """A saved run of late fusion."""
    encoder = Counter()
    table = GraphMetadata.of(dataset.training).table(dataset.training, "entity")
    labels, texts = table.labels, table.texts()
    vectors = {
        "textual": encoder.encode_texts([texts[label] or "none" for label in labels]),
        "visual": torch.cat([encoder.encode_images([load_image(own[0])]) if own else torch.zeros(1, 3)
                             for own in table.images]),
    }  # fmt: skip
    has = {"textual": [texts[label] is not None for label in labels], "visual": [bool(own) for own in table.images]}
    stores = {
        name: FeatureStore.from_tensors(labels, vectors[name], has[name], modality=name, provenance=encoder.describe())
        for name in vectors
    }
    few = {"training_kwargs": {"num_epochs": 2}}
    result = pipeline(
        dataset=dataset,
        model="latefusion",
        model_kwargs={
            "sources": {"features": stores},
            "scorers": {"content": few, "structure": few, "evidence": {"model_kwargs": {"parts": ["link", "loop"]}}},
        },
        training_kwargs={"use_tqdm": False},
        random_seed=0,
        device="cpu",
    )
    result.configuration["model_kwargs"].pop("sources")
    path = tmp_path_factory.mktemp("served") / "run"
    save_run(result, path)
    return path


@pytest.fixture(scope="session")
def service(saved, dataset) -> QueryService:
    """The service of that run, with the dataset's pictures and splits."""
    run = Run.from_pretrained(str(saved))
    return QueryService(run.model, run.training, dataset, Counter(), title="letters")
