"""Commands that bring a graph of one's own into a folder."""

import gzip
import io
import json
import pathlib
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from pykeen_mmkg.cli import main
from pykeen_mmkg.datasets import MultimodalDataset


def call(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


def png(color: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (color, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


LINKS = [(f"e{i}", "next", f"e{(i + k) % 12}") for i in range(12) for k in (1, 2)]
HEADER = "head{0}relation{0}tail\n"
ENTITIES = "entity,name,image\n" + "".join(f"e{i},thing {i},{'p.png' if i < 3 else ''}\n" for i in range(12))
TURTLE = "@prefix : <http://x.org/> .\n" + "".join(f":{h} :{r} :{t} .\n" for h, r, t in LINKS)
LABELS = "".join(f':e{i} <http://www.w3.org/2000/01/rdf-schema#label> "thing {i}" .\n' for i in range(12))
DUMP = "".join(
    json.dumps(
        {
            "id": f"Q{i}",
            "labels": {"en": {"value": f"thing {i}"}},
            "claims": {"P1": [{"mainsnak": {"datavalue": {"value": {"id": f"Q{(i + k) % 12}"}}}} for k in (1, 2)]},
        }
    )
    + "\n"
    for i in range(12)
)
SIZES = "1 relations; triples: 19 training, 2 validation, 3 testing"
NAMED = f"12 entities, 12 with a text and 0 with an image; {SIZES}"
BARE = f"12 entities, 0 with a text and 0 with an image; {SIZES}"


def rows(separator: str, header: bool = True) -> str:
    return HEADER.format(separator) * header + "".join(separator.join(link) + "\n" for link in LINKS)


def parquet(frame: pd.DataFrame) -> bytes:
    pytest.importorskip("pyarrow")
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def triples() -> pd.DataFrame:
    return pd.DataFrame(LINKS, columns=["head", "relation", "tail"])


def pictured() -> bytes:
    image = [{"bytes": png(i), "path": None} if i < 3 else None for i in range(12)]
    names = [f"thing {i}" for i in range(12)]
    return parquet(pd.DataFrame({"id": [f"e{i}" for i in range(12)], "name": names, "image": image}))


#: what one has -> the arguments after the source, and the summary or, with "Error", the refusal
LAYOUTS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "t.csv": ({"t.csv": rows(",")}, [], BARE),
    "t.tsv": ({"t.tsv": rows("\t")}, [], BARE),
    "table of entities": (
        {"t.csv": rows(","), "e.csv": ENTITIES, "p.png": png()},
        ["--entities", "e.csv"],
        f"12 entities, 12 with a text and 3 with an image; {SIZES}",
    ),
    "t.parquet": ({"t.parquet": lambda: parquet(triples())}, [], BARE),
    "parquet with pictures": (
        {"t.parquet": lambda: parquet(triples()), "e.parquet": pictured},
        ["--entities", "e.parquet"],
        f"12 entities, 12 with a text and 3 with an image; {SIZES}",
    ),
    "shards": (
        {
            "d/train-00000-of-00001.parquet": lambda: parquet(triples()[:20]),
            "d/test.parquet": lambda: parquet(triples()[20:]),
        },
        [],
        "12 entities, 0 with a text and 0 with an image; 1 relations; triples: 20 training, 4 testing",
    ),
    "splits in files": (
        {"t.csv": rows(","), "v.csv": "head,relation,tail\ne0,next,e5\n", "x.csv": "head,relation,tail\ne0,next,e7\n"},
        ["--valid", "v.csv", "--test", "x.csv"],
        "1 relations; triples: 24 training, 1 validation, 1 testing",
    ),
    "other columns": ({"t.csv": rows(",").replace("head,relation,tail", "s,p,o")}, ["--columns", "s", "p", "o"], BARE),
    "unseen entities": ({"t.csv": rows(",")}, ["--kind", "unseen-entities", "--ratios", "0.8", "0", "0.2"], "testing"),
    "turtle": ({"t.ttl": TURTLE + LABELS}, [], NAMED),
    "turtle without texts": ({"t.ttl": TURTLE}, [], BARE),
    "dump": ({"t.jsonl": DUMP}, [], NAMED),
    "packed dump": ({"t.json.gz": lambda: gzip.compress(DUMP.encode())}, [], NAMED),
    "no header": ({"t.csv": rows(",", header=False)}, [], BARE),
    "packed": ({"t.tsv.gz": lambda: gzip.compress(rows("\t").encode())}, [], BARE),
    "columns by other names": (
        {"t.txt": rows("\t").replace("head\trelation\ttail", "Subject\tPredicate\tObject")},
        [],
        BARE,
    ),
    "columns that are not there": (
        {"t.csv": rows(",")},
        ["--columns", "s", "p", "o"],
        "Error: the table of triples lacks the column 's'",
    ),
    "a spreadsheet": ({"t.xlsx": "x"}, [], "Error: {folder}/t.xlsx is neither .csv, .tsv nor .parquet"),
    "no file": ({}, [], "Error: {folder}/t.csv does not exist"),
    "a folder of nothing": ({"d/readme.txt": "x"}, [], "Error: {folder}/d holds no .parquet file"),
    "a cell too many": ({"t.csv": rows(",") + "a,b,c,d\n"}, [], "Error: {folder}/t.csv, line 26: expected 3"),
    "an empty cell": ({"t.csv": rows(",") + "a,,c\n"}, [], "Error: {folder}/t.csv, line 26: a column is empty"),
    "a picture that is gone": (
        {"t.csv": rows(","), "e.csv": ENTITIES},
        ["--entities", "e.csv"],
        "Error: the image p.png of 'e0' does not exist",
    ),
    "an unknown kind": ({"t.csv": rows(",")}, ["--kind", "fair"], "Error: split='fair' must be one of"),
    "a split without a test": ({"t.csv": rows(","), "v.csv": rows(",")}, ["--valid", "v.csv"], "Error: the splits"),
    "RDF/XML": ({"t.rdf": "<rdf/>"}, [], "Error: {folder}/t.rdf is neither"),
    "broken turtle": ({"t.ttl": ":a :b"}, [], "Error: {folder}/t.ttl is no valid turtle"),
    "broken dump": ({"t.jsonl": DUMP + "{"}, [], "Error: {folder}/t.jsonl, line 13: no JSON"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_import_graph(name: str, tmp_path: pathlib.Path):
    """Accepted with this summary, or refused with this sentence, and then nothing is written."""
    files, options, said = LAYOUTS[name]
    if any(file.endswith(".ttl") for file in files):
        pytest.importorskip("rdflib")
    folder = tmp_path / "mine"
    folder.mkdir()
    for file, content in files.items():
        content = content() if callable(content) else content
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    first = next(iter(files), "t.csv")
    source = folder / "d" if first.startswith("d/") else folder / first
    given = [folder / option if option.endswith((".csv", ".parquet")) else option for option in options]
    refused = said.startswith("Error")
    output = call("import-graph", source, "--output", tmp_path / "graph", *given, status=2 if refused else 0)
    assert said.format(folder=folder) in output, output
    assert (tmp_path / "graph").exists() is not refused


def test_import_graph_fetches(web: Any, tmp_path: pathlib.Path):
    """Pictures by address are fetched at the import if that is asked for, and can be later if not."""
    url = web.give("/1.png", png(1))
    tmp_path.joinpath("t.csv").write_text(rows(","))
    tmp_path.joinpath("e.csv").write_text(ENTITIES.replace("p.png", url))
    given = (tmp_path / "t.csv", "--entities", tmp_path / "e.csv", "--output")
    assert "0 with an image" in call("import-graph", *given, tmp_path / "later") and web.asked == []
    assert "3 of 12 entities have an image" in call("fetch-images", tmp_path / "later")
    assert "3 with an image" in call("import-graph", *given, tmp_path / "now", "--image-urls", "fetch")


def test_fetch_images(web: Any, tmp_path: pathlib.Path):
    """What could be had is found by the next load; what could not is said; limits are those of the options."""
    urls = [web.give("/1.png", png(1)), f"{web.url}/gone.png", web.give("/big.png", png() + b"x" * 5000)]
    tmp_path.joinpath("train.tsv").write_text("a\tr\tb\nb\tr\tc\n")
    tmp_path.joinpath("test.tsv").write_text("a\tr\tc\n")
    rows = "".join(f"{label},{url}\n" for label, url in zip("abc", urls, strict=True))
    tmp_path.joinpath("entities.csv").write_text(f"entity,image\n{rows}")
    assert "more than max_images=2" in call("fetch-images", tmp_path, "--max-images", 2, status=2)
    assert web.asked == []
    said = call("fetch-images", tmp_path, "--max-bytes", 4000)
    assert "1 of 3 entities have an image" in said and "2 could not be had" in said and "404" in said
    web.asked.clear()
    assert [len(images) for images in MultimodalDataset(tmp_path).entity_table.images] == [1, 0, 0]
    assert web.asked == []
    assert "seconds" in call("fetch-images", tmp_path, "--seconds", 0, status=2)


def test_nothing_to_fetch(tmp_path: pathlib.Path):
    said = call("fetch-images", tmp_path, status=2)
    assert "no table" in said
