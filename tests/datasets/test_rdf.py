"""RDF: links become triples, texts and pictures tables; what is neither is counted."""

import gzip
import pathlib
import sys

import pytest

from pykeen_mmkg.datasets import MultimodalDataset, import_graph
from pykeen_mmkg.datasets.rdf import read_rdf
from pykeen_mmkg.errors import DataError

TURTLE = """
@prefix : <http://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix schema: <https://schema.org/> .

:ann rdfs:label "Anna"@de, "Ann"@en ; schema:description "a\\nperson" ; :knows :bob, :cai ; :age 30 ;
    foaf:depiction <pictures/ann.png>, <https://example.org/a,b.png> .
:bob rdfs:label "Robert" ; foaf:name "Bob"@en ; :knows :ann ; :address [ :street "Main" ] .
:cai :knows :ann ; :height 1.8 ; :age 31 .
:lonely rdfs:comment "nobody knows"@fr .
:knows rdfs:label "knows"@en ; rdfs:comment "is acquainted with" ; a owl:ObjectProperty .
"""
EX = "http://example.org/"


@pytest.fixture
def turtle(tmp_path: pathlib.Path) -> pathlib.Path:
    pytest.importorskip("rdflib")
    path = tmp_path / "source" / "graph.ttl"
    path.parent.joinpath("pictures").mkdir(parents=True)
    path.write_text(TURTLE)
    return path


LINKS = [("ann", "knows", "bob"), ("ann", "knows", "cai"), ("bob", "knows", "ann"), ("cai", "knows", "ann")]


def test_tables(turtle: pathlib.Path):
    tables = read_rdf(turtle)
    assert tables.triples.to_numpy().tolist() == [[EX + part for part in link] for link in LINKS]
    rows = {label.removeprefix(EX): rest for label, *rest in tables.entities.to_numpy().tolist()}
    assert rows == {
        "ann": ["Ann", "a\nperson", [str(turtle.parent / "pictures" / "ann.png"), "https://example.org/a,b.png"]],
        # the language comes before the predicate
        "bob": ["Bob", "", []],
        "cai": ["", "", []],
        # nothing is made up, and a text of another language is better than none
        "lonely": ["", "nobody knows", []],
    }
    assert tables.relations.to_numpy().tolist() == [[EX + "knows", "knows", "is acquainted with"]]
    about, literals, blank = tables.notes
    assert "1 triples are about relations" in about
    assert "3 literals of 2 predicates" in literals and f"{EX}age" in literals
    assert "2 triples with a blank node" in blank
    assert read_rdf(turtle, language="de").entities["name"].tolist() == ["Anna", "Robert", "", ""]


def test_n_triples(turtle: pathlib.Path):
    """The same graph in the other format, packed, gives the same tables; the order of lines means nothing."""
    rdflib = pytest.importorskip("rdflib")
    base = turtle.absolute().as_uri()
    lines = rdflib.Graph().parse(turtle, format="turtle", publicID=base).serialize(format="nt").splitlines()
    first = read_rdf(turtle)
    for order in (sorted(lines), sorted(lines, reverse=True)):
        path = turtle.with_name("graph.nt.gz")
        path.write_bytes(gzip.compress("\n".join(order).encode()))
        second = read_rdf(path)
        for name in ("triples", "entities", "relations"):
            assert getattr(second, name).to_numpy().tolist() == getattr(first, name).to_numpy().tolist()


def test_import(turtle: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture):
    """A folder with the links, texts and pictures; what is left out is said, and an address is kept for later."""
    from PIL import Image

    Image.new("RGB", (4, 4)).save(turtle.parent / "pictures" / "ann.png")
    import_graph(tmp_path / "new", turtle, ratios=(0.5, 0.25, 0.25))
    assert "blank node" in caplog.text
    dataset = MultimodalDataset(tmp_path / "new")
    assert any("1 images are URLs and not fetched, e.g. https://example.org/a,b.png" in note for note in dataset.notes)
    triples = {tuple(row) for f in dataset.factories.values() for row in f.label_triples(f.mapped_triples).tolist()}
    assert triples == {tuple(EX + part for part in link) for link in LINKS}
    assert dataset.entity_table.texts()[EX + "ann"] == "Ann: a person"
    assert [len(images) for images in dataset.entity_table.images] == [1, 0, 0, 0]
    assert dataset.relation_table.texts() == {EX + "knows": "knows: is acquainted with"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<a> <b> .", ["no valid turtle", "x.ttl"]),
        ("", ["x.ttl has no link"]),
        ('<http://a> <http://b> "c" .', ["no link between two resources"]),
        ("<http://a> <http://xmlns.com/foaf/0.1/img> <../../secret.png> ; <http://b> <http://c> .", ["outside"]),
        ("<http://a> <http://xmlns.com/foaf/0.1/img> <ftp://x/y.png> ; <http://b> <http://c> .", ["ftp://x/y.png"]),
        (b"\xff\xfe<\0", ["x.ttl", "UTF-8"]),
    ],
)
def test_refused(tmp_path: pathlib.Path, content: str | bytes, words: list[str]):
    pytest.importorskip("rdflib")
    path = tmp_path / "source" / "x.ttl"
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        import_graph(tmp_path / "new", path)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert not (tmp_path / "new").exists()


def test_without_rdflib(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "rdflib", None)
    with pytest.raises(DataError, match="pip install rdflib"):
        read_rdf(tmp_path / "x.nt")
    with pytest.raises(DataError, match="neither .nt"):
        read_rdf(tmp_path / "x.rdf")
