"""Stories: ask a trained model."""

from typing import Any

import pytest
from PIL import Image
from pykeen.pipeline import pipeline

from pykeen_mmkg.datasets import MultimodalDataset, split_unseen_entities
from pykeen_mmkg.predict import Predictor, predict
from pykeen_mmkg.similar import similar


def test_predict(result: Any):
    """By name or by label; what is known already is left out."""
    answers = predict(result.model, result.training, head="red disc", relation="next shape", k=3)
    print(answers)
    assert list(answers["rank"]) == [1, 2, 3]
    assert "red_square" not in set(answers["label"])  # a training triple


def test_predict_many(result: Any):
    """Names and known triples are read once; the open slot can be the head or the relation as well."""
    predictor = Predictor(result.model, result.training)
    queries = [{"relation": "next shape", "tail": "red disc"}, {"head": "red_disc", "relation": "next_colour"}]
    frames = list(predictor.predict(queries, k=4, known="mark"))
    assert [len(frame) for frame in frames] == [4, 4]
    assert all("known" in frame for frame in frames)


def test_entity_that_training_never_saw(encoder: str):
    """It has a row and a picture, and no training triple: it is ranked by what it looks like and is called."""
    dataset = split_unseen_entities(MultimodalDataset("mygraph"), unseen=3, random_state=0)
    kwargs = {"encoder": encoder, "embedding_dim": 8, "structural_dropout": 0.3}
    result = pipeline(dataset=dataset, model="vlkge", model_kwargs=kwargs, epochs=2)
    new = dataset.testing.label_triples(dataset.testing.mapped_triples)[0][0]
    answers = predict(result.model, result.training, head=new, relation="next shape", k=5)
    assert len(answers) == 5 and answers["score"].nunique() > 1


def test_entity_that_comes_later(own_result: Any):
    """A text and a picture are enough for a place among the answers; nothing is trained again."""
    Image.new("RGB", (64, 64), "purple").save("square.png")
    own_result.model.add_entities({"purple_square": {"text": "a purple square", "images": ["square.png"]}})
    answers = predict(own_result.model, own_result.training, head="purple_square", relation="next shape", k=16)
    assert len(answers) == 16
    answers = predict(own_result.model, own_result.training, head="red_disc", relation="next shape", k=17)
    assert "purple_square" in set(answers["label"])


@pytest.mark.parametrize("modality", ["visual", "textual", "fused"])
def test_similar(result: Any, modality: str):
    """By what a thing looks like, by what is said of it, or by what the model made of both."""
    found = similar(result.model, result.training, entity="red disc", modality=modality, k=3)
    assert len(found) == 3 and "red_disc" not in set(found["label"])


def test_search_by_words_or_picture(result: Any, encoder: str):
    """Words and pictures of one's own are compared with the entities' features."""
    words = similar(result.model, result.training, text="a disc that is red", encoder=encoder, k=1)
    picture = similar(result.model, result.training, image="mygraph/images/blue_bar.png", encoder=encoder, k=1)
    assert picture["label"].tolist() == ["blue_bar"]
    assert words["label"].tolist() == ["red_disc"]


def test_relation_without_a_triple(encoder: str):
    """A relation is described in words, after training, and asked about."""
    kwargs = {"encoder": encoder, "num_weights": 2, "rank": 4, "hidden_dim": 8}
    data = {"dataset": "multimodal", "dataset_kwargs": {"path": "mygraph"}}
    loop = {"training_loop": "episodic", "training_loop_kwargs": {"num_batches": 2}, "optimizer": "adam"}
    result = pipeline(**data, **loop, model="relevidence", model_kwargs=kwargs, epochs=1)
    result.model.add_relation("what has another colour and another shape", label="opposite")
    answers = predict(result.model, result.training, head="red disc", relation="opposite", k=3)
    assert len(answers) == 3


def test_why(encoder: str):
    """What each scorer of late fusion adds to the score of a triple."""
    kwargs = {"encoder": encoder, "scorers": {"content": {}, "evidence": {}}}
    data = {"dataset": "multimodal", "dataset_kwargs": {"path": "mygraph"}}
    model = pipeline(**data, model="latefusion", model_kwargs=kwargs, epochs=2).model
    shares = model.explain("red_disc", "next_shape", "red_square")
    print(shares)
    assert {"share", "weight"} <= set(shares.columns)
