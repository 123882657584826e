"""Benchmarks of fine art: artworks that have an image, and attributes that have a name."""

import pathlib
from collections.abc import Mapping
from typing import Any, Literal

from docdata import parse_docdata

from ...options import strict
from ..folder import PathLike
from .base import Benchmark
from .conversion import PublishedGraph, labels_of, read_moded_triples, words_of

__all__ = ["WikiArtMKG"]

#: the relation whose heads are artworks
CREATED = "isCreatedByArtist"


@parse_docdata
class WikiArtMKG(Benchmark):
    """WikiArt-MKG of VL-KGE [efthymiou2026]_: artworks that are unseen in training, and their attributes.

    Artworks have an image and no text; artists, styles, years and tags have their name. Only tails are predicted, among
    all tails of the relation. The statistics are those of v1; v2 has 224,166 entities, 22 relations, and 7,877,220,
    208,513 and 208,368 triples for training, validation and testing (a file of 1 GB, which is read into memory).
    ---
    name: WikiArt-MKG
    citation:
        author: Efthymiou
        year: 2026
        link: https://doi.org/10.1145/3774904.3792677
    statistics:
        entities: 76758
        relations: 4
        training: 299968
        testing: 19695
        validation: 34020
        triples: 353683
    source: thefth/vl-kge (large file storage)
    license: CC BY 4.0; images by the terms of use of wikiart.org
    coverage:
        entity_text: 837
        relation_text: 4
        entity_images: 0
    images: >-
        the repository's vlkge/data/wikiart_mkg_v1 has a table with the addresses of the images, and vectors of CLIP,
        BLIP and ViT; images go into the folder images of the dataset's, as <artwork>.jpg; vectors are imported with
        import_pickle into the folder features, as visual.safetensors
    leaks: not measured; the statistics are those that the authors give
    """

    required_tables = frozenset({"entities", "relations"})

    @strict()
    def __init__(self, path: PathLike | None = None, *, version: Literal["v1", "v2"] = "v1", **kwargs: Any) -> None:
        """Initialize the dataset.

        :param path: the folder, default: found by name, or made
        :param version: "v1" or "v2"
        :param kwargs: further arguments of :class:`~pykeen_mmkg.datasets.folder.MultimodalDataset`
        :raises MultimodalError: if the version is unknown
        """
        self.folder_name = f"wikiart-mkg-{version}"
        folder = f"wikiart_mkg_{version}"
        self.files = {"triples": f"thefth/vl-kge/vlkge/data/{folder}/{folder}_triples.csv"}
        super().__init__(path, **kwargs)

    def convert(self, files: Mapping[str, pathlib.Path]) -> PublishedGraph:  # noqa: D102
        triples = read_moded_triples(files["triples"])
        artworks = {head for rows in triples.values() for head, relation, _ in rows if relation == CREATED}
        relations = sorted({relation for rows in triples.values() for _, relation, _ in rows})
        names = {label: label.replace("_", " ").strip() for label in labels_of(triples) if label not in artworks}
        return PublishedGraph(
            triples=triples,
            entities=[(label, names.get(label, ""), "") for label in labels_of(triples)],
            relations=[(label, words_of(label), "") for label in relations],
        )
