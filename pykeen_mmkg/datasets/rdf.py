"""Graphs in RDF, as N-Triples or Turtle, read by rdflib: links become triples, texts and pictures become tables.

Which predicates are names, descriptions and pictures is said in :data:`NAMES`, :data:`DESCRIPTIONS` and
:data:`PICTURES`. Other literals are no links of a knowledge graph, and blank nodes have no label that lasts: both are
left out, and counted. Nothing is fetched.
"""

import pathlib
import urllib.parse
import urllib.request
from collections import Counter, defaultdict
from typing import Any

import pandas as pd

from ..errors import DataError
from .delimited import read_text
from .frames import GraphTables, choose_text
from .image_urls import is_url

__all__ = ["FORMATS", "read_rdf"]

#: suffix -> the name that rdflib has for the format; each also with ``.gz`` behind it
FORMATS = {".nt": "nt", ".ttl": "turtle", ".turtle": "turtle"}

_RDFS, _SKOS = "http://www.w3.org/2000/01/rdf-schema#", "http://www.w3.org/2004/02/skos/core#"
_DC, _DCT, _FOAF = "http://purl.org/dc/elements/1.1/", "http://purl.org/dc/terms/", "http://xmlns.com/foaf/0.1/"
_SCHEMA, _DBO = ("http://schema.org/", "https://schema.org/"), "http://dbpedia.org/ontology/"

#: predicates of a name, the more usual ones first
NAMES = (
    f"{_RDFS}label",
    f"{_SKOS}prefLabel",
    *(f"{schema}name" for schema in _SCHEMA),
    f"{_FOAF}name",
    f"{_DCT}title",
    f"{_DC}title",
)
#: predicates of a description
DESCRIPTIONS = (
    f"{_RDFS}comment",
    *(f"{schema}description" for schema in _SCHEMA),
    f"{_DCT}description",
    f"{_DC}description",
    f"{_SKOS}definition",
    f"{_DBO}abstract",
)
#: predicates of a picture
PICTURES = (
    f"{_FOAF}depiction",
    f"{_FOAF}img",
    *(f"{schema}image" for schema in _SCHEMA),
    f"{_DBO}thumbnail",
    "http://www.wikidata.org/prop/direct/P18",
)

Texts = dict[str, dict[str, dict[str, str]]]


def rdf_format(path: pathlib.Path) -> str | None:
    """Return the format of a file by its name, None if it is none that is read here."""
    return FORMATS.get(pathlib.Path(path.name.removesuffix(".gz")).suffix.lower())


def read_rdf(path: str | pathlib.Path, language: str = "en") -> GraphTables:
    """Read a file of RDF.

    The labels of entities and relations are their whole addresses. Of several texts the one in the language is taken,
    or else one without a language, or else the first of another one.

    :param path: a file ``.nt`` or ``.ttl``, possibly ``.gz``
    :param language: the language of names and descriptions
    :returns: the tables; what says something about a relation is text of the relation, and no triple
    :raises DataError: if rdflib is missing, or the file is missing, broken, or of another format
    """
    path = pathlib.Path(path)
    if (form := rdf_format(path)) is None:
        raise DataError(f"{path} is neither {' nor '.join(FORMATS)}, possibly with .gz")
    try:
        import rdflib
    except ImportError as error:
        raise DataError(f"{path} cannot be read without rdflib: pip install rdflib") from error
    base = path.absolute().as_uri()
    graph = rdflib.Graph()
    try:
        graph.parse(data=read_text(path), format=form, publicID=base)
    except DataError:
        raise
    except Exception as error:  # each of rdflib's parsers has errors of its own
        raise DataError(f"{path} is no valid {form}: {' '.join(str(error).split())[:300]}") from None

    texts: dict[str, Texts] = {"name": defaultdict(dict), "description": defaultdict(dict)}
    pictures: dict[str, set[str]] = defaultdict(set)
    links: set[tuple[str, str, str]] = set()
    literals: Counter[str] = Counter()
    blank = 0
    for s, p, o in graph:
        subject, predicate, value = str(s), str(p), str(o)
        field = "name" if predicate in NAMES else "description" if predicate in DESCRIPTIONS else None
        if isinstance(s, rdflib.BNode) or (isinstance(o, rdflib.BNode) and predicate not in PICTURES):
            blank += 1
        elif predicate in PICTURES and not isinstance(o, rdflib.BNode):
            pictures[subject].add(value)
        elif field is not None and isinstance(o, rdflib.Literal):
            own = texts[field][subject].setdefault(predicate, {})
            tag = o.language or ""
            # of several in one language, the first by the alphabet: the order of a graph means nothing
            own[tag] = min(own.get(tag, value), value)
        elif isinstance(o, rdflib.Literal):
            literals[predicate] += 1
        else:
            links.add((subject, predicate, value))
    return _tables(path, links, texts, pictures, literals, blank, language)


def _tables(
    path: pathlib.Path,
    links: set[tuple[str, str, str]],
    texts: dict[str, Texts],
    pictures: dict[str, set[str]],
    literals: Counter[str],
    blank: int,
    language: str,
) -> GraphTables:
    relations = {relation for _, relation, _ in links}
    about = {link for link in links if link[0] in relations}
    triples = sorted(links - about)
    if not triples:
        raise DataError(f"{path} has no link between two resources")
    relations = {relation for _, relation, _ in triples} | {link[0] for link in about}
    described = {subject for own in texts.values() for subject in own} | set(pictures)
    entities = sorted({label for head, _, tail in triples for label in (head, tail)} | (described - relations))
    notes = []
    if about:
        notes.append(f"{path}: {len(about)} triples are about relations and left out, e.g. of {min(about)[0]}")
    if literals:
        example = min(literals, key=lambda predicate: (-literals[predicate], predicate))
        notes.append(
            f"{path}: {literals.total()} literals of {len(literals)} predicates are no links and left out, "
            f"most often {example}"
        )
    if blank:
        notes.append(f"{path}: {blank} triples with a blank node are left out, for it has no label that lasts")

    def column(field: str, labels: list[str]) -> list[str]:
        return [
            _text(texts[field].get(label, {}), NAMES if field == "name" else DESCRIPTIONS, language) for label in labels
        ]

    def table(kind: str, labels: list[str]) -> pd.DataFrame:
        return pd.DataFrame(
            {kind: labels, "name": column("name", labels), "description": column("description", labels)}, dtype=object
        )

    tables = table("entity", entities), table("relation", sorted(relations))
    found: list[Any] = [[_picture(one, path) for one in sorted(pictures.get(label, ()))] for label in entities]
    tables[0]["image"] = pd.Series(found, dtype=object)
    return GraphTables(pd.DataFrame(triples, columns=["head", "relation", "tail"], dtype=object), *tables, notes)


def _text(own: dict[str, dict[str, str]], order: tuple[str, ...], language: str) -> str:
    """Choose a text of an item: by language first, then by predicate."""
    merged: dict[str, str] = {}
    for predicate in order:
        merged = {**own.get(predicate, {}), **merged}
    return choose_text(merged, language)


def _picture(value: str, path: pathlib.Path) -> str:
    """Return the address of a picture, or the path of one in the folder of the file."""
    if is_url(value):
        return value
    parts = urllib.parse.urlsplit(value)
    if parts.scheme not in ("file", ""):
        raise DataError(f"{path}: the picture {value!r} is no address that can be fetched, nor a file")
    local = urllib.request.url2pathname(parts.path) if parts.scheme else value
    image = pathlib.Path(path.absolute().parent, local).resolve()
    if not image.is_relative_to(path.absolute().parent.resolve()):
        raise DataError(f"{path}: the picture {value!r} is outside of the file's folder; put it there")
    return str(image)
