"""Benchmarks of unseen entities: the inductive splits of GraIL [teru2020]_, with texts.

Training and inference graph share relations, but no entity (8 of WN18RR's v3). The folder holds the training graph as
``train.tsv`` and ``valid.tsv``, its test triples as ``test-seen-entities.tsv``, the test triples of the inference graph
as ``test.tsv``, and the other triples of the inference graph as ``known_true.tsv``: they are used as a filter, not as
input, for a model that reads texts and images needs no graph around an unseen entity.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, Literal

import torch
from docdata import parse_docdata

from ...options import strict
from ..files import LabeledTriple, read_triples
from ..folder import PathLike
from . import freebase, wordnet
from .base import Benchmark
from .conversion import PublishedGraph, PublishedText, labels_of

__all__ = ["FB15k237Inductive", "WN18RRInductive"]

Version = Literal["v1", "v2", "v3", "v4"]

#: file of the folder -> (suffix of the graph's folder, split) as published; the graph's training and validation are
#: joined for the filter
SPLITS = {
    "train": [("", "train")],
    "valid": [("", "valid")],
    "test-seen-entities": [("", "test")],
    "test": [("_ind", "test")],
    "known_true": [("_ind", "train"), ("_ind", "valid")],
}


class _Inductive(Benchmark):
    """A benchmark of GraIL, in one of four versions."""

    required_tables = frozenset({"entities", "relations"})
    #: the name of the graph in folders of GraIL and of ours
    graph: tuple[str, str]
    texts: Mapping[str, str]

    @strict()
    def __init__(self, path: PathLike | None = None, *, version: Version = "v1", **kwargs: Any) -> None:
        """Initialize the dataset.

        :param path: the folder, default: found by name, or made
        :param version: which of GraIL's four pairs of graphs, "v1" to "v4"
        :param kwargs: further arguments of :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset`
        :raises MultimodalError: if the version is unknown
        """
        theirs, ours = self.graph
        self.folder_name = f"{ours}-{version}"
        self.files = {
            **{
                f"{suffix}/{split}": f"kkteru/grail/data/{theirs}_{version}{suffix}/{split}.txt"
                for suffix in ("", "_ind")
                for split in ("train", "valid", "test")
            },
            **self.texts,
        }
        super().__init__(path, **kwargs)

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:
        """Join the two graphs.

        :param files: the files by the names of :attr:`files`
        :returns: the graph, with the texts of its entities and relations
        :raises DataError: if a file is not what it should be
        """
        triples: dict[str, list[LabeledTriple]] = {
            name: [triple for suffix, split in parts for triple in read_triples(files[f"{suffix}/{split}"])]
            for name, parts in SPLITS.items()
        }
        relations = sorted({relation for rows in triples.values() for _, relation, _ in rows})
        return PublishedGraph(triples, *self.read_texts(files, labels_of(triples), relations))

    def read_texts(
        self, files: Mapping[str, pathlib.Path], entities: list[str], relations: list[str]
    ) -> tuple[list[PublishedText], list[PublishedText]]:
        """Read the texts of entities and relations.

        :param files: the files by the names of :attr:`files`
        :param entities: the labels of the entities
        :param relations: the labels of the relations
        :returns: a text per entity and per relation
        """
        raise NotImplementedError

    @property
    def candidates(self) -> dict[str, list[str]]:
        """The entities of the inference graph, for each relation: the others compete in no published figure."""
        listed = super().candidates
        if listed is not None:
            return listed
        known = self.known_true
        triples = torch.cat([self.testing.mapped_triples, *([] if known is None else [known])])
        labels = self.entity_table.labels
        entities = [labels[i] for i in triples[:, [0, 2]].unique().tolist()]
        return dict.fromkeys(self.relation_table.labels, entities)


@parse_docdata
class WN18RRInductive(_Inductive):
    """The inductive splits of WN18RR, with the glosses of WordNet.

    The statistics are those of v1. Entities of the training and of the inference graph, and test triples of the latter:
    v1 2,746, 922, 188; v2 6,954, 2,757, 441; v3 12,078, 5,084, 605; v4 3,861, 7,084, 1,429.
    ---
    name: WN18RR, inductive
    citation:
        author: Teru
        year: 2020
        link: https://arxiv.org/abs/1911.06962
        arxiv: 1911.06962
    statistics:
        entities: 3668
        relations: 9
        training: 5410
        testing: 188
        validation: 630
        triples: 6228
    source: >-
        triples of kkteru/grail, words and glosses as in wangbo9719/StAR_KGC, relation names as in yao8839836/kg-bert
    license: WordNet 3.0 licence; the repositories name none
    coverage:
        entity_text: 3668
        relation_text: 9
        entity_images: 0
    images: >-
        ImageNet's photographs of the synsets; put them into the folder wordnet-photos beside the dataset's, as
        n<offset>_<number>.jpg, or pass images
    leaks: of v3, 8 entities are in both graphs
    """

    graph = ("WN18RR", "wn18rr-inductive")
    texts = wordnet.TEXTS
    image_folder_name = "wordnet-photos"

    @strict()
    def __init__(self, path: PathLike | None = None, *, image_name: str = "n{label}", **kwargs: Any) -> None:
        """Initialize the dataset.

        :param path: the folder, default: found by name, or made
        :param image_name: how images are called
        :param kwargs: ``version`` ("v1" to "v4"), and further arguments of
            :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset`
        """
        super().__init__(path, image_name=image_name, **kwargs)

    def read_texts(  # noqa: D102
        self, files: Mapping[str, pathlib.Path], entities: list[str], relations: list[str]
    ) -> tuple[list[PublishedText], list[PublishedText]]:
        texts = wordnet.synset_texts(files["entities"])
        words = wordnet.relation_texts(files["relations"])
        return [texts.get(label, (label, "", "")) for label in entities], [row for row in words if row[0] in relations]


@parse_docdata
class FB15k237Inductive(_Inductive):
    """The inductive splits of FB15k-237, with a name and a sentence for each entity.

    The statistics are those of v1. Entities of the training and of the inference graph, and test triples of the latter:
    v1 1,594, 1,093, 205; v2 2,608, 1,660, 478; v3 3,668, 2,501, 865; v4 4,707, 3,051, 1,424.
    ---
    name: FB15k-237, inductive
    citation:
        author: Teru
        year: 2020
        link: https://arxiv.org/abs/1911.06962
        arxiv: 1911.06962
    statistics:
        entities: 2687
        relations: 180
        training: 4245
        testing: 205
        validation: 489
        triples: 4939
    source: triples of kkteru/grail, entity texts as in wangbo9719/StAR_KGC, relation names as in zjunlp/MKGformer
    license: Freebase CC BY 2.5; MKGformer MIT, the other repositories name none
    coverage:
        entity_text: 2687
        relation_text: 180
        entity_images: 0
    images: >-
        addresses of images by Freebase id are published by MMKB (mniepert/mmkb); put the images into the folder images
        of the dataset's, as %2Fm%2F<id>_<number>.jpg, or pass images
    """

    graph = ("fb237", "fb15k-237-inductive")
    texts = freebase.TEXTS

    def read_texts(  # noqa: D102
        self, files: Mapping[str, pathlib.Path], entities: list[str], relations: list[str]
    ) -> tuple[list[PublishedText], list[PublishedText]]:
        texts = freebase.freebase_texts(files["entities"])
        named = [(label, *texts.get(label, ("", ""))) for label in entities]
        return named, freebase.relation_texts(files["relations"], relations)
