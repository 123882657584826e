"""PyKEEN's LocalDatasetTestCase on each dataset; but for the demo, whose files are shipped, on a small made-up folder.

The published counts are those of ``datasets/benchmarks``.
"""

import functools
import pathlib
import tempfile

from pykeen_mmkg.datasets import benchmarks
from pykeen_mmkg.datasets.folder import MultimodalDataset
from pykeen_mmkg.datasets.wordnet_emoji import WordNetEmoji
from tests import cases

FOLDER = pathlib.Path(tempfile.mkdtemp())
TRIPLES = {
    "train": [("a", "likes", "b"), ("b", "likes", "c"), ("c", "knows", "a")],
    "valid": [("c", "likes", "a")],
    "test": [("a", "hates", "c"), ("d", "likes", "a")],
}


def _label(name: str) -> str:
    return f"concept:person:{name}"


for split, triples in TRIPLES.items():
    rows = (f"{_label(h)}\t{r}\t{_label(t)}\n" for h, r, t in triples)
    (FOLDER / f"{split}.tsv").write_text("".join(rows))
for plural, kind, labels in (
    ("entities", "entity", list(map(_label, "abcd"))),
    ("relations", "relation", ["likes", "knows", "hates"]),
):
    rows = (f"{label}\t{label}\tthe {kind} {label}\n" for label in labels)
    (FOLDER / f"{plural}.tsv").write_text(f"{kind}\tlabel\tdescription\n" + "".join(rows))


class _FolderCase(cases.LocalDatasetTestCase):
    exp_num_entities = 4
    exp_num_relations = 3
    exp_num_triples = 6
    autoloaded_validation = True

    def setUp(self):
        """Set up the test case."""
        self.dataset = functools.partial(self.dataset_cls, FOLDER)()


class MultimodalDatasetTests(_FolderCase):
    dataset_cls = MultimodalDataset


class WN9ImgTests(_FolderCase):
    dataset_cls = benchmarks.WN9Img


class WN18RRTextTests(_FolderCase):
    dataset_cls = benchmarks.WN18RRText


class FB15k237TextTests(_FolderCase):
    dataset_cls = benchmarks.FB15k237Text


class DB15kTests(_FolderCase):
    dataset_cls = benchmarks.DB15k


class FB15k237ZSTests(_FolderCase):
    dataset_cls = benchmarks.FB15k237ZS


class NELLZSTests(_FolderCase):
    dataset_cls = benchmarks.NELLZS


class WikiZSTests(_FolderCase):
    dataset_cls = benchmarks.WikiZS


class MKGWTests(_FolderCase):
    dataset_cls = benchmarks.MKGW


class MKGYTests(_FolderCase):
    dataset_cls = benchmarks.MKGY


class WN18RRInductiveTests(_FolderCase):
    dataset_cls = benchmarks.WN18RRInductive


class FB15k237InductiveTests(_FolderCase):
    dataset_cls = benchmarks.FB15k237Inductive


class WikiArtMKGTests(_FolderCase):
    dataset_cls = benchmarks.WikiArtMKG


class WordNetEmojiTests(cases.LocalDatasetTestCase):
    dataset_cls = WordNetEmoji
    exp_num_entities = 5239
    exp_num_relations = 13
    exp_num_triples = 6637
    autoloaded_validation = True


del _FolderCase
