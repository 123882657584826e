"""Benchmarks of unseen relations that are published as tasks: NELL-ZS and Wiki-ZS."""

import pathlib
from collections import Counter
from collections.abc import Mapping

import torch
from docdata import parse_docdata

from ..delimited import read_lines
from ..types import type_candidates
from .base import Benchmark
from .conversion import PublishedGraph, labels_of, read_id_triples, read_ids, read_tasks, tasks_as_triples

__all__ = ["NELLZS", "WikiZS"]

KG_S2S = "chenchens190009/KG-S2S/data/processed/NELL"
SCHEMA = "China-UK-ZSL/Resources_for_KZSL/ZS_KGC/Ontological_Schema/data_process"


def read_literals(path: pathlib.Path, predicate: str) -> dict[str, str]:
    """Read one kind of texts from rows of subject, predicate and text; subjects lose their prefix."""
    rows = [line.split("\t", maxsplit=2) for line in read_lines(path)]
    return {row[0].partition(":")[2]: row[2].strip() for row in rows if len(row) == 3 and row[1] == predicate}


class _Tasks(Benchmark):
    """A benchmark with other relations in training, validation and testing."""

    required_tables = frozenset({"entities", "relations"})

    @property
    def dev_relations(self) -> tuple[str, ...]:
        """The relations of the validation triples, which are not in training."""
        listed = super().dev_relations
        if listed is not None or self.validation is None:
            return listed or ()
        ids = self.validation.mapped_triples[:, 1].unique().tolist()
        return tuple(self.relation_table.labels[i] for i in ids)


@parse_docdata
class NELLZS(_Tasks):
    """NELL-ZS [qin2020]_: 139 relations in training, 10 others in validation, 32 others in testing.

    Entities are called ``concept:TYPE:name``; the candidates of a relation are all entities whose type is that of a
    tail of the relation, in whatever split. The triples of training are not published in a repository: they are rebuilt
    from the graph that NELL-ZS was taken from, as those of the tasks' other relations and of all relations with at
    least 100 triples, which gives the published numbers of relations and triples.
    ---
    name: NELL-ZS
    citation:
        author: Qin
        year: 2020
        link: https://arxiv.org/abs/2001.02332
        arxiv: 2001.02332
    statistics:
        entities: 65567
        relations: 181
        training: 181053
        testing: 5483
        validation: 1856
        triples: 188392
    source: >-
        tasks and relation texts of China-UK-ZSL/Resources_for_KZSL, training triples as in chenchens190009/KG-S2S, task
        relations of Panda0406/Zero-shot-knowledge-graph-relational-learning
    license: none named by the repositories; NELL (rtw.ml.cmu.edu) names none either
    coverage:
        entity_text: 65567
        relation_text: 181
        entity_images: 0
    leaks: the entity texts are no more than the labels hold (name and type)
    """

    folder_name = "nell-zs"
    files = {
        "triples": f"{KG_S2S}/train2id.txt",
        "entity_ids": f"{KG_S2S}/entity2id.txt",
        "relation_ids": f"{KG_S2S}/relation2id.txt",
        "valid": f"{SCHEMA}/ori_data/NELL.dev_tasks.json",
        "test": f"{SCHEMA}/ori_data/NELL.test_tasks.json",
        "literals": f"{SCHEMA}/Onto_triples/NELL/literals.txt",
        "task_relations": "Panda0406/Zero-shot-knowledge-graph-relational-learning/data_stat.txt",
    }

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        tasks = {split: read_tasks(files[split]) for split in ("valid", "test")}
        unseen = {relation for split in tasks.values() for relation in split}
        graph = read_id_triples(files["triples"], read_ids(files["entity_ids"]), read_ids(files["relation_ids"]))
        words = [line.split() for line in read_lines(files["task_relations"])]
        named = {row[0] for row in words if row and row[0].startswith("concept:")}
        counts = Counter(relation for _, relation, _ in graph)
        seen = {relation for relation, count in counts.items() if relation in named or count >= 100} - unseen
        triples = {
            "train": [triple for triple in graph if triple[1] in seen],
            **{split: tasks_as_triples(found) for split, found in tasks.items()},
        }
        labels = labels_of(triples)
        parts = [label.split(":", maxsplit=2) for label in labels]
        comments = read_literals(files["literals"], "rdfs:comment")
        return PublishedGraph(
            triples=triples,
            entities=[
                (label, name.replace("_", " ").strip(), f"a {kind}")
                for label, (_, kind, name) in zip(labels, parts, strict=True)
            ],
            relations=[
                (label, name, comments.get(name, ""))
                for label in sorted(seen | unseen)
                for name in (label.partition(":")[2],)
            ],
        )

    @property
    def candidates(self) -> dict[str, list[str]]:
        """The candidate tails per relation: from ``candidates.json``, or where there is none, by type."""
        listed = super().candidates
        if listed is not None:
            return listed
        triples = torch.cat([factory.mapped_triples for factory in self.factories.values()])
        return type_candidates(triples, self.entity_table.index, self.relation_table.index)


@parse_docdata
class WikiZS(_Tasks):
    """Wiki-ZS [qin2020]_: 469 relations of Wikidata in training, 20 others in validation, 48 others in testing.

    Entities and relations are called by their ids, such as ``Q42`` and ``P31``. The relations have a name and a
    description; of the entities the published file has only classes. Pass a table of your own as ``entities``, with
    ``missing_rows="allow"``, for more.
    ---
    name: Wiki-ZS
    citation:
        author: Qin
        year: 2020
        link: https://arxiv.org/abs/2001.02332
        arxiv: 2001.02332
    statistics:
        entities: 605812
        relations: 537
        training: 701977
        testing: 15710
        validation: 7241
        triples: 724928
    source: China-UK-ZSL/Resources_for_KZSL
    license: Wikidata CC0; the repository names none
    coverage:
        relation_text: 537
        entity_images: 0
    leaks: not measured; the statistics are those that the authors give
    """

    folder_name = "wiki-zs"
    files = {
        **{
            split: f"{SCHEMA}/ori_data/Wiki.{name}_tasks.json"
            for split, name in (("train", "train"), ("valid", "dev"), ("test", "test"))
        },
        "literals": f"{SCHEMA}/Onto_triples/Wiki/literals.txt",
    }

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        tasks = {split: read_tasks(files[split]) for split in ("train", "valid", "test")}
        triples = {split: tasks_as_triples(found) for split, found in tasks.items()}
        names, descriptions = (read_literals(files["literals"], f"rdfs:{kind}") for kind in ("label", "comment"))
        entities = labels_of(triples)
        relations = sorted({relation for found in tasks.values() for relation in found})
        return PublishedGraph(
            triples=triples,
            entities=[(label, names.get(label, ""), descriptions.get(label, "")) for label in entities],
            relations=[(label, names.get(label, ""), descriptions.get(label, "")) for label in relations],
        )
