"""Benchmarks of Freebase: a name and the first sentence of a description for each entity."""

import json
import pathlib
import random
from collections import Counter
from collections.abc import Mapping

from docdata import parse_docdata

from ...errors import DataError
from ..delimited import read_lines
from ..files import LabeledTriple
from .base import Benchmark
from .conversion import (
    PublishedGraph,
    PublishedText,
    name_and_description,
    read_columns,
    read_id_triples,
    read_ids,
    read_tasks,
    tasks_as_triples,
)

__all__ = ["FB15k237Text", "FB15k237ZS"]

OPENKE = "luisrui/Multimodal-Relation-Extrapolation/OpenKE/benchmarks/FB15K237"
ZERO_SHOT = "luisrui/Multimodal-Relation-Extrapolation/origin_data/FB15K-237-ZS"
#: a name and a sentence for all entities of FB15k, and words for its relations
TEXTS = {
    "entities": "wangbo9719/StAR_KGC/StAR/data/FB15k-237/fb-entity2text-new.txt",
    "relations": "zjunlp/MKGformer/MKG/dataset/FB15k-237/relation2text.txt",
}
TRIPLES = {
    **{split: f"{OPENKE}/{split}2id.txt" for split in ("train", "valid", "test")},
    "entity_ids": f"{OPENKE}/entity2id.txt",
    "relation_ids": f"{OPENKE}/relation2id.txt",
}


def freebase_texts(path: pathlib.Path) -> dict[str, tuple[str, str]]:
    """Read a name and a sentence by Freebase id; sentences that were cut at a quotation mark lose that mark."""
    texts = {}
    for label, text in read_columns(path).items():
        name, description = name_and_description(text)
        texts[label] = name.strip('"').strip(), description.strip('"').strip()
    return texts


def relation_texts(path: pathlib.Path, labels: list[str]) -> list[PublishedText]:
    """Read the words of Freebase's relations.

    :param path: the file
    :param labels: the relations
    :returns: label, name and an empty description
    """
    texts = read_columns(path)
    return [(label, texts.get(label, "").strip(), "") for label in labels]


def _triples(files: Mapping[str, pathlib.Path]) -> dict[str, list[LabeledTriple]]:
    entities, relations = read_ids(files["entity_ids"]), read_ids(files["relation_ids"])
    return {split: read_id_triples(files[split], entities, relations) for split in ("train", "valid", "test")}


@parse_docdata
class FB15k237Text(Benchmark):
    """FB15k-237 with a name and a description of each entity and relation.
    ---
    name: FB15k-237 with text
    citation:
        author: Toutanova
        year: 2015
        link: https://aclanthology.org/W15-4007
    statistics:
        entities: 14541
        relations: 237
        training: 272115
        testing: 20466
        validation: 17535
        triples: 310116
    source: >-
        triples as in luisrui/Multimodal-Relation-Extrapolation, entity texts as in wangbo9719/StAR_KGC, relation names
        as in zjunlp/MKGformer
    license: Freebase CC BY 2.5; MKGformer MIT, the other repositories name none
    coverage:
        entity_text: 14541
        relation_text: 237
        entity_images: 0
    images: >-
        addresses of images by Freebase id are published by MMKB (mniepert/mmkb); put the images into the folder images
        of the dataset's, as %2Fm%2F<id>_<number>.jpg, or pass images
    """  # noqa: D205

    folder_name = "fb15k-237"
    files = {**TRIPLES, **TEXTS}
    required_tables = frozenset({"entities", "relations"})

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        texts = freebase_texts(files["entities"])
        labels = sorted(read_ids(files["entity_ids"]))
        return PublishedGraph(
            triples=_triples(files),
            entities=[(label, *texts.get(label, ("", ""))) for label in labels],
            relations=relation_texts(files["relations"], sorted(read_ids(files["relation_ids"]))),
        )


@parse_docdata
class FB15k237ZS(Benchmark):
    """FB15K-237-ZS: 206 relations in training, 29 others in testing, with 1,000 candidate entities per relation.

    The split of MRE [cai2024]_ has no validation triples. For tuning, ``hold_out="dev"`` moves the triples of 20 seen
    relations (``dev_relations.txt``) from training to validation; afterwards train on everything. The authors publish
    the test triples; those of training are all triples of FB15k-237 between their entities and of their seen relations.
    ---
    name: FB15K-237-ZS
    citation:
        author: Cai
        year: 2024
        link: https://arxiv.org/abs/2404.06220
        arxiv: 2404.06220
    statistics:
        entities: 14208
        relations: 235
        training: 262851
        testing: 17596
        validation: 0
        triples: 280447
    source: >-
        luisrui/Multimodal-Relation-Extrapolation, entity texts as in wangbo9719/StAR_KGC, relation names as in
        zjunlp/MKGformer
    license: Freebase CC BY 2.5; MKGformer MIT, the other repositories name none
    coverage:
        entity_text: 14208
        relation_text: 235
        entity_images: 0
    images: >-
        addresses of images by Freebase id are published by MMKB (mniepert/mmkb); put the images into the folder images
        of the dataset's, as %2Fm%2F<id>_<number>.jpg, or pass images
    leaks: >-
        13,810 further true triples of the test relations are in FB15k-237 but not in the split (known_true.tsv): filter
        them
    """

    folder_name = "fb15k-237-zs"
    files = {
        **TRIPLES,
        **TEXTS,
        "tasks": f"{ZERO_SHOT}/test_tasks_zsl.json",
        "zero_shot_entities": f"{ZERO_SHOT}/entity2ids_zsl.json",
        "zero_shot_relations": f"{ZERO_SHOT}/relation2ids.json",
        "relation_descriptions": f"{ZERO_SHOT}/rel_description_zsl",
        "candidates": f"{ZERO_SHOT}/rel2candidates_all.json",
    }
    required_tables = frozenset({"entities", "relations"})

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        labels, relations, candidates = (
            json.loads(files[name].read_bytes()) for name in ("zero_shot_entities", "zero_shot_relations", "candidates")
        )
        tasks = read_tasks(files["tasks"])
        test = tasks_as_triples(tasks)
        triples = [
            triple
            for split in _triples(files).values()
            for triple in split
            if triple[0] in labels and triple[1] in relations and triple[2] in labels
        ]
        tested = set(test)
        train = [triple for triple in triples if triple[1] not in tasks]
        texts = freebase_texts(files["entities"])
        descriptions = read_lines(files["relation_descriptions"])
        if len(descriptions) != len(relations):
            raise DataError(f"{files['relation_descriptions']} has {len(descriptions)} lines for {len(relations)} ids")
        return PublishedGraph(
            triples={
                "train": train,
                "test": test,
                "known_true": sorted(triple for triple in triples if triple[1] in tasks and triple not in tested),
            },
            entities=[(label, *texts.get(label, ("", ""))) for label in sorted(labels)],
            relations=[
                (label, name, descriptions[relations[label]].strip())
                for label, name, _ in relation_texts(files["relations"], sorted(relations))
            ],
            candidates=dict(sorted(candidates.items())),
            dev_relations=development_relations(train),
        )


def development_relations(train: list[LabeledTriple], number: int = 20) -> list[str]:
    """Draw the relations to hold out while tuning, from those with 80 to 2,000 training triples, by a fixed seed."""
    counts = Counter(relation for _, relation, _ in train)
    eligible = sorted(relation for relation, count in counts.items() if 80 <= count <= 2000)
    return sorted(random.Random(0).sample(eligible, number))  # noqa: S311
