"""Checks of texts, images and features against planted defects."""

import pytest
import torch
from pykeen.datasets import Nations

from pykeen_mmkg.audit.checks import audit
from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.features import FeatureStore


@pytest.fixture
def folder(tmp_path):
    generator = torch.Generator().manual_seed(0)
    labels = [f"e{i}" for i in range(120)]
    triples = [f"e{i}\tr\te{(i * 7 + 1) % 120}" for i in range(120)]
    (tmp_path / "train.tsv").write_text("\n".join(triples[:100]) + "\n")
    (tmp_path / "test.tsv").write_text("\n".join(triples[100:]) + "\n")
    rows = "".join(f"{label}\t{label}\t{'twin' if i < 2 else f'the entity {i}'}\n" for i, label in enumerate(labels))
    (tmp_path / "entities.tsv").write_text(
        "entity\tname\tdescription\n" + rows.replace("e0\te0\t", "e0\te\t").replace("e1\te1\t", "e1\te\t")
    )
    images = tmp_path / "images"
    images.mkdir()
    for i in range(4):
        (images / f"e{i}.png").write_bytes(b"same" if i < 2 else f"own{i}".encode())
    (images / "e3_1.png").write_bytes(b"own3")
    x = torch.randn(120, 20, generator=generator) @ torch.diag(0.6 ** torch.arange(20)) + 1
    x[:60] = torch.randn(60, 20, generator=generator)
    x[100:] = x[99]
    FeatureStore.from_tensors(labels, x, modality="visual").save(tmp_path / "features" / "visual.safetensors")
    return tmp_path


def test_modalities(folder):
    report = audit(MultimodalDataset(path=folder), progress=False)
    (texts,) = report.select("duplicate-texts")
    assert texts.details["examples"] == [["e0", "e1"]] and texts.severity == "warning"
    between, within = report.select("duplicate-images")
    assert between.details["examples"] == [["e0", "e1"]]
    assert within.details["within"] == 1 and within.severity == "info"
    kinds = {f.details["kind"]: f for f in report.select("placeholder-vectors")}
    assert kinds["identical"].details["largest"] == 21 and kinds["identical"].severity == "error"
    assert kinds["random"].details["share"] == pytest.approx(0.6, abs=0.15)
    assert report.select("coverage")[0].details["image"] == 4
    assert report.failed("placeholder-vectors")


def test_zero_vectors_and_clean_stores(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 20, generator=generator) @ torch.diag(0.6 ** torch.arange(20)) + 1
    labels = [str(i) for i in range(80)]
    clean = FeatureStore.from_tensors(labels, x, modality="textual")
    report = audit(Nations(), checks=["placeholder-vectors"], features={"mine": clean})
    assert [f.severity for f in report.findings] == ["info"]
    x[3] = 0
    FeatureStore.from_tensors(labels, x).save(tmp_path / "x.safetensors")
    report = audit(Nations(), checks=["placeholder-vectors"], features={"mine": tmp_path / "x.safetensors"})
    assert report.findings[0].details == {"store": "mine", "kind": "zero", "count": 1, "examples": ["3"]}


def test_what_was_ignored_is_a_finding(folder):
    """What the load says in the log, the audit says, too."""
    (folder / "extra.csv").write_text("a,b\n")
    dataset = MultimodalDataset(path=folder)
    report = audit(dataset, checks=["notes"], progress=False)
    assert [finding.message for finding in report.findings] == list(dataset.notes)
    assert any("extra.csv" in finding.message for finding in report.findings)


def test_images_that_pillow_does_not_decode(folder, monkeypatch):
    (folder / "images" / "e7.heic").write_bytes(b"x")
    monkeypatch.setattr("pykeen_mmkg.image_formats.register_formats", lambda: ("PNG",))
    report = audit(MultimodalDataset(path=folder), checks=["notes"], progress=False)
    (finding,) = (finding for finding in report.findings if "HEIF" in finding.message)
    assert "'e7.heic'" in finding.message and "pip install pillow-heif" in finding.message
