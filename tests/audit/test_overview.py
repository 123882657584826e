"""The table of audits: each figure stands in its row and column."""

import pathlib

from pykeen_mmkg.audit.checks import audit
from pykeen_mmkg.audit.overview import audit_table
from pykeen_mmkg.datasets import MultimodalDataset


def write(folder: pathlib.Path, **splits: str) -> MultimodalDataset:
    folder.mkdir()
    for name, triples in splits.items():
        folder.joinpath(f"{name}.tsv").write_text("".join("\t".join(t.split()) + "\n" for t in triples.split(",")))
    return MultimodalDataset(folder)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rows(tmp_path: pathlib.Path):
    """r and s are inverses; two of four test triples have their inverse in training, one an unseen entity."""
    training = "a r b,b s a,b r c,c s b,c r d,d s c,e r f,g s h,a q h"
    leaky = write(tmp_path / "leaky", train=training, valid="a r b,d q a", test="f s e,h r g,a q z,a q b")
    clean = write(tmp_path / "clean", train="a r b,b r c", test="a r c")
    reports = [audit(dataset, progress=False) for dataset in (leaky, clean)]
    header, _, *lines = audit_table(reports, "github").splitlines()
    first, second = (dict(zip(cells(header), cells(line), strict=True)) for line in lines)
    rule = next(f for f in reports[0].select("inverse-leakage") if f.details["split"] == "testing").details["rule"]
    assert first == {
        "name": reports[0].name,
        "validation in training": "50.0%",
        "testing in training": "none",
        "inverse in training": f"50.0% (MRR {rule['mrr']:.3f})",
        "mirror image in training": "none",
        "other relation in training": "none",
        "unseen entity": "25.0%",
        "unseen relation": "none",
    }
    assert set(second.values()) == {reports[1].name, "none"}
