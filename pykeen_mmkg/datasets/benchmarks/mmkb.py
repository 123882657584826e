"""Benchmarks of DBpedia, Wikidata and YAGO, in the splits of MMRNS that the later papers use: DB15K, MKG-W, MKG-Y."""

import pathlib
import re
from collections.abc import Mapping
from urllib.parse import unquote

from docdata import parse_docdata

from ...errors import DataError
from ..delimited import read_lines
from ..files import LabeledTriple
from . import freebase
from .base import Benchmark
from .conversion import PublishedGraph, read_columns, read_id_triples, read_ids, words_of

__all__ = ["DB15k", "MKGW", "MKGY"]

SPLITS = ("train", "valid", "test")
LITERALLY_WIKIDATA = "GenetAsefa/LiterallyWikidata/Datasets"
#: MMKB's links of DBpedia to Freebase, and the texts there
LINKED_TEXTS = {"links": "mniepert/mmkb/DB15K/DB15K_SameAsLink.txt", "entities": freebase.TEXTS["entities"]}


def _openke(name: str) -> dict[str, str]:
    folder = f"zjukg/NATIVE/benchmarks/{name}"
    ids = {"entity_ids": f"{folder}/entity2id.txt", "relation_ids": f"{folder}/relation2id.txt"}
    return {**{split: f"{folder}/{split}2id.txt" for split in SPLITS}, **ids}


def _graph(
    files: Mapping[str, pathlib.Path],
) -> tuple[dict[str, list[LabeledTriple]], list[str], list[str]]:
    """Return the triples, and the labels of entities and relations in sorted order."""
    entities, relations = read_ids(files["entity_ids"]), read_ids(files["relation_ids"])
    triples = {split: read_id_triples(files[split], entities, relations) for split in SPLITS}
    return triples, sorted(entities), sorted(relations)


def _links_to_freebase(path: pathlib.Path) -> dict[str, str]:
    """Return the Freebase ids of DBpedia's resources; of a resource with several links, the last one holds."""
    rows = [line.split(" ") for line in read_lines(path)]
    return {row[2]: row[0] for row in rows if len(row) > 2}


def _title(resource: str) -> str:
    """Return the title of the Wikipedia article that a resource of DBpedia or an entity of YAGO is called like."""
    return " ".join(unquote(resource.strip("<>").rpartition("/resource/")[2]).replace("_", " ").split())


def _descriptions_by_title(files: Mapping[str, pathlib.Path]) -> dict[str, str]:
    """Return the sentence of Freebase on what DBpedia calls by a title."""
    texts = freebase.freebase_texts(files["entities"])
    return {_title(label): texts.get(i, ("", ""))[1] for label, i in _links_to_freebase(files["links"]).items()}


@parse_docdata
class DB15k(Benchmark):
    """DB15K of MMKB [liu2019]_, in the split of MMRNS and the papers after it.

    The labels hold quotes and brackets, such as ``<http://dbpedia.org/resource/"female_illusionist">``. The texts are
    those of the Freebase entities that MMKB links to.

    .. warning ::
        As published it leaks: 6,584 of the 7,481 distinct validation triples are in training too (no test triple is),
        so that a validation score says little. The file of 9,904 validation triples repeats 2,423 of them.
    ---
    name: DB15K
    citation:
        author: Liu
        year: 2019
        link: https://arxiv.org/abs/1903.05485
        arxiv: 1903.05485
    statistics:
        entities: 12842
        relations: 279
        training: 79222
        testing: 9902
        validation: 7481
        triples: 96605
    source: triples as in zjukg/NATIVE, links of mniepert/mmkb, entity texts as in wangbo9719/StAR_KGC
    license: DBpedia CC BY-SA 3.0, MMKB BSD-3-Clause, Freebase CC BY 2.5; the other repositories name none
    coverage:
        entity_text: 12842
        relation_text: 279
        entity_images: 0
    images: >-
        MMKB (mniepert/mmkb) publishes addresses, zjukg/NATIVE links to vectors; images go into the folder images of the
        dataset's, in sub-folders called like the entities, URL-quoted; vectors into the folder features
    leaks: >-
        6,584 of the 7,481 distinct validation triples are in training, no test triple is; 824 test triples are in
        validation; 15.5 % of the test triples hold by another relation in training
    """

    folder_name = "db15k"
    files = {**_openke("DB15K"), **LINKED_TEXTS}
    required_tables = frozenset({"entities", "relations"})

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        triples, entities, relations = _graph(files)
        texts = freebase.freebase_texts(files["entities"])
        links = _links_to_freebase(files["links"])
        return PublishedGraph(
            triples=triples,
            entities=[(label, *texts.get(links.get(label, ""), ("", ""))) for label in entities],
            relations=[(label, words_of(re.split("[/#]", label.strip("<>"))[-1]), "") for label in relations],
        )


@parse_docdata
class MKGW(Benchmark):
    """MKG-W of MMRNS [xu2022]_: the Wikidata half of OpenEA's D-W-15K-V1 [sun2020]_.

    The labels are addresses, such as ``http://www.wikidata.org/entity/Q370252``. The benchmark comes without texts. Its
    entities have the names of the DBpedia resources that OpenEA aligns them with, its relations those that K-ON
    [guo2025]_ publishes. 4,139 entities have a description: that which LiterallyWikidata [gesese2021]_ took from
    Wikidata, else the sentence of the Freebase entity that MMKB [liu2019]_ links the resource to.
    ---
    name: MKG-W
    citation:
        author: Xu
        year: 2022
        link: https://doi.org/10.1145/3503161.3548388
    statistics:
        entities: 15000
        relations: 169
        training: 34196
        testing: 4274
        validation: 4276
        triples: 42746
    source: >-
        triples as in zjukg/NATIVE, names by the links to DBpedia in zjukg/K-ON, descriptions of
        GenetAsefa/LiterallyWikidata or, by links of mniepert/mmkb, as in wangbo9719/StAR_KGC
    license: Wikidata CC0, K-ON MIT, DBpedia CC BY-SA 3.0, MMKB BSD-3-Clause, Freebase CC BY 2.5; others name none
    coverage:
        entity_text: 15000
        relation_text: 169
        entity_images: 0
    images: >-
        zjukg/NATIVE links to vectors; import them with import_pickle or FeatureStore.from_tensors into the folder
        features of the dataset's, as visual.safetensors
    leaks: >-
        7.5 % of the test triples hold by another relation in training, 3.6 % have their inverse there, 1.4 % their
        mirror image
    """

    folder_name = "mkg-w"
    files = {
        **_openke("MKG-W"),
        **LINKED_TEXTS,
        "names": "zjukg/K-ON/data/MKG-W/ent_links.txt",
        "relation_names": "zjukg/K-ON/data/MKG-W/rel_links.txt",
        **{
            f"{kind}_descriptions": f"{LITERALLY_WIKIDATA}/{folder}/{kind}_wikidata_descriptions_en.txt"
            for kind, folder in (("entity", "Entities"), ("relation", "Relations"))
        },
    }
    required_tables = frozenset({"entities", "relations"})

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        triples, entities, relations = _graph(files)
        # one name a line, in the order of the relations' ids
        names = dict(zip(read_ids(files["relation_ids"]), read_lines(files["relation_names"]), strict=False))
        if len(names) != len(relations):
            raise DataError(f"{files['relation_names']} has {len(names)} names, not {len(relations)}")
        rows = [line.split("\t") for line in read_lines(files["names"])]
        titles = {row[1]: _title(row[0]) for row in rows if len(row) == 2}
        linked = _descriptions_by_title(files)
        own = {kind: read_columns(files[f"{kind}_descriptions"]) for kind in ("entity", "relation")}

        def description(kind: str, label: str) -> str:
            return own[kind].get(label.rpartition("/")[2], "").strip()

        return PublishedGraph(
            triples=triples,
            entities=[
                (label, title, description("entity", label) or linked.get(title, ""))
                for label in entities
                for title in [titles.get(label, "")]
            ],
            relations=[(label, names[label].strip(), description("relation", label)) for label in relations],
        )


@parse_docdata
class MKGY(Benchmark):
    """MKG-Y of MMRNS [xu2022]_: YAGO, whose identifiers are the names of entities and relations.

    These names are the titles of Wikipedia's articles, as those of DBpedia's resources are. So 1,511 entities have a
    description, too: the sentence of the Freebase entity that MMKB [liu2019]_ links the resource to.
    ---
    name: MKG-Y
    citation:
        author: Xu
        year: 2022
        link: https://doi.org/10.1145/3503161.3548388
    statistics:
        entities: 15000
        relations: 28
        training: 21310
        testing: 2663
        validation: 2665
        triples: 26638
    source: triples and names as in zjukg/NATIVE, descriptions by links of mniepert/mmkb as in wangbo9719/StAR_KGC
    license: YAGO CC BY 3.0, MMKB BSD-3-Clause, Freebase CC BY 2.5; the other repositories name none
    coverage:
        entity_text: 15000
        relation_text: 28
        entity_images: 0
    images: >-
        zjukg/NATIVE links to vectors; import them with import_pickle or FeatureStore.from_tensors into the folder
        features of the dataset's, as visual.safetensors
    leaks: 25.2 % of the test triples hold by another relation in training, most of them by isAffiliatedTo and playsFor
    """

    folder_name = "mkg-y"
    files = {**_openke("MKG-Y"), **LINKED_TEXTS}
    required_tables = frozenset({"entities", "relations"})

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        triples, entities, relations = _graph(files)
        linked = _descriptions_by_title(files)
        return PublishedGraph(
            triples=triples,
            entities=[(label, title, linked.get(title, "")) for label in entities for title in [_title(label)]],
            relations=[(label, words_of(label), "") for label in relations],
        )
