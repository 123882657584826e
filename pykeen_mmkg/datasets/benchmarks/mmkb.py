"""Benchmarks of DBpedia, Wikidata and YAGO, in the splits of MMRNS that the later papers use: DB15K, MKG-W, MKG-Y."""

import pathlib
import re
from collections.abc import Mapping
from urllib.parse import unquote

from docdata import parse_docdata

from ..delimited import read_lines
from ..files import LabeledTriple
from . import freebase
from .base import Benchmark
from .conversion import PublishedGraph, PublishedText, read_columns, read_id_triples, read_ids, words_of

__all__ = ["DB15k", "MKGW", "MKGY"]

SPLITS = ("train", "valid", "test")


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
    files = {
        **_openke("DB15K"),
        "links": "mniepert/mmkb/DB15K/DB15K_SameAsLink.txt",
        "entities": freebase.TEXTS["entities"],
    }
    required_tables = frozenset({"entities", "relations"})

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        triples, entities, relations = _graph(files)
        texts = freebase.freebase_texts(files["entities"])
        rows = [line.split(" ") for line in read_lines(files["links"])]
        # of an entity with several links, the last one holds
        links = {row[2]: row[0] for row in rows if len(row) > 2}
        return PublishedGraph(
            triples=triples,
            entities=[(label, *texts.get(links.get(label, ""), ("", ""))) for label in entities],
            relations=[(label, words_of(re.split("[/#]", label.strip("<>"))[-1]), "") for label in relations],
        )


@parse_docdata
class MKGW(Benchmark):
    """MKG-W of MMRNS [xu2022]_: Wikidata, and a text where another benchmark publishes one.

    The labels are addresses, such as ``http://www.wikidata.org/entity/Q370252``. The benchmark comes without texts; the
    names and descriptions of 3,215 entities and 112 relations are those that LiterallyWikidata [gesese2021]_ took from
    Wikidata. For the others pass a table of your own as ``entities`` and ``relations``, with ``missing_rows="allow"``.
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
    source: triples as in zjukg/NATIVE, texts of GenetAsefa/LiterallyWikidata
    license: Wikidata CC0; the repositories name none
    coverage:
        entity_text: 3215
        relation_text: 112
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
        **{
            f"{kind}_{column}": f"GenetAsefa/LiterallyWikidata/Datasets/{folder}/{kind}_{file}_en.txt"
            for kind, folder in (("entity", "Entities"), ("relation", "Relations"))
            for column, file in (("names", "labels"), ("descriptions", "wikidata_descriptions"))
        },
    }
    required_tables = frozenset({"entities", "relations"})

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        triples, entities, relations = _graph(files)

        def texts(kind: str, labels: list[str]) -> list[PublishedText]:
            names, descriptions = (read_columns(files[f"{kind}_{column}"]) for column in ("names", "descriptions"))
            ids = [label.rpartition("/")[2] for label in labels]
            return [
                (label, names.get(i, "").strip(), descriptions.get(i, "").strip())
                for label, i in zip(labels, ids, strict=True)
            ]

        return PublishedGraph(
            triples=triples, entities=texts("entity", entities), relations=texts("relation", relations)
        )


@parse_docdata
class MKGY(Benchmark):
    """MKG-Y of MMRNS [xu2022]_: YAGO, whose identifiers are the names of entities and relations.
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
    source: zjukg/NATIVE
    license: YAGO CC BY 3.0; the repository names none
    coverage:
        entity_text: 15000
        relation_text: 28
        entity_images: 0
    images: >-
        zjukg/NATIVE links to vectors; import them with import_pickle or FeatureStore.from_tensors into the folder
        features of the dataset's, as visual.safetensors
    leaks: 25.2 % of the test triples hold by another relation in training, most of them by isAffiliatedTo and playsFor
    """  # noqa: D205

    folder_name = "mkg-y"
    files = _openke("MKG-Y")
    required_tables = frozenset({"entities", "relations"})

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        triples, entities, relations = _graph(files)
        return PublishedGraph(
            triples=triples,
            entities=[(label, " ".join(unquote(label).replace("_", " ").split()), "") for label in entities],
            relations=[(label, words_of(label), "") for label in relations],
        )
