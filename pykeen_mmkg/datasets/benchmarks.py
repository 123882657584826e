"""The benchmarks of multimodal and zero-shot link prediction, by name.

The files are not shipped: their licences differ, and some allow research use only. Each class finds a local folder,
laid out as :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset` says: ``path``, else
``$PYKEEN_MMKG_DATA/<folder>``, else ``PYKEEN_HOME/mmkg/datasets/<folder>``. Nothing is downloaded: we know of no public
source that offers one of them in one piece, with its texts, under a checksum that we could verify.
"""

import os
import pathlib
from typing import Any, ClassVar

import torch
from docdata import parse_docdata
from pykeen.constants import PYKEEN_HOME

from ..errors import DatasetNotFoundError
from .folder import MultimodalDataset, PathLike
from .types import type_candidates

__all__ = [
    "DB15k",
    "FB15k237Text",
    "FB15k237ZS",
    "NELLZS",
    "WN18RRText",
    "WN9Img",
]

#: the environment variable with the folder that holds the benchmarks' folders
DATA_VARIABLE = "PYKEEN_MMKG_DATA"


class Benchmark(MultimodalDataset):
    """A multimodal dataset whose folder is found by name."""

    #: the name of the dataset's folder
    folder_name: ClassVar[str]
    #: where the files are published
    source: ClassVar[str]
    #: the name of an image folder beside the dataset's
    image_folder_name: ClassVar[str | None] = None

    def _folder(self) -> pathlib.Path:
        if self.path is not None:
            return super()._folder()
        roots = [pathlib.Path(PYKEEN_HOME) / "mmkg" / "datasets"]
        if variable := os.environ.get(DATA_VARIABLE):
            roots.insert(0, pathlib.Path(variable).expanduser())
        folders = [root.absolute() / self.folder_name for root in roots]
        for folder in folders:
            if folder.is_dir():
                return folder
        looked = " or ".join(map(str, folders))
        tables = "".join(f", {name}.tsv (label and description)" for name in sorted(self.required_tables))
        raise DatasetNotFoundError(
            f"{type(self).__name__} is not at {looked}. Get it from {self.source}, and lay it out as a folder with "
            f"train, valid and test .tsv (head, relation, tail){tables}; see the documentation of MultimodalDataset. "
            f"Then give the folder as dataset_kwargs=dict(path=...), or set the environment variable {DATA_VARIABLE} "
            f"to the folder that holds {self.folder_name}/"
        )

    def _image_folder(self, folder: pathlib.Path) -> pathlib.Path | None:
        found = super()._image_folder(folder)
        if found is None and self.image_folder_name is not None:
            beside = folder.parent / self.image_folder_name
            return beside if beside.is_dir() else None
        return found


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
    """

    folder_name = "wn9-img"
    source = "IKRL (https://github.com/thunlp/IKRL), glosses from WordNet 3.0"
    image_folder_name = "wordnet-photos"
    required_tables = frozenset({"entities"})


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
    """

    folder_name = "wn18rr"
    source = "ConvE (https://github.com/TimDettmers/ConvE) for the triples, glosses from WordNet 3.0"
    image_folder_name = "wordnet-photos"
    required_tables = frozenset({"entities", "relations"})

    def __init__(self, path: PathLike | None = None, *, image_name: str = "n{label}", **kwargs: Any) -> None:
        """Initialize the dataset.

        :param path: the folder, default: found by name
        :param image_name: how images are called
        :param kwargs: further arguments of :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset`
        """
        super().__init__(path, image_name=image_name, **kwargs)


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
    """  # noqa: D205

    folder_name = "fb15k-237"
    source = "Toutanova and Chen (https://aclanthology.org/W15-4007), names and descriptions from Freebase"
    required_tables = frozenset({"entities", "relations"})


@parse_docdata
class DB15k(Benchmark):
    """DB15K of MMKB [liu2019]_, in the split of MMRNS and the papers after it.

    The labels hold quotes and brackets, such as ``<http://dbpedia.org/resource/"female_illusionist">``.

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
    """

    folder_name = "db15k"
    source = "MMKB (https://github.com/mniepert/mmkb), split by MMRNS (https://github.com/quqxui/MMRNS)"
    required_tables = frozenset({"entities", "relations"})


@parse_docdata
class FB15k237ZS(Benchmark):
    """FB15K-237-ZS: 206 relations in training, 29 others in testing, with 1,000 candidate entities per relation.

    The split of MRE [cai2024]_ has no validation triples. For tuning, ``hold_out="dev"`` moves the triples of 20 seen
    relations (``dev_relations.txt``) from training to validation; afterwards train on everything.
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
    """

    folder_name = "fb15k-237-zs"
    source = "MRE (https://github.com/luisrui/Multimodal-Relation-Extrapolation)"
    required_tables = frozenset({"entities", "relations"})


@parse_docdata
class NELLZS(Benchmark):
    """NELL-ZS [qin2020]_: 139 relations in training, 10 others in validation, 32 others in testing.

    Entities are called ``concept:TYPE:name``; the candidates of a relation are all entities whose type is that of a
    tail of the relation, in whatever split.
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
    """

    folder_name = "nell-zs"
    source = "ZSGAN (https://github.com/Panda0406/Zero-shot-knowledge-graph-relational-learning)"
    required_tables = frozenset({"entities", "relations"})

    @property
    def candidates(self) -> dict[str, list[str]]:
        """The candidate tails per relation: from ``candidates.json``, or where there is none, by type."""
        listed = super().candidates
        if listed is not None:
            return listed
        triples = torch.cat([factory.mapped_triples for factory in self.factories.values()])
        return type_candidates(triples, self.entity_table.index, self.relation_table.index)

    @property
    def dev_relations(self) -> tuple[str, ...]:
        """The relations of the validation triples, which are not in training."""
        listed = super().dev_relations
        if listed is not None or self.validation is None:
            return listed or ()
        ids = self.validation.mapped_triples[:, 1].unique().tolist()
        return tuple(self.relation_table.labels[i] for i in ids)
