"""Dumps in the manner of Wikidata."""

import bz2
import gzip
import json
import pathlib
from typing import Any

import pytest
from PIL import Image

from pykeen_mmkg.datasets import MultimodalDataset, import_graph
from pykeen_mmkg.datasets.wikidata import read_wikidata
from pykeen_mmkg.errors import DataError


def item(target: str) -> dict[str, Any]:
    value = {"entity-type": "item", "numeric-id": int(target[1:]), "id": target}
    return {"type": "wikibase-entityid", "value": value}


def statement(data: dict[str, Any] | None, rank: str = "normal") -> dict[str, Any]:
    snak = {"snaktype": "value", "datavalue": data} if data else {"snaktype": "somevalue"}
    return {"mainsnak": snak, "rank": rank, "type": "statement"}


def text(value: str) -> dict[str, Any]:
    return {"type": "string", "value": value}


OLD = {"type": "wikibase-entityid", "value": {"entity-type": "item", "numeric-id": 3}}
RECORDS: list[dict[str, Any]] = [
    {
        "id": "Q1",
        "type": "item",
        "labels": {"en": {"language": "en", "value": "dog"}, "de": {"language": "de", "value": "Hund"}},
        "descriptions": {"en": {"language": "en", "value": "a\n pet"}},
        "claims": {
            # the preferred one wins over the normal one, and what is deprecated never counts
            "P1": [statement(item("Q2"), "preferred"), statement(item("Q3")), statement(item("Q1"), "deprecated")],
            "P2": [statement(OLD), statement(item("Q99")), statement(None)],
            "P18": [statement(text("A dog.jpg")), statement(text("Häß/lich|x.jpg"))],
            "P9": [statement(text("an identifier"))],
        },
    },
    {"id": "Q2", "type": "item", "labels": {"mul": {"value": "Canis"}}, "descriptions": {}, "claims": []},
    {"id": "Q3", "labels": {"en": "animal"}, "claims": {"P1": [statement(item("Q1"), "deprecated")]}},
    {"id": "P1", "type": "property", "labels": {"en": {"value": "is a"}}, "claims": {"P1": [statement(item("Q1"))]}},
]


def write(path: pathlib.Path, records: list[Any] = RECORDS) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "[\n" + ",\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n]\n"
    pack = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
    path.write_bytes(pack(lines.encode()))
    return path


COMMONS = "https://commons.wikimedia.org/wiki/Special:FilePath/"


@pytest.mark.parametrize("name", ["dump.json", "dump.jsonl", "dump.json.gz", "dump.json.bz2"])
def test_tables(tmp_path: pathlib.Path, name: str):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "A_dog.jpg")
    tables = read_wikidata(write(tmp_path / name))
    assert tables.triples.to_numpy().tolist() == [["Q1", "P1", "Q2"], ["Q1", "P2", "Q3"]]
    assert tables.entities.to_numpy().tolist() == [
        [
            "Q1",
            "dog",
            "a pet",
            [str(tmp_path / "images" / "A_dog.jpg"), f"{COMMONS}H%C3%A4%C3%9F%2Flich%7Cx.jpg?width=512"],
        ],
        ["Q2", "Canis", "", []],
        ["Q3", "animal", "", []],
    ]
    assert tables.relations.to_numpy().tolist() == [["P1", "is a", ""], ["P2", None, None]]
    assert [note.split(": ")[1].split()[0] for note in tables.notes] == ["1", "1"]
    assert read_wikidata(tmp_path / name, "de").entities["name"].tolist() == ["Hund", "Canis", "animal"]


def test_import(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture):
    records = [
        {
            "id": f"Q{i}",
            "labels": {"en": {"value": f"thing {i}"}},
            "claims": {"P1": [statement(item(f"Q{(i + k) % 9}")) for k in (1, 2, 3)]},
        }
        for i in range(9)
    ]
    import_graph(tmp_path / "new", write(tmp_path / "dump.json.gz", records), ratios=(0.8, 0, 0.2))
    dataset = MultimodalDataset(tmp_path / "new")
    assert dataset.training.num_triples + dataset.testing.num_triples == 27
    assert dataset.entity_table.texts()["Q3"] == "thing 3"
    assert caplog.text.count("WARNING") == 0


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"labels": {}}], "line 2: the entity has no id"),
        ([RECORDS[1], RECORDS[1]], "line 3: the entity 'Q2' comes twice"),
        ([["Q1"]], "line 2: expected an entity"),
        ([RECORDS[1]], "no statement that links two of its 1 items"),
        ([{"id": "Q1", "claims": {"P1": "Q2"}}], "line 2: the statements of P1"),
    ],
)
def test_refused(tmp_path: pathlib.Path, records: list[Any], message: str):
    with pytest.raises(DataError, match=message):
        read_wikidata(write(tmp_path / "dump.json", records))


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.json", b'{"id": "Q1",\n'), ("x.json.gz", b"no gzip"), ("x.json.bz2", b"x"), ("x.json", b"\xff")],
)
def test_damaged(tmp_path: pathlib.Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        read_wikidata(tmp_path / name)
    with pytest.raises(DataError, match="absent.json does not exist"):
        read_wikidata(tmp_path / "absent.json")
    with pytest.raises(DataError, match="folder of images"):
        read_wikidata(tmp_path / name, images=tmp_path / "gone")
