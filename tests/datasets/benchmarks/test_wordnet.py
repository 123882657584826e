"""WN9-IMG and WN18RR: leaks and images of the real data, and the pickle that is never unpickled."""

import os
import pathlib
import pickle
from collections.abc import Callable

import pytest

from pykeen_mmkg.datasets.benchmarks import Benchmark, WN9Img, WN18RRText
from pykeen_mmkg.errors import DataError, FeatureError

Make = Callable[..., Benchmark]


def test_inverse_leak(made: Make):
    """89.9 % of the test triples have a training triple with swapped ends."""
    dataset = made(WN9Img)
    pairs = {(t, h) for h, _, t in dataset.training.mapped_triples.tolist()}
    share = sum((h, t) in pairs for h, _, t in dataset.testing.mapped_triples.tolist()) / dataset.testing.num_triples
    assert round(share, 3) == 0.899


def test_mirror_leak(made: Make):
    """34.7 % of the test triples of WN18RR have their mirror image, by the same relation, in training."""
    dataset = made(WN18RRText)
    training = set(map(tuple, dataset.training.mapped_triples.tolist()))
    assert sum((t, r, h) in training for h, r, t in dataset.testing.mapped_triples.tolist()) == 1086
    seen = {entity for h, _, t in training for entity in (h, t)}
    assert sum(not {h, t} <= seen for h, _, t in dataset.testing.mapped_triples.tolist()) == 210


@pytest.mark.parametrize(("cls", "count"), [(WN9Img, 447), (WN18RRText, 467)])
def test_photographs_beside(made: Make, shared: pathlib.Path, cls: type[Benchmark], count: int):
    dataset = cls(made(cls).record.path, images=shared / "data" / "wordnet-photos")
    assert dataset.coverage().row("all", "entities").image == count


@pytest.fixture
def files(tmp_path: pathlib.Path) -> dict[str, pathlib.Path]:
    """WN9-IMG with two synsets."""
    paths = {name: tmp_path / name for name in WN9Img.files}
    paths["triples"].write_text("head,relation,tail,mode\nn1,_r,n2,train\nn2,_r,n1,val\nn1,_s,n2,test\n")
    paths["words"].write_text("n1\tcell\nn2\torganism, being\n")
    paths["glosses"].write_bytes(pickle.dumps({"n2": "a living thing ", "n1": "a unit", "n3": "not used"}, protocol=2))
    return paths


def test_converted(files: dict[str, pathlib.Path]):
    graph = WN9Img().convert(files)
    assert graph.entities == [("n1", "cell", "a unit"), ("n2", "organism, being", "a living thing")]
    assert graph.relations is None
    assert graph.triples["valid"] == [("n2", "_r", "n1")]


def test_synset_without_gloss(files: dict[str, pathlib.Path]):
    files["glosses"].write_bytes(pickle.dumps({"n1": "a unit"}))
    with pytest.raises(DataError, match="lacks the synset n2"):
        WN9Img().convert(files)


def test_pickle_is_not_run(files: dict[str, pathlib.Path], tmp_path: pathlib.Path):
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "harm"),)

    files["glosses"].write_bytes(pickle.dumps({"n1": Harmful(), "n2": ""}))
    with pytest.raises(FeatureError, match="mkdir"):
        WN9Img().convert(files)
    assert not (tmp_path / "harm").exists()
