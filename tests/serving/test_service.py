"""What is answered is what the predictor, the finder and the tables say."""

import io
import json
import math

import pytest
import torch
from PIL import Image

from pykeen_mmkg.errors import DataError, RunError
from pykeen_mmkg.predict import Predictor
from pykeen_mmkg.runs import load_run
from pykeen_mmkg.serving.service import NewItem, QueryService


def test_predict(service, dataset) -> None:
    """Order, scores and marks are the predictor's; probabilities are the softmax over all candidates."""
    content = service.predict({"head": "e7", "relation": "r1"}, k=5, explain=True)
    predictor = Predictor(service.model, dataset.training)
    (df,) = predictor.predict([{"head": "e7", "relation": "r1"}], k=None, known="mark")
    answers = content["answers"]
    assert [answer["label"] for answer in answers] == df["label"].tolist()[:5]
    assert [answer["score"] for answer in answers] == pytest.approx(df["score"].tolist()[:5], abs=1e-5)
    total = sum(math.exp(score) for score in df["score"])
    assert [answer["probability"] for answer in answers] == pytest.approx(
        [math.exp(score) / total for score in df["score"][:5]], rel=1e-4
    )
    assert content["probability"] == "softmax of the scores over 23 candidates, not calibrated"
    for answer in answers:
        assert sum(answer["shares"].values()) == pytest.approx(answer["score"], abs=1e-4)
        assert answer["name"] == f"thing {answer['label'][1:]}" or int(answer["label"][1:]) < 2
    assert content["query"]["tail"] is None and content["query"]["relation"]["name"] == "successor 1"
    json.dumps(content, allow_nan=False)


def test_calibrated(service, monkeypatch) -> None:
    """Probabilities are those of the calibration, where it has any, and it is said which they are."""

    class Halves:
        ratio, method = 3.0, "halves"

        def __call__(self, scores, target):
            return 0.5 * torch.sigmoid(scores) if target == "tail" else torch.sigmoid(scores)

    monkeypatch.setattr(service, "calibration", Halves())
    for query, factor in (({"head": "e7", "relation": "r1"}, 0.5), ({"tail": "e7", "relation": "r1"}, 1.0)):
        content = service.predict(query, k=4)
        for answer in content["answers"]:
            assert answer["probability"] == pytest.approx(factor / (1 + math.exp(-answer["score"])), abs=1e-5)
        assert content["probability"] == "of a true answer among 3 false ones to each, calibrated by the method halves"
    assert "softmax" in service.predict({"head": "e7", "tail": "e8"})["probability"]


def test_truth(service, dataset) -> None:
    """Each answer tells the split that has it, for every triple of the graph and every slot."""
    for split, factory in (("training", dataset.training), ("testing", dataset.testing)):
        for row in factory.label_triples(factory.mapped_triples[:6]).tolist():
            for slot, label in zip(("head", "relation", "tail"), row, strict=True):
                query = dict(zip(("head", "relation", "tail"), row, strict=True)) | {slot: None}
                answers = service.predict(query, k=100)["answers"]
                assert {answer["known"] for answer in answers if answer["label"] == label} == {split}
                unknown = service.predict(query, k=100, known="drop")["answers"]
                assert label not in {answer["label"] for answer in unknown}
                assert {answer["known"] for answer in unknown} == {None}


def test_names(service) -> None:
    by_name = service.predict({"tail": "Thing 7", "relation": "successor 1"}, k=3)
    assert by_name == service.predict({"tail": "e7", "relation": "r1"}, k=3)
    with pytest.raises(DataError, match="No entity is called 'nobody'"):
        service.predict({"head": "nobody", "relation": "r1"})
    with pytest.raises(DataError, match="exactly one"):
        service.predict({"head": "e1"})
    found = service.complete("entity", "thing 1", 3)["items"]
    assert all(item["name"].startswith("thing 1") for item in found) and len(found) == 3


def test_similar(service) -> None:
    """An entity, a text and a picture find what has their vector."""
    by_entity = service.similar(entity="e7", modality="textual", k=3)
    assert by_entity["query"]["entity"]["label"] == "e7" and len(by_entity["answers"]) == 3
    assert service.similar(text="thing 17: it is number 17")["answers"][0]["label"] == "e17"
    colour = (10 * 12, 255 - 10 * 12, 0)
    best = service.similar(image=Image.new("RGB", (9, 9), colour), k=1)["answers"]
    assert best[0]["label"] == "e12" and best[0]["similarity"] == pytest.approx(1, abs=1e-3)
    with pytest.raises(DataError, match="no modality vectors|no smell vectors"):
        service.similar(entity="e7", modality="smell")


def test_something_new(service, dataset) -> None:
    """What the predictor says of an entity that the graph does not have; the model and the disk stay as they are."""
    text, image = "it is number 17", Image.new("RGB", (9, 9), (120, 135, 0))
    size, before = service.model.num_entities, service.predict({"head": "e7", "relation": "r1"}, k=3)
    content = service.predict({"relation": "r1", "tail": NewItem(text, image)}, k=5, explain=True)
    encoder = service.neighbours.encoder
    vectors = {"textual": encoder.encode_texts([text])[0], "visual": encoder.encode_images([image])[0]}
    query = {"relation": "r1", "tail": {"text": text, "vectors": vectors}}
    (df,) = Predictor(service.model, dataset.training).predict([query], k=5, known="mark")
    assert [answer["label"] for answer in content["answers"]] == df["label"].tolist()
    assert [answer["score"] for answer in content["answers"]] == pytest.approx(df["score"].tolist(), abs=1e-5)
    assert {answer["known"] for answer in content["answers"]} == {None}
    for answer in content["answers"]:
        assert sum(answer["shares"].values()) == pytest.approx(answer["score"], abs=1e-4)
    assert content["query"]["tail"]["description"] == text
    assert service.model.num_entities == size
    assert service.predict({"head": "e7", "relation": "r1"}, k=3) == before
    # a picture that an entity has finds what this entity's own content finds first
    alone = service.predict({"head": NewItem(image=image), "relation": "r1"}, k=5)
    assert alone["answers"] and alone["query"]["head"]["description"] == ""
    with pytest.raises(DataError, match="Give a text or a picture"):
        service.predict({"head": NewItem(), "relation": "r1"})


def test_pictures(service) -> None:
    """By the id of an entity and a number, and nothing else."""
    index = service.predictor.ids["entity"]["e6"]
    assert service.item("entity", index)["images"] == 3
    colours = [Image.open(io.BytesIO(service.picture(index, i))).getpixel((5, 5)) for i in range(3)]
    assert [round(colour[2], -1) for colour in colours] == [0, 60, 120]
    assert service.picture(index, 3) is service.picture(10_000, 0) is service.picture(index, -1) is None


def test_overview(service, dataset) -> None:
    content = service.overview()
    assert (content["entities"], content["relations"], content["encoder"]) == (24, 3, "counter")
    assert content["triples"]["training"] == dataset.training.num_triples
    assert set(content["modalities"]) == {"content", "structure", "textual", "visual"}
    assert len(content["examples"]) == 6 and all(example["head"]["images"] for example in content["examples"])
    for example in content["examples"]:
        assert service.predict({slot: item["label"] for slot, item in example.items()})["answers"]


def test_without_a_dataset(saved, dataset) -> None:
    """Names come from the run itself; there are no pictures then, and no encoder."""
    run = load_run(saved)
    alone = QueryService(run.model, run.training)
    assert alone.overview()["pictures"] == 0
    assert alone.item("entity", 7)["name"].startswith("thing")
    with pytest.raises(DataError, match="Give the encoder"):
        alone.similar(text="7")
    from pykeen.datasets import Nations

    with pytest.raises(RunError, match="another graph"):
        QueryService(run.model, run.training, Nations())
