"""Updates: what is trained and what is not, bit by bit; the old run stays; the new one is whole or not there."""

import pathlib
from typing import Any

import pytest
import torch
from pykeen.pipeline import pipeline

from pykeen_mmkg.datasets import MultimodalDataset
from pykeen_mmkg.errors import DataError, MultimodalError, RunError
from pykeen_mmkg.io import file_digest
from pykeen_mmkg.runs import load_run, save_run, update_run

#: two unseen entities of the folder, and one that is seen
NEW = [("e22", "r0", "e3"), ("e5", "r1", "e23"), ("e4", "r2", "e22")]
SMALL = {"training_kwargs": {"num_epochs": 2, "use_tqdm": False}}
FUSION = {
    "content": {"model_kwargs": {"embedding_dim": 8}, **SMALL},
    "structure": {"model_kwargs": {"embedding_dim": 4}, **SMALL},
    "evidence": {},
}


def make(folder, stores, path: pathlib.Path, model: str = "vlkge", **model_kwargs: Any) -> pathlib.Path:
    """Save a run."""
    sources = {"features": {key: stores[key] for key in ("visual", "textual")}}
    options = {"sources": sources} if model != "complexn3" else {}
    result = pipeline(
        dataset=MultimodalDataset(path=folder),
        model=model,
        model_kwargs={**options, **model_kwargs},
        training_kwargs=dict(num_epochs=30 if model == "vlkge" else 5, use_tqdm=False),
        evaluation_kwargs=dict(use_tqdm=False),
        random_seed=0,
        device="cpu",
    )
    save_run(result, path)
    return path


def digests(folder: pathlib.Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_digest(path) for path in folder.rglob("*") if path.is_file()}


def mean_rank(model, triples: torch.Tensor) -> float:
    scores = model.predict_t(triples[:, :2])
    own = scores.gather(1, triples[:, 2:])
    return (scores > own).sum(dim=1).float().mean().item()


@pytest.fixture(scope="module")
def run(folder, stores, tmp_path_factory) -> pathlib.Path:
    return make(folder, stores, tmp_path_factory.mktemp("run") / "run", embedding_dim=16)


@pytest.mark.parametrize("interaction", ["vldistmult", "vlcomplex"])
def test_only_rows_of_the_named(interaction: str, folder, stores, tmp_path: pathlib.Path) -> None:
    """Rows of the named entities in tables of structure change; all other numbers of the state are the same bits."""
    run = make(folder, stores, tmp_path / "old", embedding_dim=16, interaction=interaction)
    before = digests(run)
    made = update_run(run, NEW, tmp_path / "new")
    assert digests(run) == before
    old, new = load_run(run), load_run(tmp_path / "new")
    ids = new.training.entity_to_id
    named = torch.zeros(24, dtype=torch.bool)
    named[[ids[label] for label in ("e22", "e3", "e5", "e23", "e4")]] = True
    changed = 0
    for (name, value), (other, own) in zip(new.model.state_dict().items(), _kept(old, new), strict=True):
        assert name == other
        if "_embeddings" in name and name.startswith("entity"):
            assert value[~named].equal(own[~named]) and (value[named] != own[named]).any(dim=1).all(), name
            changed += 1
        else:
            assert value.equal(own), name
    assert changed == (2 if interaction == "vlcomplex" else 1)
    mapped = torch.tensor([[ids[h], new.training.relation_to_id[r], ids[t]] for h, r, t in NEW])
    assert mean_rank(new.model, mapped) < mean_rank(old.model, mapped)
    assert new.training.num_triples == old.training.num_triples + 3
    assert {tuple(row) for row in mapped.tolist()} <= {tuple(row) for row in new.training.mapped_triples.tolist()}
    torch.testing.assert_close(new.model.predict_hrt(mapped), made.model.predict_hrt(mapped))
    assert "metrics" not in new.document and new.document["updates"][0]["run"] == old.document["digest"]


def _kept(old, new):
    """Return the old state without what nobody needs once all entities are seen."""
    state = new.model.state_dict()
    return [(name, value) for name, value in old.model.state_dict().items() if name in state]


def test_old_triples_are_not_forgotten(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The triples of the named entities are learned along."""
    old = load_run(run)
    new = update_run(run, NEW[:1], tmp_path / "new")
    ids = old.training.entity_to_id
    touched = (old.training.mapped_triples[:, [0, 2]] == ids["e3"]).any(dim=1)
    triples = old.training.mapped_triples[touched]
    assert mean_rank(new.model, triples) <= mean_rank(old.model, triples) + 1


def test_late_fusion(folder, stores, tmp_path: pathlib.Path) -> None:
    """Evidence knows the new triples, structure has learned them, weights and content are as they were."""
    run = make(folder, stores, tmp_path / "old", "latefusion", scorers=FUSION, held_out_triples=0.3)
    update_run(run, NEW, tmp_path / "new")
    old, new = load_run(run).model, load_run(tmp_path / "new")
    assert new.model.weights_.equals(old.weights_)
    for name, value in new.model.scorers["content"].state_dict().items():
        assert value.equal(old.scorers["content"].state_dict()[name])
    ids = new.training.entity_to_id
    pair, relation = torch.tensor([ids["e22"]]), torch.tensor([0])
    place = new.model.scorers["evidence"].parts.index("prior")
    counts = [model.scorers["evidence"].score_parts(pair, relation, "tail")[place, 0] for model in (old, new.model)]
    more = (counts[1] - counts[0]).nonzero()[:, 0].tolist()
    assert more == [ids["e3"]]
    known = [scorer.entities[ids["e22"]].item() for scorer in new.model._scorers if scorer.name == "structure"]
    assert known == [True]


def test_new_entities(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Who is unknown is refused with the row, and described, is trained with the others."""
    triples = tmp_path / "triples.tsv"
    triples.write_text("e3\tr0\te4\ne3\tr1\tokapi\n")
    with pytest.raises(DataError, match=r"triple 2 \(e3, r1, okapi\): unknown entity 'okapi'"):
        update_run(run, triples, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    okapi = {"name": "okapi", "vectors": {"textual": torch.ones(10)}}
    made = update_run(run, triples, tmp_path / "new", entities={"okapi": okapi, "e3": {"text": "known already"}})
    new = load_run(tmp_path / "new")
    index = new.training.entity_to_id["okapi"]
    assert index == 24 and new.document["updates"][0]["entities"] == 1
    mask = new.model.entity_representations[0].mask[index]  # type: ignore[union-attr]
    assert mask.tolist() == [True, False, True]
    query = torch.tensor([[new.training.entity_to_id["e3"], 1]])
    torch.testing.assert_close(new.model.predict_t(query), made.model.predict_t(query))


def test_complex_with_inverse_triples(folder, stores, tmp_path: pathlib.Path) -> None:
    """A model of PyKEEN's kind, whose relations have inverse ones, learns both directions."""
    result = pipeline(
        dataset=MultimodalDataset(path=folder, create_inverse_triples=True),
        model="complexn3",
        model_kwargs=dict(embedding_dim=8),
        training_loop="sampledsoftmax",
        optimizer="adagrad",
        optimizer_kwargs=dict(lr=0.1),
        training_kwargs=dict(num_epochs=20, use_tqdm=False),
        evaluation_kwargs=dict(use_tqdm=False),
        random_seed=0,
    )
    save_run(result, tmp_path / "old")
    old, new = load_run(tmp_path / "old"), update_run(tmp_path / "old", NEW, tmp_path / "new", num_steps=100)
    ids = new.training.entity_to_id
    mapped = torch.tensor([[ids[h], new.training.relation_to_id[r], ids[t]] for h, r, t in NEW])
    assert mean_rank(new.model, mapped) < mean_rank(old.model, mapped)
    heads = [model.predict_h(mapped[:, 1:]).gather(1, mapped[:, :1]) for model in (old.model, new.model)]
    assert (heads[1] > heads[0]).all()


def test_errors(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    known = load_run(run).training.triples[:2].tolist()
    for triples, options, error, match in (
        (known, {}, DataError, "knows all 2"),
        ([("e1", "eats", "e2")], {}, DataError, "unknown relation 'eats'"),
        (NEW, {"num_steps": -1}, MultimodalError, "num_steps"),
        (NEW, {"learning_rate": -1.0}, MultimodalError, "learning_rate"),
        (str(tmp_path / "none.tsv"), {}, DataError, "none.tsv"),
    ):
        with pytest.raises(error, match=match):
            update_run(run, triples, tmp_path / "new", **options)
        assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))
    with pytest.raises(DataError, match="not empty"):
        update_run(run, NEW, run)
    with pytest.raises(RunError):
        update_run(tmp_path, NEW, tmp_path / "new")
