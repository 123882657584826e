"""The demo dataset inside the package: WordNet synsets with emoji and flags as pictures."""

import csv
import pathlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar, NamedTuple

from docdata import parse_docdata

from ..errors import DataError
from .candidate_lists import read_relations
from .files import LabeledTriple
from .folder import MultimodalDataset

__all__ = ["UnseenEntity", "WordNetEmoji"]


class UnseenEntity(NamedTuple):
    """An entity without a training triple."""

    #: "valid" or "test"
    split: str
    #: what is known of it: "image", "text" or "image+text"
    modalities: str
    #: its label, even where the text is hidden from the models: to read results by, never an input
    label: str
    #: its description, likewise
    description: str


@parse_docdata
class WordNetEmoji(MultimodalDataset):
    """WordNet 3.1 synsets around those that an emoji or a flag shows, with text, pictures and features.

    An entity is a synset, called by the letter of its part of speech and its offset in WordNet's files. Nothing is
    downloaded, and no encoder is needed: the package ships float16 features of all texts and pictures, made by the
    dual encoder that ``scripts/build_encoder.py`` builds (256 dimensions, not normalised, far weaker than CLIP).

    Beside the usual splits, in which every entity and relation is seen in training, there are in :attr:`extra`

    - ``unseen-entities``: the triples of 330 entities that have no training triple; a third of them each is known
      by its image only (its text is hidden), by its text only, or by both, see :attr:`unseen`;
    - ``valid-unseen-entities``: the same for 135 other entities, to select a model by;
    - ``unseen-relations``: triples of relations that have no training triple. To select a model for these, pass
      ``hold_out="dev"``: the relations in ``dev_relations.txt`` are then taken from training, and their triples are
      the validation split.

    No test or validation triple connects a pair of entities that a triple of training connects, in whatever direction
    and by whatever relation, so that inverse and symmetric rules gain nothing. ``scripts/build_demo.py`` builds all of
    it and explains how the pictures were chosen; the file ``NOTICE`` beside the data has the licences.
    ---
    name: WordNet Emoji
    citation:
        author: Miller
        year: 1995
        link: https://doi.org/10.1145/219717.219748
    single: true
    statistics:
        entities: 5239
        relations: 13
        training: 5574
        validation: 399
        testing: 664
        triples: 6637
    """

    #: where the package keeps the files
    folder: ClassVar[pathlib.Path] = pathlib.Path(__file__).resolve().with_name("wn_emoji")

    further_files: ClassVar[frozenset[str]] = frozenset({"images.tsv", "unseen-entities.tsv"})

    #: further splits that are not for testing, by their file names
    further_splits: ClassVar[tuple[str, ...]] = ("valid-unseen-entities",)

    def _folder(self) -> pathlib.Path:
        if self.path is not None:
            return super()._folder()
        if not self.folder.is_dir():
            raise DataError(f"{self.folder} is missing: install pykeen-mmkg again, or run scripts/build_demo.py")
        return self.folder

    def _split_paths(self, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        return super()._split_paths(folder) | {stem: folder / f"{stem}.tsv" for stem in self.further_splits}

    def _held_out(
        self, triples: Mapping[str, Sequence[LabeledTriple]], folder: pathlib.Path
    ) -> Mapping[str, Sequence[LabeledTriple]]:
        """Make the dev relations unseen, if asked: their triples with seen entities become the validation split."""
        if self._hold_out is None:
            return triples
        dev = set(read_relations(folder / "dev_relations.txt"))
        training = [triple for triple in triples["training"] if triple[1] not in dev]
        seen = {entity for head, _, tail in training for entity in (head, tail)}
        validation = [t for t in triples["training"] if t[1] in dev and t[0] in seen and t[2] in seen]
        return {**triples, "training": training, "validation": validation}

    @cached_property
    def unseen(self) -> Mapping[str, UnseenEntity]:
        """The entities without a training triple, by label."""
        path = self._folder() / "unseen-entities.tsv"
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        return {label: UnseenEntity(*fields) for label, *fields in rows[1:]}
