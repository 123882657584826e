"""The inductive splits: two graphs without a common entity."""

import pathlib
from collections.abc import Callable

import pytest

from pykeen_mmkg.baselines.rules import RandomRule
from pykeen_mmkg.datasets.benchmarks import Benchmark, FB15k237Inductive, WN18RRInductive
from pykeen_mmkg.errors import MultimodalError
from pykeen_mmkg.evaluation.protocols import StandardEvaluator, ZSLCandidatesEvaluator

Make = Callable[..., Benchmark]
#: entities of the training and of the inference graph, test triples of the latter
PUBLISHED = {
    (WN18RRInductive, "v1"): (2746, 922, 188),
    (WN18RRInductive, "v2"): (6954, 2757, 441),
    (WN18RRInductive, "v3"): (12078, 5084, 605),
    (WN18RRInductive, "v4"): (3861, 7084, 1429),
    (FB15k237Inductive, "v1"): (1594, 1093, 205),
    (FB15k237Inductive, "v2"): (2608, 1660, 478),
    (FB15k237Inductive, "v3"): (3668, 2501, 865),
    (FB15k237Inductive, "v4"): (4707, 3051, 1424),
}


@pytest.mark.parametrize(("cls", "version"), PUBLISHED)
def test_real_splits(made: Make, cls: type[Benchmark], version: str):
    """The graphs share no entity, the inference graph has no new relation, and every entity has a text."""
    dataset = made(cls, version=version)
    seen = set(dataset.training.mapped_triples[:, [0, 2]].flatten().tolist())
    for other in (dataset.validation, dataset.extra["seen-entities"]):
        assert other is not None
        assert seen >= set(other.mapped_triples[:, [0, 2]].flatten().tolist())
    assert dataset.known_true is not None
    assert dataset.candidates is not None
    candidates = {frozenset(labels) for labels in dataset.candidates.values()}
    assert len(candidates) == 1
    unseen = {dataset.entity_to_id[label] for label in candidates.pop()}
    assert (len(seen), len(unseen), dataset.testing.num_triples) == PUBLISHED[cls, version]
    assert len(seen & unseen) == (8 if (cls, version) == (WN18RRInductive, "v3") else 0)
    assert len(seen | unseen) == dataset.num_entities
    used = set(dataset.testing.mapped_triples[:, 1].tolist()) | set(dataset.known_true[:, 1].tolist())
    assert used <= set(dataset.training.mapped_triples[:, 1].tolist())
    assert all(dataset.entity_table.texts().values())
    assert all(dataset.relation_table.texts().values())


def test_converted(tmp_path: pathlib.Path):
    contents = {
        "/train": "1\t_r\t2\n",
        "/valid": "2\t_r\t1\n",
        "/test": "2\t_s\t1\n",
        "_ind/train": "3\t_r\t4\n",
        "_ind/valid": "4\t_r\t5\n",
        "_ind/test": "5\t_s\t3\n",
        "entities": "".join(f"{i}\tword {i} -- gloss {i}\n" for i in range(7)),
        "relations": "_r\tr\n_s\ts\n_t\tnot here\n",
    }
    assert set(contents) == set(WN18RRInductive().files)
    files = {name: tmp_path / name.replace("/", "-") for name in contents}
    for name, content in contents.items():
        files[name].write_text(content)
    WN18RRInductive().convert(files).write(tmp_path / "made")
    dataset = WN18RRInductive(tmp_path / "made", version="v3")
    assert dataset.candidates == dict.fromkeys(("_r", "_s"), ["3", "4", "5"])
    assert dataset.extra["seen-entities"].num_triples == 1
    assert dataset.entity_table.texts()["4"] == "word 4: gloss 4"
    assert set(dataset.entity_to_id) == {"1", "2", "3", "4", "5"}
    assert dataset.record.image_kwargs == {"image_name": "n{label}"}


def test_evaluators_know_candidates_and_filter(tmp_path: pathlib.Path):
    """Of a dataset at hand, the entities of the inference graph compete, and its other triples are left out."""
    (tmp_path / "train.tsv").write_text("1\tr\t2\n2\tr\t1\n")
    (tmp_path / "test.tsv").write_text("3\tr\t5\n")
    (tmp_path / "known_true.tsv").write_text("3\tr\t4\n4\tr\t6\n")
    for kind in ("entities", "relations"):
        rows = "".join(f"{i}\tx\ty\n" for i in ("r" if kind == "relations" else "123456"))
        (tmp_path / f"{kind}.tsv").write_text("label\tname\tdescription\n" + rows)
    dataset = WN18RRInductive(tmp_path)
    model = RandomRule(triples_factory=dataset.training)
    kwargs = dict(additional_filter_triples=dataset.training.mapped_triples, use_tqdm=False)
    # of the tails of (3, r), 4 is known: 3, 5 and 6 are left of the inference graph, and 1 and 2 of the other
    for evaluator, count in ((ZSLCandidatesEvaluator(dataset=dataset), 3), (StandardEvaluator(dataset=dataset), 5)):
        found = evaluator.evaluate(model, dataset.testing.mapped_triples, targets=["tail"], **kwargs)
        assert found.ranks.num_candidates.tolist() == [count]


def test_versions():
    assert FB15k237Inductive(version="v2").folder_name == "fb15k-237-inductive-v2"
    assert "kkteru/grail/data/fb237_v2_ind/test.txt" in FB15k237Inductive(version="v2").files.values()
    with pytest.raises(MultimodalError, match="v5"):
        WN18RRInductive(version="v5")
