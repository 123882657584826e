"""Shares: of modalities the difference of two scores, of evidence the parts, of late fusion the weighted scorers."""

import pathlib

import pytest
import torch
from pykeen.models import TransE, model_resolver

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.errors import DataError
from pykeen_mmkg.models.vlkge import VLKGE
from pykeen_mmkg.predict import Predictor
from pykeen_mmkg.shares import explained


@pytest.mark.parametrize("target", ["tail", "head"])
def test_modalities(target: str, folder: pathlib.Path, stores: dict[str, str]) -> None:
    """By hand: DistMult of averages, with and without a modality of both entities."""
    training = MultimodalDataset(path=folder).training
    model = VLKGE(
        triples_factory=training,
        embedding_dim=8,
        sources={"features": {key: stores[key] for key in ("visual", "textual")}},
        fusion="sum",
        random_seed=0,
    ).eval()
    answers = [3, 0, 7]
    table = explained(model, 5, 1, answers, target)  # type: ignore[arg-type]
    assert table is not None and table.columns.tolist() == ["structural", "visual", "textual"]
    part = model.entity_representations[0]
    with torch.no_grad():
        vectors = [part.parts[name](None) * part.mask[:, [i]] for i, name in enumerate(part.modalities)]
        relation = model.relation_representations[0](None)[1]
        for i in range(3):
            whole, left = sum(vectors), sum(x for j, x in enumerate(vectors) if j != i)
            expected = [((x[5] * relation) @ x[answers].T).tolist() for x in (whole, left)]
            difference = [one - other for one, other in zip(*expected, strict=True)]
            assert table[part.modalities[i]].tolist() == pytest.approx(difference, abs=1e-5)


def test_evidence(folder: pathlib.Path, stores: dict[str, str]) -> None:
    """The parts that say something add up to the score."""
    dataset = MultimodalDataset(path=folder)
    sources = {"features": {key: stores[key] for key in ("visual", "textual")}}
    model = model_resolver.make("evidence", triples_factory=dataset.training, sources=sources).eval()
    predictor = Predictor(model, dataset.training)
    for query in ({"head": "e3", "relation": "r0"}, {"relation": "r2", "tail": "e9"}):
        (answers,) = predictor.predict([query], k=4)
        shares = predictor.explain(query, answers).drop(columns=answers.columns)
        assert len(shares.columns) > 1 and set(shares.columns) <= set(model.parts)
        assert shares.sum(axis=1).tolist() == pytest.approx(answers["score"].tolist(), abs=1e-4)
        assert shares.any().all()


def test_who_cannot(folder: pathlib.Path) -> None:
    training = MultimodalDataset(path=folder).training
    predictor = Predictor(TransE(triples_factory=training), training)
    query = {"head": "e3", "relation": "r0"}
    (answers,) = predictor.predict([query], k=2)
    with pytest.raises(DataError, match="TransE has no parts"):
        predictor.explain(query, answers)
    with pytest.raises(DataError, match="not relations"):
        predictor.explain({"head": "e3", "tail": "e4"}, answers)
