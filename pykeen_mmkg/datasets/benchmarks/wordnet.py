"""Benchmarks of WordNet: synsets with a gloss each."""

import pathlib
from collections.abc import Mapping
from typing import Any

from docdata import parse_docdata

from ...errors import DataError
from ...features.pickles import read_pickle
from ...options import strict
from ..files import read_triples
from ..folder import PathLike
from .base import Benchmark
from .conversion import PublishedGraph, PublishedText, labels_of, name_and_description, read_columns, read_moded_triples

__all__ = ["WN9Img", "WN18RRText"]

TRIPLES = "yao8839836/kg-bert/data/WN18RR"
#: the gloss of every synset of WN18RR, and the words of each of its relations
TEXTS = {
    "entities": "wangbo9719/StAR_KGC/StAR/data/WN18RR/wn-entity2text-new.txt",
    "relations": f"{TRIPLES}/relation2text.txt",
}


def synset_texts(path: pathlib.Path) -> dict[str, PublishedText]:
    """Read the words and glosses of WN18RR's synsets, by their 8-digit offset."""
    return {label: (label, *name_and_description(text)) for label, text in sorted(read_columns(path).items())}


def relation_texts(path: pathlib.Path) -> list[PublishedText]:
    """Read the words of WN18RR's relations."""
    return [(label, text.strip(), "") for label, text in read_columns(path).items()]


@parse_docdata
class WN9Img(Benchmark):
    """WN9-IMG: WordNet noun synsets with a gloss each, and images from ImageNet.

    The split of [xie2017]_ with 6,555 entities. The images are those of the folder ``wordnet-photos`` beside the
    dataset's, called ``n<offset>_<number>.jpg`` like the entities, unless ``images`` says otherwise. There is no
    relation table.

    .. warning ::
        The inverse of 89.9 % of the test triples is in training: answering with the inverse alone gives an MRR of .899
        under the filter of VL-KGE's authors. Show that rule beside every figure.
    ---
    name: WN9-IMG
    citation:
        author: Xie
        year: 2017
        link: https://arxiv.org/abs/1609.07028
        arxiv: 1609.07028
    statistics:
        entities: 6555
        relations: 9
        training: 11741
        testing: 1319
        validation: 1337
        triples: 14397
    source: triples of VL-KGE's release (thefth/vl-kge), words and glosses as in ksolaiman/TransAE
    license: triples CC BY 4.0 (VL-KGE); glosses WordNet 3.0 licence; ImageNet's images for research only
    coverage:
        entity_text: 6555
        relation_text: 0
        entity_images: 0
    images: >-
        ImageNet's photographs of the synsets; put them into the folder wordnet-photos beside the dataset's, as
        n<offset>_<number>.jpg, or pass images
    leaks: 89.9 % of the test triples have their inverse in training
    """

    folder_name = "wn9-img"
    files = {
        "triples": "thefth/vl-kge/data/wn9_img_dataset.csv",
        "words": "ksolaiman/TransAE/WN9-IMG_IKRL/words.txt",
        "glosses": "ksolaiman/TransAE/WN9-IMG_IKRL/entity2description.pkl",
    }
    image_folder_name = "wordnet-photos"
    required_tables = frozenset({"entities"})

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        triples = read_moded_triples(files["triples"])
        words, glosses = read_columns(files["words"]), read_pickle(files["glosses"])
        labels = labels_of(triples)
        entities = []
        for label in labels:
            gloss = glosses.get(label) if isinstance(glosses, dict) else None
            if not isinstance(gloss, str) or label not in words:
                raise DataError(f"{files['glosses']} or {files['words']} lacks the synset {label}")
            entities.append((label, words[label].strip(), gloss.strip()))
        return PublishedGraph(triples=triples, entities=entities)


@parse_docdata
class WN18RRText(Benchmark):
    """WN18RR with the glosses of WordNet, and optionally images of synsets.

    Entities are 8-digit offsets of synsets; images are called ``n<offset>_<number>.jpg`` and looked for in the folder
    ``wordnet-photos`` beside the dataset's, unless ``images`` says otherwise.
    ---
    name: WN18RR with text
    citation:
        author: Dettmers
        year: 2018
        link: https://arxiv.org/abs/1707.01476
        arxiv: 1707.01476
    statistics:
        entities: 40943
        relations: 11
        training: 86835
        testing: 3134
        validation: 3034
        triples: 93003
    source: triples and relation names as in yao8839836/kg-bert, words and glosses as in wangbo9719/StAR_KGC
    license: WordNet 3.0 licence; the repositories name none
    coverage:
        entity_text: 40943
        relation_text: 11
        entity_images: 0
    images: >-
        ImageNet's photographs of the synsets; put them into the folder wordnet-photos beside the dataset's, as
        n<offset>_<number>.jpg, or pass images
    leaks: >-
        34.7 % of the test triples have their mirror image (same relation, ends swapped) in training; 6.7 % have an
        entity that is not in training
    """

    folder_name = "wn18rr"
    files = {**{split: f"{TRIPLES}/{split}.tsv" for split in ("train", "dev", "test")}, **TEXTS}
    image_folder_name = "wordnet-photos"
    required_tables = frozenset({"entities", "relations"})

    @strict()
    def __init__(self, path: PathLike | None = None, *, image_name: str = "n{label}", **kwargs: Any) -> None:
        """Initialize the dataset.

        :param path: the folder, default: found by name
        :param image_name: how images are called
        :param kwargs: further arguments of :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset`
        """
        super().__init__(path, image_name=image_name, **kwargs)

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        names = {"train": "train", "valid": "dev", "test": "test"}
        return PublishedGraph(
            triples={name: read_triples(files[file]) for name, file in names.items()},
            entities=list(synset_texts(files["entities"]).values()),
            relations=relation_texts(files["relations"]),
        )
